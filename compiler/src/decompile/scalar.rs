//! What no weight enters: sums of products of parameters, kept exactly.

use super::expr::{BinaryOp, Expr, ExprKind, UnaryOp};
use super::range::Range;
use crate::logic::Rational;
use std::collections::BTreeMap;

/// The most terms of a scalar before it is given up.
const MAX_SCALAR_TERMS: usize = 64;

type Powers = BTreeMap<String, i32>;

/// A Laurent polynomial in symbols with rational coefficients, `2 * gamma / beta - 1`. No stored
/// coefficient is 0.
#[derive(Clone, Debug, PartialEq, Default)]
pub(super) struct Scalar {
    terms: BTreeMap<Powers, Rational>,
}

/// What each symbol stands for.
#[derive(Clone, Debug, Default)]
pub(super) struct Symbols {
    known: BTreeMap<String, (Expr, Range)>,
}

impl Symbols {
    /// The symbol with this name; a name met before keeps its first meaning.
    pub(super) fn define(&mut self, expr: Expr, name: String, range: Range) -> Scalar {
        self.known.entry(name.clone()).or_insert((expr, range));
        Scalar { terms: [([(name, 1)].into(), Rational::ONE)].into() }
    }

    fn range(&self, name: &str) -> Range {
        self.known.get(name).map_or(Range::REAL, |(_, range)| *range)
    }

    fn expr(&self, name: &str, tag: usize) -> Expr {
        match self.known.get(name) {
            Some((expr, _)) => expr.clone(),
            None => Expr::symbol(name, Range::REAL, tag),
        }
    }
}

impl Scalar {
    pub(super) fn rational(value: Rational) -> Self {
        if value.is_zero() {
            return Self::default();
        }
        Self { terms: [(Powers::new(), value)].into() }
    }

    pub(super) fn integer(value: i64) -> Self {
        Self::rational(Rational::integer(value))
    }

    pub(super) fn is_zero(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether every term has a minus: `-beta`.
    pub(super) fn is_written_negative(&self) -> bool {
        !self.is_zero() && self.terms.values().all(|r| r.signum() < 0)
    }

    /// The number that it is, where no symbol is left.
    pub(super) fn as_rational(&self) -> Option<Rational> {
        match self.terms.iter().next() {
            None => Some(Rational::ZERO),
            Some((powers, r)) => (self.terms.len() == 1 && powers.is_empty()).then_some(*r),
        }
    }

    /// The whole number that it is, if it is one that a power can be.
    pub(super) fn as_integer(&self) -> Option<i64> {
        i64::try_from(self.as_rational()?.as_integer()?).ok().filter(|e| e.abs() <= 255)
    }

    pub(super) fn plus(&self, other: &Self) -> Option<Self> {
        let mut terms = self.terms.clone();
        for (powers, r) in &other.terms {
            let sum = terms.get(powers).copied().unwrap_or(Rational::ZERO).plus(*r)?;
            terms.insert(powers.clone(), sum);
        }
        terms.retain(|_, r| !r.is_zero());
        (terms.len() <= MAX_SCALAR_TERMS).then_some(Self { terms })
    }

    pub(super) fn negated(&self) -> Option<Self> {
        self.times(&Self::integer(-1))
    }

    pub(super) fn times(&self, other: &Self) -> Option<Self> {
        let mut out = Self::default();
        for (a, x) in &self.terms {
            for (b, y) in &other.terms {
                let mut powers = a.clone();
                for (name, e) in b {
                    let sum = powers.get(name).copied().unwrap_or(0).checked_add(*e)?;
                    powers.insert(name.clone(), sum);
                }
                powers.retain(|_, e| *e != 0);
                out = out.plus(&Self { terms: [(powers, x.times(*y)?)].into() })?;
            }
        }
        Some(out)
    }

    /// self / other, where `other` is a single term.
    pub(super) fn over(&self, other: &Self) -> Option<Self> {
        let (powers, r) = other.terms.iter().next().filter(|_| other.terms.len() == 1)?;
        let mut inverse = Powers::new();
        for (name, e) in powers {
            inverse.insert(name.clone(), e.checked_neg()?);
        }
        self.times(&Self { terms: [(inverse, Rational::ONE.over(*r)?)].into() })
    }

    /// Whether it is one product of symbols, so written without a minus, that lies between 0 and 1.
    pub(super) fn is_share(&self, symbols: &Symbols) -> bool {
        let range = self.range(symbols);
        let one = self.terms.len() == 1 && self.as_rational().is_none();
        one && !self.is_written_negative() && range.lo >= 0.0 && range.hi <= 1.0
    }

    /// The values that it can take.
    pub(super) fn range(&self, symbols: &Symbols) -> Range {
        self.terms.iter().fold(Range::new(0.0, 0.0), |sum, (powers, r)| {
            let mut term = Range::point(r.numerator(), r.denominator());
            for (name, e) in powers {
                let base = symbols.range(name);
                let base = if *e < 0 { base.reciprocal() } else { base };
                for _ in 0..e.unsigned_abs().min(64) {
                    term = term.times(base);
                }
                if e.unsigned_abs() > 64 {
                    term = Range::REAL;
                }
            }
            sum.plus(term)
        })
    }

    /// It written out, positive terms first.
    pub(super) fn expr(&self, symbols: &Symbols, tag: usize) -> Expr {
        let mut sum: Option<Expr> = None;
        let (positive, negative): (Vec<_>, Vec<_>) =
            self.terms.iter().partition(|(_, r)| r.signum() > 0);
        // Symbols before plain numbers: `gamma / beta + 0.5`.
        for (powers, r) in positive.into_iter().rev().chain(negative.into_iter().rev()) {
            let size = if r.signum() < 0 { r.negated().unwrap_or(*r) } else { *r };
            let term = term(powers, size, symbols, tag);
            sum = Some(match (sum, r.signum() < 0) {
                (None, false) => term,
                (None, true) => Expr::unary(UnaryOp::Neg, term, tag),
                (Some(s), false) => Expr::binary(BinaryOp::Add, s, term, tag),
                (Some(s), true) => Expr::binary(BinaryOp::Sub, s, term, tag),
            });
        }
        sum.unwrap_or_else(|| Expr::integer(0, tag))
    }
}

fn term(powers: &Powers, size: Rational, symbols: &Symbols, tag: usize) -> Expr {
    let factors = |sign: i32| -> Vec<Expr> {
        powers
            .iter()
            .filter(|(_, e)| e.signum() == sign)
            .map(|(name, e)| symbols.expr(name, tag).raised(i64::from(e.unsigned_abs())))
            .collect()
    };
    let mut top = factors(1);
    if size != Rational::ONE || top.is_empty() {
        top.insert(0, Expr::rational(size, tag));
    }
    let bottom = factors(-1);
    let top = Expr::product(top, tag);
    if bottom.is_empty() {
        return top;
    }
    Expr::binary(BinaryOp::Div, top, Expr::product(bottom, tag), tag)
}

impl Expr {
    /// Whether it is the number 0.
    pub(super) fn is_zero(&self) -> bool {
        matches!(&self.kind, ExprKind::Number(r) if r.is_zero())
    }
}
