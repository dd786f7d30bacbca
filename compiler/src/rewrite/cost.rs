//! What a node costs: first the numerical error that it can cause, then its work, then its place.
//!
//! Why: the extractor must prefer an accurate form over a fast one, and a fast one over a short one. In:
//! a node and the facts of its operands. Out: a [`Cost`]. Invariants: costs add up over the distinct
//! nodes of a graph and compare lexicographically; a hazard is read from what can happen over the
//! practical range of the inputs ([`Facts::practical`]) in f32, so it is a property of the node and its
//! operands' classes, and not of the terms chosen for them.

use super::analysis::{Egraph, Facts};
use super::language::Expr;
use super::normal::is_proper;
use crate::mir::interval::Precision;
use crate::mir::{Binary, Level, NodeId, Unary, transfer};
use egg::{Id, Language};
use std::collections::BTreeSet;
use std::ops::Add;

/// The cost of a node or of a set of nodes. The order of the fields is the order of importance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cost {
    /// Weighted count of numerical hazards.
    pub hazard: u64,
    /// Weighted count of operations.
    pub work: u64,
    /// Count of nodes.
    pub size: u64,
    /// Count of field operations outside the normal forms of sums and products.
    pub unusual: u64,
}

impl Add for Cost {
    type Output = Cost;

    fn add(self, other: Cost) -> Cost {
        Cost {
            hazard: self.hazard.saturating_add(other.hazard),
            work: self.work.saturating_add(other.work),
            size: self.size.saturating_add(other.size),
            unusual: self.unusual.saturating_add(other.unusual),
        }
    }
}

/// A partial operation that is not proved: no accepted graph holds one.
pub const PARTIAL: u64 = 1_000_000_000;
/// 0 * inf, inf - inf, inf / inf or 0 / 0 can occur, in the reals or after rounding.
pub const NAN: u64 = 1_000_000;
/// As [`NAN`], where only a parameter that is exactly 0 leads to it.
pub const NAN_AT_ZERO_PARAMETER: u64 = 10_000;
/// Digits are lost without need: the result has a sign, and cancels to get it.
pub const CANCELLATION: u64 = 1_000;
/// A logarithm of something that can underflow, overflow or round to 1 on the way.
pub const LOST_BEFORE_LOG: u64 = 1_000;
/// An exponential of a large computed number: its rounding error becomes a relative error.
pub const AMPLIFIED: u64 = 100;
/// Can overflow to an infinity.
pub const OVERFLOW: u64 = 10;
/// A sum of log-probabilities not grouped as policy minus reference.
pub const REGROUPED: u64 = 1;

/// Weights of operations: transcendental, then division, product, sum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weights {
    /// +, -, max, min, comparisons
    pub sum: u64,
    /// negation
    pub sign: u64,
    /// *
    pub product: u64,
    /// /
    pub quotient: u64,
    /// exp, log
    pub elementary: u64,
    /// functions made of several elementary ones
    pub composite: u64,
}

impl Default for Weights {
    /// A scalar CPU or GPU kernel: reciprocal throughputs of the usual libraries, rounded.
    fn default() -> Self {
        Weights { sum: 4, sign: 2, product: 5, quotient: 16, elementary: 40, composite: 80 }
    }
}

/// Prices nodes of one e-graph.
pub(super) struct Model<'a> {
    egraph: &'a Egraph,
    weights: &'a Weights,
    canonical: BTreeSet<Expr>,
}

/// Exponents beyond this amplify a rounding error noticeably.
const LARGE: f64 = 16.0;

const F32: Precision = Precision::F32;

fn reaches_inf(f: &Facts) -> (bool, bool) {
    let limit = F32.max();
    (f.practical.hi > limit, f.practical.lo < -limit)
}

fn infinite(f: &Facts) -> bool {
    let (above, below) = reaches_inf(f);
    above || below
}

/// 0, or small enough to become 0.
fn vanishes(f: &Facts) -> bool {
    let limit = F32.min_normal();
    f.practical.lo < limit && f.practical.hi > -limit
}

