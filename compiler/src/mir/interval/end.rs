//! One end of an interval: a bound and whether it is open, rounded outwards where it is inexact.

/// A bound, and true when the bound itself cannot occur.
pub(super) type End = (f64, bool);

/// Which way outwards is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// A lower end.
    Low,
    /// An upper end.
    High,
}

/// The smaller end; of two equal bounds the open one if `open_wins`.
pub(super) fn less(a: End, b: End, open_wins: bool) -> End {
    if a.0 == b.0 {
        (a.0, if open_wins { a.1 || b.1 } else { a.1 && b.1 })
    } else if a.0 < b.0 {
        a
    } else {
        b
    }
}

/// The greater end; of two equal bounds the open one if `open_wins`.
pub(super) fn greater(a: End, b: End, open_wins: bool) -> End {
    let (x, open) = less((-a.0, a.1), (-b.0, b.1), open_wins);
    (-x, open)
}

/// Moves a bound that a correctly rounded operation gave to the next number outwards. The new
/// bound cannot occur, so it is open.
fn outward(bound: f64, side: Side) -> End {
    match side {
        Side::Low => (bound.next_down(), true),
        Side::High => (bound.next_up(), true),
    }
}

/// The end for a finite value near `approx`, computed with an error of at most `ulps` units in the last place.
pub(super) fn approximate(approx: f64, ulps: u32, side: Side) -> End {
    (0..ulps).fold((approx, true), |(x, _), _| outward(x, side))
}

/// a + b of finite bounds or of infinities of one sign.
pub(super) fn add(a: End, b: End, side: Side) -> End {
    let sum = a.0 + b.0;
    if a.0.is_infinite() || b.0.is_infinite() {
        // Opposite infinities: the value is undefined, and no bound is known.
        let bound = match side {
            _ if !sum.is_nan() => sum,
            Side::Low => f64::NEG_INFINITY,
            Side::High => f64::INFINITY,
        };
        let attained = [a, b].iter().any(|e| e.0 == bound && !e.1);
        return (bound, !attained);
    }
    if sum.is_infinite() {
        return overflowed(sum, side);
    }
    // The rounding error of a sum is a float (Knuth's two-sum), so exactness is decidable.
    let virtual_b = sum - a.0;
    let error = (a.0 - (sum - virtual_b)) + (b.0 - virtual_b);
    if error == 0.0 { (sum, a.1 || b.1) } else { outward(sum, side) }
}

/// a b of bounds, with 0 times an infinity taken as 0, the limit of the corner.
pub(super) fn mul(a: End, b: End, side: Side) -> End {
    if a.0 == 0.0 || b.0 == 0.0 {
        let attained = (a.0 == 0.0 && !a.1) || (b.0 == 0.0 && !b.1);
        return (0.0, !attained);
    }
    let product = a.0 * b.0;
    if a.0.is_infinite() || b.0.is_infinite() {
        let attained = [a, b].iter().any(|e| e.0.is_infinite() && !e.1);
        return (product, !attained);
    }
    if product.is_infinite() {
        return overflowed(product, side);
    }
    // Below this magnitude the error of a product is not always a float.
    let exact = product.abs() > 1e-280 && a.0.mul_add(b.0, -product) == 0.0;
    if exact { (product, a.1 || b.1) } else { same_sign(product, a.0 * b.0.signum(), side) }
}

/// a / b of bounds, with 0/0 and infinity over infinity taken as 0, the limit of the corner; a zero
/// `b` carries the sign that its interval gives it.
pub(super) fn div(a: End, b: End, side: Side) -> End {
    if a.0 == 0.0 || (b.0.is_infinite() && a.0.is_infinite()) {
        return (0.0, a.1 && (b.1 || !b.0.is_infinite()));
    }
    if b.0.is_infinite() {
        return (0.0, b.1);
    }
    let quotient = a.0 / b.0;
    if b.0 == 0.0 || a.0.is_infinite() {
        let attained = (b.0 == 0.0 && !b.1) || (a.0.is_infinite() && !a.1);
        return (quotient, !attained);
    }
    if quotient.is_infinite() {
        return overflowed(quotient, side);
    }
    let exact = quotient.abs() > 1e-280 && a.0.abs() > 1e-280 && quotient.mul_add(b.0, -a.0) == 0.0;
    if exact { (quotient, a.1 || b.1) } else { same_sign(quotient, a.0 * b.0.signum(), side) }
}

/// A finite value that rounds to an infinity.
fn overflowed(infinity: f64, side: Side) -> End {
    match (side, infinity > 0.0) {
        (Side::Low, true) => (f64::MAX, false),
        (Side::High, false) => (f64::MIN, false),
        _ => (infinity, true),
    }
}

/// The outward end for an inexact value that has the sign of `sign` and is not 0.
fn same_sign(bound: f64, sign: f64, side: Side) -> End {
    let moved = outward(bound, side);
    match side {
        Side::Low if sign > 0.0 && moved.0 < 0.0 => (0.0, true),
        Side::High if sign < 0.0 && moved.0 > 0.0 => (0.0, true),
        _ => moved,
    }
}
