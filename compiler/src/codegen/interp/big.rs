//! High-precision extended reals: the oracle against which f32 and f64 are measured.
//!
//! In: f64 values, exactly. Out: results of every operation of [`Real`] rounded to `BITS` significant
//! bits (to a few units in the last place for the composed functions). Invariant: no operation panics;
//! zeros carry a sign, and infinities and NaN are values.

mod decimal;

use super::Real;
use crate::mir::interval::Precision;
use dashu_float::round::mode::HalfEven;
use dashu_float::{ConstCache, Context, FBig, FpError, FpResult, Repr};
use std::cell::RefCell;
use std::cmp::Ordering;

type Float = FBig<HalfEven, 2>;

/// An extended real with `BITS` significant bits and a practically unbounded exponent.
///
/// Beyond |x| = 2^40 an exponential saturates to 0 or infinity: results that small or large mean
/// nothing to any caller, and their exponents would outgrow the machine word.
#[derive(Clone, Debug)]
pub struct Big<const BITS: usize = 256>(Value);

#[derive(Clone, Debug)]
enum Value {
    Zero {
        negative: bool,
    },
    /// Finite and not 0.
    Finite(Float),
    Infinity {
        negative: bool,
    },
    Nan,
}

use Value::{Finite, Infinity, Nan, Zero};

thread_local! {
    // ln 2 is needed by every logarithm and exponential.
    static CONSTANTS: RefCell<ConstCache> = const { RefCell::new(ConstCache::new()) };
}

/// Above this magnitude exponentials saturate.
const SATURATION: f64 = (1_u64 << 40) as f64;

/// A function of dashu with its cache of constants.
type Function = fn(&Context<HalfEven>, &Repr<2>, Option<&mut ConstCache>) -> FpResult<Float>;

impl<const BITS: usize> Big<BITS> {
    const CONTEXT: Context<HalfEven> = Context::new(BITS);

    fn zero(negative: bool) -> Self {
        Self(Zero { negative })
    }

    fn one() -> Self {
        Self::from_f64(1.0)
    }

    fn infinity(negative: bool) -> Self {
        Self(Infinity { negative })
    }

    fn nan() -> Self {
        Self(Nan)
    }

    /// True for negative numbers, -inf and -0.
    fn has_minus_sign(&self) -> bool {
        match &self.0 {
            Zero { negative } | Infinity { negative } => *negative,
            Finite(x) => x.repr() < &Repr::zero(),
            Nan => false,
        }
    }

    /// Wraps a rounded result; a 0 in it is the sum of opposites, which is +0.
    fn wrap(result: FpResult<Float>) -> Self {
        let minus = |sign| sign == dashu_float::Repr::<2>::neg_one().sign();
        match result {
            Ok(rounded) => {
                let x = rounded.value();
                if x.repr().is_infinite() {
                    Self::infinity(x.repr() < &Repr::zero())
                } else if x.repr().significand().is_zero() {
                    Self::zero(false)
                } else {
                    Self(Finite(x))
                }
            }
            Err(FpError::Overflow(sign)) => Self::infinity(minus(sign)),
            Err(FpError::Underflow(sign)) => Self::zero(minus(sign)),
            Err(_) => Self::nan(),
        }
    }

    fn apply(x: &Float, context: &Context<HalfEven>, f: Function) -> FpResult<Float> {
        CONSTANTS.with(|c| match c.try_borrow_mut() {
            Ok(mut cache) => f(context, x.repr(), Some(&mut cache)),
            Err(_) => f(context, x.repr(), None),
        })
    }

    /// `Some` of the saturated exponential where the argument is out of range.
    fn saturated_exp(x: &Float) -> Option<Self> {
        let approx = to_f64(x);
        if approx > SATURATION {
            Some(Self::infinity(false))
        } else if approx < -SATURATION {
            Some(Self::zero(false))
        } else {
            None
        }
    }

    /// How far `computed` lies from this value, in units in the last place of this value in the given
    /// type; 0 where both are the same infinity, NaN, or overflow, and infinite where only one is.
    pub fn error_in_ulps(&self, computed: f64, precision: Precision) -> f64 {
        let exact = self.to_f64();
        if exact.is_nan() || computed.is_nan() {
            return if exact.is_nan() && computed.is_nan() { 0.0 } else { f64::INFINITY };
        }
        if computed.is_infinite() {
            // Half a unit beyond the greatest number, or more, is rounded to the infinity.
            let overflows = exact.abs() > precision.max() || exact.is_infinite();
            return if overflows && exact.signum() == computed.signum() {
                0.0
            } else {
                f64::INFINITY
            };
        }
        if exact.is_infinite() {
            let rounds_down = precision == Precision::F64 && computed.abs() == f64::MAX;
            return if rounds_down { 1.0 } else { f64::INFINITY };
        }
        self.distance_in_ulps(&Self::from_f64(computed), precision)
    }

