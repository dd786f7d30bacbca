//! The loss straight from logits: two passes over them, no log-probabilities kept.
//!
//! In: logits `[N, V]` (f32, bf16 or f16, CPU), the target token and the sequence of each row, the columns
//! of the loss, and the reference's logits where a column is a divergence. Out: the loss of the batch (mean
//! over its examples) and d loss / d logits. Between the passes stand a few numbers a row and a few a
//! sequence. Invariants: equal to [`super::composed`] to rounding; arithmetic is f32 and sums over tokens
//! f64 whatever the logits' type; nothing is written before everything has been checked.

use rayon::prelude::*;

use super::{Columns, Evaluated, LossKernel, RuntimeError, TokenRows, finite};
use crate::logprob::{Each, Logit, RowForward, Statistic, row_forward};

/// A loss and what it is evaluated on, but for the logits.
#[derive(Clone, Copy)]
pub(super) struct Task<'a> {
    pub(super) vocabulary: usize,
    pub(super) rows: &'a TokenRows,
    pub(super) columns: &'a Columns,
    pub(super) kernel: &'a dyn LossKernel,
}

/// What the forward pass leaves for the backward pass.
pub(super) struct Residue {
    /// By row; `None` for a masked one.
    rows: Vec<Option<RowForward>>,
    /// By statistic: d(loss of the batch) / d(sum over the sequence's tokens).
    weights: Each<Vec<f64>>,
}

impl Residue {
    /// The forward pass of a row that counts, with the gradients of its statistics times `scale`.
    fn row(&self, rows: &TokenRows, r: usize, scale: f64) -> Option<(&RowForward, Each<f64>)> {
        let (forward, s) = (self.rows[r].as_ref()?, rows.sequence()[r]? as usize);
        Some((forward, Each::new(|statistic| self.weights[statistic][s] * scale)))
    }
}

impl Task<'_> {
    /// Checks all arguments, the logits' values excepted.
    pub(super) fn check(&self, len: usize, reference: Option<usize>) -> Result<(), RuntimeError> {
        check_rows(self.rows, len, self.vocabulary)?;
        if self.columns.lengths() != self.rows.lengths() {
            return Err(RuntimeError::argument(
                "columns",
                format!(
                    "they count {:?} tokens by sequence, the rows {:?}",
                    self.columns.lengths(),
                    self.rows.lengths()
                ),
            ));
        }
        let reader = format!("loss `{}`", self.kernel.name());
        check_reference(self.columns.wanted(), len, reference, &reader)
    }

    /// The first pass, and the kernel: the evaluated loss and what the second pass needs.
    pub(super) fn forward<L: Logit>(
        &self,
        logits: &[L],
        reference: Option<&[L]>,
    ) -> Result<(Evaluated, Residue), RuntimeError> {
        let rows =
            statistics(logits, reference, self.vocabulary, self.rows, self.columns.wanted())?;
        let (value, weights) = self.evaluate(&sums(&rows, self.rows))?;
        Ok((value, Residue { rows, weights }))
    }

    /// The kernel on the sums of each statistic by sequence: the loss, and d(loss of the batch) / d(sum).
    pub(super) fn evaluate(
        &self,
        sums: &Each<Vec<f64>>,
    ) -> Result<(Evaluated, Each<Vec<f64>>), RuntimeError> {
        let value = self.kernel.evaluate(&self.columns.resolve_all(sums)?)?;
        let n = self.columns.examples() as f64;
        let mut weights = self.columns.pull_back_all(&value.grads)?;
        for s in Statistic::ALL {
            weights[s].iter_mut().for_each(|w| *w /= n);
        }
        Ok((value, weights))
    }

    /// The second pass: turns logits into the gradient.
    fn backward<L: Logit>(&self, logits: &mut [L], reference: Option<&[L]>, residue: &Residue) {
        let v = self.vocabulary;
        logits.par_chunks_mut(v).enumerate().for_each(|(r, row)| {
            match residue.row(self.rows, r, 1.0) {
                None => row.fill(L::from_f32(0.0)),
                Some((forward, grad)) => {
                    let reference = reference.map(|x| &x[r * v..(r + 1) * v]);
                    forward.backward(row, reference, self.rows.targets()[r] as usize, grad);
                }
            }
        });
    }

    /// The second pass into memory of its own, which holds zeros; times `scale`.
    pub(super) fn gradient<L: Logit, O: Logit>(
        &self,
        logits: &[L],
        reference: Option<&[L]>,
        residue: &Residue,
        scale: f64,
        out: &mut [O],
    ) {
        let v = self.vocabulary;
        out.par_chunks_mut(v).zip(logits.par_chunks(v)).enumerate().for_each(|(r, (out, row))| {
            match residue.row(self.rows, r, scale) {
                None => out.fill(O::from_f32(0.0)),
                Some((forward, grad)) => {
                    let reference = reference.map(|x| &x[r * v..(r + 1) * v]);
                    let target = self.rows.targets()[r] as usize;
                    forward.gradient(row, reference, target, grad, out);
                }
            }
        });
    }
}

/// Checks that `len` logits are the rows of a vocabulary.
pub(super) fn check_rows(
    rows: &TokenRows,
    len: usize,
    vocabulary: usize,
) -> Result<(), RuntimeError> {
    if vocabulary == 0 || !len.is_multiple_of(vocabulary) {
        let reason = format!("{len} numbers are no rows of {vocabulary}");
        return Err(RuntimeError::argument("logits", reason));
    }
    rows.check(len / vocabulary, vocabulary)
}

