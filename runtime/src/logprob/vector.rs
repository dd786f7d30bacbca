//! Eight floats at a time: the operations that the passes over the vocabulary are written in.
//!
//! Why: a pass is one generic body, compiled for [`Wide`] (AVX2 with fused multiply-add, chosen at run
//! time) and for [`Plain`] (whatever the target has), so that the two cannot drift apart. Invariant:
//! both give each lane the same operations in the same order; only fused roundings differ.

// Intrinsics are `unsafe` to call because the processor may lack them: a `Wide` is made only inside
// functions that run behind the run-time check of `dispatched!`.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64 as intrinsic;

/// Lanes of a [`Vector`].
pub(crate) const LANES: usize = 8;

/// Arguments of [`Vector::exp`] below this give the result at this: e^-87 is the last normal power.
const LOWEST: f32 = -87.0;
/// 1.5 * 2^23: adding it rounds to an integer, left in the low bits of the mantissa.
const ROUND: f32 = 12_582_912.0;

/// Eight f32 lanes.
pub(crate) trait Vector: Copy {
    /// The same number in every lane.
    fn splat(x: f32) -> Self;
    /// Reads eight numbers.
    fn load(x: &[f32; LANES]) -> Self;
    /// Writes eight numbers.
    fn store(self, out: &mut [f32; LANES]);
    /// `self + other`
    fn plus(self, other: Self) -> Self;
    /// `self - other`
    fn minus(self, other: Self) -> Self;
    /// `self * other`
    fn times(self, other: Self) -> Self;
    /// `self * a + b`, fused where the processor fuses.
    fn mul_add(self, a: Self, b: Self) -> Self;
    /// `if self > other { self } else { other }`, so that a NaN in `other` stays.
    fn or_greater(self, other: Self) -> Self;
    /// e^self for arguments of at most 88, to 1.5e-7 relative; NaN stays NaN.
    fn exp(self) -> Self;
    /// `self` where `e` is above 1e-37, else 0: a logit of -inf has weight 0, not 0 * inf.
    fn where_weighty(self, e: Self) -> Self;
    /// Asks for the 128 bytes at an address that need not be readable.
    fn prefetch(address: *const f32);

    /// The sum of the lanes.
    #[inline(always)]
    fn sum(self) -> f64 {
        self.lanes().iter().map(|&v| f64::from(v)).sum()
    }

    /// The largest lane; NaN is passed over.
    #[inline(always)]
    fn largest(self) -> f32 {
        self.lanes().iter().fold(f32::NEG_INFINITY, |m, &v| if v > m { v } else { m })
    }

    /// The lanes as an array.
    #[inline(always)]
    fn lanes(self) -> [f32; LANES] {
        let mut out = [0.0; LANES];
        self.store(&mut out);
        out
    }

    /// Up to eight numbers, the missing ones replaced.
    #[inline(always)]
    fn load_partly(x: &[f32], missing: f32) -> Self {
        let mut all = [missing; LANES];
        all[..x.len()].copy_from_slice(x);
        Self::load(&all)
    }
}

/// The portable form.
#[derive(Clone, Copy)]
pub(crate) struct Plain([f32; LANES]);

impl Plain {
    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        let mut out = [0.0; LANES];
        for (o, (x, y)) in out.iter_mut().zip(self.0.into_iter().zip(other.0)) {
            *o = f(x, y);
        }
        Plain(out)
    }
}

impl Vector for Plain {
    #[inline(always)]
    fn splat(x: f32) -> Self {
        Plain([x; LANES])
    }

    #[inline(always)]
    fn load(x: &[f32; LANES]) -> Self {
        Plain(*x)
    }

    #[inline(always)]
    fn store(self, out: &mut [f32; LANES]) {
        *out = self.0;
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }

    #[inline(always)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        self.times(a).plus(b)
    }

    #[inline(always)]
    fn or_greater(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }

    /// Cody-Waite reduction by a two-part ln 2, whose products with small integers are exact without a
    /// fused multiply, and the degree-five polynomial of Cephes' `expf`.
    #[inline(always)]
    fn exp(self) -> Self {
        let one = |x: f32| {
            let x = if LOWEST > x { LOWEST } else { x };
            let shifted = x * std::f32::consts::LOG2_E + ROUND;
            let n = shifted - ROUND;
            let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
            let p = ((1.987_569_1e-4 * r + 1.398_199_9e-3) * r + 8.333_452e-3) * r;
            let p = ((p + 4.166_579_6e-2) * r + 1.666_666_5e-1) * r + 0.5;
            let y = p * (r * r) + (r + 1.0);
            f32::from_bits(y.to_bits().wrapping_add(shifted.to_bits() << 23))
        };
        let mut out = [0.0; LANES];
        for (o, x) in out.iter_mut().zip(self.0) {
            *o = one(x);
        }
        Plain(out)
    }

    #[inline(always)]
    fn where_weighty(self, e: Self) -> Self {
        self.zip(e, |x, e| if e > 1e-37 { x } else { 0.0 })
    }

    #[inline(always)]
    fn prefetch(_: *const f32) {}
}

/// AVX2 with fused multiply-add.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(crate) struct Wide(intrinsic::__m256);

// SAFETY of every block below: the methods are inlined into functions compiled for AVX2 and FMA that
// `dispatched!` calls only after it has detected both; loads and stores take whole arrays.
#[cfg(target_arch = "x86_64")]
impl Vector for Wide {
    #[inline(always)]
    fn splat(x: f32) -> Self {
        // SAFETY: see above.
        Wide(unsafe { intrinsic::_mm256_set1_ps(x) })
    }

    #[inline(always)]
    fn load(x: &[f32; LANES]) -> Self {
        // SAFETY: see above; the array has the eight floats that are read.
        Wide(unsafe { intrinsic::_mm256_loadu_ps(x.as_ptr()) })
    }

