//! The field operations, order and powers on intervals.

use super::Interval;
use super::end::{self, End, Side};
use crate::codegen::interp::primitive::f64 as primitive;
use std::ops::{Add, Div, Mul, Neg, Sub};

impl Interval {
    pub(super) fn low(&self) -> End {
        (self.lo, self.lo_open)
    }

    pub(super) fn high(&self) -> End {
        (self.hi, self.hi_open)
    }

    pub(super) fn from_ends(low: End, high: End) -> Interval {
        Interval { lo: low.0, lo_open: low.1, hi: high.0, hi_open: high.1 }
    }

    /// The hull of `f` at the four corners: exact for an `f` monotone in each operand.
    fn corners(a: &Interval, b: &Interval, f: impl Fn(End, End, Side) -> End) -> Interval {
        let pairs =
            [(a.low(), b.low()), (a.low(), b.high()), (a.high(), b.low()), (a.high(), b.high())];
        let fold = |side, pick: fn(End, End, bool) -> End| {
            let mut ends = pairs.iter().map(|(x, y)| f(*x, *y, side));
            let first = ends.next().unwrap_or((f64::NAN, false));
            ends.fold(first, |best, e| pick(best, e, false))
        };
        Interval::from_ends(fold(Side::Low, end::less), fold(Side::High, end::greater))
    }

    /// |a|.
    #[must_use]
    pub fn abs(&self) -> Interval {
        if self.is_nonneg() {
            *self
        } else if self.is_nonpos() {
            -*self
        } else {
            let high = end::greater((-self.lo, self.lo_open), self.high(), false);
            Interval::from_ends((0.0, false), high)
        }
    }

    /// The square of one value: tighter than the product of two.
    #[must_use]
    pub fn square(&self) -> Interval {
        let a = self.abs();
        a * a
    }

    /// max(a, b).
    #[must_use]
    pub fn max(&self, other: &Interval) -> Interval {
        Interval::from_ends(
            end::greater(self.low(), other.low(), true),
            end::greater(self.high(), other.high(), false),
        )
    }

    /// min(a, b).
    #[must_use]
    pub fn min(&self, other: &Interval) -> Interval {
        -(-*self).max(&-*other)
    }

    /// ln(e^a + e^b).
    #[must_use]
    pub fn logaddexp(&self, other: &Interval) -> Interval {
        Interval::from_ends(
            logaddexp_end(self.low(), other.low(), Side::Low),
            logaddexp_end(self.high(), other.high(), Side::High),
        )
    }

    /// a^b for the part of `self` that is >= 0, with x^0 = 1^x = 1; [`Interval::EXTENDED`] when that part
    /// is empty.
    #[must_use]
    pub fn pow(&self, exponent: &Interval) -> Interval {
        let nonneg = Interval { hi_open: false, ..Interval::NONNEG };
        match self.intersect(&nonneg) {
            // In each operand alone a power is monotone.
            Some(base) => Interval::corners(&base, exponent, pow_end),
            None => Interval::EXTENDED,
        }
    }
}

fn logaddexp_end(a: End, b: End, side: Side) -> End {
    let (inf, neg_inf) = (f64::INFINITY, f64::NEG_INFINITY);
    if a.0 == inf || b.0 == inf {
        let attained = [a, b].iter().any(|e| e.0 == inf && !e.1);
        return (inf, !attained);
    }
    if a.0 == neg_inf || b.0 == neg_inf {
        let (bound, _) = end::greater(a, b, false);
        return (bound, a.1 || b.1);
    }
    // The absolute error is a few units of the larger operand, which can exceed the result by far.
    let value = primitive::logaddexp(a.0, b.0);
    let scale = value.abs().max(a.0.abs().max(b.0.abs()));
    let error = LOGADDEXP_ULPS * (scale * f64::EPSILON + f64::MIN_POSITIVE);
    match side {
        Side::Low => (value - error, true),
        Side::High => (value + error, true),
    }
}

/// Bounds on logaddexp's error, in units in the last place of its largest operand or result.
const LOGADDEXP_ULPS: f64 = 8.0;

/// Bounds on powf's error, in units in the last place; the C libraries in use stay within one.
const POW_ULPS: u32 = 4;

fn pow_end(a: End, b: End, side: Side) -> End {
    let value = a.0.abs().powf(b.0);
    let limits = [0.0, 1.0, f64::INFINITY];
    // Such an operand decides the value alone, whether or not the other end is attained.
    let decides = |x: End, at: &[f64]| at.contains(&x.0.abs()) && !x.1;
    let attained = (!a.1 && !b.1) || decides(a, &limits) || decides(b, &[0.0, f64::INFINITY]);
    let degenerate =
        a.0 == 0.0 || a.0 == 1.0 || a.0.is_infinite() || b.0 == 0.0 || b.0.is_infinite();
    if degenerate || b.0 == 1.0 {
        return (value, !attained);
    }
    let (bound, _) = end::approximate(value, POW_ULPS, side);
    match side {
        // A finite power of a positive finite number is positive and finite.
        Side::Low if bound <= 0.0 => (0.0, true),
        Side::Low if bound.is_infinite() => (f64::MAX, false),
        _ => (bound, true),
    }
}

impl Neg for Interval {
    type Output = Interval;

    fn neg(self) -> Interval {
        Interval { lo: -self.hi, hi: -self.lo, lo_open: self.hi_open, hi_open: self.lo_open }
    }
}

impl Add for Interval {
    type Output = Interval;

    fn add(self, other: Interval) -> Interval {
        Interval::from_ends(
            end::add(self.low(), other.low(), Side::Low),
            end::add(self.high(), other.high(), Side::High),
        )
    }
}

impl Sub for Interval {
    type Output = Interval;

    fn sub(self, other: Interval) -> Interval {
        self + -other
    }
}

impl Mul for Interval {
    type Output = Interval;

    fn mul(self, other: Interval) -> Interval {
        Interval::corners(&self, &other, end::mul)
    }
}

impl Div for Interval {
    type Output = Interval;

    /// A zero of a divisor of one sign is approached from inside its interval, so that 1/[0, 2] is
    /// [1/2, inf]; where the divisor has both signs nothing is known.
    fn div(self, divisor: Interval) -> Interval {
        let signed = match (divisor.is_nonneg(), divisor.is_nonpos()) {
            (true, false) => Interval { lo: divisor.lo.abs(), ..divisor },
            (false, true) => Interval { hi: -divisor.hi.abs(), ..divisor },
            _ => return Interval::EXTENDED,
        };
        Interval::corners(&self, &signed, end::div)
    }
}
