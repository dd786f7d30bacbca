//! Where each input of a loss comes from: a sum over a sequence's tokens, its length, or given numbers.
//!
//! In: by statistic, the sums over the tokens of each sequence. Out: the kernel's columns; and back: from
//! the gradient of the columns to the gradient of the sums. Invariant: [`Columns::pull_back_all`] is the
//! transpose of [`Columns::resolve_all`].

use super::RuntimeError;
use crate::logprob::{Each, Statistic};

/// The source of one input of a loss, for every example of a batch.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// The sum of the token log-probabilities of sequence `s[e]`.
    Sum(Vec<usize>),
    /// That sum over the number of tokens; 0 for an empty sequence.
    Mean(Vec<usize>),
    /// The sum of another statistic over the tokens of sequence `s[e]`.
    Statistic(Statistic, Vec<usize>),
    /// The number of tokens of sequence `s[e]`.
    Length(Vec<usize>),
    /// Numbers without a gradient: reference log-probabilities, data columns.
    Given(Vec<f64>),
}

impl Column {
    /// How many examples it covers.
    pub fn len(&self) -> usize {
        match self {
            Column::Sum(s) | Column::Mean(s) | Column::Statistic(_, s) | Column::Length(s) => {
                s.len()
            }
            Column::Given(v) => v.len(),
        }
    }

    /// True when it covers no example.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn sequences(&self) -> &[usize] {
        match self {
            Column::Sum(s) | Column::Mean(s) | Column::Statistic(_, s) | Column::Length(s) => s,
            Column::Given(_) => &[],
        }
    }

    fn statistic(&self) -> Option<Statistic> {
        match self {
            Column::Sum(_) | Column::Mean(_) => Some(Statistic::LogProb),
            Column::Statistic(s, _) => Some(*s),
            Column::Length(_) | Column::Given(_) => None,
        }
    }
}

/// The sources of all inputs of a loss on one batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Columns {
    columns: Vec<Column>,
    lengths: Vec<usize>,
    examples: usize,
}

impl Columns {
    /// `columns[i]` feeds input `i`; `lengths[s]` is the number of tokens of sequence `s`.
    ///
    /// # Errors
    /// If columns differ in length, cover no example, or name a sequence that is not there.
    pub fn new(columns: Vec<Column>, lengths: Vec<usize>) -> Result<Self, RuntimeError> {
        let examples = columns.first().map_or(0, Column::len);
        if examples == 0 {
            return Err(RuntimeError::Shape("a batch without examples".into()));
        }
        for (i, c) in columns.iter().enumerate() {
            if c.len() != examples {
                return Err(RuntimeError::Shape(format!(
                    "column {i} covers {} examples where column 0 covers {examples}",
                    c.len()
                )));
            }
            if let Some(s) = c.sequences().iter().find(|s| **s >= lengths.len()) {
                return Err(RuntimeError::Shape(format!(
                    "column {i} names sequence {s} of {}",
                    lengths.len()
                )));
            }
        }
        Ok(Self { columns, lengths, examples })
    }

    /// The sources by input.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The number of tokens by sequence.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// How many examples the batch has.
    pub fn examples(&self) -> usize {
        self.examples
    }

    /// What a mean divides by: 1 for an empty sequence, whose sum is 0.
    fn divisor(&self, sequence: usize) -> f64 {
        self.lengths[sequence].max(1) as f64
    }

    /// Which statistics of the tokens the columns read; the log-probability always counts as read.
    pub fn wanted(&self) -> Each<bool> {
        let mut wanted = Each::new(|s| s == Statistic::LogProb);
        for s in self.columns.iter().filter_map(Column::statistic) {
            wanted[s] = true;
        }
        wanted
    }

    /// The kernel's columns from the log-probability sums by sequence, for a loss that reads no other
    /// statistic.
    ///
    /// # Errors
    /// As [`Columns::resolve_all`].
    pub fn resolve(&self, sums: &[f64]) -> Result<Vec<Vec<f64>>, RuntimeError> {
        let mut all = Each::default();
        all[Statistic::LogProb] = sums.to_vec();
        self.resolve_all(&all)
    }

    /// The kernel's columns from the sums of each statistic by sequence.
    ///
    /// # Errors
    /// If there is not one sum a sequence for a statistic that is read.
    pub fn resolve_all(&self, sums: &Each<Vec<f64>>) -> Result<Vec<Vec<f64>>, RuntimeError> {
        let of = |statistic: Statistic| {
            let sums = &sums[statistic];
            if sums.len() == self.lengths.len() {
                return Ok(sums);
            }
            Err(RuntimeError::Shape(format!(
                "{} sums of {statistic:?} for {} sequences",
                sums.len(),
                self.lengths.len()
            )))
        };
        of(Statistic::LogProb)?;
        let one = |c: &Column| {
            Ok(match c {
                Column::Sum(s) => {
                    let sums = of(Statistic::LogProb)?;
                    s.iter().map(|&s| sums[s]).collect()
                }
                Column::Mean(s) => {
                    let sums = of(Statistic::LogProb)?;
                    s.iter().map(|&s| sums[s] / self.divisor(s)).collect()
                }
                Column::Statistic(statistic, s) => {
                    let sums = of(*statistic)?;
                    s.iter().map(|&s| sums[s]).collect()
                }
                Column::Length(s) => s.iter().map(|&s| self.lengths[s] as f64).collect(),
                Column::Given(v) => v.clone(),
            })
        };
        self.columns.iter().map(one).collect()
    }

    /// The gradient of each sequence's log-probability sum from the gradients of the kernel's inputs.
    ///
    /// # Errors
    /// As [`Columns::pull_back_all`].
    pub fn pull_back(&self, grads: &[Option<Vec<f64>>]) -> Result<Vec<f64>, RuntimeError> {
        let mut all = self.pull_back_all(grads)?;
        Ok(std::mem::take(&mut all[Statistic::LogProb]))
    }

    /// By statistic, the gradient of each sequence's sum from the gradients of the kernel's inputs.
    ///
    /// # Errors
    /// If there is not one gradient entry an input, or one has the wrong length.
    pub fn pull_back_all(
        &self,
        grads: &[Option<Vec<f64>>],
    ) -> Result<Each<Vec<f64>>, RuntimeError> {
        if grads.len() != self.columns.len() {
            return Err(RuntimeError::Shape(format!(
                "{} gradients for {} inputs",
                grads.len(),
                self.columns.len()
            )));
        }
        let mut out = Each::new(|_| vec![0.0; self.lengths.len()]);
        for (column, grad) in self.columns.iter().zip(grads) {
            let (Some(grad), Some(statistic)) = (grad, column.statistic()) else { continue };
            if grad.len() != self.examples {
                return Err(RuntimeError::Shape(format!(
                    "a gradient of {} values for {} examples",
                    grad.len(),
                    self.examples
                )));
            }
            let mean = matches!(column, Column::Mean(_));
            for (&s, g) in column.sequences().iter().zip(grad) {
                out[statistic][s] += if mean { g / self.divisor(s) } else { *g };
            }
        }
        Ok(out)
    }
}
