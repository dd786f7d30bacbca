//! Expressions for rho as people write them: the input of decompiling, and the terms of its steps.

use super::range::Range;
use crate::logic::{Atom, AtomKind, Polynomial, Rational};
use std::fmt;

/// An expression, with the caller's tag for the place in the source that it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Opaque to decompiling; handed back where a sub-expression is to blame.
    pub tag: usize,
}

/// The kinds of expression.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// An exact number.
    Number(Rational),
    /// A parameter, or anything else that no weight enters; finite.
    Symbol {
        /// Its text. Equal texts are equal values.
        name: String,
        /// The values it can take.
        range: Range,
    },
    /// The log-probability of an atom: the logarithm of its weight.
    Logp(Atom),
    /// The weight of an atom, a probability.
    Prob(Atom),
    /// One operand.
    Unary(UnaryOp, Box<Expr>),
    /// Two operands.
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// log(e^a + e^b + ..)
    LogSumExp(Vec<Expr>),
    /// What the logic has no word for, by its text: `max(..)`, a length, a KL term.
    Opaque(String),
}

/// Operations of one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UnaryOp {
    /// -x
    Neg,
    /// e^x
    Exp,
    /// ln x
    Log,
    /// ln(1 + x)
    Log1p,
    /// e^x - 1
    Expm1,
    /// ln(1 - e^x)
    Log1mExp,
    /// 1 / (1 + e^-x)
    Sigmoid,
    /// ln(1 / (1 + e^-x))
    LogSigmoid,
    /// ln(1 + e^x)
    Softplus,
    /// x / (1 - x)
    Odds,
    /// ln(x / (1 - x))
    Logit,
}

/// Operations of two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BinaryOp {
    /// a + b
    Add,
    /// a - b
    Sub,
    /// a b
    Mul,
    /// a / b
    Div,
    /// a^b
    Pow,
}

impl UnaryOp {
    /// Its name in the loss language.
    pub fn name(self) -> &'static str {
        match self {
            UnaryOp::Neg => "-",
            UnaryOp::Exp => "exp",
            UnaryOp::Log => "log",
            UnaryOp::Log1p => "log1p",
            UnaryOp::Expm1 => "expm1",
            UnaryOp::Log1mExp => "log1mexp",
            UnaryOp::Sigmoid => "sigmoid",
            UnaryOp::LogSigmoid => "log_sigmoid",
            UnaryOp::Softplus => "softplus",
            UnaryOp::Odds => "odds",
            UnaryOp::Logit => "logit",
        }
    }
}

/// Constructors; each takes the tag of the new node last.
impl Expr {
    /// An exact number.
    pub fn rational(value: Rational, tag: usize) -> Self {
        Self { kind: ExprKind::Number(value), tag }
    }

    /// A whole number.
    pub fn integer(value: i64, tag: usize) -> Self {
        Self::rational(Rational::integer(value), tag)
    }

    /// The number as its shortest decimal text reads. One that is not finite, or too long to hold
    /// exactly, falls outside the logic.
    pub fn number(value: f64, tag: usize) -> Self {
        match Rational::from_decimal(value) {
            Some(exact) => Self::rational(exact, tag),
            None => Self { kind: ExprKind::Opaque(value.to_string()), tag },
        }
    }

    /// A parameter with the values that it can take.
    pub fn symbol(name: &str, range: impl Into<Range>, tag: usize) -> Self {
        Self { kind: ExprKind::Symbol { name: name.into(), range: range.into() }, tag }
    }

    /// The log-probability of an atom.
    pub fn logp(atom: Atom, tag: usize) -> Self {
        Self { kind: ExprKind::Logp(atom), tag }
    }

    /// The probability of an atom.
    pub fn prob(atom: Atom, tag: usize) -> Self {
        Self { kind: ExprKind::Prob(atom), tag }
    }

    /// A one-operand operation.
    pub fn unary(op: UnaryOp, operand: Expr, tag: usize) -> Self {
        Self { kind: ExprKind::Unary(op, Box::new(operand)), tag }
    }

    /// A two-operand operation.
    pub fn binary(op: BinaryOp, lhs: Expr, rhs: Expr, tag: usize) -> Self {
        Self { kind: ExprKind::Binary(op, Box::new(lhs), Box::new(rhs)), tag }
    }

    /// What falls outside the logic, by its text.
    pub fn opaque(text: &str, tag: usize) -> Self {
        Self { kind: ExprKind::Opaque(text.into()), tag }
    }

    /// A polynomial in the weights of `atoms`, written out.
    pub(super) fn of_polynomial(p: &Polynomial, atoms: &[Atom], tag: usize) -> Self {
        let mut terms: Vec<_> = p.terms().collect();
        terms.sort_by_key(|(m, _)| (m.degree(), std::cmp::Reverse(*m)));
        let mut sum: Option<Expr> = None;
        for (monomial, coefficient) in terms {
            let mut product: Option<Expr> = None;
            let size = i128::try_from(coefficient.unsigned_abs()).unwrap_or(i128::MAX);
            if size != 1 || monomial.degree() == 0 {
                product = Rational::new(size, 1).map(|r| Self::rational(r, tag));
            }
            for (atom, &e) in atoms.iter().zip(&monomial.0).filter(|(_, e)| **e > 0) {
                let weight = Self::prob(atom.clone(), tag).raised(i64::from(e));
                product = Some(match product {
                    Some(p) => Self::binary(BinaryOp::Mul, p, weight, tag),
                    None => weight,
                });
            }
            let Some(term) = product else { continue };
            sum = Some(match (sum, coefficient < 0) {
                (None, false) => term,
                (None, true) => Self::unary(UnaryOp::Neg, term, tag),
                (Some(s), false) => Self::binary(BinaryOp::Add, s, term, tag),
                (Some(s), true) => Self::binary(BinaryOp::Sub, s, term, tag),
            });
        }
        sum.unwrap_or_else(|| Self::integer(0, tag))
    }

