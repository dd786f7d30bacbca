//! The interval of every operation: from the intervals of its operands to that of its value.
//!
//! Why: one table of facts for the verifier, the rewriter's analysis and the back ends. In: an operation
//! and what is proved of its operands. Out: an interval that encloses every value that the operation
//! can have in exact arithmetic, and, from [`undefined`], whether it can have none.
//!
//! Invariants:
//! * sound: the exact value of the operation on any values of the operands' intervals lies in the result;
//! * where an operation is partial the result encloses the values that are defined, and is
//!   [`Interval::EXTENDED`] where there are none;
//! * loops may be empty: a sum or mean may be 0, a maximum or log-sum-exp -inf.

use super::{Binary, Graph, Input, Interval, Op, Param, Reduce, Unary};
use std::fmt;

/// Why an operation may have no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Undefined {
    /// The argument of a logarithm or the base of a power is not proved to be >= 0 (>= -1 for log1p).
    NegativeLog,
    /// The argument of log1mexp is not proved to be <= 0.
    PositiveLog1mExp,
    /// The divisor is not proved to have one sign.
    DivisorSign,
    /// Both operands of a division may be 0.
    ZeroOverZero,
    /// Both operands of a division may be infinite.
    InfOverInf,
    /// One factor may be 0 and the other infinite.
    ZeroTimesInf,
    /// Infinities of opposite sign may meet in a sum.
    InfMinusInf,
}

impl fmt::Display for Undefined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Undefined::NegativeLog => "the argument of a logarithm may be negative",
            Undefined::PositiveLog1mExp => "the argument of log1mexp may be positive",
            Undefined::DivisorSign => "the divisor may change its sign",
            Undefined::ZeroOverZero => "0 may be divided by 0",
            Undefined::InfOverInf => "an infinity may be divided by an infinity",
            Undefined::ZeroTimesInf => "0 may be multiplied by an infinity",
            Undefined::InfMinusInf => "infinities of opposite sign may cancel",
        })
    }
}

/// The interval of an operation's value.
///
/// `operands` holds the operands' intervals in the order of [`Op::operands`]; operands with the same id
/// are taken to be the same value, so that `x * x` is a square. An index or an operand that does
/// not exist gives [`Interval::EXTENDED`].
pub fn transfer(op: &Op, operands: &[Interval], params: &[Param], inputs: &[Input]) -> Interval {
    let arg = |i: usize| operands.get(i).copied().unwrap_or(Interval::EXTENDED);
    match *op {
        Op::Const(c) => Interval::point(c),
        Op::Param(i) => params.get(i as usize).map_or(Interval::EXTENDED, |p| p.range),
        Op::Input(i) => inputs.get(i as usize).map_or(Interval::EXTENDED, |c| c.range),
        Op::Unary(u, _) => unary(u, arg(0)),
        Op::Binary(b, x, y) if x == y => same(b, arg(0)),
        Op::Binary(b, ..) => binary(b, arg(0), arg(1)),
        Op::Select(..) => select(arg(0), arg(1), arg(2)),
        Op::Reduce(r, _) => reduce(r, arg(0)),
        Op::Count(_) => Interval::NONNEG,
        Op::Sort(_) | Op::Unsort(..) => arg(0),
        Op::SuffixSum(_) | Op::PrefixSum(_) => sum(arg(0)),
        Op::LogSumExps(..) => reduce(Reduce::LogSumExp, arg(0)),
        Op::Recurrence(..) => recurrence(arg(0), arg(1)),
        Op::Position(_) => Interval::NONNEG,
        Op::Shift(_, 0) => arg(0),
        Op::Shift(..) => arg(0).hull(&Interval::point(0.0)),
    }
}

/// The intervals of all nodes of a graph, in their order.
pub fn analyse(graph: &Graph) -> Vec<Interval> {
    let mut facts: Vec<Interval> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let operands = operand_facts(&node.op, &facts);
        facts.push(transfer(&node.op, &operands, &graph.params, &graph.inputs));
    }
    facts
}

/// The intervals of an operation's operands, from those of the nodes before it.
pub(super) fn operand_facts(op: &Op, facts: &[Interval]) -> Vec<Interval> {
    let fact = |i: usize| facts.get(i).copied().unwrap_or(Interval::EXTENDED);
    op.operands().map(|id| fact(id.0 as usize)).collect()
}

fn unary(op: Unary, x: Interval) -> Interval {
    match op {
        Unary::Neg => -x,
        Unary::Exp => x.exp(),
        Unary::Log => x.ln(),
        Unary::Log1p => x.ln_1p(),
        Unary::Expm1 => x.exp_m1(),
        Unary::Log1mExp => x.log1mexp(),
        Unary::Softplus => x.softplus(),
        Unary::Sigmoid => x.sigmoid(),
        Unary::Abs => x.abs(),
        Unary::Step => Interval::closed(f64::from(x.is_pos()), f64::from(!x.is_nonpos())),
        Unary::Sign => {
            let low = if x.is_pos() {
                1.0
            } else if x.is_nonneg() {
                0.0
            } else {
                -1.0
            };
            let high = if x.is_neg() {
                -1.0
            } else if x.is_nonpos() {
                0.0
            } else {
                1.0
            };
            Interval::closed(low, high)
        }
        Unary::StopGradient => x,
    }
}

