//! Running a graph on bound rows.
//!
//! In: a graph with the root `loss` and roots `d/COLUMN`, parameter values, bound rows. Out: an outcome
//! for each row; for each batch where the examples of a batch depend on each other and the rows are
//! grouped. The loss of a batch is the mean over its examples, and its gradients are those of that mean.

use super::bind::Bound;
use super::means;
use ponens_compiler::codegen::interp::{self, Batch, EvalError, Real};
use ponens_compiler::mir::{Graph, Level, Op};
use serde_json::Value;

/// What came out for one row, or for one batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome<R> {
    /// The value of the column `batch`, where that made the batch.
    pub batch: Option<Value>,
    /// Indices of the rows: one, or all of the batch.
    pub rows: Vec<usize>,
    /// True for a batch, even of one row.
    pub grouped: bool,
    /// The loss.
    pub loss: R,
    /// By column: one derivative a row, in the order of `rows`.
    pub grad: Vec<(String, Vec<R>)>,
}

/// True when an example's loss depends on the other examples of its batch.
pub fn is_batch_coupled(graph: &Graph) -> bool {
    graph.nodes.iter().any(|n| {
        n.level == Level::Batch
            || match n.op {
                Op::Sort(a) | Op::Unsort(_, a) | Op::SuffixSum(a) | Op::PrefixSum(a) => {
                    graph.node(a).level == Level::Example
                }
                Op::Shift(a, _) => graph.node(a).level == Level::Example,
                _ => false,
            }
    })
}

/// Evaluates a graph with the interpreter in the type `R`.
///
/// # Errors
/// The graph does not fit the rows; never for the graph of the loss that the rows were bound to.
pub fn evaluate<R: Real>(
    graph: &Graph,
    params: &[f64],
    bound: &Bound,
) -> Result<Vec<Outcome<R>>, EvalError> {
    let graph = means::from_sums(graph, &bound.means);
    let all: Vec<usize> = (0..bound.lines.len()).collect();
    let run = |rows: &[usize]| Run::<R>::new(&graph, params, bound, rows);
    if !is_batch_coupled(&graph) {
        let run = run(&all)?;
        return Ok(all.iter().map(|i| run.row(*i)).collect());
    }
    match &bound.groups {
        None => all.iter().map(|i| Ok(Outcome { rows: vec![*i], ..run(&[*i])?.row(0) })).collect(),
        Some(groups) => groups
            .iter()
            .map(|g| {
                Ok(Outcome { batch: g.key.clone(), rows: g.rows.clone(), ..run(&g.rows)?.mean() })
            })
            .collect(),
    }
}

/// The roots of a graph on some rows.
struct Run<R> {
    rows: usize,
    /// True when the loss has one value an example, so that its mean is still to be taken.
    per_example: bool,
    loss: Vec<R>,
    grad: Vec<(String, Vec<R>)>,
}

impl<R: Real> Run<R> {
    fn new(
        graph: &Graph,
        params: &[f64],
        bound: &Bound,
        rows: &[usize],
    ) -> Result<Self, EvalError> {
        let mut batch = Batch::<R>::new(rows.len());
        for (i, input) in graph.inputs.iter().enumerate() {
            let Some(given) = bound.given.iter().find(|g| g.name == input.name) else {
                return Err(EvalError::MissingInput(input.name.clone()));
            };
            let values: Vec<f64> = rows.iter().map(|r| given.values[*r]).collect();
            batch.set(graph, i as u16, &values)?;
        }
        let values = interp::evaluate(graph, params, &batch)?;
        let mut run =
            Run { rows: rows.len(), per_example: true, loss: Vec::new(), grad: Vec::new() };
        for (root, values) in graph.roots.iter().zip(values) {
            match root.name.strip_prefix("d/") {
                Some(column) => run.grad.push((column.to_owned(), values)),
                None => {
                    run.per_example = graph.node(root.node).level >= Level::Example;
                    run.loss = values;
                }
            }
        }
        Ok(run)
    }

    /// The value of one row: a value of an outer level is the same for all.
    fn at(values: &[R], row: usize) -> R {
        let value = values.get(row).or(values.first());
        value.cloned().unwrap_or_else(|| R::from_f64(f64::NAN))
    }

    fn row(&self, row: usize) -> Outcome<R> {
        let grad = self.grad.iter().map(|(n, v)| (n.clone(), vec![Self::at(v, row)])).collect();
        Outcome {
            batch: None,
            rows: vec![row],
            grouped: false,
            loss: Self::at(&self.loss, row),
            grad,
        }
    }

    fn mean(&self) -> Outcome<R> {
        let n = R::from_f64(self.rows as f64);
        let scale = |x: R| if self.per_example { x.div(&n) } else { x };
        let loss = match self.loss.split_first() {
            Some((first, rest)) => scale(rest.iter().fold(first.clone(), |s, x| s.add(x))),
            None => R::from_f64(f64::NAN),
        };
        let row = |v: &[R]| (0..self.rows).map(|i| scale(Self::at(v, i))).collect();
        let grad = self.grad.iter().map(|(n, v)| (n.clone(), row(v))).collect();
        Outcome { batch: None, rows: Vec::new(), grouped: true, loss, grad }
    }
}
