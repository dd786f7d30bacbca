//! The elementary functions of MIR on intervals: all monotone, so the ends decide.

use super::Interval;
use super::end::{self, End, Side};
use crate::codegen::interp::primitive::f64 as primitive;

/// Bounds on the error of an elementary function, in units in the last place. The C libraries in use
/// stay within one, the composed primitives within three.
const ULPS: u32 = 8;

/// A strictly increasing function: its value, its limits at the ends of its domain, and the points
/// where the value is exact.
struct Increasing {
    value: fn(f64) -> f64,
    domain: (f64, f64),
    limits: (f64, f64),
    exact: Option<(f64, f64)>,
}

impl Increasing {
    fn end(&self, x: End, side: Side) -> End {
        if x.0 <= self.domain.0 {
            return (self.limits.0, x.1);
        }
        if x.0 >= self.domain.1 {
            return (self.limits.1, x.1);
        }
        if let Some((at, value)) = self.exact
            && x.0 == at
        {
            return (value, x.1);
        }
        let approx = (self.value)(x.0);
        let (bound, open) = end::approximate(approx, ULPS, side);
        // Inside the domain the limits are never reached.
        match side {
            Side::Low if bound <= self.limits.0 => (self.limits.0, true),
            Side::High if bound >= self.limits.1 => (self.limits.1, true),
            Side::Low if approx == f64::INFINITY => (f64::MAX, false),
            Side::High if approx == f64::NEG_INFINITY => (f64::MIN, false),
            _ => (bound, open),
        }
    }

    /// The image of the part of `x` inside the domain; everything when that part is empty.
    fn image(&self, x: &Interval) -> Interval {
        match x.intersect(&Interval::closed(self.domain.0, self.domain.1)) {
            Some(x) => {
                Interval::from_ends(self.end(x.low(), Side::Low), self.end(x.high(), Side::High))
            }
            None => Interval::EXTENDED,
        }
    }
}

const INF: f64 = f64::INFINITY;

impl Interval {
    /// e^x.
    #[must_use]
    pub fn exp(&self) -> Interval {
        let f = Increasing {
            value: f64::exp,
            domain: (-INF, INF),
            limits: (0.0, INF),
            exact: Some((0.0, 1.0)),
        };
        f.image(self)
    }

    /// ln x of the values >= 0; -inf at 0.
    #[must_use]
    pub fn ln(&self) -> Interval {
        let f = Increasing {
            value: f64::ln,
            domain: (0.0, INF),
            limits: (-INF, INF),
            exact: Some((1.0, 0.0)),
        };
        f.image(self)
    }

    /// ln(1 + x) of the values >= -1; -inf at -1.
    #[must_use]
    pub fn ln_1p(&self) -> Interval {
        let f = Increasing {
            value: f64::ln_1p,
            domain: (-1.0, INF),
            limits: (-INF, INF),
            exact: Some((0.0, 0.0)),
        };
        f.image(self)
    }

    /// e^x - 1.
    #[must_use]
    pub fn exp_m1(&self) -> Interval {
        let f = Increasing {
            value: f64::exp_m1,
            domain: (-INF, INF),
            limits: (-1.0, INF),
            exact: Some((0.0, 0.0)),
        };
        f.image(self)
    }

    /// ln(1 - e^x) of the values <= 0; -inf at 0.
    #[must_use]
    pub fn log1mexp(&self) -> Interval {
        // Decreasing in x, so increasing in -x.
        let f = Increasing {
            value: |x| primitive::log1mexp(-x),
            domain: (0.0, INF),
            limits: (-INF, 0.0),
            exact: None,
        };
        f.image(&-*self)
    }

    /// ln(1 + e^x).
    #[must_use]
    pub fn softplus(&self) -> Interval {
        let f = Increasing {
            value: primitive::softplus,
            domain: (-INF, INF),
            limits: (0.0, INF),
            exact: None,
        };
        f.image(self)
    }

    /// 1 / (1 + e^-x).
    #[must_use]
    pub fn sigmoid(&self) -> Interval {
        let f = Increasing {
            value: primitive::sigmoid,
            domain: (-INF, INF),
            limits: (0.0, 1.0),
            exact: Some((0.0, 0.5)),
        };
        f.image(self)
    }
}
