//! A compiled graph as a loss kernel, evaluated by the interpreter in f64.
//!
//! In: a graph with the roots `loss` and `d/` of each differentiable input, and parameter values.
//! Out: a [`LossKernel`]. The work for one pair is a few dozen operations, so an interpreter is fast
//! enough beside any model; the kernels that are worth generating are those over the vocabulary.

use std::collections::HashMap;

use ponens_compiler::codegen::interp::{Batch, Scratch, Tape};
use ponens_compiler::mir::{Graph, Input, Level, NodeId, Op, verify};

use super::{Evaluated, LossKernel, RuntimeError, batch_len};

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
}

impl GraphKernel {
    /// A kernel of a graph; parameters that `values` does not name have their defaults.
    ///
    /// # Errors
    /// If the graph is malformed, has no loss or lacks a gradient, reads inputs below the example level,
    /// or a parameter is unknown, has no value or is outside its range.
    pub fn new(graph: &Graph, values: &HashMap<String, f64>) -> Result<Self, RuntimeError> {
        let fail = |reason: String| RuntimeError::Loss { loss: graph.name.clone(), reason };
        verify(graph)
            .map_err(|v| fail(v.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))?;
        if let Some(input) = graph.inputs.iter().find(|i| i.level != Level::Example) {
            return Err(RuntimeError::Unsupported(format!(
                "loss `{}` reads `{}` at the {} level",
                graph.name, input.name, input.level
            )));
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
        let deeper = |r: &ponens_compiler::mir::Root| graph.node(r.node).level > Level::Example;
        if let Some(root) = pruned.roots.iter().find(|r| deeper(r)) {
            return Err(fail(format!("root `{}` is below the example level", root.name)));
        }
        let tape = Tape::new(&pruned).map_err(|e| fail(e.to_string()))?;
        Ok(Self {
            couples: couples(&pruned),
            whole_batch: graph.node(loss.node).level < Level::Example,
            tape,
            params,
            gradients,
            graph: pruned,
        })
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
        self.couples
    }

    fn evaluate(&self, columns: &[Vec<f64>]) -> Result<Evaluated, RuntimeError> {
        let fail = |e: ponens_compiler::codegen::interp::EvalError| RuntimeError::Loss {
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
