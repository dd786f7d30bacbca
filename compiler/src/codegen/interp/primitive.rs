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
