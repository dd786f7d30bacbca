//! The loss straight from logits: two passes over them, no log-probabilities kept.
//!
//! In: logits `[N, V]` (f32, CPU), the target token and the sequence of each row, the columns of the loss.
//! Out: the loss of the batch (mean over its examples) and d loss / d logits. Between the passes stand
//! one [`RowStats`] a row and one weight a sequence. Invariant: equal to [`super::composed`] to rounding.

use std::sync::{Arc, Mutex};

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Storage, Tensor};
use rayon::prelude::*;

use super::{Columns, Evaluated, LossKernel, RuntimeError};
use crate::logprob::{LogitTransform, RowGradient, RowStats, row_backward, row_stats};

/// What each row of logits predicts, and for which sequence it counts.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenRows {
    targets: Vec<u32>,
    sequence: Vec<Option<u32>>,
    lengths: Vec<usize>,
}

impl TokenRows {
    /// Row `r` predicts token `targets[r]` of sequence `sequence[r]`; a row of `None` is masked.
    ///
    /// # Errors
    /// If the two lists differ in length or a sequence is not below `sequences`.
    pub fn new(
        targets: Vec<u32>,
        sequence: Vec<Option<u32>>,
        sequences: usize,
    ) -> Result<Self, RuntimeError> {
        if targets.len() != sequence.len() {
            return Err(RuntimeError::Shape(format!(
                "{} targets for {} rows",
                targets.len(),
                sequence.len()
            )));
        }
        let mut lengths = vec![0; sequences];
        for s in sequence.iter().flatten() {
            let Some(n) = lengths.get_mut(*s as usize) else {
                return Err(RuntimeError::Shape(format!("sequence {s} of {sequences}")));
            };
            *n += 1;
        }
        Ok(Self { targets, sequence, lengths })
    }

    /// The target token of each row.
    pub fn targets(&self) -> &[u32] {
        &self.targets
    }

    /// The sequence of each row.
    pub fn sequence(&self) -> &[Option<u32>] {
        &self.sequence
    }

    /// The number of rows of each sequence.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    pub(super) fn check(&self, rows: usize, vocabulary: usize) -> Result<(), RuntimeError> {
        if rows != self.targets.len() {
            return Err(RuntimeError::Shape(format!(
                "{rows} rows of logits for {} targets",
                self.targets.len()
            )));
        }
        match self.targets.iter().find(|t| **t as usize >= vocabulary) {
            Some(t) => Err(RuntimeError::Shape(format!(
                "target token {t} with a vocabulary of {vocabulary}"
            ))),
            None => Ok(()),
        }
    }
}

/// What the forward pass leaves for the backward pass.
struct Residue {
    /// By row; `None` for a masked one.
    stats: Vec<Option<RowStats>>,
    /// d(loss of the batch) / d(sum of the sequence's log-probabilities).
    weights: Vec<f64>,
}

/// The first pass, and the kernel: the evaluated loss and what the second pass needs.
fn forward(
    logits: &[f32],
    vocabulary: usize,
    rows: &TokenRows,
    columns: &Columns,
    kernel: &dyn LossKernel,
) -> Result<(Evaluated, Residue), RuntimeError> {
    let of_row = |(r, row): (usize, &[f32])| {
        rows.sequence[r].map(|_| row_stats(row, rows.targets[r] as usize))
    };
    let stats: Vec<_> = logits.par_chunks(vocabulary).enumerate().map(of_row).collect();
    let mut sums = vec![0f64; rows.lengths.len()];
    for (stats, sequence) in stats.iter().zip(&rows.sequence) {
        if let (Some(stats), Some(s)) = (stats, sequence) {
            sums[*s as usize] += f64::from(stats.logp);
        }
    }
    let value = kernel.evaluate(&columns.resolve(&sums)?)?;
    let n = columns.examples() as f64;
    let weights = columns.pull_back(&value.grads)?.into_iter().map(|w| w / n).collect();
    Ok((value, Residue { stats, weights }))
}

/// The second pass: turns logits into the gradient, times `scale`.
fn backward(
    logits: &mut [f32],
    vocabulary: usize,
    rows: &TokenRows,
    residue: &Residue,
    scale: f64,
) {
    logits.par_chunks_mut(vocabulary).enumerate().for_each(|(r, row)| {
        let (Some(stats), Some(s)) = (residue.stats[r], rows.sequence[r]) else {
            return row.fill(0.0);
        };
        let gradient = RowGradient {
            target: rows.targets[r] as usize,
            lse: stats.lse,
            logp: stats.logp,
            grad: (residue.weights[s as usize] * scale) as f32,
        };
        row_backward(row, gradient, &LogitTransform::default());
    });
}

