//! Intervals of extended reals: what a value is proved to lie in.

use std::fmt;

/// A non-empty interval; each end is open or closed. An infinite end is open unless the infinity
/// itself can occur (as `log 0` gives -inf).
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
    /// Log-probabilities: (-inf, 0].
    pub const LOG_PROB: Interval = Interval { hi: 0.0, hi_open: false, ..Interval::REAL };

    /// The closed interval `[lo, hi]`.
    pub fn closed(lo: f64, hi: f64) -> Self {
        Self { lo, hi, lo_open: false, hi_open: false }
    }

    /// True when `x` lies inside.
    pub fn contains(&self, x: f64) -> bool {
        (x > self.lo || (x == self.lo && !self.lo_open))
            && (x < self.hi || (x == self.hi && !self.hi_open))
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (l, r) = (if self.lo_open { '(' } else { '[' }, if self.hi_open { ')' } else { ']' });
        write!(f, "{l}{}, {}{r}", self.lo, self.hi)
    }
}
