//! Running a graph on bound rows.
//!
//! In: a graph with the root `loss` and roots `d/COLUMN`, parameter values, bound rows. Out: an outcome
//! for each row; for each batch where the examples of a batch depend on each other and the rows are
//! grouped. The loss of a batch is the mean over its examples, and its gradients are those of that mean.

use super::bind::Bound;
use super::means;
use ponens_compiler::codegen::interp::{self, Batch, EvalError, Real, Scratch, Tape};
use ponens_compiler::mir::{Graph, Level, Op};
use serde_json::Value;

/// What runs the graph; both give the same numbers to the last bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// The plain interpreter, the oracle of all tests.
    #[default]
    Interpreter,
    /// The tape, which goes over many rows at a time: what training runs on a processor.
    Tape,
}

impl Engine {
    fn run<R: Real>(
        self,
        graph: &Graph,
        params: &[f64],
        batch: &Batch<R>,
    ) -> Result<Vec<Vec<R>>, EvalError> {
        match self {
            Engine::Interpreter => interp::evaluate(graph, params, batch),
            Engine::Tape => {
                let mut scratch = Scratch::default();
                let values = Tape::new(graph)?.run(params, batch, &mut scratch)?;
                Ok(values.into_iter().map(<[R]>::to_vec).collect())
            }
        }
    }
}

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

/// Evaluates a graph in the type `R`.
///
/// # Errors
/// The graph does not fit the rows; never for the graph of the loss that the rows were bound to.
pub fn evaluate<R: Real>(
    engine: Engine,
    graph: &Graph,
    params: &[f64],
    bound: &Bound,
) -> Result<Vec<Outcome<R>>, EvalError> {
    let graph = means::from_sums(graph, &bound.means);
    evaluate_by(&graph, bound, |columns, examples| {
        let mut batch = Batch::<R>::new(examples);
        for (i, values) in columns.iter().enumerate() {
            batch.set(&graph, i as u16, values)?;
        }
        engine.run(&graph, params, &batch)
    })
}

/// Evaluates with anything that gives a graph's roots from its columns and the number of examples; the
/// graph reads sums where the rows hold no means.
pub(super) fn evaluate_by<R: Real, E: From<EvalError>>(
    graph: &Graph,
    bound: &Bound,
    mut roots: impl FnMut(&[Vec<f64>], usize) -> Result<Vec<Vec<R>>, E>,
) -> Result<Vec<Outcome<R>>, E> {
    let all: Vec<usize> = (0..bound.lines.len()).collect();
    let mut run = |rows: &[usize]| -> Result<Run<R>, E> {
        let columns = columns(graph, bound, rows)?;
        Ok(Run::new(graph, rows.len(), roots(&columns, rows.len())?))
    };
    if !is_batch_coupled(graph) {
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

/// The columns that a graph reads, on some rows.
fn columns(graph: &Graph, bound: &Bound, rows: &[usize]) -> Result<Vec<Vec<f64>>, EvalError> {
    let column = |name: &String| match bound.given.iter().find(|g| g.name == *name) {
        Some(given) => Ok(rows.iter().map(|r| given.values[*r]).collect()),
        None => Err(EvalError::MissingInput(name.clone())),
    };
    graph.inputs.iter().map(|i| column(&i.name)).collect()
}

impl<R: Real> Run<R> {
    fn new(graph: &Graph, rows: usize, values: Vec<Vec<R>>) -> Self {
        let mut run = Run { rows, per_example: true, loss: Vec::new(), grad: Vec::new() };
        for (root, values) in graph.roots.iter().zip(values) {
            match root.name.strip_prefix("d/") {
                Some(column) => run.grad.push((column.to_owned(), values)),
                None => {
                    run.per_example = graph.node(root.node).level >= Level::Example;
                    run.loss = values;
                }
            }
        }
        run
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
