//! The bootstrap: how far a mean over examples could be off by the choice of the examples.

use crate::data::SplitMix;

/// A mean with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Interval {
    /// The mean of the values.
    pub mean: f64,
    /// The 2.5 % quantile of the resampled means.
    pub low: f64,
    /// The 97.5 % quantile.
    pub high: f64,
    /// How many values there are.
    pub n: usize,
}

/// How many times the values are drawn again.
const RESAMPLES: usize = 10_000;

/// The percentile bootstrap of a mean (Efron 1979): values are drawn with replacement, ten thousand times,
/// by a fixed seed. For a paired comparison give the differences of each pair. `None` of no values, or if
/// one is not finite.
pub fn bootstrap_mean(values: &[f64]) -> Option<Interval> {
    if values.is_empty() || values.iter().any(|v| !v.is_finite()) {
        return None;
    }
    let n = values.len();
    let mean = |sum: f64| sum / n as f64;
    let mut random = SplitMix(0x9d5b_2026);
    let mut means: Vec<f64> =
        (0..RESAMPLES).map(|_| mean((0..n).map(|_| values[random.below(n)]).sum())).collect();
    means.sort_by(f64::total_cmp);
    let quantile = |q: f64| means[((RESAMPLES - 1) as f64 * q).round() as usize];
    Some(Interval {
        mean: mean(values.iter().sum()),
        low: quantile(0.025),
        high: quantile(0.975),
        n,
    })
}
