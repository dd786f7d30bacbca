//! Points of a loss's domain: a grid of the edges, and seeded random points of every kind that occurs.
//!
//! In: the inputs of a graph. Out: [`Group`]s, each one evaluation. Invariants: log-probabilities lie in
//! [-1e4, -1e-12], where SEMANTICS asks for accuracy; the same seed gives the same points.

use crate::codegen::interp::{Batch, EvalError, Real};
use crate::mir::interval::Precision;
use crate::mir::{Dice, Graph, Input, Interval, Level, Op};

/// Where formulas break: the ends of the domain, of f64 and of f32, saturation, ln 2, near certainty.
const EDGES: [f64; 11] =
    [-1e4, -745.2, -104.0, -88.5, -17.0, -3.0, -std::f64::consts::LN_2, -0.1, -1e-4, -3e-8, -1e-12];

/// Lengths of responses.
const LENGTHS: [f64; 6] = [1.0, 2.0, 7.0, 100.0, 1024.0, 4096.0];

/// Examples of one evaluation where they depend on each other.
const BATCH: usize = 4;

/// How the numbers of one example relate to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Regime {
    /// Each of any magnitude, on its own.
    Spread,
    /// All of nearly the same size.
    Close,
    /// The reference within a thousandth of the policy.
    Tracking,
    /// Sums over whole responses, the reference a few nats away: what training sees.
    Typical,
}

pub(super) const REGIMES: [Regime; 4] =
    [Regime::Spread, Regime::Close, Regime::Tracking, Regime::Typical];

/// The columns of one evaluation.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) examples: usize,
    candidates: Option<Vec<usize>>,
    tokens: Vec<usize>,
    /// Values by input.
    pub(super) columns: Vec<Vec<f64>>,
}

impl Group {
    /// The same numbers as a type holds them.
    pub(super) fn rounded(&self, precision: Precision) -> Group {
        let mut out = self.clone();
        if precision == Precision::F32 {
            out.columns.iter_mut().flatten().for_each(|x| *x = f64::from(*x as f32));
        }
        out
    }

    /// Some of the examples; `None` where the columns are not one number an example.
    pub(super) fn pick(&self, every: usize) -> Option<Group> {
        if self.columns.iter().any(|c| c.len() != self.examples) {
            return None;
        }
        let some = |c: &Vec<f64>| c.iter().step_by(every.max(1)).copied().collect::<Vec<_>>();
        let columns: Vec<Vec<f64>> = self.columns.iter().map(some).collect();
        Some(Group {
            examples: self.examples.div_ceil(every.max(1)),
            columns,
            candidates: None,
            tokens: Vec::new(),
        })
    }

    /// The batch in a type.
    pub(super) fn batch<T: Real>(&self, graph: &Graph) -> Result<Batch<T>, EvalError> {
        let mut batch = Batch::new(self.examples);
        let mut owner = Level::Example;
        if let Some(counts) = &self.candidates {
            batch = batch.with_candidates(counts)?;
            owner = Level::Candidate;
        }
        for (i, values) in self.columns.iter().enumerate() {
            match graph.inputs.get(i).map(|x| x.level) {
                Some(Level::Token) => {
                    batch.set_tokens(graph, i as u16, values, owner, &self.tokens)?
                }
                _ => batch.set(graph, i as u16, values)?,
            }
        }
        Ok(batch)
    }

    /// The numbers that belong to one value of a root: those of its example, or all of them.
    pub(super) fn shown(&self, graph: &Graph, element: usize) -> Vec<(String, Vec<f64>)> {
        let own = |c: &Vec<f64>| {
            if c.len() == self.examples && self.examples > BATCH {
                vec![c[element.min(c.len() - 1)]]
            } else {
                c.clone()
            }
        };
        graph.inputs.iter().zip(&self.columns).map(|(i, c)| (i.name.clone(), own(c))).collect()
    }
}

/// True when the value of an example depends on other examples.
fn is_coupled(graph: &Graph) -> bool {
    let batch = |n: &crate::mir::Node| n.level == Level::Batch;
    let sorts = |op: &Op| matches!(op, Op::Sort(_) | Op::Unsort(..));
    graph.nodes.iter().any(|n| batch(n) || sorts(&n.op))
        || graph.inputs.iter().any(|i| i.level == Level::Batch)
}

