//! Ranges of parameters: enough interval arithmetic to know the sign of a constant.

use crate::mir::Interval;
use std::fmt;

/// A closed range of reals; an infinite end is not reached.
///
/// Arithmetic rounds outwards, and only where a result is inexact: a sign that it reports is right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// Lower end.
    pub lo: f64,
    /// Upper end.
    pub hi: f64,
}

impl Range {
    /// All finite numbers.
    pub const REAL: Range = Range { lo: f64::NEG_INFINITY, hi: f64::INFINITY };

    /// From `lo` to `hi`; all finite numbers where an end is NaN or they are out of order.
    pub fn new(lo: f64, hi: f64) -> Self {
        if lo <= hi { Self { lo, hi } } else { Self::REAL }
    }

    /// Only this number, up to the rounding of a quotient of two whole numbers.
    pub(super) fn point(num: i128, den: i128) -> Self {
        let value = num as f64 / den as f64;
        let exact = num.unsigned_abs() < 1 << 53
            && den.unsigned_abs() < 1 << 53
            && value.mul_add(den as f64, -(num as f64)) == 0.0;
        if exact { Self::new(value, value) } else { Self::new(value.next_down(), value.next_up()) }
    }

    /// No value below 0.
    pub fn is_non_negative(self) -> bool {
        self.lo >= 0.0
    }

    /// No value above 0.
    pub fn is_non_positive(self) -> bool {
        self.hi <= 0.0
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self::new(sum(self.lo, other.lo, false), sum(self.hi, other.hi, true))
    }

    pub(super) fn times(self, other: Self) -> Self {
        let ends =
            [(self.lo, other.lo), (self.lo, other.hi), (self.hi, other.lo), (self.hi, other.hi)];
        let lo = ends.iter().map(|&(a, b)| product(a, b, false)).fold(f64::INFINITY, f64::min);
        let hi = ends.iter().map(|&(a, b)| product(a, b, true)).fold(f64::NEG_INFINITY, f64::max);
        Self::new(lo, hi)
    }

    /// 1 / x. A range that reaches 0 at an end is read as open there: the quotient must exist.
    pub(super) fn reciprocal(self) -> Self {
        if self.lo < 0.0 && self.hi > 0.0 {
            return Self::REAL;
        }
        let at_zero = if self.is_non_negative() { f64::INFINITY } else { f64::NEG_INFINITY };
        let end = |x: f64, up: bool| {
            if x == 0.0 {
                return at_zero;
            }
            if x.is_infinite() {
                return 0.0;
            }
            let r = 1.0 / x;
            let error = (-r).mul_add(x, 1.0);
            outwards(r, if x > 0.0 { error } else { -error }, up)
        };
        // 1/x falls, so the ends change places.
        Self::new(end(self.hi, false), end(self.lo, true))
    }

    /// ln x for x > 0.
    pub(super) fn ln(self) -> Self {
        let end = |x: f64, up: bool| match x {
            1.0 => 0.0,
            x if x <= 0.0 => f64::NEG_INFINITY,
            x if x.is_infinite() => x,
            // The library's logarithm is good to an ulp or two.
            x if up => x.ln().next_up().next_up(),
            x => x.ln().next_down().next_down(),
        };
        Self::new(end(self.lo, false), end(self.hi, true))
    }
}

/// The end of a range: `value`, moved outwards where the exact result lies on that side.
fn outwards(value: f64, error: f64, up: bool) -> f64 {
    match up {
        true if error > 0.0 => value.next_up(),
        false if error < 0.0 => value.next_down(),
        // An error that underflows is not seen.
        _ if error.is_nan() && value.is_finite() => {
            if up {
                value.next_up()
            } else {
                value.next_down()
            }
        }
        _ => value,
    }
}

fn sum(a: f64, b: f64, up: bool) -> f64 {
    let s = a + b;
    if s.is_nan() {
        return if up { f64::INFINITY } else { f64::NEG_INFINITY };
    }
    let t = s - a;
    outwards(s, (a - (s - t)) + (b - t), up)
}

fn product(a: f64, b: f64, up: bool) -> f64 {
    if a == 0.0 || b == 0.0 {
        // An infinite end is not reached.
        return 0.0;
    }
    let p = a * b;
    let positive = (a > 0.0) == (b > 0.0);
    if p.abs() < f64::MIN_POSITIVE {
        // Between 0 and the smallest normal number, on the side of the sign.
        return match (positive, up) {
            (true, true) => f64::MIN_POSITIVE,
            (false, false) => -f64::MIN_POSITIVE,
            _ => 0.0,
        };
    }
    if p.is_infinite() {
        let reached = a.is_infinite() || b.is_infinite();
        return match (positive, up, reached) {
            (true, false, false) => f64::MAX,
            (false, true, false) => f64::MIN,
            _ => p,
        };
    }
    outwards(p, a.mul_add(b, -p), up)
}

impl From<Interval> for Range {
    fn from(i: Interval) -> Self {
        Self::new(i.lo, i.hi)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {}]", self.lo, self.hi)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range() -> impl Strategy<Value = (Range, f64)> {
        let end = prop_oneof![
            Just(0.0),
            -4.0..4.0f64,
            Just(1e-320),
            Just(-1e-320),
            Just(1e300),
            Just(f64::INFINITY),
            Just(f64::NEG_INFINITY),
        ];
        (end.clone(), end, 0.0..=1.0f64).prop_filter_map("a point inside", |(a, b, t)| {
            let range = Range::new(a.min(b), a.max(b));
            let (lo, hi) = (range.lo.max(-1e9), range.hi.min(1e9));
            let inside = (lo + t * (hi - lo)).clamp(lo.min(hi), hi.max(lo));
            (range.lo <= inside && inside <= range.hi).then_some((range, inside))
        })
    }

    fn holds(range: Range, x: f64) -> bool {
        x.is_nan() || (range.lo <= x && x <= range.hi)
    }

    proptest! {
        #[test]
        fn results_lie_in_the_range((a, x) in range(), (b, y) in range()) {
            prop_assert!(holds(a.plus(b), x + y));
            prop_assert!(holds(a.times(b), x * y));
            if x != 0.0 && !(a.lo < 0.0 && a.hi > 0.0) {
                prop_assert!(holds(a.reciprocal(), 1.0 / x));
            }
            if x > 0.0 {
                prop_assert!(holds(a.ln(), x.ln()));
            }
        }

        #[test]
        fn signs_survive(p in 1e-300..1e300f64, q in 1e-300..1e300f64) {
            let positive = Range::new(0.0, p).times(Range::new(0.0, q).reciprocal());
            prop_assert!(positive.is_non_negative());
            prop_assert!(positive.times(Range::new(-q, 0.0)).is_non_positive());
        }
    }

    #[test]
    fn a_margin_over_a_temperature_is_not_negative() {
        let half_line = Range::new(0.0, f64::INFINITY);
        assert_eq!(half_line.times(half_line.reciprocal()), half_line);
        assert!(!Range::REAL.reciprocal().is_non_negative());
    }
}