impl<'a> Model<'a> {
    /// `canonical` are the nodes of the normal forms of sums.
    pub(super) fn new(egraph: &'a Egraph, weights: &'a Weights, canonical: &[Expr]) -> Model<'a> {
        let canonical = canonical.iter().map(|n| n.map_children(|id| egraph.find(id))).collect();
        Model { egraph, weights, canonical }
    }

    fn facts(&self, id: Id) -> &Facts {
        &self.egraph[id].data
    }

    /// The cost of a node of a class.
    pub(super) fn cost(&self, class: Id, node: &Expr) -> Cost {
        use Binary::{Add, Div, Mul, Sub};
        let field =
            matches!(node, Expr::Unary(Unary::Neg, _) | Expr::Binary(Add | Sub | Mul | Div, _));
        Cost {
            hazard: self.hazard(class, node),
            work: self.work(class, node),
            size: 1,
            unusual: u64::from(field && !self.canonical.contains(node)),
        }
    }

    fn work(&self, class: Id, node: &Expr) -> u64 {
        let w = self.weights;
        let once = match node {
            Expr::Const(_) | Expr::Param(_) | Expr::Input(_) => 0,
            Expr::Unary(u, _) => match u {
                Unary::StopGradient => 0,
                Unary::Neg => w.sign,
                Unary::Abs | Unary::Step | Unary::Sign => w.sum,
                Unary::Exp | Unary::Log => w.elementary,
                Unary::Expm1 | Unary::Log1p => w.elementary + w.quotient + w.sum,
                Unary::Sigmoid => w.elementary + w.quotient,
                Unary::Softplus | Unary::Log1mExp => w.composite,
            },
            Expr::Binary(b, _) => match b {
                Binary::Add | Binary::Sub | Binary::Max | Binary::Min => w.sum,
                // -1 x is a negation, however it is written.
                Binary::Mul if node.children().iter().any(|c| self.is_minus_one(*c)) => {
                    return w.sign * 8 + 1;
                }
                Binary::Mul => w.product,
                Binary::Div => w.quotient,
                Binary::LogAddExp => w.composite + w.sum,
                Binary::Pow => w.composite + w.product,
            },
            Expr::Select(_) => w.sum,
            Expr::Reduce(..) | Expr::Count(..) | Expr::SuffixSum(_) | Expr::PrefixSum(_) => {
                w.quotient
            }
            Expr::Sort(_) | Expr::Unsort(_) | Expr::LogSumExps(..) => w.composite,
            Expr::Recurrence(..) => w.product + w.sum,
            Expr::Position(_) => w.sum,
            Expr::Shift(..) => w.sum,
        };
        // What a run computes once is nearly free. A sign is priced alike everywhere, so that it does not
        // wander into the parameters.
        let free = self.facts(class).level == Level::Uniform
            && !matches!(node, Expr::Unary(Unary::Neg, _));
        if free { once } else { once * 8 }
    }

    fn is_minus_one(&self, id: Id) -> bool {
        self.facts(id).constant == Some(-1.0)
    }

    fn hazard(&self, class: Id, node: &Expr) -> u64 {
        let operands: Vec<&Facts> = node.children().iter().map(|c| self.facts(*c)).collect();
        let op = node.to_op(|id| NodeId(usize::from(id) as u32));
        let intervals: Vec<_> = operands.iter().map(|f| f.interval).collect();
        use transfer::Undefined::{DivisorSign, NegativeLog, PositiveLog1mExp};
        let regrouped = matches!(node, Expr::Binary(Binary::Add | Binary::Sub, _))
            && !self.canonical.contains(node)
            && !self.is_sum_of_parts(class, node)
            && self.facts(class).level != Level::Uniform;
        let regrouped = if regrouped { REGROUPED } else { 0 };
        match transfer::undefined(&op, &intervals) {
            Some(NegativeLog | PositiveLog1mExp | DivisorSign) => return PARTIAL,
            Some(_) => return nan(&operands) + regrouped,
            None => {}
        }
        regrouped
            + match (node, operands.as_slice()) {
                (Expr::Binary(Binary::Mul, _), [a, b]) => {
                    let meet = (infinite(a) && vanishes(b)) || (vanishes(a) && infinite(b));
                    if meet { nan(&operands) } else { 0 }
                }
                (Expr::Binary(Binary::Div, _), [a, b]) => {
                    let meet = (infinite(a) && infinite(b)) || (vanishes(a) && vanishes(b));
                    if meet { nan(&operands) } else { 0 }
                }
                (Expr::Binary(Binary::Add, _), [a, b]) => self.sum_hazard(class, node, a, b, false),
                (Expr::Binary(Binary::Sub, _), [a, b]) => self.sum_hazard(class, node, a, b, true),
                (Expr::Unary(u, _), [x]) => unary_hazard(*u, x),
                // A disjunction that is nearly certain: two large parts make a small logarithm.
                (Expr::Binary(Binary::LogAddExp, _), _) if self.facts(class).interval.hi == 0.0 => {
                    CANCELLATION
                }
                _ => 0,
            }
    }

    /// True for a sum of positive numbers that is a function as well, and so has no normal form as a sum.
    fn is_sum_of_parts(&self, class: Id, node: &Expr) -> bool {
        let positive = |id: &Id| self.facts(*id).interval.is_nonneg();
        matches!(node, Expr::Binary(Binary::Add, operands) if operands.iter().all(positive))
            && is_proper(self.egraph, class)
    }

    fn sum_hazard(&self, class: Id, node: &Expr, a: &Facts, b: &Facts, minus: bool) -> u64 {
        let mut hazard = 0;
        let ((ap, an), (mut bp, mut bn)) = (reaches_inf(a), reaches_inf(b));
        let mut other = b.practical;
        if minus {
            (bp, bn) = (bn, bp);
        } else {
            other = -other;
        }
        if (ap && bn) || (an && bp) {
            hazard += NAN;
        }
        // a - other: both positive or both negative somewhere, and still the difference has one sign.
        let here = &self.facts(class).interval;
        let meet = a.practical.intersect(&other).is_some_and(|m| m.lo != 0.0 || m.hi != 0.0);
        let signed = here.is_nonneg() || here.is_nonpos();
        let limit = [a, b].iter().any(|f| f.constant.is_some_and(|c| c != 0.0));
        let saturates = [node.children()[0], node.children()[1]].iter().any(|id| {
            self.egraph[*id]
                .nodes
                .iter()
                .any(|n| matches!(n, Expr::Unary(Unary::Exp | Unary::Sigmoid | Unary::Expm1, _)))
        });
        if minus {
            hazard += self.difference_hazard(node);
        }
        if meet && ((signed && !(a.rational && b.rational)) || (limit && saturates)) {
            hazard += CANCELLATION;
        }
        if meet && self.are_slopes(node) {
            hazard += CANCELLATION;
        }
        hazard
    }

    /// True where both operands are slopes of sigmoids at different places, up to numbers of the run.
    fn are_slopes(&self, node: &Expr) -> bool {
        let places: Option<Vec<[Id; 2]>> = node.children().iter().map(|c| self.slope(*c)).collect();
        places.is_some_and(|p| p[0] != p[1])
    }

    /// x and -x where the class is s(x) s(-x), up to numbers of the run.
    fn slope(&self, id: Id) -> Option<[Id; 2]> {
        let mut factors = Vec::new();
        self.sigmoids(id, DEEPEST_SLOPE, &mut factors).then_some(())?;
        let (a, b) = match factors[..] {
            [a, b] => (a, b),
            _ => return None,
        };
        let negates = |a: Id, b: Id| {
            self.egraph[a].nodes.iter().any(|n| match n {
                Expr::Unary(Unary::Neg, [x]) => self.egraph.find(*x) == b,
                _ => false,
            })
        };
        (negates(a, b) || negates(b, a)).then_some([a.min(b), a.max(b)])
    }

    /// Collects the operands of the sigmoids whose product the class is; false where it is anything else.
    fn sigmoids(&self, id: Id, depth: usize, out: &mut Vec<Id>) -> bool {
        if self.facts(id).level == Level::Uniform {
            return true;
        }
        if depth == 0 {
            return false;
        }
        let length = out.len();
        for node in &self.egraph[id].nodes {
            let found = match node {
                Expr::Unary(Unary::Sigmoid, [x]) => {
                    out.push(self.egraph.find(*x));
                    true
                }
                Expr::Unary(Unary::Neg, [a]) => self.sigmoids(*a, depth - 1, out),
                Expr::Binary(Binary::Mul, [a, b]) => {
                    self.sigmoids(*a, depth - 1, out) && self.sigmoids(*b, depth - 1, out)
                }
                _ => false,
            };
            if found {
                return true;
            }
            out.truncate(length);
        }
        false
    }
}

