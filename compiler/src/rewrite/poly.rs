//! Polynomials over atoms: decides whether a normal-form step is right, without the e-graph.
//!
//! Why: the rules for sums and products are computed, so the checker cannot match them; it computes the
//! normal form of both sides by itself. In: a term. Out: a [`Poly`], equal for terms that the laws of
//! commutative fields and `e^a e^b = e^(a+b)` make equal (sufficient, not necessary). Invariant:
//! coefficients are exact; where one is not, there is no normal form.

use super::exact::{exact_product, exact_quotient, exact_sum};
use super::language::Expr;
use super::term::Term;
use crate::mir::{Binary, Unary};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A sum of monomials; the coefficients by their bits, none 0.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Poly(BTreeMap<Mono, u64>);

/// A product of powers, times one exponential.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Mono {
    factors: BTreeMap<Factor, i32>,
    exponent: Poly,
}

/// What is not taken apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Factor {
    Atom(Arc<Term>),
    Sum(Poly),
}

/// A constant, and atoms with their coefficients.
pub(super) type Linear = (f64, Vec<(Arc<Term>, f64)>);

/// A product of sums with more monomials than this has no normal form.
const MOST_MONOMIALS: usize = 400;

impl Poly {
    fn constant(c: f64) -> Poly {
        let mut out = Poly::default();
        if c != 0.0 {
            out.0.insert(Mono::default(), c.to_bits());
        }
        out
    }

    fn mono(mono: Mono) -> Poly {
        Poly(BTreeMap::from([(mono, 1.0_f64.to_bits())]))
    }

    fn plus(&self, factor: f64, other: &Poly) -> Option<Poly> {
        let mut out = self.clone();
        for (mono, bits) in &other.0 {
            let old = out.0.get(mono).map_or(0.0, |b| f64::from_bits(*b));
            let sum = exact_sum(old, exact_product(factor, f64::from_bits(*bits))?)?;
            if sum == 0.0 {
                out.0.remove(mono);
            } else {
                out.0.insert(mono.clone(), sum.to_bits());
            }
        }
        Some(out)
    }

    fn times(&self, other: &Poly) -> Option<Poly> {
        if self.0.len() * other.0.len() > MOST_MONOMIALS {
            return None;
        }
        let mut out = Poly::default();
        for (a, x) in &self.0 {
            for (b, y) in &other.0 {
                let coefficient = exact_product(f64::from_bits(*x), f64::from_bits(*y))?;
                out = out.plus(coefficient, &Poly::mono(a.times(b, 1)?))?;
            }
        }
        Some(out)
    }

    /// The one monomial and its coefficient.
    fn single(&self) -> Option<(&Mono, f64)> {
        let (mono, bits) = self.0.first_key_value()?;
        (self.0.len() == 1).then_some((mono, f64::from_bits(*bits)))
    }

    /// The coefficient of the first monomial, and the rest divided by its sign.
    fn signed(&self) -> Option<(f64, Poly)> {
        let first = f64::from_bits(*self.0.first_key_value()?.1).signum();
        Some((first, Poly::default().plus(first, self)?))
    }

    /// The monomials as atoms to the first power with their coefficients, and the constant; `None` where a
    /// monomial is anything else.
    pub(super) fn linear(&self) -> Option<Linear> {
        let mut constant = 0.0;
        let mut terms = Vec::new();
        for (mono, bits) in &self.0 {
            let c = f64::from_bits(*bits);
            match mono.factors.first_key_value() {
                _ if mono.exponent != Poly::default() || mono.factors.len() > 1 => return None,
                None => constant = c,
                Some((Factor::Atom(atom), 1)) => terms.push((atom.clone(), c)),
                Some(_) => return None,
            }
        }
        Some((constant, terms))
    }
}

impl Mono {
    fn times(&self, other: &Mono, sign: i32) -> Option<Mono> {
        let mut factors = self.factors.clone();
        for (factor, power) in &other.factors {
            let sum = factors.get(factor).copied().unwrap_or(0) + sign * power;
            if sum == 0 {
                factors.remove(factor);
            } else {
                factors.insert(factor.clone(), sum);
            }
        }
        let exponent = self.exponent.plus(f64::from(sign), &other.exponent)?;
        Some(Mono { factors, exponent })
    }
}

/// Computes normal forms in which some sums, the divisors, are never taken apart.
struct Reader {
    whole: BTreeSet<Poly>,
}

