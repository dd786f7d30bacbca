//! Expressions of a loss.

use crate::mir::{Direction, Level};
use ponens_dsl::Span;
use std::fmt;

/// Index of an expression in [`Loss::exprs`](super::Loss::exprs).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExprId(pub u32);

/// Functions of one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // The names are the mathematics.
pub enum Fn1 {
    Neg,
    Exp,
    Log,
    Log1p,
    Expm1,
    Log1mExp,
    Softplus,
    Sigmoid,
    LogSigmoid,
    Square,
    Abs,
    StopGradient,
}

/// Functions of two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // The names are the mathematics.
pub enum Fn2 {
    Add,
    Sub,
    Mul,
    Div,
    Pow,
    Max,
    Min,
    LogAddExp,
}

/// The functions that turn a margin into a loss (SEMANTICS, section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Link {
    /// softplus(-x)
    Logistic,
    /// max(0, m - x)
    Hinge,
    /// (x - t)^2
    Squared,
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Link::Logistic => "logistic",
            Link::Hinge => "hinge",
            Link::Squared => "squared",
        })
    }
}

/// Operators for label noise on a link f with argument h.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Noise {
    /// (1 - e) f(h) + e f(-h)
    Smooth,
    /// ((1 - e) f(h) - e f(-h)) / (1 - 2 e)
    Debias,
}

/// Functions of the whole batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BatchFn {
    /// The mean over the examples.
    Mean,
    /// The sum over the examples.
    Sum,
    /// The values in ascending order, one an example again.
    Sort,
}

/// A loop inside an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Loop {
    /// Over the responses of a ranked list or group.
    Candidates,
    /// Over the tokens of a response: its place in [`DataShape::responses`](super::DataShape::responses).
    Tokens(usize),
}

impl Loop {
    /// The level of a value that the loop has many of.
    pub fn level(self) -> Level {
        match self {
            Loop::Candidates => Level::Candidate,
            Loop::Tokens(_) => Level::Token,
        }
    }
}

/// What a loop is reduced by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fold {
    /// The sum; 0 when empty.
    Sum,
    /// The mean; 0 when empty.
    Mean,
    /// The maximum.
    Max,
    /// The log-sum-exp.
    LogSumExp,
}

/// A value at every place of a loop from the others of the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scan {
    /// Sum of this and all later values.
    SuffixSum,
    /// Sum of this and all earlier values.
    PrefixSum,
    /// The value so many places later; 0 past the end.
    Shift(i8),
    /// Log-sum-exp of the values on one side; -inf where there are none.
    LogSumExps(Direction),
}

/// What an expression is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A finite number.
    Number(f64),
    /// Index into [`Loss::params`](super::Loss::params).
    Param(usize),
    /// Index into [`Loss::columns`](super::Loss::columns).
    Column(usize),
    /// The weight of an atom, a probability: index into [`Loss::atoms`](super::Loss::atoms).
    Probability(usize),
    /// The core, as bound by `rho = ..` or by the logical clauses.
    Rho,
    /// A function of one number.
    Call1(Fn1, ExprId),
    /// A function of two numbers.
    Call2(Fn2, ExprId, ExprId),
    /// The second where the first is positive (a boolean column counts 1 or 0), else the third.
    If(ExprId, ExprId, ExprId),
    /// A link, its argument, and its margin or target.
    Link(Link, ExprId, Option<ExprId>),
    /// A noise operator: rate, f(h), f(-h).
    Noise(Noise, ExprId, ExprId, ExprId),
    /// A function of all values of the batch.
    Batch(BatchFn, ExprId),
    /// The values of a loop as one value of the level that holds it.
    Fold(Fold, ExprId, Level),
    /// One value a place of a loop, from the other places.
    Scan(Scan, ExprId),
    /// Factor a, summand x: y = x + a y' with y' one place later (earlier).
    Recurrence(Direction, ExprId, ExprId),
    /// The place in a loop, from 0.
    Position(Loop),
    /// How many turns a loop has.
    Size(Loop),
}

/// An expression with its level and place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: Kind,
    /// The loop that it lives in.
    pub level: Level,
    /// Where it was written.
    pub span: Span,
}

impl Kind {
    /// The operands in order.
    pub fn operands(&self) -> Vec<ExprId> {
        match *self {
            Kind::Number(_) | Kind::Param(_) | Kind::Column(_) | Kind::Probability(_) => vec![],
            Kind::Rho | Kind::Position(_) | Kind::Size(_) => vec![],
            Kind::Call1(_, a) | Kind::Batch(_, a) | Kind::Fold(_, a, _) | Kind::Scan(_, a) => {
                vec![a]
            }
            Kind::Call2(_, a, b) | Kind::Recurrence(_, a, b) => vec![a, b],
            Kind::If(c, a, b) => vec![c, a, b],
            Kind::Link(_, a, b) => [Some(a), b].into_iter().flatten().collect(),
            Kind::Noise(_, e, a, b) => vec![e, a, b],
        }
    }

    /// The same with every operand replaced.
    pub fn map(self, mut f: impl FnMut(ExprId) -> ExprId) -> Self {
        match self {
            Kind::Number(_) | Kind::Param(_) | Kind::Column(_) | Kind::Probability(_) => self,
            Kind::Rho | Kind::Position(_) | Kind::Size(_) => self,
            Kind::Call1(g, a) => Kind::Call1(g, f(a)),
            Kind::Batch(g, a) => Kind::Batch(g, f(a)),
            Kind::Fold(g, a, level) => Kind::Fold(g, f(a), level),
            Kind::Scan(g, a) => Kind::Scan(g, f(a)),
            Kind::Call2(g, a, b) => Kind::Call2(g, f(a), f(b)),
            Kind::Recurrence(g, a, b) => Kind::Recurrence(g, f(a), f(b)),
            Kind::If(c, a, b) => Kind::If(f(c), f(a), f(b)),
            Kind::Link(g, a, b) => Kind::Link(g, f(a), b.map(f)),
            Kind::Noise(g, e, a, b) => Kind::Noise(g, f(e), f(a), f(b)),
        }
    }
}