fn binary(op: Binary, a: Interval, b: Interval) -> Interval {
    match op {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
        Binary::Max => a.max(&b),
        Binary::Min => a.min(&b),
        Binary::Pow => a.pow(&b),
        Binary::LogAddExp => a.logaddexp(&b),
    }
}

/// Both operands are the same value.
fn same(op: Binary, x: Interval) -> Interval {
    match op {
        Binary::Sub => Interval::point(0.0),
        Binary::Mul => x.square(),
        Binary::Div => Interval::point(1.0),
        Binary::Max | Binary::Min => x,
        Binary::Add => x * Interval::point(2.0),
        Binary::Pow | Binary::LogAddExp => binary(op, x, x),
    }
}

fn select(condition: Interval, then: Interval, otherwise: Interval) -> Interval {
    if condition.is_pos() {
        then
    } else if condition.is_nonpos() {
        otherwise
    } else {
        then.hull(&otherwise)
    }
}

/// Sums of one value or more.
fn sum(x: Interval) -> Interval {
    let unbounded = if x.is_nonneg() {
        Interval { hi: f64::INFINITY, hi_open: x.is_finite(), ..x }
    } else if x.is_nonpos() {
        Interval { lo: f64::NEG_INFINITY, lo_open: x.is_finite(), ..x }
    } else if x.is_finite() {
        Interval::REAL
    } else {
        Interval::EXTENDED
    };
    if x.is_point() == Some(0.0) { x } else { unbounded }
}

/// y = x + a y'.
fn recurrence(a: Interval, x: Interval) -> Interval {
    let finite = a.is_finite() && x.is_finite();
    let signed = |end: Interval| if finite { Interval::REAL.intersect(&end) } else { Some(end) };
    let whole = if finite { Interval::REAL } else { Interval::EXTENDED };
    if a.is_nonneg() && x.is_nonneg() {
        signed(Interval::closed(0.0, f64::INFINITY)).unwrap_or(whole)
    } else if a.is_nonneg() && x.is_nonpos() {
        signed(Interval::closed(f64::NEG_INFINITY, 0.0)).unwrap_or(whole)
    } else {
        whole
    }
}

fn reduce(op: Reduce, x: Interval) -> Interval {
    match op {
        Reduce::Sum => sum(x).hull(&Interval::point(0.0)),
        Reduce::Mean => x.hull(&Interval::point(0.0)),
        Reduce::Max => x.hull(&Interval::point(f64::NEG_INFINITY)),
        Reduce::LogSumExp => {
            let open = !x.contains(f64::INFINITY);
            Interval { lo: f64::NEG_INFINITY, lo_open: false, hi: f64::INFINITY, hi_open: open }
        }
    }
}

/// Why an operation may be undefined for some values of its operands; `None` proves that it never is.
///
/// A zero divisor of one sign is allowed: the quotient is then a signed infinity. The branch of a select
/// that is not chosen never counts.
pub fn undefined(op: &Op, operands: &[Interval]) -> Option<Undefined> {
    let arg = |i: usize| operands.get(i).copied().unwrap_or(Interval::EXTENDED);
    match *op {
        Op::Unary(Unary::Log, _) if !arg(0).is_nonneg() => Some(Undefined::NegativeLog),
        Op::Unary(Unary::Log1p, _) if arg(0).lo < -1.0 => Some(Undefined::NegativeLog),
        Op::Unary(Unary::Log1mExp, _) if !arg(0).is_nonpos() => Some(Undefined::PositiveLog1mExp),
        Op::Binary(Binary::Pow, ..) if !arg(0).is_nonneg() => Some(Undefined::NegativeLog),
        Op::Binary(Binary::Add, x, y) if x != y => cancels(arg(0), arg(1)),
        Op::Binary(Binary::Sub, x, y) if x == y => cancels(arg(0), -arg(0)),
        Op::Binary(Binary::Sub, ..) => cancels(arg(0), -arg(1)),
        Op::Binary(Binary::Mul, x, y) if x != y => multiplies(arg(0), arg(1)),
        Op::Binary(Binary::Div, x, y) => divides(arg(0), arg(1), x == y),
        Op::Recurrence(..) if !(arg(0).is_finite() && arg(1).is_finite()) => {
            Some(Undefined::InfMinusInf)
        }
        Op::Reduce(Reduce::Sum | Reduce::Mean, _) | Op::SuffixSum(_) | Op::PrefixSum(_) => {
            cancels(arg(0), arg(0))
        }
        _ => None,
    }
}

fn may_be_infinite(x: &Interval) -> bool {
    !x.is_finite()
}

