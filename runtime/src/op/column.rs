//! Where each input of a loss comes from: a sequence's log-probability, its length, or given numbers.
//!
//! In: the sums of token log-probabilities by sequence. Out: the kernel's columns; and back: from the
//! gradient of the columns to the gradient of the sums. Invariant: [`Columns::pull_back`] is the
//! transpose of [`Columns::resolve`].

use super::RuntimeError;

/// The source of one input of a loss, for every example of a batch.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// The sum of the token log-probabilities of sequence `s[e]`.
    Sum(Vec<usize>),
    /// That sum over the number of tokens; 0 for an empty sequence.
    Mean(Vec<usize>),
    /// The number of tokens of sequence `s[e]`.
    Length(Vec<usize>),
    /// Numbers without a gradient: reference log-probabilities, data columns.
    Given(Vec<f64>),
}

impl Column {
    /// How many examples it covers.
    pub fn len(&self) -> usize {
        match self {
            Column::Sum(s) | Column::Mean(s) | Column::Length(s) => s.len(),
            Column::Given(v) => v.len(),
        }
    }

    /// True when it covers no example.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn sequences(&self) -> &[usize] {
        match self {
            Column::Sum(s) | Column::Mean(s) | Column::Length(s) => s,
            Column::Given(_) => &[],
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

    /// The kernel's columns from the log-probability sums by sequence.
    ///
    /// # Errors
    /// If there is not one sum a sequence.
    pub fn resolve(&self, sums: &[f64]) -> Result<Vec<Vec<f64>>, RuntimeError> {
        if sums.len() != self.lengths.len() {
            return Err(RuntimeError::Shape(format!(
                "{} sums for {} sequences",
                sums.len(),
                self.lengths.len()
            )));
        }
        let one = |c: &Column| match c {
            Column::Sum(s) => s.iter().map(|&s| sums[s]).collect(),
            Column::Mean(s) => s.iter().map(|&s| sums[s] / self.divisor(s)).collect(),
            Column::Length(s) => s.iter().map(|&s| self.lengths[s] as f64).collect(),
            Column::Given(v) => v.clone(),
        };
        Ok(self.columns.iter().map(one).collect())
    }

    /// The gradient of each sequence's sum from the gradients of the kernel's inputs.
    ///
    /// # Errors
    /// If there is not one gradient entry an input, or one has the wrong length.
    pub fn pull_back(&self, grads: &[Option<Vec<f64>>]) -> Result<Vec<f64>, RuntimeError> {
        if grads.len() != self.columns.len() {
            return Err(RuntimeError::Shape(format!(
                "{} gradients for {} inputs",
                grads.len(),
                self.columns.len()
            )));
        }
        let mut out = vec![0.0; self.lengths.len()];
        for (column, grad) in self.columns.iter().zip(grads) {
            let Some(grad) = grad else { continue };
            if grad.len() != self.examples {
                return Err(RuntimeError::Shape(format!(
                    "a gradient of {} values for {} examples",
                    grad.len(),
                    self.examples
                )));
            }
            match column {
                Column::Sum(s) => s.iter().zip(grad).for_each(|(&s, g)| out[s] += g),
                Column::Mean(s) => {
                    s.iter().zip(grad).for_each(|(&s, g)| out[s] += g / self.divisor(s));
                }
                Column::Length(_) | Column::Given(_) => {}
            }
        }
        Ok(out)
    }
}
