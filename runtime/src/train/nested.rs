//! The columns of a batch, from the numbers of its tokens, and back.
//!
//! In: for each input which sequences it is made of; the numbers of every token of every sequence. Out: the
//! kernel's columns; and from the gradients of the columns those of the tokens' numbers. Invariant:
//! [`Inputs::pull_back`] is the transpose of [`Inputs::resolve`].

use crate::logprob::{Each, Statistic};
use crate::model::TokenNumbers;
use crate::op::{Loops, RuntimeError};

/// Where the numbers of one input come from; the lists name sequences of the batch.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Feed {
    /// Log-probabilities summed over each sequence.
    Sum(Vec<usize>),
    /// That sum over the number of tokens; 0 for an empty sequence.
    Mean(Vec<usize>),
    /// The number of tokens.
    Length(Vec<usize>),
    /// A statistic summed over each sequence.
    Statistic(Statistic, Vec<usize>),
    /// The log-probability of each token.
    Tokens(Vec<usize>),
    /// A statistic of each token.
    TokenStatistics(Statistic, Vec<usize>),
    /// The scalar head at each token.
    Heads(Vec<usize>),
    /// The scalar head after the last token.
    Ends(Vec<usize>),
    /// Numbers without a gradient.
    Given(Vec<f64>),
}

/// The columns of a batch.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Inputs {
    pub(super) feeds: Vec<Feed>,
    pub(super) loops: Loops,
    /// Number of tokens by sequence.
    pub(super) lengths: Vec<usize>,
}

fn sum(row: &[f32]) -> f64 {
    row.iter().map(|v| f64::from(*v)).sum()
}

fn lacks(what: &str) -> RuntimeError {
    RuntimeError::Shape(format!("the loss reads {what} and the model gives none"))
}

impl Inputs {
    fn divisor(&self, sequence: usize) -> f64 {
        self.lengths[sequence].max(1) as f64
    }

    /// The kernel's columns.
    ///
    /// # Errors
    /// If there are not as many numbers as tokens.
    pub(super) fn resolve(&self, numbers: &TokenNumbers) -> Result<Vec<Vec<f64>>, RuntimeError> {
        let row = |rows: &[Vec<f32>], s: usize, what: &str| -> Result<Vec<f32>, RuntimeError> {
            rows.get(s).cloned().ok_or_else(|| lacks(what))
        };
        let logps = |s: usize| row(&numbers.logps, s, "log-probabilities");
        let heads = |s: usize| row(&numbers.values, s, "numbers of a head");
        let statistics = |which: Statistic, s: usize| {
            row(&numbers.statistics[which], s, "statistics of distributions")
        };
        let wide = |v: Vec<f32>| v.into_iter().map(f64::from).collect::<Vec<f64>>();
        let sums = |s: &usize| logps(*s).map(|r| sum(&r));
        let flat = |rows: Result<Vec<Vec<f64>>, RuntimeError>| rows.map(|r| r.concat());
        let one = |feed: &Feed| -> Result<Vec<f64>, RuntimeError> {
            match feed {
                Feed::Sum(s) => s.iter().map(sums).collect(),
                Feed::Mean(s) => s.iter().map(|s| Ok(sums(s)? / self.divisor(*s))).collect(),
                Feed::Length(s) => Ok(s.iter().map(|&s| self.lengths[s] as f64).collect()),
                Feed::Statistic(which, s) => {
                    s.iter().map(|s| statistics(*which, *s).map(|r| sum(&r))).collect()
                }
                Feed::Tokens(s) => flat(s.iter().map(|s| logps(*s).map(wide)).collect()),
                Feed::TokenStatistics(which, s) => {
                    flat(s.iter().map(|s| statistics(*which, *s).map(wide)).collect())
                }
                Feed::Heads(s) => flat(s.iter().map(|s| heads(*s).map(wide)).collect()),
                Feed::Ends(s) => s
                    .iter()
                    .map(|s| {
                        heads(*s)?.last().map(|v| f64::from(*v)).ok_or_else(|| lacks("a head"))
                    })
                    .collect(),
                Feed::Given(v) => Ok(v.clone()),
            }
        };
        self.feeds.iter().map(one).collect()
    }