impl Reader {
    fn read(&mut self, term: &Arc<Term>) -> Option<Poly> {
        let arg = |i: usize| term.args.get(i);
        match term.op {
            Expr::Const(_) => Some(Poly::constant(term.op.as_constant()?)),
            Expr::Unary(Unary::Neg, _) => Poly::default().plus(-1.0, &self.read(arg(0)?)?),
            Expr::Unary(Unary::Exp, _) => {
                let exponent = self.read(arg(0)?)?;
                Some(Poly::mono(Mono { factors: BTreeMap::new(), exponent }))
            }
            Expr::Binary(Binary::Add, _) => self.read(arg(0)?)?.plus(1.0, &self.read(arg(1)?)?),
            Expr::Binary(Binary::Sub, _) => self.read(arg(0)?)?.plus(-1.0, &self.read(arg(1)?)?),
            Expr::Binary(Binary::Mul, _) => {
                let (a, b) = (self.read(arg(0)?)?, self.read(arg(1)?)?);
                self.folded(a)?.times(&self.folded(b)?)
            }
            Expr::Binary(Binary::Div, _) => {
                let (a, b) = (self.read(arg(0)?)?, self.read(arg(1)?)?);
                if b.0.len() > 1 {
                    self.whole.insert(b.signed()?.1);
                }
                let above = self.folded(a)?;
                let below = self.folded(b)?;
                let (mono, c) = below.single()?;
                let inverse = Poly::mono(Mono::default().times(mono, -1)?);
                let scaled = Poly::default().plus(1.0, &above)?.times(&inverse)?;
                let mut out = Poly::default();
                for (m, bits) in &scaled.0 {
                    let quotient = exact_quotient(f64::from_bits(*bits), c)?;
                    out = out.plus(quotient, &Poly::mono(m.clone()))?;
                }
                Some(out)
            }
            _ => {
                let factors = BTreeMap::from([(Factor::Atom(term.clone()), 1)]);
                Some(Poly::mono(Mono { factors, exponent: Poly::default() }))
            }
        }
    }

    /// A sum that is a divisor somewhere, as one factor.
    fn folded(&self, poly: Poly) -> Option<Poly> {
        if poly.0.len() < 2 {
            return Some(poly);
        }
        let (sign, positive) = poly.signed()?;
        if !self.whole.contains(&positive) {
            return Some(poly);
        }
        let factors = BTreeMap::from([(Factor::Sum(positive), 1)]);
        Poly::default().plus(sign, &Poly::mono(Mono { factors, exponent: Poly::default() }))
    }
}

/// The normal form of a term; `None` where it has none.
pub(super) fn poly(term: &Arc<Term>) -> Option<Poly> {
    Reader { whole: BTreeSet::new() }.read(term)
}

/// True when two terms have one normal form.
pub(super) fn same(a: &Arc<Term>, b: &Arc<Term>) -> bool {
    let mut reader = Reader { whole: BTreeSet::new() };
    // The first reading only collects the divisors of both sides.
    let (_, _) = (reader.read(a), reader.read(b));
    match (reader.read(a), reader.read(b)) {
        (Some(x), Some(y)) => x == y,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(text: &str) -> Arc<Term> {
        Term::from_expr(&text.parse().expect("parses"))
    }

    #[test]
    fn field_identities_hold() {
        let holds = |a: &str, b: &str| same(&term(a), &term(b));
        assert!(holds("(- (- x0 x1) (- x2 x3))", "(+ (- x0 (+ x1 x2)) x3)"));
        assert!(holds("(- (* p0 x0) (* p0 x1))", "(* p0 (- x0 x1))"));
        assert!(holds("(* (exp x0) (exp x1))", "(exp (+ x1 x0))"));
        assert!(holds("(/ (exp x0) (* p0 (exp x1)))", "(/ (exp (- x0 x1)) p0)"));
        assert!(holds("(* (/ x0 (- p0 1)) (- p0 1))", "x0"));
        assert!(holds("(/ x0 (- p0 1))", "(neg (/ x0 (- 1 p0)))"));
        assert!(!holds("(- x0 x1)", "(- x1 x0)"));
        assert!(!holds("(* x0 x0)", "x0"));
        assert!(!holds("(exp (neg x0))", "(neg (exp x0))"));
    }
}
