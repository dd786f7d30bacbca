//! Vector kernels over plain slices for the model's layers: dot products, softmax, SwiGLU.
//!
//! Each kernel is one generic body, compiled twice: for the baseline of the target, and for AVX2 with
//! fused multiply-add, which is chosen at run time. Reductions run in a fixed number of lanes, so a
//! kernel gives the same bits for the same input on every call.

// Calling a function compiled for AVX2 is `unsafe` because the processor may lack it; each call here is
// behind a run-time check.
#![allow(unsafe_code)]

const LANES: usize = 32;
const SMALL_LANES: usize = 16;

/// Defines a kernel that runs its body with AVX2 and FMA where the processor has them.
macro_rules! dispatched {
    ($(#[$attribute:meta])* $vis:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)? = $body:ident) => {
        $(#[$attribute])*
        $vis fn $name($($argument: $type),*) $(-> $result)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                fn wide($($argument: $type),*) $(-> $result)? {
                    $body::<true>($($argument),*)
                }
                if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
                    // SAFETY: both features that `wide` is compiled for were just detected.
                    return unsafe { wide($($argument),*) };
                }
            }
            $body::<false>($($argument),*)
        }
    };
}

/// `a * b + c`, fused only where the instruction exists: the software fallback of `mul_add` is slow.
#[inline(always)]
fn multiply_add<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// exp(x) to about 1.2e-7 relative; arguments are clamped to [-87, 88], NaN stays NaN.
///
/// Cody-Waite reduction x = n ln 2 + r with a two-part ln 2, a degree-five polynomial (Cephes `expf`
/// coefficients) and an exponent shift.
#[inline(always)]
fn exp<const FMA: bool>(x: f32) -> f32 {
    // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits of the mantissa.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let shifted = multiply_add::<FMA>(x, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = multiply_add::<FMA>(n, -0.693_359_4, x);
    let r = multiply_add::<FMA>(n, 2.121_944_4e-4, r);
    let p = multiply_add::<FMA>(1.987_569_1e-4, r, 1.398_199_9e-3);
    let p = multiply_add::<FMA>(p, r, 8.333_452e-3);
    let p = multiply_add::<FMA>(p, r, 4.166_579_6e-2);
    let p = multiply_add::<FMA>(p, r, 1.666_666_5e-1);
    let p = multiply_add::<FMA>(p, r, 0.5);
    let y = multiply_add::<FMA>(p, r * r, r + 1.0);
    f32::from_bits(y.to_bits().wrapping_add(shifted.to_bits() << 23))
}

#[inline(always)]
fn max_body<const FMA: bool>(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let chunks = x.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for i in 0..LANES {
            lanes[i] = if chunk[i] > lanes[i] { chunk[i] } else { lanes[i] };
        }
    }
    lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |m, &v| if v > m { v } else { m })
}

