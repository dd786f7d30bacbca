//! The language of the e-graph: the operations of MIR over e-class ids.
//!
//! Why: egg wants a node type whose operands are class ids, and rules want a text form. In: a
//! [`mir::Graph`](crate::mir::Graph). Out: e-nodes, and a graph again from a chosen set of them.
//! Invariant: [`Expr`] and [`Op`] correspond one to one; a constant is kept by its bits, so nodes have a
//! total order and no name is interned.

use crate::mir::{Binary, Direction, Level, NodeId, Op, Reduce, Unary};
use egg::{FromOp, Id, Language};
use std::fmt;

/// One e-node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Expr {
    /// The bits of a finite f64; zero is always +0.0.
    Const(u64),
    /// Index of a parameter.
    Param(u16),
    /// Index of an input.
    Input(u16),
    /// One operand.
    Unary(Unary, [Id; 1]),
    /// Two operands.
    Binary(Binary, [Id; 2]),
    /// Condition, then, otherwise.
    Select([Id; 3]),
    /// A reduction to a level.
    Reduce(Reduce, Level, [Id; 1]),
    /// A count at a level.
    Count(Level, [Id; 1]),
    /// Ascending order within the batch.
    Sort([Id; 1]),
    /// Values, then the key that had been sorted.
    Unsort([Id; 2]),
    /// Sum of this and later values.
    SuffixSum([Id; 1]),
    /// Sum of this and earlier values.
    PrefixSum([Id; 1]),
    /// The value some places later.
    Shift(i8, [Id; 1]),
    /// Log-sum-exp of the values before or behind.
    LogSumExps(Direction, [Id; 1]),
    /// Factor, then summand, of a linear recurrence.
    Recurrence(Direction, [Id; 2]),
    /// The place of a value in its loop.
    Position([Id; 1]),
}

/// The operations of one operand and their names in rule text.
const UNARY: &[(&str, Unary)] = &[
    ("neg", Unary::Neg),
    ("exp", Unary::Exp),
    ("log", Unary::Log),
    ("log1p", Unary::Log1p),
    ("expm1", Unary::Expm1),
    ("log1mexp", Unary::Log1mExp),
    ("softplus", Unary::Softplus),
    ("sigmoid", Unary::Sigmoid),
    ("abs", Unary::Abs),
    ("step", Unary::Step),
    ("sign", Unary::Sign),
    ("stop_gradient", Unary::StopGradient),
];

/// The operations of two operands and their names in rule text.
const BINARY: &[(&str, Binary)] = &[
    ("+", Binary::Add),
    ("-", Binary::Sub),
    ("*", Binary::Mul),
    ("/", Binary::Div),
    ("max", Binary::Max),
    ("min", Binary::Min),
    ("pow", Binary::Pow),
    ("logaddexp", Binary::LogAddExp),
];

const REDUCE: &[(&str, Reduce)] = &[
    ("sum", Reduce::Sum),
    ("mean", Reduce::Mean),
    ("maximum", Reduce::Max),
    ("logsumexp", Reduce::LogSumExp),
];

const LEVELS: &[Level] =
    &[Level::Uniform, Level::Batch, Level::Example, Level::Candidate, Level::Token];

/// The name of an operation of one operand.
pub fn unary_name(op: Unary) -> &'static str {
    UNARY.iter().find(|(_, u)| *u == op).map_or("?", |(n, _)| n)
}

/// The name of an operation of two operands.
pub fn binary_name(op: Binary) -> &'static str {
    BINARY.iter().find(|(_, b)| *b == op).map_or("?", |(n, _)| n)
}

/// The name of a reduction.
pub fn reduce_name(op: Reduce) -> &'static str {
    REDUCE.iter().find(|(_, r)| *r == op).map_or("?", |(n, _)| n)
}

impl Expr {
    /// A constant; both zeros become +0.0, because rules speak of real numbers.
    pub fn constant(value: f64) -> Expr {
        Expr::Const(if value == 0.0 { 0 } else { value.to_bits() })
    }

    /// The value of a constant node.
    pub fn as_constant(&self) -> Option<f64> {
        match self {
            Expr::Const(bits) => Some(f64::from_bits(*bits)),
            _ => None,
        }
    }

