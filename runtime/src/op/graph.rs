//! A compiled graph as a loss kernel, evaluated by the interpreter in f64.
//!
//! In: a graph with the roots `loss` and `d/` of each differentiable input, and parameter values.
//! Out: a [`LossKernel`]. The work for one pair is a few dozen operations, so an interpreter is fast
//! enough beside any model; the kernels that are worth generating are those over the vocabulary.

use std::collections::HashMap;

use ponens_compiler::codegen::interp::{Batch, EvalError, Scratch, Tape};
use ponens_compiler::mir::{Graph, Input, Level, NodeId, Op, verify};

use super::{Evaluated, Loops, LossKernel, RuntimeError, batch_len};

/// A graph, scheduled, with its parameters fixed.
#[derive(Clone, Debug)]
pub struct GraphKernel {
    graph: Graph,
    tape: Tape,
    params: Vec<f64>,
    couples: bool,
    /// By input: which root of the pruned graph is its gradient.
    gradients: Vec<Option<usize>>,
    /// d(sum over examples of the loss) for each d(loss): the number of examples where the loss is one
    /// number for the whole batch, else 1.
    whole_batch: bool,
    running: Vec<RunningMean>,
}

/// A column that holds the mean of a number over all examples of a run so far.
#[derive(Clone, Debug)]
pub struct RunningMean {
    input: usize,
    of: GraphKernel,
}

impl RunningMean {
    /// Which of the loss's inputs it is.
    pub fn input(&self) -> usize {
        self.input
    }

    /// The number that it is the mean of, for each example of a batch; `columns` as for the loss, whatever
    /// stands for the running means.
    ///
    /// # Errors
    /// As [`LossKernel::evaluate`].
    pub fn values(&self, columns: &[Vec<f64>]) -> Result<Vec<f64>, RuntimeError> {
        Ok(self.of.evaluate(columns)?.loss)
    }
}

impl GraphKernel {
    /// A kernel of a graph; parameters that `values` does not name have their defaults.
    ///
    /// # Errors
    /// If the graph is malformed, has no loss or lacks a gradient, reads inputs below the example level,
    /// or a parameter is unknown, has no value or is outside its range.
    pub fn new(graph: &Graph, values: &HashMap<String, f64>) -> Result<Self, RuntimeError> {
        if let Some(input) = graph.inputs.iter().find(|i| i.level > Level::Example) {
            return Err(RuntimeError::Unsupported(format!(
                "loss `{}` reads `{}` at the {} level",
                graph.name, input.name, input.level
            )));
        }
        Self::nested(graph, values)
    }

    /// As [`GraphKernel::new`], for a loss that may also read numbers of single responses and tokens: such a
    /// kernel is evaluated with [`LossKernel::evaluate_nested`].
    ///
    /// # Errors
    /// If the graph is malformed, has no loss or lacks a gradient, or a parameter is unknown, has no value
    /// or is outside its range.
    pub fn nested(graph: &Graph, values: &HashMap<String, f64>) -> Result<Self, RuntimeError> {
        let fail = |reason: String| RuntimeError::Loss { loss: graph.name.clone(), reason };
        verify(graph)
            .map_err(|v| fail(v.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))?;
        if let Some(input) = graph.inputs.iter().find(|i| i.level < Level::Example) {
            return Err(fail(format!("input `{}` is at the {} level", input.name, input.level)));
        }
        let params = parameters(graph, values)?;
        let loss = graph.roots.iter().find(|r| r.name == "loss");
        let loss = loss.ok_or_else(|| fail("no root `loss`".into()))?.clone();
        let mut pruned = Graph { roots: vec![loss.clone()], ..graph.clone() };
        let mut gradients = Vec::with_capacity(graph.inputs.len());
        for input in &graph.inputs {
            let name = format!("d/{}", input.name);
            let root = graph.roots.iter().find(|r| r.name == name);
            match (root, input.differentiable) {
                (Some(root), _) => {
                    gradients.push(Some(pruned.roots.len()));
                    pruned.roots.push(root.clone());
                }
                (None, false) => gradients.push(None),
                (None, true) => return Err(fail(format!("no root `{name}`"))),
            }
        }
        let deepest = |r: &ponens_compiler::mir::Root| {
            let of = r.name.strip_prefix("d/");
            let input = of.and_then(|n| graph.inputs.iter().find(|i| i.name == n));
            input.map_or(Level::Example, |i| i.level)
        };
        if let Some(root) = pruned.roots.iter().find(|r| graph.node(r.node).level > deepest(r)) {
            return Err(fail(format!("root `{}` is below its level", root.name)));
        }
        let tape = Tape::new(&pruned).map_err(|e| fail(e.to_string()))?;
        Ok(Self {
            couples: couples(&pruned),
            whole_batch: graph.node(loss.node).level < Level::Example,
            tape,
            params,
            gradients,
            graph: pruned,
            running: Vec::new(),
        })
    }

    /// The same kernel with its running means: by the name of the column that holds one, the graph over
    /// the same inputs of what it is the mean of.
    ///
    /// # Errors
    /// If the loss has no such input, or as [`GraphKernel::new`].
    pub fn with_running(
        mut self,
        means: &[(String, Graph)],
        values: &HashMap<String, f64>,
    ) -> Result<Self, RuntimeError> {
        for (name, graph) in means {
            let input = self.graph.inputs.iter().position(|i| i.name == *name);
            let input = input.ok_or_else(|| RuntimeError::Loss {
                loss: self.graph.name.clone(),
                reason: format!("no input `{name}`"),
            })?;
            self.running.push(RunningMean { input, of: GraphKernel::new(graph, values)? });
        }
        Ok(self)
    }