/// Checks that the reference has as many logits as the policy, and is there if a divergence is wanted.
pub(super) fn check_reference(
    wanted: Each<bool>,
    len: usize,
    reference: Option<usize>,
    reader: &str,
) -> Result<(), RuntimeError> {
    let divergence = wanted[Statistic::KlFromReference] || wanted[Statistic::KlToReference];
    let reason = match reference {
        Some(other) if other != len => format!("{other} logits where the policy has {len}"),
        None if divergence => format!("{reader} reads a divergence from it, and there is none"),
        _ => return Ok(()),
    };
    Err(RuntimeError::argument("reference", reason))
}

/// The first pass over all rows that count.
fn statistics<L: Logit>(
    logits: &[L],
    reference: Option<&[L]>,
    vocabulary: usize,
    rows: &TokenRows,
    wanted: Each<bool>,
) -> Result<Vec<Option<RowForward>>, RuntimeError> {
    let of_row = |(r, row): (usize, &[L])| {
        rows.sequence()[r].map(|_| {
            let reference = reference.map(|x| &x[r * vocabulary..(r + 1) * vocabulary]);
            row_forward(row, reference, rows.targets()[r] as usize, wanted)
        })
    };
    let out: Vec<_> = logits.par_chunks(vocabulary).enumerate().map(of_row).collect();
    match out.iter().position(|r| r.is_some_and(|r| !r.finite)) {
        None => Ok(out),
        Some(row) => {
            let part = row * vocabulary..(row + 1) * vocabulary;
            let found = finite::of_logits("logits", row, rows, &logits[part.clone()]);
            let other = || finite::of_logits("reference", row, rows, &reference?[part]);
            Err(found.or_else(other).unwrap_or_else(|| {
                RuntimeError::argument("logits", format!("row {row} overflows"))
            }))
        }
    }
}

/// By statistic, the sum over the tokens of each sequence.
fn sums(forward: &[Option<RowForward>], rows: &TokenRows) -> Each<Vec<f64>> {
    let mut sums = Each::new(|_| vec![0f64; rows.lengths().len()]);
    for (r, _, s) in rows.kept() {
        if let Some(forward) = &forward[r] {
            for statistic in Statistic::ALL {
                sums[statistic][s] += forward.values[statistic];
            }
        }
    }
    sums
}

/// By statistic, the sum over the tokens of each sequence, from logits `[N, V]`: what a frozen model's
/// columns are made of, with the bits that the loss itself sees. Statistics that are not wanted are 0.
///
/// # Errors
/// If sizes disagree, a target is outside the vocabulary, a logit of a row that counts is not finite, or a
/// divergence is wanted and `reference` is missing.
pub fn sequence_statistics<L: Logit>(
    logits: &[L],
    reference: Option<&[L]>,
    vocabulary: usize,
    rows: &TokenRows,
    wanted: Each<bool>,
) -> Result<Each<Vec<f64>>, RuntimeError> {
    check_rows(rows, logits.len(), vocabulary)?;
    check_reference(wanted, logits.len(), reference.map(<[L]>::len), "a statistic")?;
    Ok(sums(&statistics(logits, reference, vocabulary, rows, wanted)?, rows))
}

/// Evaluates the loss and overwrites `logits` (`[N, V]`, row-major) with d(mean loss) / d logits.
///
/// The way past the tape: nothing of the logits' size is allocated.
///
/// # Errors
/// If sizes disagree, a target is outside the vocabulary, a logit of a row that counts is NaN or infinite,
/// the loss reads a divergence, or the kernel refuses its columns. Nothing is written then.
pub fn loss_and_gradient_in_place<L: Logit>(
    logits: &mut [L],
    vocabulary: usize,
    rows: &TokenRows,
    columns: &Columns,
    kernel: &dyn LossKernel,
) -> Result<Evaluated, RuntimeError> {
    in_place(logits, None, Task { vocabulary, rows, columns, kernel })
}

/// [`loss_and_gradient_in_place`] for a loss that reads a divergence between the policy and the reference,
/// whose logits have the same shape.
///
/// # Errors
/// As [`loss_and_gradient_in_place`].
pub fn loss_and_gradient_with_reference<L: Logit>(
    logits: &mut [L],
    reference: &[L],
    vocabulary: usize,
    rows: &TokenRows,
    columns: &Columns,
    kernel: &dyn LossKernel,
) -> Result<Evaluated, RuntimeError> {
    in_place(logits, Some(reference), Task { vocabulary, rows, columns, kernel })
}

fn in_place<L: Logit>(
    logits: &mut [L],
    reference: Option<&[L]>,
    task: Task<'_>,
) -> Result<Evaluated, RuntimeError> {
    task.check(logits.len(), reference.map(<[L]>::len))?;
    let (value, residue) = task.forward(logits, reference)?;
    task.backward(logits, reference, &residue);
    Ok(value)
}

/// Evaluates the loss and writes d(mean loss) / d logits in f32, whatever the type of the logits.
///
/// # Errors
/// As [`loss_and_gradient_in_place`]; also if `gradient` has another length than the logits.
pub fn loss_and_gradient<L: Logit>(
    logits: &[L],
    reference: Option<&[L]>,
    gradient: &mut [f32],
    vocabulary: usize,
    rows: &TokenRows,
    columns: &Columns,
    kernel: &dyn LossKernel,
) -> Result<Evaluated, RuntimeError> {
    let task = Task { vocabulary, rows, columns, kernel };
    task.check(logits.len(), reference.map(<[L]>::len))?;
    if gradient.len() != logits.len() {
        let reason = format!("room for {} numbers, {} logits", gradient.len(), logits.len());
        return Err(RuntimeError::argument("gradient", reason));
    }
    let (value, residue) = task.forward(logits, reference)?;
    task.gradient(logits, reference, &residue, 1.0, gradient);
    Ok(value)
}