    pub(super) fn raised(self, exponent: i64) -> Self {
        if exponent == 1 {
            return self;
        }
        let tag = self.tag;
        Self::binary(BinaryOp::Pow, self, Self::integer(exponent, tag), tag)
    }

    /// The product of a list; 1 for the empty one.
    pub(super) fn product(list: Vec<Expr>, tag: usize) -> Self {
        list.into_iter()
            .reduce(|a, b| Self::binary(BinaryOp::Mul, a, b, tag))
            .unwrap_or_else(|| Self::integer(1, tag))
    }

    /// The direct operands.
    pub(super) fn operands(&self) -> Vec<&Expr> {
        match &self.kind {
            ExprKind::Unary(_, a) => vec![a],
            ExprKind::Binary(_, a, b) => vec![a, b],
            ExprKind::LogSumExp(list) => list.iter().collect(),
            _ => Vec::new(),
        }
    }

    fn precedence(&self) -> u8 {
        match &self.kind {
            ExprKind::Binary(BinaryOp::Add | BinaryOp::Sub, ..) => 1,
            ExprKind::Binary(BinaryOp::Mul | BinaryOp::Div, ..) => 2,
            ExprKind::Unary(UnaryOp::Neg, _) => 3,
            ExprKind::Number(r) if r.signum() < 0 => 3,
            ExprKind::Number(r) if decimal(*r).is_none() => 2,
            ExprKind::Binary(BinaryOp::Pow, ..) => 4,
            // A symbol's text may be a whole expression.
            ExprKind::Symbol { name, .. } if !is_word(name) => 1,
            _ => 5,
        }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, at_least: u8) -> fmt::Result {
        let level = self.precedence();
        if level < at_least {
            f.write_str("(")?;
            self.write(f, 0)?;
            return f.write_str(")");
        }
        match &self.kind {
            ExprKind::Number(r) => f.write_str(&number(*r)),
            ExprKind::Symbol { name, .. } => f.write_str(name),
            ExprKind::Logp(atom) => match &atom.kind {
                AtomKind::Response { model, response, mean } => {
                    let call = if *mean { "mean_logp" } else { "logp" };
                    write!(f, "{call}({model}, {response})")
                }
                _ => write!(f, "log({atom})"),
            },
            ExprKind::Prob(atom) => write!(f, "{atom}"),
            ExprKind::Opaque(text) => f.write_str(text),
            ExprKind::Unary(UnaryOp::Neg, a) => {
                // -a / b reads as (-a) / b, which is the same number.
                f.write_str("-")?;
                a.write(f, 2)
            }
            ExprKind::Unary(op, a) => {
                write!(f, "{}(", op.name())?;
                a.write(f, 0)?;
                f.write_str(")")
            }
            ExprKind::LogSumExp(list) => {
                // Of two numbers the loss language has it under its own name.
                f.write_str(if list.len() == 2 { "logaddexp(" } else { "logsumexp(" })?;
                for (i, a) in list.iter().enumerate() {
                    if i > 0 {
                        f.write_str(", ")?;
                    }
                    a.write(f, 0)?;
                }
                f.write_str(")")
            }
            ExprKind::Binary(op, a, b) => {
                let (left, sign, right) = match op {
                    BinaryOp::Add => (level, " + ", level + 1),
                    BinaryOp::Sub => (level, " - ", level + 1),
                    BinaryOp::Mul => (level, " * ", level + 1),
                    BinaryOp::Div => (level, " / ", level + 1),
                    // The exponent reads a sign; the base does not.
                    BinaryOp::Pow => (level + 1, "^", level - 1),
                };
                a.write(f, left)?;
                f.write_str(sign)?;
                b.write(f, right)
            }
        }
    }
}

fn is_word(text: &str) -> bool {
    text.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.')
}

/// The number as a finite decimal, if it has a short one.
fn decimal(r: Rational) -> Option<String> {
    let (num, den) = (r.numerator(), r.denominator());
    let places = (0..=12u32).find(|&k| 10i128.pow(k) % den == 0)?;
    let scaled = num.checked_mul(10i128.pow(places) / den)?;
    if places == 0 {
        return Some(scaled.to_string());
    }
    let digits = format!("{:0>width$}", scaled.unsigned_abs(), width = places as usize + 1);
    let (whole, rest) = digits.split_at(digits.len() - places as usize);
    Some(format!("{}{whole}.{rest}", if num < 0 { "-" } else { "" }))
}

/// The number as a decimal where it has a short one, else as a quotient.
pub(super) fn number(r: Rational) -> String {
    decimal(r).unwrap_or_else(|| format!("{} / {}", r.numerator(), r.denominator()))
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}