    /// The graph with the roots that are evaluated.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The values of the parameters, in the graph's order.
    pub fn params(&self) -> &[f64] {
        &self.params
    }
}

fn parameters(graph: &Graph, values: &HashMap<String, f64>) -> Result<Vec<f64>, RuntimeError> {
    let setting = |text: String| RuntimeError::Setting(format!("loss `{}`: {text}", graph.name));
    let mut unknown: Vec<&String> =
        values.keys().filter(|n| graph.params.iter().all(|p| p.name != **n)).collect();
    unknown.sort();
    if let Some(name) = unknown.first() {
        let known: Vec<&str> = graph.params.iter().map(|p| p.name.as_str()).collect();
        return Err(setting(format!("unknown parameter `{name}`; it has: {}", known.join(", "))));
    }
    let one = |p: &ponens_compiler::mir::Param| {
        let value = values.get(&p.name).copied().or(p.default);
        let value = value.ok_or_else(|| setting(format!("parameter `{}` has no value", p.name)))?;
        if p.range.contains(value) {
            return Ok(value);
        }
        Err(setting(format!("parameter `{}` = {value} is outside {}", p.name, p.range)))
    };
    graph.params.iter().map(one).collect()
}

/// Whether a value of one example reaches another through an operation along the batch.
fn couples(graph: &Graph) -> bool {
    let mut wanted = vec![false; graph.nodes.len()];
    let mut stack: Vec<NodeId> = graph.roots.iter().map(|r| r.node).collect();
    while let Some(id) = stack.pop() {
        if !std::mem::replace(&mut wanted[id.0 as usize], true) {
            stack.extend(graph.node(id).op.operands());
        }
    }
    let along = |op: &Op, level: Level| match *op {
        Op::Reduce(_, a) | Op::Count(a) => {
            graph.node(a).level >= Level::Example && level < Level::Example
        }
        _ => op.scans() && level == Level::Example,
    };
    graph.nodes.iter().zip(&wanted).any(|(n, wanted)| *wanted && along(&n.op, n.level))
}

impl LossKernel for GraphKernel {
    fn name(&self) -> &str {
        &self.graph.name
    }

    fn inputs(&self) -> &[Input] {
        &self.graph.inputs
    }

    fn definition(&self) -> Option<&Graph> {
        Some(&self.graph)
    }

    fn parameters(&self) -> Vec<(&str, f64)> {
        let names = self.graph.params.iter().map(|p| p.name.as_str());
        names.zip(self.params.iter().copied()).collect()
    }

    fn couples_examples(&self) -> bool {
        // What the mean is of has to be known of the whole batch before its loss is.
        self.couples || !self.running.is_empty()
    }

    fn running(&self) -> &[RunningMean] {
        &self.running
    }

    fn evaluate_nested(
        &self,
        columns: &[Vec<f64>],
        loops: &Loops,
    ) -> Result<Evaluated, RuntimeError> {
        let fail = |e: EvalError| RuntimeError::Loss {
            loss: self.graph.name.clone(),
            reason: e.to_string(),
        };
        loops.check(&self.graph, columns)?;
        let batch = loops.batch(&self.graph, columns).map_err(fail)?;
        let mut scratch = Scratch::default();
        let roots = self.tape.run(&self.params, &batch, &mut scratch).map_err(fail)?;
        let copies = if self.whole_batch { loops.examples as f64 } else { 1.0 };
        let gradient = |(input, root): (usize, &Option<usize>)| {
            let root = (*root)?;
            let from = self.graph.node(self.graph.roots[root].node).level;
            let to = self.graph.inputs[input].level;
            let mut all = loops.spread(roots[root], from, input, to);
            all.iter_mut().for_each(|g| *g *= copies);
            Some(all)
        };
        Ok(Evaluated {
            loss: spread(roots[0], loops.examples),
            grads: self.gradients.iter().enumerate().map(gradient).collect(),
        })
    }

    fn evaluate(&self, columns: &[Vec<f64>]) -> Result<Evaluated, RuntimeError> {
        let fail = |e: EvalError| RuntimeError::Loss {
            loss: self.graph.name.clone(),
            reason: e.to_string(),
        };
        let n = batch_len(self, columns)?;
        let mut batch = Batch::<f64>::new(n);
        for (i, column) in columns.iter().enumerate() {
            batch.set(&self.graph, i as u16, column).map_err(fail)?;
        }
        let mut scratch = Scratch::default();
        let roots = self.tape.run(&self.params, &batch, &mut scratch).map_err(fail)?;
        let copies = if self.whole_batch { n as f64 } else { 1.0 };
        let gradient = |root: &usize| {
            let spread = spread(roots[*root], n);
            if copies == 1.0 { spread } else { spread.into_iter().map(|g| g * copies).collect() }
        };
        Ok(Evaluated {
            loss: spread(roots[0], n),
            grads: self.gradients.iter().map(|root| root.as_ref().map(gradient)).collect(),
        })
    }
}

/// A value of an outer level stands at every example.
fn spread(values: &[f64], n: usize) -> Vec<f64> {
    match values {
        [one] if n != 1 => vec![*one; n],
        _ => values.to_vec(),
    }
}