/// The points: at most `grid` of the grid, and `random` of each regime.
pub(super) fn groups(graph: &Graph, grid: usize, random: usize, seed: u64) -> Vec<Group> {
    let mut dice = Dice(seed);
    let inputs = &graph.inputs;
    let deep = inputs.iter().any(|i| i.level > Level::Example);
    let mut examples: Vec<Vec<f64>> = Vec::new();
    let axes: Vec<usize> = (0..inputs.len()).filter(|i| is_log_prob(&inputs[*i])).collect();
    let all = EDGES.len().saturating_pow(axes.len() as u32);
    let count = all.min(grid);
    for k in 0..count {
        let mut place = (k as u128 * all as u128 / count as u128) as usize;
        let mut example = numbers(inputs, Regime::Spread, &mut dice);
        for axis in &axes {
            example[*axis] = EDGES[place % EDGES.len()];
            place /= EDGES.len();
        }
        examples.push(example);
    }
    for regime in REGIMES {
        examples.extend((0..random).map(|_| numbers(inputs, regime, &mut dice)));
    }
    if deep {
        let shapes = examples.len().div_ceil(BATCH);
        return (0..shapes)
            .map(|k| ragged(inputs, REGIMES[k % REGIMES.len()], &mut dice))
            .collect();
    }
    let size = if is_coupled(graph) { BATCH } else { examples.len().max(1) };
    examples.chunks(size).map(|rows| flat(inputs, rows)).collect()
}

/// One number an example, one a batch for inputs of that level.
fn flat(inputs: &[Input], rows: &[Vec<f64>]) -> Group {
    let column = |(i, input): (usize, &Input)| match input.level {
        Level::Batch | Level::Uniform => vec![rows[0][i]],
        _ => rows.iter().map(|r| r[i]).collect(),
    };
    let columns = inputs.iter().enumerate().map(column).collect();
    Group { examples: rows.len(), candidates: None, tokens: Vec::new(), columns }
}

/// A batch with a few candidates an example and a few tokens a response.
fn ragged(inputs: &[Input], regime: Regime, dice: &mut Dice) -> Group {
    let examples = 2;
    let candidates: Option<Vec<usize>> = inputs
        .iter()
        .any(|i| i.level == Level::Candidate)
        .then(|| (0..examples).map(|_| 2 + dice.below(3)).collect());
    let owners = candidates.as_ref().map_or(examples, |c| c.iter().sum());
    let tokens: Vec<usize> = (0..owners).map(|_| 1 + dice.below(4)).collect();
    let count = |level: Level| match level {
        Level::Token => tokens.iter().sum(),
        Level::Candidate => owners,
        Level::Example => examples,
        Level::Batch | Level::Uniform => 1,
    };
    let longest = inputs.iter().map(|i| count(i.level)).max().unwrap_or(1);
    let rows: Vec<Vec<f64>> = (0..longest).map(|_| numbers(inputs, regime, dice)).collect();
    let column = |(i, input): (usize, &Input)| -> Vec<f64> {
        rows.iter().take(count(input.level)).map(|r| r[i]).collect()
    };
    let columns = inputs.iter().enumerate().map(column).collect();
    Group { examples, candidates, tokens, columns }
}

fn is_log_prob(input: &Input) -> bool {
    input.range == Interval::LOG_PROB
}

/// The response that a name speaks of.
fn response(name: &str) -> &str {
    let inside = name.split_once('(').map_or(name, |(_, rest)| rest.trim_end_matches(')'));
    inside.rsplit(',').next().unwrap_or(inside)
}

/// One number an input.
fn numbers(inputs: &[Input], regime: Regime, dice: &mut Dice) -> Vec<f64> {
    let base = log_prob(dice);
    let mut responses: Vec<(&str, f64)> = Vec::new();
    let mut out = Vec::with_capacity(inputs.len());
    for input in inputs {
        let name = response(&input.name);
        let own = match responses.iter().find(|(n, _)| *n == name) {
            Some((_, x)) => *x,
            None => {
                let x = match regime {
                    Regime::Typical => -1.0 - 300.0 * dice.unit(),
                    _ => log_prob(dice),
                };
                responses.push((name, x));
                x
            }
        };
        let x = if is_log_prob(input) {
            inside(match regime {
                Regime::Spread => log_prob(dice),
                Regime::Close => base * (1.0 + 10_f64.powf(12.0 * dice.unit() - 12.0)),
                Regime::Tracking => own * (1.0 + 1e-3 * dice.unit()),
                Regime::Typical => own + 20.0 * (dice.unit() - 0.5),
            })
        } else {
            other(input, dice)
        };
        out.push(x);
    }
    out
}

/// Any magnitude from 1e-12 to 1e4.
fn log_prob(dice: &mut Dice) -> f64 {
    -10_f64.powf(16.0 * dice.unit() - 12.0)
}

fn inside(x: f64) -> f64 {
    x.clamp(-1e4, -1e-12)
}

/// A number that is no log-probability.
fn other(input: &Input, dice: &mut Dice) -> f64 {
    let range = &input.range;
    if input.name.starts_with("len(") {
        return LENGTHS[dice.below(LENGTHS.len())];
    }
    if input.name == "label" {
        return dice.below(2) as f64;
    }
    let (lo, hi) = (range.lo.max(-10.0), range.hi.min(10.0));
    if lo < hi { lo + (hi - lo) * (0.001 + 0.998 * dice.unit()) } else { range.lo }
}
