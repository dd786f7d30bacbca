//! Intervals of extended reals: what a value is proved to lie in.
//!
//! Why: a rewrite may use a law with a side condition only where the condition is a proved fact, and
//! a graph is total only where every partial operation is proved inside its domain. In: the declared
//! ranges of parameters and inputs. Out: [`super::transfer`]'s enclosures, and the predicates below.
//!
//! Invariants:
//! * an interval encloses the value that exact real arithmetic gives; ends that are computed inexactly
//!   are moved outwards;
//! * every predicate is a must-fact: `true` is proved, `false` is "not known", never "known not";
//! * what rounding does to such a value (overflow, underflow) is a different question, which
//!   [`Interval::stays_finite`] and its neighbours answer.

mod arithmetic;
mod elementary;
mod end;
mod float;

pub use float::Precision;

use std::fmt;

/// A non-empty interval; each end is open or closed. An infinite end is open unless the infinity
/// itself can occur (as `log 0` gives -inf).
///
/// Equality and membership do not tell -0.0 from 0.0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub lo: f64,
    /// Upper end.
    pub hi: f64,
    /// True when `lo` itself cannot occur.
    pub lo_open: bool,
    /// True when `hi` itself cannot occur.
    pub hi_open: bool,
}

impl Interval {
    /// All finite numbers.
    pub const REAL: Interval =
        Interval { lo: f64::NEG_INFINITY, hi: f64::INFINITY, lo_open: true, hi_open: true };
    /// All finite numbers and both infinities: what is known of an undefined value as well.
    pub const EXTENDED: Interval =
        Interval { lo: f64::NEG_INFINITY, hi: f64::INFINITY, lo_open: false, hi_open: false };
    /// Log-probabilities: (-inf, 0].
    pub const LOG_PROB: Interval = Interval { hi: 0.0, hi_open: false, ..Interval::REAL };
    /// [0, inf).
    pub const NONNEG: Interval = Interval { lo: 0.0, lo_open: false, ..Interval::REAL };
    /// (0, inf).
    pub const POS: Interval = Interval { lo: 0.0, ..Interval::REAL };
    /// [0, 1].
    pub const UNIT: Interval = Interval { lo: 0.0, hi: 1.0, lo_open: false, hi_open: false };

    /// The closed interval `[lo, hi]`.
    pub fn closed(lo: f64, hi: f64) -> Self {
        Self { lo, hi, lo_open: false, hi_open: false }
    }

    /// The open interval `(lo, hi)`.
    pub fn open(lo: f64, hi: f64) -> Self {
        Self { lo, hi, lo_open: true, hi_open: true }
    }

    /// The one value `x`; [`Interval::EXTENDED`] for NaN.
    pub fn point(x: f64) -> Self {
        if x.is_nan() { Self::EXTENDED } else { Self::closed(x, x) }
    }

    /// True when the ends are in order, are numbers, and enclose at least one value.
    pub fn is_valid(&self) -> bool {
        self.lo < self.hi || (self.lo == self.hi && !self.lo_open && !self.hi_open)
    }

    /// True when `x` lies inside.
    pub fn contains(&self, x: f64) -> bool {
        (x > self.lo || (x == self.lo && !self.lo_open))
            && (x < self.hi || (x == self.hi && !self.hi_open))
    }

    /// True when every value of `self` lies in `other`.
    pub fn is_within(&self, other: &Interval) -> bool {
        let low = self.lo > other.lo || (self.lo == other.lo && (self.lo_open || !other.lo_open));
        let high = self.hi < other.hi || (self.hi == other.hi && (self.hi_open || !other.hi_open));
        low && high
    }

    /// The value, where only one is possible.
    pub fn is_point(&self) -> Option<f64> {
        (self.lo == self.hi && !self.lo_open && !self.hi_open).then_some(self.lo)
    }

    /// Every value is >= 0.
    pub fn is_nonneg(&self) -> bool {
        self.lo >= 0.0
    }

    /// Every value is > 0.
    pub fn is_pos(&self) -> bool {
        self.lo > 0.0 || (self.lo == 0.0 && self.lo_open)
    }

    /// Every value is <= 0.
    pub fn is_nonpos(&self) -> bool {
        self.hi <= 0.0
    }

    /// Every value is < 0.
    pub fn is_neg(&self) -> bool {
        self.hi < 0.0 || (self.hi == 0.0 && self.hi_open)
    }

    /// No value is 0.
    pub fn excludes_zero(&self) -> bool {
        !self.contains(0.0)
    }

    /// No value is an infinity.
    pub fn is_finite(&self) -> bool {
        !self.contains(f64::INFINITY) && !self.contains(f64::NEG_INFINITY)
    }

    /// The values in both; `None` when there are none.
    pub fn intersect(&self, other: &Interval) -> Option<Interval> {
        let (lo, lo_open) = end::greater((self.lo, self.lo_open), (other.lo, other.lo_open), true);
        let (hi, hi_open) = end::less((self.hi, self.hi_open), (other.hi, other.hi_open), true);
        let both = Interval { lo, hi, lo_open, hi_open };
        both.is_valid().then_some(both)
    }

    /// The smallest interval that encloses both.
    #[must_use]
    pub fn hull(&self, other: &Interval) -> Interval {
        let (lo, lo_open) = end::less((self.lo, self.lo_open), (other.lo, other.lo_open), false);
        let (hi, hi_open) = end::greater((self.hi, self.hi_open), (other.hi, other.hi_open), false);
        Interval { lo, hi, lo_open, hi_open }
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (l, r) = (if self.lo_open { '(' } else { '[' }, if self.hi_open { ')' } else { ']' });
        write!(f, "{l}{}, {}{r}", self.lo, self.hi)
    }
}
