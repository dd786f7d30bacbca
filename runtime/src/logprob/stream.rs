//! The driver: chunks of hidden states through the head, rows in parallel.

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::{
    composed,
    head::Head,
    row::{RowGradient, RowStatistics, RowStats, row_backward, row_statistics, row_stats},
};
use crate::model::ops::{
    matmul::{Matrix, MatrixMut, matmul},
    slices::with_slice,
};

/// Bytes of logits that exist at a time.
const CHUNK_BYTES: usize = 24 << 20;
const MIN_CHUNK_ROWS: usize = 16;
const MAX_CHUNK_ROWS: usize = 4096;

/// Gradients of a loss with respect to what went into the head.
#[derive(Clone, Debug)]
pub struct HeadGradients {
    /// `[N, H]`.
    pub hidden: Tensor,
    /// `[V, H]`, if the head is trained.
    pub weight: Option<Tensor>,
    /// `[V]`, if the head is trained and has a bias.
    pub bias: Option<Tensor>,
}

/// The forward pass for a frozen head: with the log-probabilities come their gradients.
#[derive(Clone, Debug)]
pub struct FrozenForward {
    /// One entry a token.
    pub rows: Vec<RowStats>,
    /// `[N, H]`: d logp / d hidden of each token.
    pub direction: Tensor,
}

impl FrozenForward {
    /// dLoss / d hidden from dLoss / d logp of each token: one multiplication, no second head product.
    ///
    /// # Errors
    /// If there is not one gradient a token.
    pub fn backward(&self, grad: &[f32]) -> Result<Tensor> {
        let grad = Tensor::from_slice(grad, (grad.len(), 1), self.direction.device())?;
        self.direction.broadcast_mul(&grad)
    }
}

/// Log-probability of each target token given its hidden state: `hidden [N, H]`, `targets [N]`.
///
/// # Errors
/// If shapes disagree, a target is outside the vocabulary, or the device fails.
pub fn forward(hidden: &Tensor, head: &Head, targets: &[u32]) -> Result<Vec<RowStats>> {
    let (n, _, _) = head.check(hidden, targets)?;
    if !head.is_streamed() {
        return composed::forward(hidden, head, targets);
    }
    let mut out = Vec::with_capacity(n);
    each_chunk(hidden, head, |chunk| {
        let targets = &targets[chunk.start..chunk.start + chunk.rows];
        out.par_extend(
            chunk
                .logits
                .par_chunks(chunk.vocabulary)
                .zip(targets)
                .map(|(row, &target)| row_stats(row, target as usize)),
        );
    })?;
    Ok(out)
}

/// [`forward`] with the statistics of each token's whole distribution.
///
/// # Errors
/// As [`forward`].
pub fn statistics(hidden: &Tensor, head: &Head, targets: &[u32]) -> Result<Vec<RowStatistics>> {
    let (n, _, _) = head.check(hidden, targets)?;
    if !head.is_streamed() {
        return composed::statistics(hidden, head, targets);
    }
    let mut out = Vec::with_capacity(n);
    each_chunk(hidden, head, |chunk| {
        let targets = &targets[chunk.start..chunk.start + chunk.rows];
        out.par_extend(
            chunk
                .logits
                .par_chunks(chunk.vocabulary)
                .zip(targets)
                .map(|(row, &target)| row_statistics(row, target as usize)),
        );
    })?;
    Ok(out)
}

/// [`forward`] for a head that is not trained: two head products in all, where a forward and a
/// backward pass that recomputes the logits take three.
///
/// # Errors
/// As [`forward`].
pub fn forward_frozen(hidden: &Tensor, head: &Head, targets: &[u32]) -> Result<FrozenForward> {
    let (n, width, vocabulary) = head.check(hidden, targets)?;
    if !head.is_streamed() {
        let rows = composed::forward(hidden, head, targets)?;
        let ones = vec![1.0; n];
        let direction = composed::backward(hidden, head, targets, &rows, &ones, false)?.hidden;
        return Ok(FrozenForward { rows, direction });
    }
    let mut rows = Vec::with_capacity(n);
    let mut direction = vec![0f32; n * width];
    with_slice(&head.weight, |weight| {
        let weight = Matrix::new(weight, vocabulary, width);
        each_chunk(hidden, head, |chunk| {
            let targets = &targets[chunk.start..chunk.start + chunk.rows];
            rows.par_extend(chunk.logits.par_chunks_mut(chunk.vocabulary).zip(targets).map(
                |(row, &target)| {
                    let stats = row_stats(row, target as usize);
                    let gradient = RowGradient {
                        target: target as usize,
                        lse: stats.lse,
                        logp: stats.logp,
                        grad: 1.0,
                    };
                    row_backward(row, gradient, &head.transform);
                    stats
                },
            ));
            let out = &mut direction[chunk.start * width..(chunk.start + chunk.rows) * width];
            matmul(
                MatrixMut::new(out, chunk.rows, width),
                Matrix::new(chunk.logits, chunk.rows, vocabulary),
                weight,
                false,
            );
        })
    })??;
    let direction = Tensor::from_vec(direction, (n, width), hidden.device())?;
    Ok(FrozenForward { rows, direction })
}