    /// How far another number lies from this one, in units in the last place of this one in a type; NaN
    /// or infinite where one of them is.
    pub fn distance_in_ulps(&self, other: &Self, precision: Precision) -> f64 {
        let scale = self.to_f64().abs().max(precision.min_normal());
        let exponent = scale.log2().floor();
        let ulp = (exponent.exp2() * precision.epsilon()).max(precision.min_subnormal());
        self.sub(other).div(&Self::from_f64(ulp)).abs().to_f64()
    }

    /// The same number with another count of significant bits.
    pub fn to_bits_of<const OTHER: usize>(&self) -> Big<OTHER> {
        Big(match &self.0 {
            Finite(x) => Finite(x.clone().with_precision(OTHER).value()),
            Zero { negative } => Zero { negative: *negative },
            Infinity { negative } => Infinity { negative: *negative },
            Nan => Nan,
        })
    }
}

fn to_f64(x: &Float) -> f64 {
    let magnitude = x.repr().exponent().saturating_add_unsigned(x.repr().digits());
    let negative = x.repr() < &Repr::zero();
    match magnitude {
        1100.. => f64::INFINITY.copysign(if negative { -1.0 } else { 1.0 }),
        ..-1200 => 0.0_f64.copysign(if negative { -1.0 } else { 1.0 }),
        _ => x.to_f64().value(),
    }
}

impl<const BITS: usize> Real for Big<BITS> {
    fn from_f64(x: f64) -> Self {
        if x == 0.0 {
            return Self::zero(x.is_sign_negative());
        }
        if x.is_infinite() {
            return Self::infinity(x < 0.0);
        }
        match Float::try_from(x) {
            Ok(exact) => Self(Finite(exact.with_precision(BITS).value())),
            Err(_) => Self::nan(),
        }
    }

    fn to_f64(&self) -> f64 {
        match &self.0 {
            Zero { negative: false } => 0.0,
            Zero { negative: true } => -0.0,
            Infinity { negative: false } => f64::INFINITY,
            Infinity { negative: true } => f64::NEG_INFINITY,
            Nan => f64::NAN,
            Finite(x) => to_f64(x),
        }
    }

    fn neg(&self) -> Self {
        Self(match &self.0 {
            Zero { negative } => Zero { negative: !negative },
            Infinity { negative } => Infinity { negative: !negative },
            Finite(x) => Finite(-x),
            Nan => Nan,
        })
    }

    fn exp(&self) -> Self {
        match &self.0 {
            Zero { .. } => Self::one(),
            Infinity { negative: true } => Self::zero(false),
            Infinity { negative: false } => Self::infinity(false),
            Nan => Self::nan(),
            Finite(x) => Self::saturated_exp(x)
                .unwrap_or_else(|| Self::wrap(Self::apply(x, &Self::CONTEXT, Context::exp))),
        }
    }

    fn ln(&self) -> Self {
        match &self.0 {
            Zero { .. } => Self::infinity(true),
            Infinity { negative: false } => Self::infinity(false),
            Finite(x) if !self.has_minus_sign() => {
                Self::wrap(Self::apply(x, &Self::CONTEXT, Context::ln))
            }
            _ => Self::nan(),
        }
    }

    fn ln_1p(&self) -> Self {
        match &self.0 {
            Zero { negative } => Self::zero(*negative),
            Infinity { negative: false } => Self::infinity(false),
            Finite(x) => match x.repr().cmp(&Repr::neg_one()) {
                Ordering::Less => Self::nan(),
                Ordering::Equal => Self::infinity(true),
                Ordering::Greater => Self::wrap(Self::apply(x, &Self::CONTEXT, Context::ln_1p)),
            },
            _ => Self::nan(),
        }
    }

    fn exp_m1(&self) -> Self {
        match &self.0 {
            Zero { negative } => Self::zero(*negative),
            Infinity { negative: false } => Self::infinity(false),
            Infinity { negative: true } => Self::one().neg(),
            Nan => Self::nan(),
            Finite(x) => match Self::saturated_exp(x) {
                Some(e) => e.sub(&Self::one()),
                None => Self::wrap(Self::apply(x, &Self::CONTEXT, Context::exp_m1)),
            },
        }
    }

    fn log1mexp(&self) -> Self {
        if self.is_positive() {
            Self::nan()
        } else if self.to_f64() > -std::f64::consts::LN_2 {
            self.exp_m1().neg().ln()
        } else {
            self.exp().neg().ln_1p()
        }
    }

