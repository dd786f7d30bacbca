//! The core: one row of logits in plain memory, to its statistics and its gradient.

use super::gradient::{self, Blend, Norm};
use super::head::LogitTransform;
use super::logit::{self, Logit};
use super::scan::Scan;

/// What the forward pass keeps of one row of logits `x`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowStats {
    /// `log softmax(x)[target]`, at most 0.
    pub logp: f32,
    /// `log sum exp x`.
    pub lse: f32,
    /// Largest logit.
    pub max: f32,
    /// `lse - max`, between 0 and the logarithm of the vocabulary's size; more accurate than the difference
    /// of the two rounded numbers.
    pub excess: f32,
    /// The target's logit.
    pub target_logit: f32,
    /// Whether all logits are finite.
    pub finite: bool,
}

impl RowStats {
    /// From the scan of all other logits and the target's.
    pub(super) fn new(others: Scan, target: f32) -> Self {
        let x = f64::from(target);
        // No other word: the odds against the target are 0.
        let log_others = match others.max {
            f32::NEG_INFINITY => others.sum.ln(),
            max => f64::from(max) + others.sum.ln(),
        };
        let logp = -softplus(log_others - x);
        let max = if target > others.max { target } else { others.max };
        let lse = if target == f32::NEG_INFINITY { log_others } else { x - logp };
        let excess = if target == max { -logp } else { lse - f64::from(max) };
        Self {
            logp: logp as f32,
            lse: lse as f32,
            max,
            excess: excess as f32,
            target_logit: target,
            finite: others.finite && target.is_finite(),
        }
    }

    /// What turns the row's logits into probabilities.
    pub(super) fn norm(&self) -> Norm {
        Norm { max: self.max, excess: self.excess, scale: (-self.excess).exp() }
    }

    /// `1 - p(target)` from the log-probability: p rounds to 1 long before 1 - p rounds to 0.
    pub(super) fn rest(&self) -> f32 {
        -self.logp.exp_m1()
    }
}

/// Log-probability of `target` under `softmax(row)`, and what the backward pass needs.
///
/// `logp = -softplus(lse of the others - target logit)`: no cancellation, so that a token of
/// probability `1 - 1e-7` has the log-probability -1e-7 and not a rounding of 0. A row with a NaN gives
/// NaN.
///
/// # Panics
/// If `target` is not an index of `row`; the callers check targets against the vocabulary.
#[must_use]
pub fn row_stats<L: Logit>(row: &[L], target: usize) -> RowStats {
    let others = logit::scan(&row[..target]).merge(logit::scan(&row[target + 1..]));
    RowStats::new(others, row[target].to_f32())
}

/// Replaces the logits of one row by the gradient of the loss with respect to the head's raw output:
/// `grad (onehot(target) - softmax(row))`, taken back through `transform`; `grad` is d loss / d logp.
///
/// # Panics
/// If the target is not an index of `row`.
pub fn row_backward<L: Logit>(
    row: &mut [L],
    target: usize,
    stats: &RowStats,
    grad: f32,
    transform: &LogitTransform,
) {
    part_backward(row, Some(target), stats, grad, transform);
}

/// [`row_backward`] for a part of a row, which may lack the target.
pub(super) fn part_backward<L: Logit>(
    part: &mut [L],
    target: Option<usize>,
    stats: &RowStats,
    grad: f32,
    transform: &LogitTransform,
) {
    let norm = stats.norm();
    let linear = transform.scale / transform.temperature;
    let outer = |x: f32| transform.outer(x);
    let of_target = grad * stats.rest() * linear * outer(stats.target_logit);
    let factor = -grad * linear * norm.scale;
    logit::rewrite(part, |_, block| {
        if transform.softcap.is_none() {
            return gradient::scaled_exp(block, norm.max, factor);
        }
        for v in block {
            *v = factor * (*v - norm.max).exp() * outer(*v);
        }
    });
    if let Some(target) = target {
        part[target] = L::from_f32(of_target);
    }
}

/// [`row_backward`] without a transform, into memory of its own.
pub(crate) fn row_gradient<L: Logit, O: Logit>(
    row: &[L],
    out: &mut [O],
    target: usize,
    stats: &RowStats,
    grad: f32,
) {
    let norm = stats.norm();
    logit::transform(row, out, |_, block| {
        gradient::scaled_exp(block, norm.max, -grad * norm.scale);
    });
    out[target] = O::from_f32(grad * stats.rest());
}

