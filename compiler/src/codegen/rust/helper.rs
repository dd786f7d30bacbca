//! The helper functions, in the operations and the order of [`crate::codegen::interp::primitive`].

use crate::mir::{Binary, Unary};

/// A function that generated code carries along.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::codegen) enum Helper {
    Log1mExp,
    Expm1,
    Softplus,
    Sigmoid,
    LogAddExp,
    Maximum,
    Minimum,
    Power,
    Step,
    Sign,
    /// softplus(x) from e^-|x|
    SoftplusFrom,
    /// sigmoid(x) from e^-|x|
    SigmoidFrom,
    /// softplus(x) from log(1 + e^-|x|)
    SoftplusWith,
    /// log1mexp(a) and expm1(a)
    Log1mExpAndExpm1,
    Sum,
    Mean,
    Greatest,
    LogSumExp,
    /// The order that the two below go by.
    Ascending,
    Sorted,
    Unsorted,
    PrefixSums,
    SuffixSums,
    Shifted,
}

impl Helper {
    /// The helper that an operation needs, if it needs one.
    pub(in crate::codegen) fn of_unary(op: Unary) -> Option<Self> {
        match op {
            Unary::Log1mExp => Some(Helper::Log1mExp),
            Unary::Expm1 => Some(Helper::Expm1),
            Unary::Softplus => Some(Helper::Softplus),
            Unary::Sigmoid => Some(Helper::Sigmoid),
            Unary::Step => Some(Helper::Step),
            Unary::Sign => Some(Helper::Sign),
            _ => None,
        }
    }

    /// The helper that an operation needs, if it needs one.
    pub(in crate::codegen) fn of_binary(op: Binary) -> Option<Self> {
        match op {
            Binary::Max => Some(Helper::Maximum),
            Binary::Min => Some(Helper::Minimum),
            Binary::Pow => Some(Helper::Power),
            Binary::LogAddExp => Some(Helper::LogAddExp),
            _ => None,
        }
    }

    /// Itself and the helpers that its text calls.
    pub(super) fn with_needs(self) -> Vec<Self> {
        let needs: &[Self] = match self {
            Helper::Mean => &[Helper::Sum],
            Helper::Greatest => &[Helper::Maximum],
            Helper::Sorted | Helper::Unsorted => &[Helper::Ascending],
            _ => &[],
        };
        needs.iter().copied().chain([self]).collect()
    }

    /// Its name in the generated code.
    pub(in crate::codegen) fn name(self) -> &'static str {
        match self {
            Helper::Log1mExp => "log1mexp",
            Helper::Expm1 => "expm1",
            Helper::Softplus => "softplus",
            Helper::Sigmoid => "sigmoid",
            Helper::LogAddExp => "logaddexp",
            Helper::Maximum => "maximum",
            Helper::Minimum => "minimum",
            Helper::Power => "power",
            Helper::Step => "step",
            Helper::Sign => "sign",
            Helper::SoftplusFrom => "softplus_from",
            Helper::SigmoidFrom => "sigmoid_from",
            Helper::SoftplusWith => "softplus_with",
            Helper::Log1mExpAndExpm1 => "log1mexp_and_expm1",
            Helper::Sum => "sum",
            Helper::Mean => "mean",
            Helper::Greatest => "greatest",
            Helper::LogSumExp => "log_sum_exp",
            Helper::Ascending => "ascending",
            Helper::Sorted => "sorted",
            Helper::Unsorted => "unsorted",
            Helper::PrefixSums => "prefix_sums",
            Helper::SuffixSums => "suffix_sums",
            Helper::Shifted => "shifted",
        }
    }

    /// Its definition for the float type `T`, to be replaced.
    pub(in crate::codegen) fn definition(self) -> &'static str {
        match self {
            Helper::Log1mExp => {
                "/// ln(1 - e^a) for a <= 0: each form is used where the other cancels.
#[inline]
fn log1mexp(a: T) -> T {
    if a > -::core::T::consts::LN_2 { (-a.exp_m1()).ln() } else { (-a.exp()).ln_1p() }
}
"
            }
            Helper::Expm1 => {
                "/// e^a - 1: the branches of log1mexp.
#[inline]
fn expm1(a: T) -> T {
    if a > -::core::T::consts::LN_2 { a.exp_m1() } else { a.exp() - 1.0 }
}
"
            }
            Helper::Softplus => {
                "/// ln(1 + e^x).
#[inline]
fn softplus(x: T) -> T {
    let linear = if x < 0.0 { 0.0 } else { x };
    linear + (-x.abs()).exp().ln_1p()
}
"
            }
            Helper::Sigmoid => {
                "/// 1 / (1 + e^-x).
#[inline]
fn sigmoid(x: T) -> T {
    let e = (-x.abs()).exp();
    (if x < 0.0 { e } else { 1.0 }) / (1.0 + e)
}
"
            }
            Helper::LogAddExp => {
                "/// ln(e^a + e^b).
#[inline]
fn logaddexp(a: T, b: T) -> T {
    if a == b {
        return a + ::core::T::consts::LN_2;
    }
    let high = if a > b { a } else { b };
    let sum = high + (-(a - b).abs()).exp().ln_1p();
    if a.is_nan() { a } else { sum }
}
"
            }
            Helper::Maximum => {
                "/// The greater; NaN if either is.
#[inline]
fn maximum(a: T, b: T) -> T {
    if a.is_nan() || a > b { a } else { b }
}
"
            }
            Helper::Minimum => {
                "/// The smaller; NaN if either is.
#[inline]
fn minimum(a: T, b: T) -> T {
    if a.is_nan() || a < b { a } else { b }
}
"
            }
            Helper::Power => {
                "/// a^b; a zero base counts as +0.
#[inline]
fn power(a: T, b: T) -> T {
    (if a == 0.0 { 0.0 } else { a }).powf(b)
}
"
            }
            Helper::Step => {
                "/// 1 where x > 0, else 0.
#[inline]
fn step(x: T) -> T {
    if x > 0.0 { 1.0 } else { 0.0 }
}
"
            }
            Helper::Sign => {
                "/// 1, 0 or -1.
#[inline]
fn sign(x: T) -> T {
    if x > 0.0 {
        1.0
    } else if x < 0.0 {
        -1.0
    } else {
        0.0
    }
}
"
            }
            Helper::SoftplusFrom => {
                "/// ln(1 + e^x), from e^-|x|.
#[inline]
fn softplus_from(x: T, e: T) -> T {
    let linear = if x < 0.0 { 0.0 } else { x };
    linear + e.ln_1p()
}
"
            }
            Helper::SigmoidFrom => {
                "/// 1 / (1 + e^-x), from e^-|x|.
#[inline]
fn sigmoid_from(x: T, e: T) -> T {
    (if x < 0.0 { e } else { 1.0 }) / (1.0 + e)
}
"
            }
            Helper::SoftplusWith => {
                "/// ln(1 + e^x), from ln(1 + e^-|x|).
#[inline]
fn softplus_with(x: T, log: T) -> T {
    (if x < 0.0 { 0.0 } else { x }) + log
}
"
            }
            Helper::Log1mExpAndExpm1 => {
                "/// ln(1 - e^a) and e^a - 1, from one exponential.
#[inline]
fn log1mexp_and_expm1(a: T) -> (T, T) {
    if a > -::core::T::consts::LN_2 {
        let difference = a.exp_m1();
        ((-difference).ln(), difference)
    } else {
        let power = a.exp();
        ((-power).ln_1p(), power - 1.0)
    }
}
"
            }
            _ => super::fold::definition(self),
        }
    }
}
