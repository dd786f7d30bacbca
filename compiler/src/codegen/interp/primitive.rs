//! The log-domain primitives in f32 and in f64.
//!
//! Why: the textbook formulas lose all digits, or make NaN, on part of their domain. Every function
//! here chooses its branch before evaluating, uses operations of its own type only, and is accurate
//! to a few units in the last place of what the argument's rounding allows. In: any value of the
//! type. Out: NaN only for NaN, or outside the stated domain.

macro_rules! primitives {
    ($type:ident) => {
        /// The primitives of this type.
        pub mod $type {
            /// ln(1 - e^a) for a <= 0; -inf at 0, NaN above.
            ///
            /// Two forms, each used where the other cancels (Mächler, "Accurately computing
            /// log(1 - exp(-|a|))", 2012).
            #[inline]
            pub fn log1mexp(a: $type) -> $type {
                if a > -core::$type::consts::LN_2 { (-a.exp_m1()).ln() } else { (-a.exp()).ln_1p() }
            }

            /// e^a - 1. The branch is that of [`log1mexp`], so that the two can share an exponential; from
            /// -ln 2 down nothing cancels.
            #[inline]
            pub fn expm1(a: $type) -> $type {
                if a > -core::$type::consts::LN_2 { a.exp_m1() } else { a.exp() - 1.0 }
            }

            /// ln(1 + e^x).
            #[inline]
            pub fn softplus(x: $type) -> $type {
                // `max` would hide a NaN.
                let linear = if x < 0.0 { 0.0 } else { x };
                linear + (-x.abs()).exp().ln_1p()
            }

            /// 1 / (1 + e^-x).
            #[inline]
            pub fn sigmoid(x: $type) -> $type {
                if x < 0.0 {
                    let e = x.exp();
                    e / (1.0 + e)
                } else {
                    1.0 / (1.0 + (-x).exp())
                }
            }

            /// ln(e^a + e^b). Near a result of 0 the absolute error is that of the larger operand.
            #[inline]
            pub fn logaddexp(a: $type, b: $type) -> $type {
                // Equal infinities have no difference.
                if a == b {
                    return a + core::$type::consts::LN_2;
                }
                let high = if a > b { a } else { b };
                let sum = high + (-(a - b).abs()).exp().ln_1p();
                if a.is_nan() { a } else { sum }
            }
        }
    };
}

primitives!(f32);
primitives!(f64);

#[cfg(test)]
mod tests {
    use crate::codegen::interp::{Big, Real};
    use crate::mir::interval::Precision;
    use proptest::prelude::*;

    type B = Big<256>;

    const EDGES: [f64; 16] = [
        -0.0,
        -1e-300,
        -1e-38,
        -1e-30,
        -1e-12,
        -1e-7,
        -0.5,
        -0.693,
        -std::f64::consts::LN_2,
        -0.7,
        -17.0,
        -88.0,
        -104.0,
        -708.0,
        -745.0,
        -1e4,
    ];

    /// The worst error of the one-operand primitives at `x` and `-x`, in units in the last place.
    fn worst(x: f64) -> f64 {
        let x32 = f64::from(x as f32);
        let mut worst: f64 = 0.0;
        let mut check = |name: &str, exact: B, computed: f64, precision| {
            let error = exact.error_in_ulps(computed, precision);
            assert!(
                error <= 3.0,
                "{name}({x:e}) in {precision:?}: {computed:e} is {error} ulps off"
            );
            worst = worst.max(error);
        };
        for sign in [1.0, -1.0] {
            let (y, y32) = (sign * x, sign * x32);
            let (b, b32) = (B::from_f64(y), B::from_f64(y32));
            check("softplus", b.softplus(), Real::softplus(&y), Precision::F64);
            check("sigmoid", b.sigmoid(), Real::sigmoid(&y), Precision::F64);
            check("expm1", b.exp_m1(), Real::exp_m1(&y), Precision::F64);
            let f = y32 as f32;
            check("softplus", b32.softplus(), f64::from(Real::softplus(&f)), Precision::F32);
            check("sigmoid", b32.sigmoid(), f64::from(Real::sigmoid(&f)), Precision::F32);
            check("expm1", b32.exp_m1(), f64::from(Real::exp_m1(&f)), Precision::F32);
        }
        let (b, b32) = (B::from_f64(-x.abs()), B::from_f64(-x32.abs()));
        check("log1mexp", b.log1mexp(), Real::log1mexp(&-x.abs()), Precision::F64);
        let f = -(x32.abs() as f32);
        check("log1mexp", b32.log1mexp(), f64::from(Real::log1mexp(&f)), Precision::F32);
        worst
    }

