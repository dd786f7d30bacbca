//! Running a graph on bound rows.
//!
//! In: a graph with the root `loss` and roots `d/COLUMN`, parameter values, bound rows. Out: an outcome
//! for each row; for each batch where the examples of a batch depend on each other and the rows are
//! grouped. The loss of a batch is the mean over its examples, and its gradients are those of that mean.

use super::arrays::Array;
use super::bind::Bound;
use super::{means, tokens};
use ponens_compiler::codegen::interp::{self, Batch, EvalError, Real, Scratch, Tape};
use ponens_compiler::hir::Loop;
use ponens_compiler::mir::{Graph, Level};
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
    /// By column with several numbers a row: the derivatives of each row, shaped like its numbers.
    pub arrays: Vec<(String, Vec<Nested<R>>)>,
}

/// The derivatives with respect to a column with several numbers, for one row.
#[derive(Clone, Debug, PartialEq)]
pub enum Nested<R> {
    /// One a response, or one a token.
    List(Vec<R>),
    /// One a token of each response.
    Lists(Vec<Vec<R>>),
}

/// True when an example's loss depends on the other examples of its batch.
pub fn is_batch_coupled(graph: &Graph) -> bool {
    graph
        .nodes
        .iter()
        .any(|n| n.level == Level::Batch || (n.op.scans() && n.level == Level::Example))
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
    let graph = readable(graph, bound);
    evaluate_by(&graph, bound, |rows| engine.run(&graph, params, &batch(&graph, bound, rows)?))
}

/// The graph over what the rows hold.
pub(super) fn readable(graph: &Graph, bound: &Bound) -> Graph {
    let graph = tokens::from_tokens(graph, &bound.tokens);
    means::from_sums(&graph, &bound.means)
}

/// Evaluates with anything that gives the roots of a [`readable`] graph on some rows.
pub(super) fn evaluate_by<R: Real, E: From<EvalError>>(
    graph: &Graph,
    bound: &Bound,
    mut roots: impl FnMut(&[usize]) -> Result<Vec<Vec<R>>, E>,
) -> Result<Vec<Outcome<R>>, E> {
    let all: Vec<usize> = (0..bound.lines.len()).collect();
    let mut run =
        |rows: &[usize]| -> Result<Run<R>, E> { Ok(Run::new(graph, bound, rows, roots(rows)?)) };
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
    arrays: Vec<(String, Vec<Nested<R>>)>,
}

/// The columns that a graph reads, on some rows.
fn batch<R: Real>(graph: &Graph, bound: &Bound, rows: &[usize]) -> Result<Batch<R>, EvalError> {
    let mut batch = Batch::<R>::new(rows.len());
    let responses = rows.iter().map(|r| bound.arrays.iter().find_map(|a| a.responses(*r)));
    if let Some(counts) = responses.collect::<Option<Vec<usize>>>() {
        batch = batch.with_candidates(&counts)?;
    }
    for (i, input) in graph.inputs.iter().enumerate() {
        if let Some(array) = bound.arrays.iter().find(|a| a.name == input.name) {
            set(&mut batch, graph, i as u16, array, rows)?;
            continue;
        }
        batch.set(graph, i as u16, &column(bound, &input.name, rows)?)?;
    }
    Ok(batch)
}

/// A column with one number a row.
pub(super) fn column(bound: &Bound, name: &str, rows: &[usize]) -> Result<Vec<f64>, EvalError> {
    match bound.given.iter().find(|g| g.name == name) {
        Some(given) => Ok(rows.iter().map(|r| given.values[*r]).collect()),
        None => Err(EvalError::MissingInput(name.to_owned())),
    }
}

impl<R: Real> Run<R> {
    fn new(graph: &Graph, bound: &Bound, rows: &[usize], values: Vec<Vec<R>>) -> Self {
        let mut run = Run {
            rows: rows.len(),
            per_example: true,
            loss: Vec::new(),
            grad: Vec::new(),
            arrays: Vec::new(),
        };
        for (root, values) in graph.roots.iter().zip(values) {
            match root.name.strip_prefix("d/") {
                Some(column) => match bound.arrays.iter().find(|a| a.name == column) {
                    Some(array) => {
                        let level = graph.node(root.node).level;
                        let shaped = nested(array, rows, level, &values);
                        run.arrays.push((column.to_owned(), shaped));
                    }
                    None => run.grad.push((column.to_owned(), values)),
                },
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
            arrays: self.arrays.iter().map(|(n, v)| (n.clone(), vec![v[row].clone()])).collect(),
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
        let list = |v: &Vec<R>| v.iter().map(|x| scale(x.clone())).collect();
        let scaled = |n: &Nested<R>| match n {
            Nested::List(v) => Nested::List(list(v)),
            Nested::Lists(v) => Nested::Lists(v.iter().map(list).collect()),
        };
        let arrays = self.arrays.iter();
        let arrays = arrays.map(|(n, v)| (n.clone(), v.iter().map(scaled).collect())).collect();
        Outcome { batch: None, rows: Vec::new(), grouped: true, loss, grad, arrays }
    }
}

/// Sets a column with several numbers a row.
fn set<R: Real>(
    batch: &mut Batch<R>,
    graph: &Graph,
    input: u16,
    array: &Array,
    rows: &[usize],
) -> Result<(), EvalError> {
    let lists = || rows.iter().flat_map(|r| &array.rows[*r]);
    let values: Vec<f64> = lists().flatten().copied().collect();
    let counts: Vec<usize> = lists().map(Vec::len).collect();
    match (array.of, array.nested) {
        (Loop::Candidates, _) => batch.set(graph, input, &values),
        (Loop::Tokens(_), true) => {
            batch.set_tokens(graph, input, &values, Level::Candidate, &counts)
        }
        (Loop::Tokens(_), false) => {
            batch.set_tokens(graph, input, &values, Level::Example, &counts)
        }
    }
}

/// Derivatives in the shape of a column: a value of an outer level is the same for all inside.
fn nested<R: Real>(array: &Array, rows: &[usize], level: Level, values: &[R]) -> Vec<Nested<R>> {
    let (mut element, mut owner) = (0, 0);
    let mut out = Vec::with_capacity(rows.len());
    for (example, r) in rows.iter().enumerate() {
        let mut lists = Vec::new();
        for list in &array.rows[*r] {
            let mut own = Vec::with_capacity(list.len());
            for _ in list {
                let at = match level {
                    Level::Token => element,
                    Level::Candidate if array.of == Loop::Candidates => element,
                    Level::Candidate => owner,
                    Level::Example => example,
                    Level::Batch | Level::Uniform => 0,
                };
                let value = values.get(at).cloned();
                own.push(value.unwrap_or_else(|| R::from_f64(f64::NAN)));
                element += 1;
            }
            owner += 1;
            lists.push(own);
        }
        out.push(match (array.nested, lists.pop()) {
            (false, Some(only)) => Nested::List(only),
            (_, last) => Nested::Lists(lists.into_iter().chain(last).collect()),
        });
    }
    out
}
