//! The passes from hidden states: tiles of logits to statistics of rows and gradients.

use candle_core::{DType, Device, Result, Tensor, bail};
use rayon::prelude::*;

use super::{
    composed, gradient,
    head::Head,
    row::{RowStats, part_backward},
    scan::{self, Moments, Scan},
    statistics::RowStatistics,
    tile::{Order, Tile, each_tile},
};
use crate::model::ops::{
    matmul::{MatrixMut, matmul},
    slices::with_slice,
};

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

/// What has been seen of a row, the target kept apart.
#[derive(Clone, Copy)]
struct Seen<S> {
    others: S,
    target: f32,
}

impl Seen<Scan> {
    const NOTHING: Self = Self { others: Scan::EMPTY, target: f32::NEG_INFINITY };

    fn add(&mut self, part: &[f32], target: Option<usize>) {
        let more = match target {
            None => scan::scan(part),
            Some(t) => {
                self.target = part[t];
                scan::scan(&part[..t]).merge(scan::scan(&part[t + 1..]))
            }
        };
        self.others = self.others.merge(more);
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
    let mut seen = vec![Seen::NOTHING; n];
    each_tile(hidden, head, Order::Rows, |mut tile| {
        let (seen, targets) = (&mut seen[tile.rows.clone()], &targets[tile.rows.clone()]);
        let words = tile.words.clone();
        tile.par_rows().zip(seen).zip(targets).for_each(|((part, seen), target)| {
            seen.add(part, Tile::place(&words, *target));
        });
    })?;
    Ok(seen.iter().map(|s| RowStats::new(s.others, s.target)).collect())
}

/// The first word of a row of hidden states `[1, H]`, on the CPU, whose logit is NaN or infinite, and that
/// logit.
///
/// # Errors
/// If shapes disagree, or the head cannot be read.
pub(crate) fn first_not_finite(hidden: &Tensor, head: &Head) -> Result<Option<(usize, f32)>> {
    let plain = |t: &Tensor| t.detach().to_device(&Device::Cpu)?.to_dtype(DType::F32);
    let bias = head.bias.as_ref().map(plain).transpose()?;
    let weight = plain(&head.weight)?.contiguous()?;
    let head = Head { weight, bias, transform: head.transform };
    let mut found = None;
    each_tile(hidden, &head, Order::Rows, |tile| {
        let bad = tile.logits.iter().enumerate().find(|(_, x)| !x.is_finite());
        found = found.or(bad.map(|(i, x)| (tile.words.start + i, *x)));
    })?;
    Ok(found)
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
    let nothing = Seen { others: Moments::EMPTY, target: f32::NEG_INFINITY };
    let mut seen = vec![nothing; n];
    each_tile(hidden, head, Order::Rows, |mut tile| {
        let (seen, targets) = (&mut seen[tile.rows.clone()], &targets[tile.rows.clone()]);
        let words = tile.words.clone();
        tile.par_rows().zip(seen).zip(targets).for_each(|((part, seen), target)| {
            let more = match Tile::place(&words, *target) {
                None => scan::moments(part),
                Some(t) => {
                    seen.target = part[t];
                    scan::moments(&part[..t]).merge(scan::moments(&part[t + 1..]))
                }
            };
            seen.others = seen.others.merge(more);
        });
    })?;
    Ok(seen.iter().map(|s| RowStatistics::new(s.others, s.target)).collect())
}

/// [`forward`] for a head that is not trained: two head products in all, where a forward and a
/// backward pass that recomputes the logits take three.
///
/// d logp / d hidden is `W[y] - sum_v p_v W[v]`. The sum is gathered tile by tile over `exp(x_v - m)`, m the
/// largest logit so far, and scaled down whenever m grows; the target is left out of it, so that nothing
/// cancels where the target is almost certain.
///
/// # Errors
/// As [`forward`].
pub fn forward_frozen(hidden: &Tensor, head: &Head, targets: &[u32]) -> Result<FrozenForward> {
    let (n, width, _) = head.check(hidden, targets)?;
    if !head.is_streamed() {
        let rows = composed::forward(hidden, head, targets)?;
        let ones = vec![1.0; n];
        let direction = composed::backward(hidden, head, targets, &rows, &ones, false)?.hidden;
        return Ok(FrozenForward { rows, direction });
    }
    let mut seen = vec![Seen::NOTHING; n];
    let mut sum = vec![0f32; n * width];
    each_tile(hidden, head, Order::Rows, |mut tile| {
        let (rows, words) = (tile.rows.clone(), tile.words.clone());
        let sum = &mut sum[rows.start * width..rows.end * width];
        let (seen, targets) = (&mut seen[rows.clone()], &targets[rows.clone()]);
        let by_row = tile.par_rows().zip(seen).zip(targets).zip(sum.par_chunks_mut(width));
        by_row.for_each(|(((part, seen), target), sum)| {
            let place = Tile::place(&words, *target);
            let before = seen.others.max;
            seen.add(part, place);
            let max = seen.others.max;
            if before != max && words.start > 0 {
                let factor = (before - max).exp();
                sum.iter_mut().for_each(|s| *s *= factor);
            }
            weigh(part, place, max, head);
        });
        let out = MatrixMut::new(sum, rows.len(), width);
        matmul(out, tile.matrix(), tile.weight, words.start > 0);
    })?;
    let rows: Vec<RowStats> = seen.iter().map(|s| RowStats::new(s.others, s.target)).collect();
    let linear = head.transform.scale / head.transform.temperature;
    with_slice(&head.weight, |weight| {
        sum.par_chunks_mut(width).zip(&rows).zip(&seen).zip(targets).for_each(
            |(((sum, row), seen), target)| {
                // From sums relative to the largest other logit to probabilities.
                let p = f64::from(seen.others.max) - f64::from(row.max) - f64::from(row.excess);
                let p = if seen.others.max == f32::NEG_INFINITY { 0.0 } else { p.exp() as f32 };
                let of_target = row.rest() * linear * head.transform.outer(row.target_logit);
                let of_others = p * linear;
                let own = &weight[*target as usize * width..][..width];
                for (s, w) in sum.iter_mut().zip(own) {
                    *s = of_target * w - of_others * *s;
                }
            },
        );
    })?;
    let direction = Tensor::from_vec(sum, (n, width), hidden.device())?;
    Ok(FrozenForward { rows, direction })
}

/// From a part of a row of logits to what each word weighs in the sum, relative to `exp(max)`.
fn weigh(part: &mut [f32], target: Option<usize>, max: f32, head: &Head) {
    let shift = if max == f32::NEG_INFINITY { 0.0 } else { max };
    match head.transform.softcap {
        // The target may lie far above the others; it is replaced below.
        None => gradient::scaled_exp(part, shift, 1.0),
        Some(_) => {
            for v in part.iter_mut() {
                *v = (*v - shift).exp() * head.transform.outer(*v);
            }
        }
    }
    if let Some(t) = target {
        part[t] = 0.0;
    }
}

/// Gradients from `grad [N]`, dLoss / d logp of each token; `rows` is what [`forward`] returned for the
/// same inputs. Logits are recomputed; the head's gradient is made only if `train_head`, in f32, the part
/// of each tile's words finished before the next.
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
        bail!("{} statistics and {} gradients for {n} tokens", rows.len(), grad.len())
    }
    if !head.is_streamed() {
        return composed::backward(hidden, head, targets, rows, grad, train_head);
    }
    let mut d_hidden = vec![0f32; n * width];
    let mut d_weight = train_head.then(|| vec![0f32; vocabulary * width]);
    let mut d_bias = (train_head && head.bias.is_some()).then(|| vec![0f32; vocabulary]);
    each_tile(hidden, head, Order::Words, |mut tile| {
        let (rows_of, words) = (tile.rows.clone(), tile.words.clone());
        let by_row = rows[rows_of.clone()].par_iter().zip(&targets[rows_of.clone()]);
        let by_row = by_row.zip(&grad[rows_of.clone()]);
        tile.par_rows().zip(by_row).for_each(|(part, ((row, target), grad))| {
            part_backward(part, Tile::place(&words, *target), row, *grad, &head.transform);
        });
        let out = &mut d_hidden[rows_of.start * width..rows_of.end * width];
        let out = MatrixMut::new(out, rows_of.len(), width);
        matmul(out, tile.matrix(), tile.weight, words.start > 0);
        if let Some(d_weight) = &mut d_weight {
            let out = &mut d_weight[words.start * width..words.end * width];
            let out = MatrixMut::new(out, words.len(), width);
            matmul(out, tile.matrix().transposed(), tile.hidden, rows_of.start > 0);
        }
        if let Some(d_bias) = &mut d_bias {
            for part in tile.logits.chunks(words.len()) {
                for (b, g) in d_bias[words.clone()].iter_mut().zip(part) {
                    *b += g;
                }
            }
        }
    })?;
    let device = hidden.device();
    Ok(HeadGradients {
        hidden: Tensor::from_vec(d_hidden, (n, width), device)?,
        weight: d_weight.map(|w| Tensor::from_vec(w, (vocabulary, width), device)).transpose()?,
        bias: d_bias.map(|b| Tensor::from_vec(b, vocabulary, device)).transpose()?,
    })
}