    /// logaddexp's error in units in the last place of its larger operand or result.
    fn logaddexp_error(a: f64, b: f64, precision: Precision) -> f64 {
        let exact = B::from_f64(a).logaddexp(&B::from_f64(b));
        let computed = match precision {
            Precision::F64 => Real::logaddexp(&a, &b),
            Precision::F32 => f64::from(Real::logaddexp(&(a as f32), &(b as f32))),
        };
        let scale = B::from_f64(a.abs().max(b.abs()).max(exact.to_f64().abs()));
        if scale.to_f64().is_infinite() {
            return exact.error_in_ulps(computed, precision);
        }
        // The same distance, measured from a value of that size.
        let distance = exact.sub(&B::from_f64(computed));
        scale.error_in_ulps(0.0, precision) * distance.div(&scale).abs().to_f64()
    }

    #[test]
    fn edges_are_accurate_in_both_types() {
        let worst = EDGES.into_iter().map(worst).fold(0.0, f64::max);
        assert!(worst > 0.4, "the measure sees rounding at all");
    }

    #[test]
    fn infinities_and_nan_pass_through() {
        let inf = f64::INFINITY;
        assert_eq!(Real::log1mexp(&0.0), -inf);
        assert_eq!(Real::log1mexp(&-0.0_f32), f32::NEG_INFINITY);
        assert_eq!(Real::log1mexp(&-inf), 0.0);
        assert!(Real::log1mexp(&1e-300).is_nan());
        assert_eq!((Real::softplus(&inf), Real::softplus(&-inf)), (inf, 0.0));
        assert_eq!((Real::sigmoid(&inf), Real::sigmoid(&-inf)), (1.0, 0.0));
        assert!(Real::softplus(&f64::NAN).is_nan() && Real::sigmoid(&f64::NAN).is_nan());
        for (a, b, sum) in [(-inf, -inf, -inf), (-inf, 3.0, 3.0), (inf, inf, inf), (inf, -inf, inf)]
        {
            assert_eq!((Real::logaddexp(&a, &b), Real::logaddexp(&b, &a)), (sum, sum));
        }
        assert!(
            Real::logaddexp(&f64::NAN, &1.0).is_nan() && Real::logaddexp(&1.0, &f64::NAN).is_nan()
        );
        assert!(
            Real::logaddexp(&f64::NAN, &-inf).is_nan() && Real::logaddexp(&inf, &f64::NAN).is_nan()
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn all_magnitudes_are_accurate(exponent in -320.0..4.0_f64) {
            worst(-10_f64.powf(exponent));
        }

        #[test]
        fn the_usual_range_is_accurate(x in -800.0..0.0_f64) {
            worst(x);
        }

        #[test]
        fn logaddexp_is_accurate(a in -200.0..50.0_f64, d in prop_oneof![-1e-9..1e-9, -40.0..40.0_f64]) {
            let (a, b) = (f64::from(a as f32), f64::from((a + d) as f32));
            for precision in [Precision::F32, Precision::F64] {
                let error = logaddexp_error(a, b, precision);
                prop_assert!(error <= 3.0, "logaddexp({a}, {b}) is {error} ulps off in {precision:?}");
            }
        }
    }
}
