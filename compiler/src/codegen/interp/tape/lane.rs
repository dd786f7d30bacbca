//! Element-wise loops over one chunk, one specialised loop an operation.

use crate::codegen::interp::Real;
use crate::codegen::interp::batch::{Batch, Space};
use crate::mir::{Binary, Unary};

/// An operand as the loop of its user sees it.
pub(super) enum Arg<'a, T> {
    /// One value for all.
    Scalar(&'a T),
    /// One value each.
    Slice(&'a [T]),
    /// The value of the enclosing element.
    Gather {
        /// From element `base` of `outer` on.
        values: &'a [T],
        base: usize,
        batch: &'a Batch<T>,
        outer: Space,
        inner: Space,
        /// The element of `inner` at which the user's loop starts.
        start: usize,
    },
}

impl<'a, T: Real> Arg<'a, T> {
    fn get(&self, i: usize) -> &'a T {
        match *self {
            Arg::Scalar(x) => x,
            Arg::Slice(values) => &values[i],
            Arg::Gather { values, base, batch, outer, inner, start } => {
                // The spaces were checked to contain one another before the run.
                &values[batch.owner(outer, inner, start + i).unwrap_or(base) - base]
            }
        }
    }
}

fn map<T: Real>(a: Arg<'_, T>, out: &mut [T], f: impl Fn(&T) -> T) {
    match &a {
        Arg::Slice(values) => {
            for (to, x) in out.iter_mut().zip(*values) {
                *to = f(x);
            }
        }
        _ => {
            for (i, to) in out.iter_mut().enumerate() {
                *to = f(a.get(i));
            }
        }
    }
}

fn zip<T: Real>(a: Arg<'_, T>, b: Arg<'_, T>, out: &mut [T], f: impl Fn(&T, &T) -> T) {
    match (&a, &b) {
        (Arg::Slice(a), Arg::Slice(b)) => {
            for ((to, x), y) in out.iter_mut().zip(*a).zip(*b) {
                *to = f(x, y);
            }
        }
        (Arg::Slice(a), Arg::Scalar(y)) => {
            for (to, x) in out.iter_mut().zip(*a) {
                *to = f(x, y);
            }
        }
        (Arg::Scalar(x), Arg::Slice(b)) => {
            for (to, y) in out.iter_mut().zip(*b) {
                *to = f(x, y);
            }
        }
        _ => {
            for (i, to) in out.iter_mut().enumerate() {
                *to = f(a.get(i), b.get(i));
            }
        }
    }
}

/// A one-operand operation.
pub(super) fn unary<T: Real>(op: Unary, a: Arg<'_, T>, out: &mut [T]) {
    // The functions are named one by one, so that each loop is compiled with its own inlined.
    match op {
        Unary::Neg => map(a, out, T::neg),
        Unary::Exp => map(a, out, T::exp),
        Unary::Log => map(a, out, T::ln),
        Unary::Log1p => map(a, out, T::ln_1p),
        Unary::Expm1 => map(a, out, T::exp_m1),
        Unary::Log1mExp => map(a, out, T::log1mexp),
        Unary::Softplus => map(a, out, T::softplus),
        Unary::Sigmoid => map(a, out, T::sigmoid),
        Unary::Abs => map(a, out, T::abs),
        Unary::Step => map(a, out, T::step),
        Unary::Sign => map(a, out, T::sign),
        Unary::StopGradient => map(a, out, T::clone),
    }
}

/// A two-operand operation.
pub(super) fn binary<T: Real>(op: Binary, a: Arg<'_, T>, b: Arg<'_, T>, out: &mut [T]) {
    match op {
        Binary::Add => zip(a, b, out, T::add),
        Binary::Sub => zip(a, b, out, T::sub),
        Binary::Mul => zip(a, b, out, T::mul),
        Binary::Div => zip(a, b, out, T::div),
        Binary::Max => zip(a, b, out, T::max),
        Binary::Min => zip(a, b, out, T::min),
        Binary::Pow => zip(a, b, out, T::pow),
        Binary::LogAddExp => zip(a, b, out, T::logaddexp),
    }
}

/// `if c > 0 { a } else { b }`.
pub(super) fn select<T: Real>(c: Arg<'_, T>, a: Arg<'_, T>, b: Arg<'_, T>, out: &mut [T]) {
    for (i, to) in out.iter_mut().enumerate() {
        *to = if c.get(i).is_positive() { a.get(i).clone() } else { b.get(i).clone() };
    }
}