fn cancels(a: Interval, b: Interval) -> Option<Undefined> {
    let (inf, neg_inf) = (f64::INFINITY, f64::NEG_INFINITY);
    let meet = (a.contains(inf) && b.contains(neg_inf)) || (a.contains(neg_inf) && b.contains(inf));
    meet.then_some(Undefined::InfMinusInf)
}

fn multiplies(a: Interval, b: Interval) -> Option<Undefined> {
    let meet = (a.contains(0.0) && may_be_infinite(&b)) || (b.contains(0.0) && may_be_infinite(&a));
    meet.then_some(Undefined::ZeroTimesInf)
}

fn divides(a: Interval, b: Interval, same: bool) -> Option<Undefined> {
    let signed = b.is_nonneg() || b.is_nonpos() || (same && b.excludes_zero());
    if !signed {
        Some(Undefined::DivisorSign)
    } else if a.contains(0.0) && b.contains(0.0) {
        Some(Undefined::ZeroOverZero)
    } else if may_be_infinite(&a) && may_be_infinite(&b) {
        Some(Undefined::InfOverInf)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INF: f64 = f64::INFINITY;

    #[test]
    fn ends_keep_what_is_known() {
        let lp = Interval::LOG_PROB;
        assert_eq!(lp.exp(), Interval { lo: 0.0, hi: 1.0, lo_open: true, hi_open: false });
        let log1m = Interval { lo: -INF, hi: 0.0, lo_open: false, hi_open: true };
        assert_eq!(lp.log1mexp(), log1m);
        assert_eq!(lp + lp, lp);
        assert_eq!(lp - lp, Interval::REAL);
        assert!((-lp).is_nonneg() && !(-lp).is_pos());
        assert!(Interval::REAL.softplus().is_pos());
        assert_eq!(Interval::REAL.sigmoid(), Interval::open(0.0, 1.0));
        assert_eq!(Interval::closed(0.0, 1.0).ln(), Interval::closed(-INF, 0.0));
        assert_eq!(lp.exp_m1(), Interval { lo: -1.0, hi: 0.0, lo_open: true, hi_open: false });
        let reciprocal = Interval::point(1.0) / lp.exp_m1();
        assert_eq!((reciprocal.lo, reciprocal.lo_open, reciprocal.hi_open), (-INF, false, true));
        assert!(reciprocal.hi <= -1.0);
        assert_eq!(Interval::POS * Interval::POS, Interval::POS);
        assert_eq!(Interval::REAL.square(), Interval::NONNEG);
        assert_eq!(Interval::closed(0.0, 1.0) * Interval::REAL, Interval::REAL);
        assert_eq!(
            Interval::closed(1.0, 2.0) + Interval::closed(0.25, 0.5),
            Interval::closed(1.25, 2.5)
        );
        assert_eq!(
            Interval::closed(0.0, 1.0).intersect(&Interval::POS).map(|i| i.lo_open),
            Some(true)
        );
        assert_eq!(Interval::point(0.0).intersect(&Interval::POS), None);
    }

    #[test]
    fn undefined_names_the_reason() {
        let id = super::super::NodeId;
        let (a, b) = (id(0), id(1));
        let lp = Interval::LOG_PROB;
        assert_eq!(undefined(&Op::Unary(Unary::Log1mExp, a), &[lp]), None);
        let diff = Op::Unary(Unary::Log1mExp, a);
        assert_eq!(undefined(&diff, &[lp - lp]), Some(Undefined::PositiveLog1mExp));
        let p_log_p = Op::Binary(Binary::Mul, a, b);
        let p = Interval::UNIT;
        assert_eq!(undefined(&p_log_p, &[p, p.ln()]), Some(Undefined::ZeroTimesInf));
        let div = Op::Binary(Binary::Div, a, b);
        assert_eq!(undefined(&div, &[Interval::point(1.0), lp.exp_m1()]), None);
        assert_eq!(undefined(&div, &[lp, lp.exp_m1()]), Some(Undefined::ZeroOverZero));
        assert_eq!(undefined(&div, &[lp, Interval::REAL]), Some(Undefined::DivisorSign));
        let sub = Op::Binary(Binary::Sub, a, b);
        assert_eq!(undefined(&sub, &[p.ln(), p.ln()]), Some(Undefined::InfMinusInf));
    }

    #[test]
    fn rounding_facts_are_must_facts() {
        use crate::mir::interval::Precision::{F32, F64};
        let wide = Interval::closed(0.0, 100.0).exp();
        assert!(wide.stays_finite(F64) && !wide.stays_finite(F32));
        assert!(Interval::LOG_PROB.exp().stays_finite(F32));
        assert!(!Interval::LOG_PROB.exp().stays_nonzero(F64));
        assert!(Interval::closed(-80.0, 0.0).exp().stays_normal(F32));
        assert!(!Interval::closed(-100.0, 0.0).exp().stays_normal(F32));
        assert!(Interval::closed(-100.0, 0.0).exp().stays_nonzero(F32));
        assert!(!Interval::REAL.stays_finite(F64));
    }
}