/// Replaces the logits of one row by a [`Blend`] of probabilities, with `target_weight` (1 - p) in place of
/// the blend's -p at the target; `reference` is the other model's row with its norm.
pub(crate) fn row_blend<L: Logit>(
    row: &mut [L],
    reference: Option<(&[L], Norm)>,
    target: usize,
    stats: &RowStats,
    blend: Blend,
    target_weight: f32,
) {
    let norm = stats.norm();
    let whole = Blend { a: blend.a - target_weight, ..blend };
    // The target once more, without its own -p: the difference 1 - p is exact.
    let mut at_target = [stats.target_logit];
    match reference {
        None => {
            gradient::blend(&mut at_target, norm, blend);
            logit::rewrite(row, |_, block| gradient::blend(block, norm, whole));
        }
        Some((other, q)) => {
            gradient::blend_pair(&mut at_target, &[other[target].to_f32()], norm, q, blend);
            let mut buffer = [0.0; super::scan::BLOCK];
            logit::rewrite(row, |at, block| match L::plain(&other[at..at + block.len()]) {
                Some(other) => gradient::blend_pair(block, other, norm, q, whole),
                None => {
                    let buffer = &mut buffer[..block.len()];
                    L::read(&other[at..at + block.len()], buffer);
                    gradient::blend_pair(block, buffer, norm, q, whole);
                }
            });
        }
    }
    row[target] = L::from_f32(at_target[0] + target_weight * stats.rest());
}

/// `log(1 + exp(x))` without overflow or loss in the tails.
fn softplus(x: f64) -> f64 {
    if x > 0.0 { x + (-x).exp().ln_1p() } else { x.exp().ln_1p() }
}
#[cfg(test)]
mod tests {
    use super::*;

    fn exact(row: &[f32], target: usize) -> f64 {
        let x = f64::from(row[target]);
        let odds: f64 = row
            .iter()
            .enumerate()
            .filter(|(i, _)| *i != target)
            .map(|(_, &v)| (f64::from(v) - x).exp())
            .sum();
        -odds.ln_1p()
    }

    #[test]
    fn a_nearly_certain_token_keeps_its_relative_accuracy() {
        let mut row = vec![-20.0f32; 100];
        row[40] = 5.0;
        let stats = row_stats(&row, 40);
        let exact = exact(&row, 40);
        assert!(exact > -2e-9 && exact < 0.0);
        assert!((f64::from(stats.logp) / exact - 1.0).abs() < 1e-6, "{} {exact}", stats.logp);
    }

    #[test]
    fn an_improbable_token_at_either_end_is_finite_and_right() {
        let mut row: Vec<f32> = (0..77).map(|i| (i as f32).sin()).collect();
        row[0] = -1e4;
        row[76] = 90.0;
        for target in [0, 38, 76] {
            let got = f64::from(row_stats(&row, target).logp);
            let want = exact_by_log(&row, target);
            assert!((got - want).abs() <= 1e-6 * want.abs(), "{target}: {got} {want}");
        }
    }

    fn exact_by_log(row: &[f32], target: usize) -> f64 {
        let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if row[target] == max {
            return exact(row, target);
        }
        let sum: f64 = row.iter().map(|&v| f64::from(v - max).exp()).sum();
        f64::from(row[target]) - f64::from(max) - sum.ln()
    }

    #[test]
    fn a_vocabulary_of_one_token_and_masked_tokens() {
        assert_eq!(row_stats(&[3.0], 0).logp, 0.0);
        let masked = [f32::NEG_INFINITY, 2.0, f32::NEG_INFINITY];
        assert_eq!(row_stats(&masked, 1).logp, 0.0);
        assert_eq!(row_stats(&masked, 0).logp, f32::NEG_INFINITY);
        assert!(row_stats(&[1.0, f32::NAN, 0.0], 0).logp.is_nan());
        assert!(row_stats(&[1.0, f32::NAN, 0.0], 1).logp.is_nan());
    }

    #[test]
    fn the_gradient_of_a_row_sums_to_zero_and_matches_differences() {
        let row: Vec<f32> = (0..50).map(|i| (i as f32 * 0.7).cos() * 3.0).collect();
        let stats = row_stats(&row, 7);
        let mut grad = row.clone();
        row_backward(&mut grad, 7, &stats, 1.25, &LogitTransform::default());
        assert!(grad.iter().sum::<f32>().abs() < 1e-5);
        for i in [0, 7, 49] {
            let h = 1e-3;
            let (mut up, mut down) = (row.clone(), row.clone());
            up[i] += h;
            down[i] -= h;
            let numeric = 1.25 * (exact(&up, 7) - exact(&down, 7)) / f64::from(up[i] - down[i]);
            assert!((f64::from(grad[i]) - numeric).abs() < 1e-5, "{i}: {} {numeric}", grad[i]);
        }
    }
}