fn check(
    len: usize,
    vocabulary: usize,
    rows: &TokenRows,
    columns: &Columns,
) -> Result<(), RuntimeError> {
    if vocabulary == 0 || !len.is_multiple_of(vocabulary) {
        return Err(RuntimeError::Shape(format!("{len} logits in rows of {vocabulary}")));
    }
    rows.check(len / vocabulary, vocabulary)?;
    if columns.lengths() != rows.lengths() {
        return Err(RuntimeError::Shape("the columns count other tokens than the rows".into()));
    }
    Ok(())
}

/// Evaluates the loss and overwrites `logits` (`[N, V]`, row-major) with d(mean loss) / d logits.
///
/// The way past the tape: nothing of the logits' size is allocated.
///
/// # Errors
/// If sizes disagree, a target is outside the vocabulary, or the kernel refuses its columns.
pub fn loss_and_gradient_in_place(
    logits: &mut [f32],
    vocabulary: usize,
    rows: &TokenRows,
    columns: &Columns,
    kernel: &dyn LossKernel,
) -> Result<Evaluated, RuntimeError> {
    check(logits.len(), vocabulary, rows, columns)?;
    let (value, residue) = forward(logits, vocabulary, rows, columns, kernel)?;
    backward(logits, vocabulary, rows, &residue, 1.0);
    Ok(value)
}

/// The loss of a batch from logits `[N, V]`, as a differentiable scalar tensor.
///
/// # Errors
/// As [`loss_and_gradient_in_place`]; also if the logits are not f32 on the CPU.
pub fn fused_loss(
    logits: &Tensor,
    rows: Arc<TokenRows>,
    columns: Columns,
    kernel: Arc<dyn LossKernel>,
) -> Result<Tensor, RuntimeError> {
    let (n, v) = logits.dims2()?;
    check(n * v, v, &rows, &columns)?;
    let op = FusedLoss { rows, columns, kernel, residue: Mutex::new(None) };
    Ok(logits.contiguous()?.apply_op1(op)?)
}

struct FusedLoss {
    rows: Arc<TokenRows>,
    columns: Columns,
    kernel: Arc<dyn LossKernel>,
    residue: Mutex<Option<Residue>>,
}

fn contiguous<'a>(storage: &'a CpuStorage, layout: &Layout) -> candle_core::Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(v), Some((start, end))) => Ok(&v[start..end]),
        (CpuStorage::F32(_), None) => candle_core::bail!("fused-loss: logits not contiguous"),
        _ => candle_core::bail!("fused-loss: logits must be f32"),
    }
}

impl CustomOp1 for FusedLoss {
    fn name(&self) -> &'static str {
        "fused-loss"
    }

    fn cpu_fwd(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let logits = contiguous(storage, layout)?;
        let vocabulary = layout.dims()[1];
        let kernel = self.kernel.as_ref();
        let (value, residue) = forward(logits, vocabulary, &self.rows, &self.columns, kernel)
            .map_err(candle_core::Error::wrap)?;
        let mean = value.loss.iter().sum::<f64>() / self.columns.examples() as f64;
        match self.residue.lock() {
            Ok(mut slot) => *slot = Some(residue),
            Err(_) => candle_core::bail!("fused-loss: an earlier pass panicked"),
        }
        Ok((CpuStorage::F32(vec![mean as f32]), Shape::from(())))
    }

    fn bwd(
        &self,
        logits: &Tensor,
        _loss: &Tensor,
        incoming: &Tensor,
    ) -> candle_core::Result<Option<Tensor>> {
        let scale = f64::from(incoming.to_scalar::<f32>()?);
        let Ok(slot) = self.residue.lock() else {
            candle_core::bail!("fused-loss: an earlier pass panicked")
        };
        let Some(residue) = slot.as_ref() else {
            candle_core::bail!("fused-loss: backward before forward")
        };
        // The op's own argument was made contiguous before it was recorded.
        let mut gradient = {
            let (storage, layout) = logits.storage_and_layout();
            match &*storage {
                Storage::Cpu(cpu) => contiguous(cpu, layout)?.to_vec(),
                _ => candle_core::bail!("fused-loss: CPU only"),
            }
        };
        backward(&mut gradient, logits.dim(1)?, &self.rows, residue, scale);
        Ok(Some(Tensor::from_vec(gradient, logits.shape(), logits.device())?))
    }
}
