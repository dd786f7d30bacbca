//! What rounding can do to a value of an interval: overflow and underflow in a working type.

use super::Interval;

/// A working type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Precision {
    /// IEEE binary32.
    F32,
    /// IEEE binary64.
    F64,
}

/// Room for the error of the operation that computes the value: a bound is trusted to a factor of 2.
const SLACK: f64 = 2.0;

impl Precision {
    /// The greatest finite number.
    pub fn max(self) -> f64 {
        match self {
            Precision::F32 => f64::from(f32::MAX),
            Precision::F64 => f64::MAX,
        }
    }

    /// The smallest positive normal number.
    pub fn min_normal(self) -> f64 {
        match self {
            Precision::F32 => f64::from(f32::MIN_POSITIVE),
            Precision::F64 => f64::MIN_POSITIVE,
        }
    }

    /// The smallest positive number.
    pub fn min_subnormal(self) -> f64 {
        match self {
            Precision::F32 => f64::from(f32::from_bits(1)),
            Precision::F64 => f64::from_bits(1),
        }
    }

    /// The distance from 1 to the next greater number.
    pub fn epsilon(self) -> f64 {
        match self {
            Precision::F32 => f64::from(f32::EPSILON),
            Precision::F64 => f64::EPSILON,
        }
    }
}

/// Must-facts about a value that is computed once, with an error of at most half of itself, from operands
/// that are exact: `true` is proved, `false` is "may happen".
///
/// `exp` of (0, 100) may overflow in f32 and not in f64; `exp` of (-inf, 0] may underflow in both.
impl Interval {
    /// No value overflows to an infinity.
    pub fn stays_finite(&self, precision: Precision) -> bool {
        let limit = precision.max() / SLACK;
        self.lo >= -limit && self.hi <= limit
    }

    /// No value other than 0 underflows to 0.
    pub fn stays_nonzero(&self, precision: Precision) -> bool {
        self.is_at_least(SLACK * precision.min_subnormal())
    }

    /// No value loses digits by becoming subnormal, or underflows.
    pub fn stays_normal(&self, precision: Precision) -> bool {
        self.is_at_least(SLACK * precision.min_normal())
    }

    fn is_at_least(&self, magnitude: f64) -> bool {
        self.is_point() == Some(0.0) || self.lo >= magnitude || self.hi <= -magnitude
    }
}