    fn softplus(&self) -> Self {
        let rest = self.abs().neg().exp().ln_1p();
        if self.is_positive() { self.add(&rest) } else { rest }
    }

    fn sigmoid(&self) -> Self {
        if self.is_negative() {
            let e = self.exp();
            e.div(&Self::one().add(&e))
        } else {
            Self::one().div(&Self::one().add(&self.neg().exp()))
        }
    }

    fn abs(&self) -> Self {
        if self.has_minus_sign() { self.neg() } else { self.clone() }
    }

    fn add(&self, b: &Self) -> Self {
        match (&self.0, &b.0) {
            (Nan, _) | (_, Nan) => Self::nan(),
            (Infinity { negative: x }, Infinity { negative: y }) if x != y => Self::nan(),
            (Infinity { .. }, _) => self.clone(),
            (_, Infinity { .. }) => b.clone(),
            (Zero { negative: x }, Zero { negative: y }) => Self::zero(*x && *y),
            (Zero { .. }, _) => b.clone(),
            (_, Zero { .. }) => self.clone(),
            (Finite(x), Finite(y)) => Self::wrap(Self::CONTEXT.add(x.repr(), y.repr())),
        }
    }

    fn sub(&self, b: &Self) -> Self {
        self.add(&b.neg())
    }

    fn mul(&self, b: &Self) -> Self {
        let negative = self.has_minus_sign() != b.has_minus_sign();
        match (&self.0, &b.0) {
            (Nan, _) | (_, Nan) => Self::nan(),
            (Zero { .. }, Infinity { .. }) | (Infinity { .. }, Zero { .. }) => Self::nan(),
            (Zero { .. }, _) | (_, Zero { .. }) => Self::zero(negative),
            (Infinity { .. }, _) | (_, Infinity { .. }) => Self::infinity(negative),
            (Finite(x), Finite(y)) => Self::wrap(Self::CONTEXT.mul(x.repr(), y.repr())),
        }
    }

    fn div(&self, b: &Self) -> Self {
        let negative = self.has_minus_sign() != b.has_minus_sign();
        match (&self.0, &b.0) {
            (Nan, _) | (_, Nan) => Self::nan(),
            (Zero { .. }, Zero { .. }) | (Infinity { .. }, Infinity { .. }) => Self::nan(),
            (Zero { .. }, _) | (_, Infinity { .. }) => Self::zero(negative),
            (Infinity { .. }, _) | (_, Zero { .. }) => Self::infinity(negative),
            (Finite(x), Finite(y)) => Self::wrap(Self::CONTEXT.div(x.repr(), y.repr())),
        }
    }

    fn pow(&self, b: &Self) -> Self {
        let one = Self::one();
        let at_one = !self.exceeds(&one) && !one.exceeds(self) && !self.is_nan();
        match (&self.0, &b.0) {
            (_, Zero { .. }) => one,
            _ if at_one => one,
            (Nan, _) | (_, Nan) => Self::nan(),
            _ if self.is_negative() => Self::nan(),
            // A logarithm that is infinite, or an exponent that is, decides by sign alone.
            _ => self.ln().mul(b).exp(),
        }
    }

    fn logaddexp(&self, b: &Self) -> Self {
        let (high, low) = if self.exceeds(b) { (self, b) } else { (b, self) };
        if matches!(high.0, Infinity { .. }) && !low.is_nan() {
            return high.clone();
        }
        high.add(&low.sub(high).exp().ln_1p())
    }

    fn is_positive(&self) -> bool {
        matches!(self.0, Finite(_) | Infinity { .. }) && !self.has_minus_sign()
    }

    fn is_negative(&self) -> bool {
        matches!(self.0, Finite(_) | Infinity { .. }) && self.has_minus_sign()
    }

    fn is_nan(&self) -> bool {
        matches!(self.0, Nan)
    }

    fn exceeds(&self, b: &Self) -> bool {
        match (&self.0, &b.0) {
            (Nan, _) | (_, Nan) => false,
            (Infinity { negative: true }, _) | (_, Infinity { negative: false }) => false,
            (Infinity { negative: false }, _) | (_, Infinity { negative: true }) => true,
            (Zero { .. }, Zero { .. }) => false,
            (Zero { .. }, Finite(_)) => b.has_minus_sign(),
            (Finite(_), Zero { .. }) => !self.has_minus_sign(),
            (Finite(x), Finite(y)) => x.repr() > y.repr(),
        }
    }
}

#[cfg(test)]
mod tests;