/// Gradients from `grad [N]`, dLoss / d logp of each token; `rows` is what [`forward`] returned for the
/// same inputs. Logits are recomputed; the head's gradient is made only if `train_head`.
///
/// # Errors
/// As [`forward`], and if `rows` or `grad` have other lengths.
pub fn backward(
    hidden: &Tensor,
    head: &Head,
    targets: &[u32],
    rows: &[RowStats],
    grad: &[f32],
    train_head: bool,
) -> Result<HeadGradients> {
    let (n, width, vocabulary) = head.check(hidden, targets)?;
    if rows.len() != n || grad.len() != n {
        candle_core::bail!("{} statistics and {} gradients for {n} tokens", rows.len(), grad.len())
    }
    if !head.is_streamed() {
        return composed::backward(hidden, head, targets, rows, grad, train_head);
    }
    let mut d_hidden = vec![0f32; n * width];
    let mut d_weight = train_head.then(|| vec![0f32; vocabulary * width]);
    let mut d_bias = (train_head && head.bias.is_some()).then(|| vec![0f32; vocabulary]);
    with_slice(&head.weight, |weight| {
        let weight = Matrix::new(weight, vocabulary, width);
        each_chunk(hidden, head, |chunk| {
            chunk.logits.par_chunks_mut(vocabulary).enumerate().for_each(|(i, row)| {
                let token = chunk.start + i;
                let gradient = RowGradient {
                    target: targets[token] as usize,
                    lse: rows[token].lse,
                    logp: rows[token].logp,
                    grad: grad[token],
                };
                row_backward(row, gradient, &head.transform);
            });
            let d_logits = Matrix::new(chunk.logits, chunk.rows, vocabulary);
            let out = &mut d_hidden[chunk.start * width..(chunk.start + chunk.rows) * width];
            matmul(MatrixMut::new(out, chunk.rows, width), d_logits, weight, false);
            if let Some(d_weight) = &mut d_weight {
                let hidden = Matrix::new(chunk.hidden, chunk.rows, width);
                let out = MatrixMut::new(d_weight, vocabulary, width);
                matmul(out, d_logits.transposed(), hidden, true);
            }
            if let Some(d_bias) = &mut d_bias {
                for row in chunk.logits.chunks(vocabulary) {
                    for (b, g) in d_bias.iter_mut().zip(row) {
                        *b += g;
                    }
                }
            }
        })
    })??;
    let device = hidden.device();
    Ok(HeadGradients {
        hidden: Tensor::from_vec(d_hidden, (n, width), device)?,
        weight: d_weight.map(|w| Tensor::from_vec(w, (vocabulary, width), device)).transpose()?,
        bias: d_bias.map(|b| Tensor::from_vec(b, vocabulary, device)).transpose()?,
    })
}

struct Chunk<'a> {
    /// Index of the first token.
    start: usize,
    rows: usize,
    vocabulary: usize,
    hidden: &'a [f32],
    logits: &'a mut [f32],
}

/// Calls `visit` with the logits of each chunk of rows, in order, in one reused buffer.
fn each_chunk(hidden: &Tensor, head: &Head, mut visit: impl FnMut(Chunk<'_>)) -> Result<()> {
    let (vocabulary, width) = head.dims()?;
    let (n, _) = hidden.dims2()?;
    let most = (CHUNK_BYTES / (4 * vocabulary.max(1))).clamp(MIN_CHUNK_ROWS, MAX_CHUNK_ROWS).min(n);
    let mut buffer = vec![0f32; most * vocabulary];
    let bias = head.bias.as_ref().map(Tensor::to_vec1::<f32>).transpose()?;
    with_slice(hidden, |hidden| {
        with_slice(&head.weight, |weight| {
            let weight = Matrix::new(weight, vocabulary, width);
            for start in (0..n).step_by(most.max(1)) {
                let rows = most.min(n - start);
                let hidden = &hidden[start * width..(start + rows) * width];
                let logits = &mut buffer[..rows * vocabulary];
                matmul(
                    MatrixMut::new(logits, rows, vocabulary),
                    Matrix::new(hidden, rows, width),
                    weight.transposed(),
                    false,
                );
                if bias.is_some() || !head.transform.is_identity() {
                    logits
                        .par_chunks_mut(vocabulary)
                        .for_each(|row| head.finish_row(row, bias.as_deref()));
                }
                visit(Chunk { start, rows, vocabulary, hidden, logits });
            }
        })
    })?
}