/// How far into a product the search for a slope goes.
const DEEPEST_SLOPE: usize = 5;

impl Model<'_> {
    /// e^x - e^y cancels where both are near 1, expm1(x) - expm1(y) where both are near -1.
    fn difference_hazard(&self, node: &Expr) -> u64 {
        let direct = |id: Id, op: Unary| {
            self.egraph[id].nodes.iter().find_map(|n| match n {
                Expr::Unary(u, [x]) if *u == op => Some(self.facts(*x).practical),
                _ => None,
            })
        };
        let operand = |id: &Id, op: Unary| {
            let negated = |n: &Expr| match n {
                Expr::Unary(Unary::Neg, [x]) => direct(*x, op),
                _ => None,
            };
            direct(*id, op).or_else(|| self.egraph[*id].nodes.iter().find_map(negated))
        };
        let both = |op| {
            let mut ranges = node.children().iter().map(|id| operand(id, op));
            Some((ranges.next()??, ranges.next()??))
        };
        // A class may hold both forms: the node in question is the same, so the milder hazard counts.
        let near_one = both(Unary::Exp).map(|(x, y)| {
            let near = |r: crate::mir::Interval| r.lo < 1.0 && r.hi > -1.0;
            if near(x) && near(y) { CANCELLATION } else { 0 }
        });
        let near_minus_one = both(Unary::Expm1)
            .map(|(x, y)| if x.lo < -LARGE && y.lo < -LARGE { CANCELLATION / 2 } else { 0 });
        near_one.into_iter().chain(near_minus_one).min().unwrap_or(0)
    }
}

