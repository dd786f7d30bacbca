//! Terms at points, in any type of numbers.
//!
//! Why: the last word on a law is its value. In: a term, a value for every leaf. Out: the term's value. A
//! part that reads a loop is a leaf here: its value is free.

use super::language::Expr;
use super::term::Term;
use crate::codegen::interp::Real;
use crate::mir::{Binary, Input, Interval, Param, Unary};
use egg::Language;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where a leaf's values lie.
fn range(leaf: &Arc<Term>, params: &[Param], inputs: &[Input]) -> Interval {
    match leaf.op {
        Expr::Param(i) => params.get(i as usize).map_or(Interval::REAL, |p| p.range),
        Expr::Input(i) => inputs.get(i as usize).map_or(Interval::REAL, |x| x.range),
        _ => Interval::REAL,
    }
}

/// One point of a domain: a value for every leaf, drawn when it is first met, and for every part of a
/// term once it is computed.
pub(super) struct Point<T> {
    seed: u64,
    known: BTreeMap<Arc<Term>, T>,
}

impl<T: Real> Point<T> {
    /// The point of that number.
    pub(super) fn new(seed: u64) -> Point<T> {
        Point { seed, known: BTreeMap::new() }
    }

    /// The value of a term here.
    pub(super) fn value(&mut self, term: &Arc<Term>, params: &[Param], inputs: &[Input]) -> T {
        if let Some(known) = self.known.get(term) {
            return known.clone();
        }
        let value = if let Some(c) = term.op.as_constant() {
            T::from_f64(c)
        } else if term.op.is_leaf() || term.op.reads_loop() {
            let name = term.to_expr().to_string();
            let hash = name
                .bytes()
                .fold(self.seed, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3));
            T::from_f64(sample(&range(term, params, inputs), hash))
        } else {
            let args: Vec<T> = term.args.iter().map(|a| self.value(a, params, inputs)).collect();
            apply(&term.op, &args)
        };
        self.known.insert(term.clone(), value.clone());
        value
    }
}

/// A value of a range, a different one for every seed.
fn sample(range: &Interval, seed: u64) -> f64 {
    let mut state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        state ^= state >> 31;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let (t, size) = (next(), 10.0_f64.powf(4.0 * next() - 2.5));
    match (range.lo.is_finite(), range.hi.is_finite()) {
        (true, true) => range.lo + (range.hi - range.lo) * (0.001 + 0.998 * t),
        (true, false) => range.lo + size,
        (false, true) => range.hi - size,
        (false, false) => size * if t < 0.5 { -1.0 } else { 1.0 },
    }
}

fn apply<T: Real>(op: &Expr, args: &[T]) -> T {
    let zero = || T::from_f64(0.0);
    match (op, args) {
        (Expr::Unary(u, _), [x]) => match u {
            Unary::Neg => x.neg(),
            Unary::Exp => x.exp(),
            Unary::Log => x.ln(),
            Unary::Log1p => x.ln_1p(),
            Unary::Expm1 => x.exp_m1(),
            Unary::Log1mExp => x.log1mexp(),
            Unary::Softplus => x.softplus(),
            Unary::Sigmoid => x.sigmoid(),
            Unary::Abs => x.abs(),
            Unary::Step => T::from_f64(f64::from(x.is_positive())),
            Unary::Sign => T::from_f64(f64::from(x.is_positive()) - f64::from(x.is_negative())),
            Unary::StopGradient => x.clone(),
        },
        (Expr::Binary(b, _), [x, y]) => match b {
            Binary::Add => x.add(y),
            Binary::Sub => x.sub(y),
            Binary::Mul => x.mul(y),
            Binary::Div => x.div(y),
            Binary::Max => x.max(y),
            Binary::Min => x.min(y),
            Binary::Pow => x.pow(y),
            Binary::LogAddExp => x.logaddexp(y),
        },
        (Expr::Select(_), [c, a, b]) => {
            if c.exceeds(&zero()) {
                a.clone()
            } else {
                b.clone()
            }
        }
        _ => T::from_f64(f64::NAN),
    }
}

/// What comparing two terms at one point shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Both are defined and equal.
    Equal,
    /// The left side is undefined there, or too ill-conditioned to compare.
    Silent,
    /// The right side is undefined where the left side is not, or they differ.
    Unequal,
}

/// Compares values that should be equal. `coarse` is the left side with fewer digits: where it differs
/// much, cancellation has eaten the digits.
pub(super) fn compare<T: Real>(left: &T, coarse: f64, right: &T) -> Verdict {
    let (l, r) = (left.to_f64(), right.to_f64());
    if l.is_nan() || l.is_infinite() {
        return Verdict::Silent;
    }
    if r.is_nan() {
        return Verdict::Unequal;
    }
    let scale = l.abs().max(r.abs());
    if (l - coarse).abs() > 1e-9 * scale {
        return Verdict::Silent;
    }
    let difference = left.sub(right).abs().to_f64();
    if difference <= 1e-25 * scale || difference <= 1e-60 {
        Verdict::Equal
    } else {
        Verdict::Unequal
    }
}
