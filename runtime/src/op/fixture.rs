//! A loss for tests, twice: as a kernel written by hand and as a graph.

use ponens_compiler::mir::{Binary, Graph, Input, Interval, Level, Op, Param, Root, Unary};

use super::{Evaluated, LossKernel, RuntimeError, batch_len};

/// DPO: softplus(-beta ((lw - rw) - (ll - rl))).
pub(crate) struct Dpo {
    pub(crate) beta: f64,
    inputs: Vec<Input>,
}

fn input(name: &str, differentiable: bool) -> Input {
    Input { name: name.into(), level: Level::Example, range: Interval::LOG_PROB, differentiable }
}

fn dpo_inputs() -> Vec<Input> {
    vec![
        input("logp(pi,w)", true),
        input("logp(pi,l)", true),
        input("logp(ref,w)", false),
        input("logp(ref,l)", false),
    ]
}

impl Dpo {
    pub(crate) fn new(beta: f64) -> Self {
        Self { beta, inputs: dpo_inputs() }
    }
}

impl LossKernel for Dpo {
    fn name(&self) -> &str {
        "dpo"
    }

    fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    fn parameters(&self) -> Vec<(&str, f64)> {
        vec![("beta", self.beta)]
    }

    fn couples_examples(&self) -> bool {
        false
    }

    fn evaluate(&self, columns: &[Vec<f64>]) -> Result<Evaluated, RuntimeError> {
        let n = batch_len(self, columns)?;
        let at = |i: usize, e: usize| columns[i][e];
        let z = |e| self.beta * ((at(0, e) - at(2, e)) - (at(1, e) - at(3, e)));
        let loss = (0..n).map(z).map(|z: f64| (-z).max(0.0) + (-z.abs()).exp().ln_1p()).collect();
        let slope: Vec<f64> = (0..n).map(|e| -self.beta / (1.0 + z(e).exp())).collect();
        let other = slope.iter().map(|s| -s).collect();
        Ok(Evaluated { loss, grads: vec![Some(slope), Some(other), None, None] })
    }
}

/// The same loss as a graph with its gradient roots.
pub(crate) fn dpo_graph(beta: f64) -> Graph {
    let mut g = Graph::new("dpo");
    g.params.push(Param { name: "beta".into(), default: Some(beta), range: Interval::REAL });
    g.inputs = dpo_inputs();
    let beta = g.add(Op::Param(0));
    let [w, l, rw, rl] = [0, 1, 2, 3].map(|i| g.add(Op::Input(i)));
    let chosen = g.binary(Binary::Sub, w, rw);
    let rejected = g.binary(Binary::Sub, l, rl);
    let gap = g.binary(Binary::Sub, chosen, rejected);
    let z = g.binary(Binary::Mul, beta, gap);
    let minus = g.unary(Unary::Neg, z);
    let loss = g.unary(Unary::Softplus, minus);
    let s = g.unary(Unary::Sigmoid, minus);
    let dl = g.binary(Binary::Mul, beta, s);
    let dw = g.unary(Unary::Neg, dl);
    let root = |name: &str, node| Root { name: name.into(), node };
    g.roots = vec![root("loss", loss), root("d/logp(pi,w)", dw), root("d/logp(pi,l)", dl)];
    g
}

type Evaluate = dyn Fn(&[Vec<f64>]) -> Evaluated + Send + Sync;

/// A kernel of any inputs, from a closure.
pub(crate) struct Custom {
    pub(crate) inputs: Vec<Input>,
    pub(crate) couples: bool,
    pub(crate) evaluate: Box<Evaluate>,
}

impl Custom {
    pub(crate) fn new(
        names: &[&str],
        evaluate: impl Fn(&[Vec<f64>]) -> Evaluated + Send + Sync + 'static,
    ) -> Self {
        let inputs = names.iter().map(|n| Input { range: Interval::REAL, ..input(n, true) });
        Self { inputs: inputs.collect(), couples: true, evaluate: Box::new(evaluate) }
    }
}

impl LossKernel for Custom {
    fn name(&self) -> &str {
        "custom"
    }

    fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    fn couples_examples(&self) -> bool {
        self.couples
    }

    fn evaluate(&self, columns: &[Vec<f64>]) -> Result<Evaluated, RuntimeError> {
        batch_len(self, columns)?;
        Ok((self.evaluate)(columns))
    }
}

/// A loss that couples its examples: (x - mean of the batch's x - 1)^2 with x = lw - ll.
pub(crate) fn spread() -> Custom {
    Custom::new(&["logp(pi,w)", "logp(pi,l)"], |c| {
        let x: Vec<f64> = c[0].iter().zip(&c[1]).map(|(w, l)| w - l).collect();
        let n = x.len() as f64;
        let mean = x.iter().sum::<f64>() / n;
        let r: Vec<f64> = x.iter().map(|x| x - mean - 1.0).collect();
        let mean_r = r.iter().sum::<f64>() / n;
        let grad: Vec<f64> = r.iter().map(|r| 2.0 * (r - mean_r)).collect();
        let other = grad.iter().map(|g| -g).collect();
        let loss = r.iter().map(|r| r * r).collect();
        Evaluated { loss, grads: vec![Some(grad), Some(other)] }
    })
}
