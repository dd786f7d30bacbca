//! One row of logits at a time: the statistics of its softmax, and the gradient of one log-probability.
//!
//! In: a row of `V` logits. Out: [`RowStats`], or the row of gradients. Invariant: nothing of size `V` is
//! allocated, and a NaN in the row comes out as NaN. The exponential is a degree-5 polynomial after a
//! two-constant range reduction (relative error about 1.2e-7), which a compiler turns into vector
//! instructions; the C library's `expf` is five times slower.

/// What one row contributes: `ln sum_v e^(x_v)` as `max + ln sum`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowStats {
    /// The largest logit.
    pub max: f32,
    /// `sum_v e^(x_v - max)`, at least 1 for finite logits.
    pub sum: f64,
}

impl RowStats {
    /// `ln sum_v e^(x_v)`.
    pub fn log_sum_exp(&self) -> f64 {
        f64::from(self.max) + self.sum.ln()
    }

    /// The log-probability of a token with this logit.
    pub fn log_prob(&self, logit: f32) -> f64 {
        f64::from(logit - self.max) - self.sum.ln()
    }
}

const LANES: usize = 32;
// Long enough to hide the loop overhead, short enough to stay in the first-level cache between passes.
const CHUNK: usize = 1024;

#[inline(always)]
fn mul_add<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    // Without the instruction `f32::mul_add` is a slow library call.
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// e^x for x <= 0; e^-87 below -87.
#[inline(always)]
fn exp<const FMA: bool>(x: f32) -> f32 {
    // Adding 1.5 * 2^23 leaves the rounded integer in the low bits.
    const MAGIC: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let shifted = mul_add::<FMA>(x, std::f32::consts::LOG2_E, MAGIC);
    let n = shifted - MAGIC;
    let r = mul_add::<FMA>(n, -0.693_359_4, x);
    let r = mul_add::<FMA>(n, 2.121_944_4e-4, r);
    let mut p = 1.987_569_1e-4;
    for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = mul_add::<FMA>(p, r, c);
    }
    let y = mul_add::<FMA>(p, r * r, r + 1.0);
    f32::from_bits(y.to_bits().wrapping_add(shifted.to_bits() << 23))
}

#[inline(always)]
fn stats_body<const FMA: bool>(row: &[f32]) -> RowStats {
    let mut max = f32::NEG_INFINITY;
    let mut sum = 0f64;
    for chunk in row.chunks(CHUNK) {
        let mut lane_max = [f32::NEG_INFINITY; LANES];
        let lanes = chunk.chunks_exact(LANES);
        let rest = lanes.remainder();
        for v in lanes {
            for (m, &x) in lane_max.iter_mut().zip(v) {
                *m = if x > *m { x } else { *m };
            }
        }
        let new_max = lane_max.iter().chain(rest).fold(max, |m, &x| m.max(x));
        if new_max == f32::NEG_INFINITY {
            // Nothing but -inf so far adds 0; x - max would be NaN. The maximum skips over a NaN.
            if chunk.iter().any(|x| x.is_nan()) {
                sum = f64::NAN;
            }
            continue;
        }
        let mut lane_sum = [0f32; LANES];
        for v in chunk.chunks_exact(LANES) {
            for (s, &x) in lane_sum.iter_mut().zip(v) {
                *s += exp::<FMA>(x - new_max);
            }
        }
        let mut part: f64 = lane_sum.iter().map(|&s| f64::from(s)).sum();
        part += rest.iter().map(|&x| f64::from(exp::<FMA>(x - new_max))).sum::<f64>();
        // The first chunk has no earlier sum to rescale; -inf - -inf would be NaN.
        if sum > 0.0 {
            sum *= f64::from(max - new_max).exp();
        }
        sum += part;
        max = new_max;
    }
    RowStats { max, sum }
}

#[inline(always)]
fn gradient_body<const FMA: bool>(row: &mut [f32], max: f32, scale: f32) {
    let mut lanes = row.chunks_exact_mut(LANES);
    for v in &mut lanes {
        for x in v.iter_mut() {
            *x = scale * exp::<FMA>(*x - max);
        }
    }
    for x in lanes.into_remainder() {
        *x = scale * exp::<FMA>(*x - max);
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn stats_avx2(row: &[f32]) -> RowStats {
    stats_body::<true>(row)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn gradient_avx2(row: &mut [f32], max: f32, scale: f32) {
    gradient_body::<true>(row, max, scale);
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma")
}

const FMA_IN_BASELINE: bool = cfg!(any(target_feature = "fma", target_arch = "aarch64"));

/// The softmax statistics of one row. An empty row, or one of nothing but -inf, gives a sum of 0 or NaN.
pub fn row_stats(row: &[f32]) -> RowStats {
    #[cfg(target_arch = "x86_64")]
    if has_avx2() {
        // SAFETY: the two features that the function is compiled for were found on this processor.
        #[allow(unsafe_code)]
        return unsafe { stats_avx2(row) };
    }
    stats_body::<FMA_IN_BASELINE>(row)
}

/// Replaces a row of logits by `weight * d log_prob(target) / d logits`.
///
/// # Panics
/// If `target` is not in the row.
pub fn row_gradient(row: &mut [f32], stats: RowStats, target: usize, weight: f64) {
    // 1 - p from the log-probability: the subtraction of a rounded p would lose the whole value near 1.
    let at_target = -(stats.log_prob(row[target]).exp_m1()) * weight;
    let scale = (-weight / stats.sum) as f32;
    softmax_in_place(row, stats.max, scale);
    row[target] = at_target as f32;
}

fn softmax_in_place(row: &mut [f32], max: f32, scale: f32) {
    #[cfg(target_arch = "x86_64")]
    if has_avx2() {
        // SAFETY: the two features that the function is compiled for were found on this processor.
        #[allow(unsafe_code)]
        return unsafe { gradient_avx2(row, max, scale) };
    }
    gradient_body::<FMA_IN_BASELINE>(row, max, scale);
}
