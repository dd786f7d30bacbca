//! The operations on the values of one loop: shared by both evaluators, so that they agree to the last
//! bit.

use super::Real;
use crate::mir::{Direction, Reduce};

/// The sum, by halves: the rounding error grows with the logarithm of the length.
pub(crate) fn sum<T: Real>(values: &[T]) -> T {
    sum_of(values, &T::clone)
}

fn sum_of<T: Real>(values: &[T], term: &impl Fn(&T) -> T) -> T {
    match values {
        [] => T::from_f64(0.0),
        [first, rest @ ..] if rest.len() < 8 => {
            rest.iter().fold(term(first), |total, x| total.add(&term(x)))
        }
        _ => {
            let (a, b) = values.split_at(values.len() / 2);
            sum_of(a, term).add(&sum_of(b, term))
        }
    }
}

/// A reduction of one loop.
pub(crate) fn reduce<T: Real>(op: Reduce, values: &[T]) -> T {
    match op {
        Reduce::Sum => sum(values),
        Reduce::Mean if values.is_empty() => T::from_f64(0.0),
        Reduce::Mean => sum(values).div(&T::from_f64(values.len() as f64)),
        Reduce::Max => {
            values.iter().fold(T::from_f64(f64::NEG_INFINITY), |best, x| T::max(x, &best))
        }
        Reduce::LogSumExp => log_sum_exp(values),
    }
}

fn log_sum_exp<T: Real>(values: &[T]) -> T {
    let mut place = 0;
    for (i, x) in values.iter().enumerate() {
        if x.is_nan() {
            return x.clone();
        }
        if x.exceeds(&values[place]) {
            place = i;
        }
    }
    let Some(high) = values.get(place) else {
        return T::from_f64(f64::NEG_INFINITY);
    };
    // Only an infinity differs from itself by no number.
    if high.sub(high).is_nan() {
        return high.clone();
    }
    // The largest term is exactly 1: the others join it through log1p, as in logaddexp.
    let term = |x: &T| x.sub(high).exp();
    let rest = sum_of(&values[..place], &term).add(&sum_of(&values[place + 1..], &term));
    high.add(&rest.ln_1p())
}

/// The places of a loop's values in ascending order; equal values stay in order, NaN comes last.
pub(crate) fn ascending<T: Real>(values: &[T]) -> Vec<usize> {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let mut places: Vec<usize> = (0..values.len()).collect();
    places.sort_by(|&i, &j| {
        let (a, b) = (&values[i], &values[j]);
        match (a.is_nan(), b.is_nan()) {
            (true, true) => Equal,
            (true, false) => Greater,
            (false, true) => Less,
            _ if a.exceeds(b) => Greater,
            _ if b.exceeds(a) => Less,
            _ => Equal,
        }
    });
    places
}

/// Writes the values in ascending order.
pub(super) fn sorted<T: Real>(values: &[T], out: &mut [T]) {
    for (to, from) in out.iter_mut().zip(ascending(values)) {
        *to = values[from].clone();
    }
}

/// Writes `ranked[r]` to the place that the value of rank `r` has in `keys`; all have one length.
pub(super) fn unsorted<T: Real>(ranked: &[T], keys: &[T], out: &mut [T]) {
    for (place, value) in ascending(keys).into_iter().zip(ranked) {
        out[place] = value.clone();
    }
}

/// Writes at each place the sum of the values up to it.
pub(super) fn prefix_sums<T: Real>(values: &[T], out: &mut [T]) {
    let mut total: Option<T> = None;
    for (to, x) in out.iter_mut().zip(values) {
        let next = total.map_or_else(|| x.clone(), |t| t.add(x));
        *to = next.clone();
        total = Some(next);
    }
}

/// Writes at each place the sum of the values from it on.
pub(super) fn suffix_sums<T: Real>(values: &[T], out: &mut [T]) {
    let mut total: Option<T> = None;
    for (to, x) in out.iter_mut().zip(values).rev() {
        let next = total.map_or_else(|| x.clone(), |t| t.add(x));
        *to = next.clone();
        total = Some(next);
    }
}

/// The places of a loop in the order in which a scan meets them.
fn met(direction: Direction, n: usize) -> impl Iterator<Item = usize> {
    (0..n).map(move |i| match direction {
        Direction::Earlier => i,
        Direction::Later => n - 1 - i,
    })
}

/// Writes at each place the log-sum-exp of the values met before it.
pub(super) fn log_sum_exps<T: Real>(direction: Direction, values: &[T], out: &mut [T]) {
    let mut total = T::from_f64(f64::NEG_INFINITY);
    for i in met(direction, values.len()) {
        let next = total.logaddexp(&values[i]);
        out[i] = total;
        total = next;
    }
}

/// Writes at each place x + a times what was written at the place met before.
pub(super) fn recurrence<T: Real>(direction: Direction, a: &[T], x: &[T], out: &mut [T]) {
    let mut last: Option<T> = None;
    for i in met(direction, x.len()) {
        let next = last.map_or_else(|| x[i].clone(), |y| x[i].add(&a[i].mul(&y)));
        out[i] = next.clone();
        last = Some(next);
    }
}

/// Writes 0, 1, 2, ..
pub(super) fn positions<T: Real>(_: &[T], out: &mut [T]) {
    for (i, to) in out.iter_mut().enumerate() {
        *to = T::from_f64(i as f64);
    }
}

/// Writes at each place the value `by` places later, 0 where there is none.
pub(super) fn shifted<T: Real>(values: &[T], by: i8, out: &mut [T]) {
    for (i, to) in out.iter_mut().enumerate() {
        let from = i.checked_add_signed(isize::from(by)).and_then(|j| values.get(j));
        *to = from.cloned().unwrap_or_else(|| T::from_f64(0.0));
    }
}