#[inline(always)]
fn dot_body<const FMA: bool>(a: &[f32], b: &[f32]) -> f32 {
    let n = a.len().min(b.len());
    let (a, b) = (&a[..n], &b[..n]);
    let mut lanes = [0f32; LANES];
    let (ca, cb) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = ca.remainder().iter().zip(cb.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in ca.zip(cb) {
        for i in 0..LANES {
            lanes[i] = multiply_add::<FMA>(x[i], y[i], lanes[i]);
        }
    }
    lanes.iter().sum::<f32>() + rest
}

#[inline(always)]
fn softmax_body<const FMA: bool>(x: &mut [f32], scale: f32) {
    let max = max_body::<FMA>(x);
    for v in x.iter_mut() {
        *v = exp::<FMA>((*v - max) * scale);
    }
    let inverse = 1.0 / lane_sum(x);
    for v in x {
        *v *= inverse;
    }
}

#[inline(always)]
fn lane_sum(x: &[f32]) -> f32 {
    let mut lanes = [0f32; SMALL_LANES];
    let chunks = x.chunks_exact(SMALL_LANES);
    let rest: f32 = chunks.remainder().iter().sum();
    for chunk in chunks {
        for i in 0..SMALL_LANES {
            lanes[i] += chunk[i];
        }
    }
    lanes.iter().sum::<f32>() + rest
}

#[inline(always)]
fn softmax_backward_body<const FMA: bool>(p: &[f32], g: &mut [f32], mean: f32, scale: f32) {
    for (g, p) in g.iter_mut().zip(p) {
        *g = scale * p * (*g - mean);
    }
}

#[inline(always)]
fn swiglu_body<const FMA: bool>(gate: &[f32], up: &[f32], out: &mut [f32]) {
    for ((o, &a), &b) in out.iter_mut().zip(gate).zip(up) {
        *o = a / (1.0 + exp::<FMA>(-a)) * b;
    }
}

#[inline(always)]
fn swiglu_backward_body<const FMA: bool>(
    gate: &[f32],
    up: &[f32],
    grad: &[f32],
    d_gate: &mut [f32],
    d_up: &mut [f32],
) {
    let inputs = gate.iter().zip(up).zip(grad);
    for ((da, db), ((&a, &b), &g)) in d_gate.iter_mut().zip(d_up.iter_mut()).zip(inputs) {
        let sigmoid = 1.0 / (1.0 + exp::<FMA>(-a));
        *db = g * a * sigmoid;
        *da = g * b * sigmoid * (1.0 + a * (1.0 - sigmoid));
    }
}

dispatched! {
    /// Inner product over the shorter length.
    pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 = dot_body
}
dispatched! {
    /// `softmax(scale * x)` in place; `scale > 0`.
    pub(crate) fn softmax(x: &mut [f32], scale: f32) = softmax_body
}
dispatched! {
    /// `g = scale * p * (g - mean)` in place: softmax's backward, given `mean = sum p g`.
    pub(crate) fn softmax_backward(p: &[f32], g: &mut [f32], mean: f32, scale: f32) = softmax_backward_body
}
dispatched! {
    /// `out = silu(gate) * up`.
    pub(crate) fn swiglu(gate: &[f32], up: &[f32], out: &mut [f32]) = swiglu_body
}
dispatched! {
    /// Gradients of [`swiglu`] with respect to both inputs.
    pub(crate) fn swiglu_backward(gate: &[f32], up: &[f32], grad: &[f32], d_gate: &mut [f32], d_up: &mut [f32]) = swiglu_backward_body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_accurate_over_its_domain_with_and_without_fma() {
        let (mut fused, mut plain) = (0f64, 0f64);
        for i in 0..400_000 {
            let x = -86.9 + i as f32 * 4.37e-4;
            let exact = f64::from(x).exp();
            fused = fused.max(((f64::from(exp::<true>(x)) - exact) / exact).abs());
            plain = plain.max(((f64::from(exp::<false>(x)) - exact) / exact).abs());
        }
        assert!(fused < 2e-7 && plain < 2e-7, "{fused:e} {plain:e}");
        assert!(exp::<true>(f32::NAN).is_nan() && exp::<false>(f32::NAN).is_nan());
        assert!(exp::<true>(f32::NEG_INFINITY) < 2e-38);
    }

    #[test]
    fn dispatched_and_baseline_kernels_agree() {
        let x: Vec<f32> = (0..333).map(|i| (i as f32 * 0.37).sin() * 9.0).collect();
        let y: Vec<f32> = (0..333).map(|i| (i as f32 * 0.11).cos() * 3.0).collect();
        assert!((dot(&x, &y) - dot_body::<false>(&x, &y)).abs() < 1e-3);
        let (mut a, mut b) = (vec![0.0; 333], vec![0.0; 333]);
        swiglu(&x, &y, &mut a);
        swiglu_body::<false>(&x, &y, &mut b);
        for (i, (a, b)) in a.iter().zip(&b).enumerate() {
            let exact = f64::from(x[i]) / (1.0 + (-f64::from(x[i])).exp()) * f64::from(y[i]);
            assert!((a - b).abs() < 1e-5 && (f64::from(*a) - exact).abs() < 1e-5);
        }
        let mut p = x.clone();
        softmax(&mut p, 0.5);
        assert!((p.iter().sum::<f32>() - 1.0).abs() < 1e-5);
    }
}