/// How bad it is when the operands of a product or quotient can make a NaN.
fn nan(operands: &[&Facts]) -> u64 {
    let parameter = |f: &&&Facts| f.level == Level::Uniform && f.interval.is_finite();
    if operands.iter().any(|f| parameter(&f)) { NAN_AT_ZERO_PARAMETER } else { NAN }
}

fn unary_hazard(op: Unary, x: &Facts) -> u64 {
    let range = x.practical;
    match op {
        // A leaf arrives exact; what is computed may have lost the digits that the logarithm shows.
        Unary::Log if !x.rational => LOST_BEFORE_LOG,
        Unary::Log if x.combined => AMPLIFIED,
        Unary::Log if range.lo < F32.min_normal() && x.level != Level::Uniform => OVERFLOW,
        Unary::Log1p if range.hi > F32.max() => LOST_BEFORE_LOG,
        Unary::Log1p if range.lo < -0.5 && !x.rational => LOST_BEFORE_LOG,
        // Only an argument that underflows while the rest of it is 0 loses something.
        Unary::Log1mExp if range.hi > -F32.min_normal() && !x.rational => LOST_BEFORE_LOG / 2,
        Unary::Exp | Unary::Expm1 => {
            let large = range.hi > LARGE || (op == Unary::Exp && range.lo < -LARGE);
            let overflow = if range.hi > F32.max().ln() { OVERFLOW } else { 0 };
            overflow + if large && !x.rational { AMPLIFIED } else { 0 }
        }
        _ => 0,
    }
}