    /// The node for an operation, with each operand's class given by `class`.
    pub fn from_op_with(op: &Op, class: impl Fn(NodeId) -> Id) -> Expr {
        match *op {
            Op::Const(c) => Expr::constant(c),
            Op::Param(i) => Expr::Param(i),
            Op::Input(i) => Expr::Input(i),
            Op::Unary(u, a) => Expr::Unary(u, [class(a)]),
            Op::Binary(b, x, y) => Expr::Binary(b, [class(x), class(y)]),
            Op::Select(c, a, b) => Expr::Select([class(c), class(a), class(b)]),
            // The level of a reduction is the node's own: see `from_node`.
            Op::Reduce(r, a) => Expr::Reduce(r, Level::Uniform, [class(a)]),
            Op::Count(a) => Expr::Count(Level::Uniform, [class(a)]),
            Op::Sort(a) => Expr::Sort([class(a)]),
            Op::Unsort(a, b) => Expr::Unsort([class(a), class(b)]),
            Op::SuffixSum(a) => Expr::SuffixSum([class(a)]),
            Op::PrefixSum(a) => Expr::PrefixSum([class(a)]),
            Op::Shift(a, n) => Expr::Shift(n, [class(a)]),
            Op::LogSumExps(d, a) => Expr::LogSumExps(d, [class(a)]),
            Op::Recurrence(d, a, x) => Expr::Recurrence(d, [class(a), class(x)]),
            Op::Position(a) => Expr::Position([class(a)]),
        }
    }

    /// The node for a graph node: as [`Expr::from_op_with`], and a reduction keeps its level.
    pub fn from_node(op: &Op, level: Level, class: impl Fn(NodeId) -> Id) -> Expr {
        match Expr::from_op_with(op, class) {
            Expr::Reduce(r, _, a) => Expr::Reduce(r, level, a),
            Expr::Count(_, a) => Expr::Count(level, a),
            other => other,
        }
    }

    /// The operation, with each operand's node given by `node`.
    pub fn to_op(&self, node: impl Fn(Id) -> NodeId) -> Op {
        match *self {
            Expr::Const(bits) => Op::Const(f64::from_bits(bits)),
            Expr::Param(i) => Op::Param(i),
            Expr::Input(i) => Op::Input(i),
            Expr::Unary(u, [a]) => Op::Unary(u, node(a)),
            Expr::Binary(b, [x, y]) => Op::Binary(b, node(x), node(y)),
            Expr::Select([c, a, b]) => Op::Select(node(c), node(a), node(b)),
            Expr::Reduce(r, _, [a]) => Op::Reduce(r, node(a)),
            Expr::Count(_, [a]) => Op::Count(node(a)),
            Expr::Sort([a]) => Op::Sort(node(a)),
            Expr::Unsort([a, b]) => Op::Unsort(node(a), node(b)),
            Expr::SuffixSum([a]) => Op::SuffixSum(node(a)),
            Expr::PrefixSum([a]) => Op::PrefixSum(node(a)),
            Expr::Shift(n, [a]) => Op::Shift(node(a), n),
            Expr::LogSumExps(d, [a]) => Op::LogSumExps(d, node(a)),
            Expr::Recurrence(d, [a, x]) => Op::Recurrence(d, node(a), node(x)),
            Expr::Position([a]) => Op::Position(node(a)),
        }
    }

    /// The level that the node itself fixes, for those whose level is not that of their operands.
    pub fn own_level(&self) -> Option<Level> {
        match self {
            Expr::Reduce(_, level, _) | Expr::Count(level, _) => Some(*level),
            _ => None,
        }
    }

    /// True where the meaning depends on which loop the operand lives in.
    pub fn reads_loop(&self) -> bool {
        matches!(
            self,
            Expr::Reduce(..)
                | Expr::Count(..)
                | Expr::Sort(_)
                | Expr::Unsort(_)
                | Expr::SuffixSum(_)
                | Expr::PrefixSum(_)
                | Expr::Shift(..)
                | Expr::LogSumExps(..)
                | Expr::Recurrence(..)
                | Expr::Position(_)
        )
    }

    /// True where the order of the operands does not matter.
    pub fn is_commutative(&self) -> bool {
        use Binary::{Add, LogAddExp, Max, Min, Mul};
        matches!(self, Expr::Binary(Add | Mul | Max | Min | LogAddExp, _))
    }

    /// The same node with canonical operand places, for comparing operators alone.
    pub fn operator(&self) -> Expr {
        self.map_children(|_| Id::from(0))
    }
}

impl Language for Expr {
    type Discriminant = Expr;

    fn discriminant(&self) -> Expr {
        self.operator()
    }

    fn matches(&self, other: &Self) -> bool {
        self.operator() == other.operator()
    }

    fn children(&self) -> &[Id] {
        match self {
            Expr::Const(_) | Expr::Param(_) | Expr::Input(_) => &[],
            Expr::Unary(_, a)
            | Expr::Reduce(_, _, a)
            | Expr::Count(_, a)
            | Expr::Sort(a)
            | Expr::SuffixSum(a)
            | Expr::PrefixSum(a)
            | Expr::Shift(_, a)
            | Expr::LogSumExps(_, a)
            | Expr::Position(a) => a,
            Expr::Binary(_, a) | Expr::Unsort(a) | Expr::Recurrence(_, a) => a,
            Expr::Select(a) => a,
        }
    }