    #[inline(always)]
    fn store(self, out: &mut [f32; LANES]) {
        // SAFETY: see above; the array has room for the eight floats that are written.
        unsafe { intrinsic::_mm256_storeu_ps(out.as_mut_ptr(), self.0) }
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        // SAFETY: see above.
        Wide(unsafe { intrinsic::_mm256_add_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        // SAFETY: see above.
        Wide(unsafe { intrinsic::_mm256_sub_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        // SAFETY: see above.
        Wide(unsafe { intrinsic::_mm256_mul_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        // SAFETY: see above.
        Wide(unsafe { intrinsic::_mm256_fmadd_ps(self.0, a.0, b.0) })
    }

    #[inline(always)]
    fn or_greater(self, other: Self) -> Self {
        // SAFETY: see above. The instruction gives its second operand where either is NaN.
        Wide(unsafe { intrinsic::_mm256_max_ps(self.0, other.0) })
    }

    /// 2^(self / ln 2): the fused product leaves the fraction exact but for the constant, whose second
    /// part is added; then a minimax polynomial of degree six on [-1/2, 1/2], 1 at 0 (2.6e-9).
    #[inline(always)]
    fn exp(self) -> Self {
        // log2(e) less its rounding to f32.
        const LOG2_E_REST: f32 = 1.925_963e-8;
        let at = |c: f32| Self::splat(c);
        let d = at(LOWEST).or_greater(self);
        let shifted = d.mul_add(at(std::f32::consts::LOG2_E), at(ROUND));
        let minus_n = at(ROUND).minus(shifted);
        let f = d.mul_add(at(std::f32::consts::LOG2_E), minus_n);
        let f = d.mul_add(at(LOG2_E_REST), f);
        let p = at(1.559_467_7e-4).mul_add(f, at(1.340_664_4e-3));
        let p = p.mul_add(f, at(9.617_693e-3));
        let p = p.mul_add(f, at(5.550_310_6e-2));
        let p = p.mul_add(f, at(2.402_265_3e-1));
        let p = p.mul_add(f, at(6.931_472e-1));
        let p = p.mul_add(f, at(1.0));
        // SAFETY: see above.
        Wide(unsafe {
            use intrinsic::{_mm256_castps_si256 as bits, _mm256_castsi256_ps as float};
            let exponent = intrinsic::_mm256_slli_epi32::<23>(bits(shifted.0));
            float(intrinsic::_mm256_add_epi32(bits(p.0), exponent))
        })
    }

    #[inline(always)]
    fn where_weighty(self, e: Self) -> Self {
        // SAFETY: see above.
        Wide(unsafe {
            let least = intrinsic::_mm256_set1_ps(1e-37);
            let mask = intrinsic::_mm256_cmp_ps::<{ intrinsic::_CMP_GT_OQ }>(e.0, least);
            intrinsic::_mm256_and_ps(mask, self.0)
        })
    }

    #[inline(always)]
    fn prefetch(address: *const f32) {
        // SAFETY: a prefetch of an address that cannot be read does nothing.
        unsafe {
            intrinsic::_mm_prefetch::<{ intrinsic::_MM_HINT_T0 }>(address.cast());
            intrinsic::_mm_prefetch::<{ intrinsic::_MM_HINT_T0 }>(address.wrapping_add(16).cast());
        }
    }
}

/// Defines a pass that runs its body on [`Wide`] vectors where the processor has them.
macro_rules! dispatched {
    ($(#[$attribute:meta])* $vis:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)? = $body:ident) => {
        $(#[$attribute])*
        $vis fn $name($($argument: $type),*) $(-> $result)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                fn wide($($argument: $type),*) $(-> $result)? {
                    $body::<$crate::logprob::vector::Wide>($($argument),*)
                }
                if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
                    // SAFETY: both features that `wide` is compiled for were just detected.
                    #[allow(unsafe_code)]
                    return unsafe { wide($($argument),*) };
                }
            }
            $body::<$crate::logprob::vector::Plain>($($argument),*)
        }
    };
}
pub(crate) use dispatched;

#[cfg(test)]
mod tests {
    use super::*;

    fn exp_body<V: Vector>(x: &[f32], out: &mut [f32]) {
        for (x, out) in x.as_chunks::<LANES>().0.iter().zip(out.as_chunks_mut::<LANES>().0) {
            V::load(x).exp().store(out);
        }
    }
    dispatched! { fn exp(x: &[f32], out: &mut [f32]) = exp_body }

    #[test]
    fn exp_is_accurate_in_both_forms() {
        let x: Vec<f32> = (0..400_000).map(|i| -86.9 + i as f32 * 2.18e-4).collect();
        let mut forms = [vec![0.0; x.len()], vec![0.0; x.len()]];
        exp(&x, &mut forms[0]);
        exp_body::<Plain>(&x, &mut forms[1]);
        for got in &forms {
            let error = |(x, y): (&f32, &f32)| (f64::from(*y) / f64::from(*x).exp() - 1.0).abs();
            let worst = x.iter().zip(got).map(error).fold(0.0, f64::max);
            assert!(worst < 1.7e-7, "{worst:e}");
        }
        let odd = [f32::NAN, f32::NEG_INFINITY, -1e30, 0.0, -0.0, -88.0, -87.0, f32::MIN];
        for form in [exp, exp_body::<Plain>] {
            let mut out = [0.0; LANES];
            form(&odd, &mut out);
            assert!(out[0].is_nan());
            assert!(out[1..3].iter().chain(&out[5..]).all(|v| *v < 2e-38), "{out:?}");
            assert!(out[3..5].iter().all(|v| (v - 1.0).abs() < 1.3e-7), "{out:?}");
        }
    }
}
