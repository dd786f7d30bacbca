//! The core: one row of logits in plain memory, to its statistics and its gradient.

use super::{head::LogitTransform, simd};

/// What the forward pass keeps of one row of logits `x`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowStats {
    /// `log softmax(x)[target]`, at most 0.
    pub logp: f32,
    /// `log sum exp x`.
    pub lse: f32,
    /// Largest logit.
    pub max: f32,
    /// The target's logit.
    pub target_logit: f32,
}

/// Statistics of one row's whole distribution, for the losses that ask for them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowStatistics {
    /// The statistics that every loss needs.
    pub row: RowStats,
    /// `-sum p log p`, in nats.
    pub entropy: f32,
    /// `log sum p^2`, at most 0.
    pub log_sum_p2: f32,
    /// Whether no other token has a larger logit than the target.
    pub is_top1: bool,
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
pub fn row_stats(row: &[f32], target: usize) -> RowStats {
    let x = row[target];
    let (max_before, sum_before) = simd::max_sum_exp(&row[..target]);
    let (max_after, sum_after) = simd::max_sum_exp(&row[target + 1..]);
    let others = max_before.max(max_after);
    let shift = if others == f32::NEG_INFINITY { 0.0 } else { others };
    let part = |max: f32, sum: f32| {
        if max == f32::NEG_INFINITY { sum } else { sum * (max - shift).exp() }
    };
    let sum = part(max_before, sum_before) + part(max_after, sum_after);
    let odds_against = shift + sum.ln() - x;
    let logp = -softplus(odds_against);
    RowStats { logp, lse: x - logp, max: if x > others { x } else { others }, target_logit: x }
}

/// [`row_stats`] with entropy, `log sum p^2` and whether the target is the most likely token.
///
/// # Panics
/// If `target` is not an index of `row`.
#[must_use]
pub fn row_statistics(row: &[f32], target: usize) -> RowStatistics {
    let stats = row_stats(row, target);
    let (sum, first, second) = simd::moments(row, stats.max);
    let log_sum = sum.ln();
    RowStatistics {
        row: stats,
        entropy: log_sum - first / sum,
        log_sum_p2: second.ln() - 2.0 * log_sum,
        is_top1: stats.target_logit >= stats.max,
    }
}

/// What [`row_backward`] needs beside the logits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowGradient {
    /// Index of the target token.
    pub target: usize,
    /// `log sum exp` of the row, from the forward pass.
    pub lse: f32,
    /// The target's log-probability, from the forward pass.
    pub logp: f32,
    /// dLoss / d logp of the target.
    pub grad: f32,
}

/// Replaces the logits of one row by the gradient of the loss with respect to the head's raw output:
/// `grad (onehot(target) - softmax(row))`, taken back through `transform`.
///
/// # Panics
/// If the target is not an index of `row`.
pub fn row_backward(row: &mut [f32], gradient: RowGradient, transform: &LogitTransform) {
    let RowGradient { target, lse, logp, grad } = gradient;
    // 1 - p from the log-probability: p rounds to 1 long before 1 - p rounds to 0.
    let rest = -logp.exp_m1();
    let linear = transform.scale / transform.temperature;
    match transform.softcap {
        None => {
            simd::scaled_exp(row, lse, -grad * linear);
            row[target] = grad * linear * rest;
        }
        Some(cap) => {
            for (i, v) in row.iter_mut().enumerate() {
                let tanh = *v * transform.temperature / cap;
                let residual = if i == target { rest } else { -(*v - lse).exp() };
                *v = grad * residual * linear * (1.0 - tanh * tanh);
            }
        }
    }
}

/// `log(1 + exp(x))` without overflow or loss in the tails.
fn softplus(x: f32) -> f32 {
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
        let gradient = RowGradient { target: 7, lse: stats.lse, logp: stats.logp, grad: 1.25 };
        row_backward(&mut grad, gradient, &LogitTransform::default());
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