    fn children_mut(&mut self) -> &mut [Id] {
        match self {
            Expr::Const(_) | Expr::Param(_) | Expr::Input(_) => &mut [],
            Expr::Unary(_, a)
            | Expr::Reduce(_, _, a)
            | Expr::Count(_, a)
            | Expr::Sort(a)
            | Expr::SuffixSum(a)
            | Expr::PrefixSum(a)
            | Expr::Shift(_, a)
            | Expr::LogSumExps(_, a)
            | Expr::Position(a) => a,
            Expr::Binary(_, a) | Expr::Unsort(a) | Expr::Recurrence(_, a) => a,
            Expr::Select(a) => a,
        }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Const(bits) => write!(f, "{}", f64::from_bits(*bits)),
            Expr::Param(i) => write!(f, "p{i}"),
            Expr::Input(i) => write!(f, "x{i}"),
            Expr::Unary(u, _) => f.write_str(unary_name(*u)),
            Expr::Binary(b, _) => f.write_str(binary_name(*b)),
            Expr::Select(_) => f.write_str("select"),
            Expr::Reduce(r, level, _) => write!(f, "{}@{level}", reduce_name(*r)),
            Expr::Count(level, _) => write!(f, "count@{level}"),
            Expr::Sort(_) => f.write_str("sort"),
            Expr::Unsort(_) => f.write_str("unsort"),
            Expr::SuffixSum(_) => f.write_str("suffix_sum"),
            Expr::PrefixSum(_) => f.write_str("prefix_sum"),
            Expr::Shift(n, _) => write!(f, "shift@{n}"),
            Expr::LogSumExps(d, _) => write!(f, "logsumexps@{d}"),
            Expr::Recurrence(d, _) => write!(f, "recurrence@{d}"),
            Expr::Position(_) => f.write_str("position"),
        }
    }
}

/// A word of rule text that names no operation with that many operands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownOp(String);

impl fmt::Display for UnknownOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown operation `{}`", self.0)
    }
}

impl std::error::Error for UnknownOp {}

fn lookup<T: Copy>(table: &[(&str, T)], name: &str) -> Option<T> {
    table.iter().find(|(n, _)| *n == name).map(|(_, t)| *t)
}

fn leaf(name: &str) -> Option<Expr> {
    if let Some(i) = name.strip_prefix('p') {
        return i.parse().ok().map(Expr::Param);
    }
    if let Some(i) = name.strip_prefix('x') {
        return i.parse().ok().map(Expr::Input);
    }
    name.parse::<f64>().ok().filter(|c| c.is_finite()).map(Expr::constant)
}

fn at(name: &str, a: Id) -> Option<Expr> {
    let (op, place) = name.split_once('@')?;
    if op == "shift" {
        return place.parse().ok().map(|n| Expr::Shift(n, [a]));
    }
    if op == "logsumexps" {
        return direction(place).map(|d| Expr::LogSumExps(d, [a]));
    }
    let level = *LEVELS.iter().find(|l| l.to_string() == place)?;
    match op {
        "count" => Some(Expr::Count(level, [a])),
        _ => lookup(REDUCE, op).map(|r| Expr::Reduce(r, level, [a])),
    }
}

fn direction(name: &str) -> Option<Direction> {
    [Direction::Earlier, Direction::Later].into_iter().find(|d| d.to_string() == name)
}

impl FromOp for Expr {
    type Error = UnknownOp;

    fn from_op(op: &str, children: Vec<Id>) -> Result<Self, UnknownOp> {
        let node = match (op, children.as_slice()) {
            (_, []) => leaf(op),
            ("sort", [a]) => Some(Expr::Sort([*a])),
            ("suffix_sum", [a]) => Some(Expr::SuffixSum([*a])),
            ("prefix_sum", [a]) => Some(Expr::PrefixSum([*a])),
            ("position", [a]) => Some(Expr::Position([*a])),
            (_, [a]) => lookup(UNARY, op).map(|u| Expr::Unary(u, [*a])).or_else(|| at(op, *a)),
            ("unsort", [a, b]) => Some(Expr::Unsort([*a, *b])),
            (_, [a, b]) => match op.strip_prefix("recurrence@") {
                Some(d) => direction(d).map(|d| Expr::Recurrence(d, [*a, *b])),
                None => lookup(BINARY, op).map(|o| Expr::Binary(o, [*a, *b])),
            },
            ("select", [c, a, b]) => Some(Expr::Select([*c, *a, *b])),
            _ => None,
        };
        node.ok_or_else(|| UnknownOp(op.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use egg::RecExpr;

    #[test]
    fn text_form_reads_back() {
        let text = "(select (step x0) (sum@example (logaddexp p1 (shift@-2 x3))) (recurrence@later 0.5 (logsumexps@earlier (position x2))))";
        let expr: RecExpr<Expr> = text.parse().expect("parses");
        assert_eq!(expr.to_string(), text);
        assert!("(frob x0)".parse::<RecExpr<Expr>>().is_err());
        assert!("(log x0 x1)".parse::<RecExpr<Expr>>().is_err());
    }

    #[test]
    fn zeros_are_one_constant() {
        assert_eq!(Expr::constant(-0.0), Expr::constant(0.0));
    }
}