    /// Gradients of the numbers of each token, each over `terms`.
    ///
    /// # Errors
    /// If there is not one gradient entry an input, or one has the wrong length.
    pub(super) fn pull_back(
        &self,
        grads: &[Option<Vec<f64>>],
        numbers: &TokenNumbers,
        terms: usize,
    ) -> Result<TokenSlopes, RuntimeError> {
        let wrong = |what: String| Err(RuntimeError::Shape(what));
        if grads.len() != self.feeds.len() {
            let (g, n) = (grads.len(), self.feeds.len());
            return wrong(format!("{g} gradients for {n} inputs"));
        }
        let zeros = |rows: &[Vec<f32>]| rows.iter().map(|r| vec![0.0; r.len()]).collect::<Vec<_>>();
        let mut out = TokenSlopes {
            logps: self.lengths.iter().map(|n| vec![0.0; *n]).collect(),
            values: zeros(&numbers.values),
            statistics: Each::new(|s| zeros(&numbers.statistics[s])),
        };
        let n = terms as f64;
        for (feed, grad) in self.feeds.iter().zip(grads) {
            let Some(grad) = grad else { continue };
            let given = grad.len();
            let mut grad = grad.iter().map(|g| g / n);
            let wanted = match feed {
                Feed::Length(_) | Feed::Given(_) => given,
                Feed::Sum(s) => spread(&mut out.logps, s, &mut grad, |_| 1.0),
                Feed::Mean(s) => spread(&mut out.logps, s, &mut grad, |s| 1.0 / self.divisor(s)),
                Feed::Statistic(w, s) => spread(&mut out.statistics[*w], s, &mut grad, |_| 1.0),
                Feed::Tokens(s) => scatter(&mut out.logps, s, &mut grad),
                Feed::TokenStatistics(w, s) => scatter(&mut out.statistics[*w], s, &mut grad),
                Feed::Heads(s) => scatter(&mut out.values, s, &mut grad),
                Feed::Ends(s) => {
                    for (&s, g) in s.iter().zip(grad.by_ref()) {
                        if let Some(last) = out.values.get_mut(s).and_then(|r| r.last_mut()) {
                            *last += g;
                        }
                    }
                    s.len()
                }
            };
            if wanted != given {
                return wrong(format!("a gradient of {given} values for a column of {wanted}"));
            }
        }
        Ok(out)
    }
}

/// The same gradient for all tokens of a sequence. Returns how many gradients were wanted.
fn spread(
    out: &mut [Vec<f64>],
    sequences: &[usize],
    grad: &mut impl Iterator<Item = f64>,
    factor: impl Fn(usize) -> f64,
) -> usize {
    for (&s, g) in sequences.iter().zip(grad) {
        if let Some(row) = out.get_mut(s) {
            row.iter_mut().for_each(|d| *d += g * factor(s));
        }
    }
    sequences.len()
}

/// A gradient for each token. Returns how many gradients were wanted.
fn scatter(
    out: &mut [Vec<f64>],
    sequences: &[usize],
    grad: &mut impl Iterator<Item = f64>,
) -> usize {
    let mut wanted = 0;
    for &s in sequences {
        if let Some(row) = out.get_mut(s) {
            wanted += row.len();
            row.iter_mut().zip(grad.by_ref()).for_each(|(d, g)| *d += g);
        }
    }
    wanted
}

/// d loss / d each number of each token.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct TokenSlopes {
    pub(super) logps: Vec<Vec<f64>>,
    pub(super) values: Vec<Vec<f64>>,
    pub(super) statistics: Each<Vec<Vec<f64>>>,
}

impl TokenSlopes {
    /// In the precision of the model.
    pub(super) fn narrow(&self) -> TokenNumbers {
        let rows = |rows: &[Vec<f64>]| -> Vec<Vec<f32>> {
            rows.iter().map(|r| r.iter().map(|v| *v as f32).collect()).collect()
        };
        TokenNumbers {
            logps: rows(&self.logps),
            values: rows(&self.values),
            statistics: Each::new(|s| rows(&self.statistics[s])),
        }
    }

    /// Adds another loss's gradients of the scalar head.
    pub(super) fn add_values(&mut self, other: &Self) {
        for (row, more) in self.values.iter_mut().zip(&other.values) {
            row.iter_mut().zip(more).for_each(|(a, b)| *a += b);
        }
    }

    /// The first sequence with a gradient that is not finite, and that gradient.
    pub(super) fn not_finite(&self) -> Option<(usize, f64)> {
        let all = [&self.logps, &self.values].into_iter();
        let mut all = all.chain(Statistic::ALL.iter().map(|s| &self.statistics[*s]));
        all.find_map(|rows| {
            let bad = |row: &Vec<f64>| row.iter().copied().find(|v| !v.is_finite());
            rows.iter().enumerate().find_map(|(s, row)| bad(row).map(|v| (s, v)))
        })
    }
}

/// What a pass is asked for beside log-probabilities: the statistics that the feeds read.
pub(super) fn statistics(feeds: impl Iterator<Item = Statistic>) -> Each<bool> {
    let mut wanted = Each::default();
    feeds.for_each(|s| wanted[s] = true);
    wanted
}
