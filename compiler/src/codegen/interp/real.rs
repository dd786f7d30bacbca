//! The scalar operations of MIR over a type of numbers: f32, f64, or the high-precision [`super::Big`].

use super::primitive;
use std::fmt;

/// A type of extended reals that can evaluate MIR.
///
/// Conventions, the same in every implementation: overflow is a signed infinity, underflow 0;
/// `ln(0)` and `log1mexp(0)` are -inf; a nonzero number divided by a zero is an infinity with the
/// sign that the signed zero gives; NaN comes only from NaN or from outside an operation's domain.
pub trait Real: Clone + fmt::Debug + Send + Sync + 'static {
    /// The value of a finite number, an infinity or NaN, rounded to nearest.
    fn from_f64(x: f64) -> Self;
    /// The nearest f64.
    fn to_f64(&self) -> f64;

    /// -x
    fn neg(&self) -> Self;
    /// e^x
    fn exp(&self) -> Self;
    /// ln x
    fn ln(&self) -> Self;
    /// ln(1 + x)
    fn ln_1p(&self) -> Self;
    /// e^x - 1
    fn exp_m1(&self) -> Self;
    /// ln(1 - e^x)
    fn log1mexp(&self) -> Self;
    /// ln(1 + e^x)
    fn softplus(&self) -> Self;
    /// 1 / (1 + e^-x)
    fn sigmoid(&self) -> Self;
    /// |x|
    fn abs(&self) -> Self;

    /// a + b
    fn add(&self, b: &Self) -> Self;
    /// a - b
    fn sub(&self, b: &Self) -> Self;
    /// a b
    fn mul(&self, b: &Self) -> Self;
    /// a / b
    fn div(&self, b: &Self) -> Self;
    /// a^b, with x^0 = 1^x = 1
    fn pow(&self, b: &Self) -> Self;
    /// ln(e^a + e^b)
    fn logaddexp(&self, b: &Self) -> Self;

    /// x > 0
    fn is_positive(&self) -> bool;
    /// x < 0
    fn is_negative(&self) -> bool;
    /// Not a number.
    fn is_nan(&self) -> bool;
    /// a > b
    fn exceeds(&self, b: &Self) -> bool;

    /// The greater; NaN if either is.
    fn max(&self, b: &Self) -> Self {
        if self.is_nan() || (self.exceeds(b) && !b.is_nan()) { self.clone() } else { b.clone() }
    }

    /// The smaller; NaN if either is.
    fn min(&self, b: &Self) -> Self {
        if self.is_nan() || (b.exceeds(self) && !b.is_nan()) { self.clone() } else { b.clone() }
    }

    /// 1 where x > 0, else 0.
    fn step(&self) -> Self {
        Self::from_f64(f64::from(self.is_positive()))
    }

    /// 1, 0 or -1.
    fn sign(&self) -> Self {
        Self::from_f64(f64::from(self.is_positive()) - f64::from(self.is_negative()))
    }
}

macro_rules! real_for_float {
    ($type:ident) => {
        impl Real for $type {
            #[inline]
            fn from_f64(x: f64) -> Self {
                x as $type
            }
            #[inline]
            fn to_f64(&self) -> f64 {
                f64::from(*self)
            }
            #[inline]
            fn neg(&self) -> Self {
                -*self
            }
            #[inline]
            fn exp(&self) -> Self {
                $type::exp(*self)
            }
            #[inline]
            fn ln(&self) -> Self {
                $type::ln(*self)
            }
            #[inline]
            fn ln_1p(&self) -> Self {
                $type::ln_1p(*self)
            }
            #[inline]
            fn exp_m1(&self) -> Self {
                primitive::$type::expm1(*self)
            }
            #[inline]
            fn log1mexp(&self) -> Self {
                primitive::$type::log1mexp(*self)
            }
            #[inline]
            fn softplus(&self) -> Self {
                primitive::$type::softplus(*self)
            }
            #[inline]
            fn sigmoid(&self) -> Self {
                primitive::$type::sigmoid(*self)
            }
            #[inline]
            fn abs(&self) -> Self {
                $type::abs(*self)
            }
            #[inline]
            fn add(&self, b: &Self) -> Self {
                *self + *b
            }
            #[inline]
            fn sub(&self, b: &Self) -> Self {
                *self - *b
            }
            #[inline]
            fn mul(&self, b: &Self) -> Self {
                *self * *b
            }
            #[inline]
            fn div(&self, b: &Self) -> Self {
                *self / *b
            }
            #[inline]
            fn pow(&self, b: &Self) -> Self {
                // A zero base counts as +0, the limit from inside the domain.
                (if *self == 0.0 { 0.0 } else { *self }).powf(*b)
            }
            #[inline]
            fn logaddexp(&self, b: &Self) -> Self {
                primitive::$type::logaddexp(*self, *b)
            }
            #[inline]
            fn is_positive(&self) -> bool {
                *self > 0.0
            }
            #[inline]
            fn is_negative(&self) -> bool {
                *self < 0.0
            }
            #[inline]
            fn is_nan(&self) -> bool {
                $type::is_nan(*self)
            }
            #[inline]
            fn exceeds(&self, b: &Self) -> bool {
                *self > *b
            }
        }
    };
}

real_for_float!(f32);
real_for_float!(f64);
