//! Normalising: every sub-expression becomes a constant, a logarithm of a product, or a product.

use super::expr::{BinaryOp, Expr, ExprKind, UnaryOp};
use super::product::{Factor, Product};
use super::range::Range;
use super::reason::{Failure, Reason};
use super::scalar::{Scalar, Symbols};
use crate::logic::{Atom, MAX_VARIABLES, Polynomial, Rational};

/// What a sub-expression denotes.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// No weight enters.
    Scalar(Scalar),
    /// The logarithm of the product, which is not negative.
    Log(Product),
    /// The product itself.
    Weight(Product),
}

/// Evaluates expressions in which only the elementary operations are left.
#[derive(Clone, Debug, Default)]
pub(super) struct Normaliser {
    /// The atoms met, variable `i` of every polynomial being the weight of atom `i`.
    pub(super) atoms: Vec<Atom>,
    /// Where each was met first.
    pub(super) atom_tags: Vec<usize>,
    /// The constant atoms among them, with the |c| of their weight e^-|c|.
    pub(super) constants: Vec<(Atom, Expr)>,
    pub(super) symbols: Symbols,
}

pub(super) type Outcome<T> = Result<T, Failure>;

impl Normaliser {
    pub(super) fn value(&mut self, expr: &Expr) -> Outcome<Value> {
        let tag = expr.tag;
        let fail = |reason| Err(Failure::new(reason, tag));
        match &expr.kind {
            ExprKind::Number(r) => Ok(Value::Scalar(Scalar::rational(*r))),
            ExprKind::Symbol { name, range } => {
                Ok(Value::Scalar(self.symbols.define(expr.clone(), name.clone(), *range)))
            }
            ExprKind::Prob(atom) => Ok(Value::Weight(self.weight(atom, tag)?)),
            ExprKind::Logp(atom) => Ok(Value::Log(self.weight(atom, tag)?)),
            ExprKind::Opaque(text) => fail(Reason::Outside(text.clone())),
            ExprKind::Unary(UnaryOp::Neg, a) => {
                let value = self.value(a)?;
                self.multiply(Value::Scalar(Scalar::integer(-1)), value, tag)
            }
            ExprKind::Unary(UnaryOp::Exp, a) => match self.value(a)? {
                Value::Scalar(s) => Ok(Value::Weight(Product::exponential(s))),
                Value::Log(p) => Ok(Value::Weight(p)),
                Value::Weight(_) => fail(Reason::ExpOfProbability),
            },
            ExprKind::Unary(UnaryOp::Log, a) => {
                let value = self.value(a)?;
                self.logarithm(value, a, tag)
            }
            ExprKind::Binary(BinaryOp::Add, a, b) => {
                let (a, b) = (self.value(a)?, self.value(b)?);
                self.add(a, b, tag)
            }
            ExprKind::Binary(BinaryOp::Sub, a, b) => {
                let (a, b) = (self.value(a)?, self.value(b)?);
                let minus = self.multiply(Value::Scalar(Scalar::integer(-1)), b, tag)?;
                self.add(a, minus, tag)
            }
            ExprKind::Binary(BinaryOp::Mul, a, b) => {
                let (a, b) = (self.value(a)?, self.value(b)?);
                self.multiply(a, b, tag)
            }
            ExprKind::Binary(BinaryOp::Div, a, b) => {
                let (a, divisor) = (self.value(a)?, self.value(b)?);
                let inverse = self.invert(divisor, b, tag)?;
                self.multiply(a, inverse, tag)
            }
            ExprKind::Binary(BinaryOp::Pow, a, b) => {
                let (base, exponent) = (self.value(a)?, self.value(b)?);
                self.power(base, exponent, expr)
            }
            // Written out before it gets here.
            ExprKind::Unary(..) | ExprKind::LogSumExp(_) => fail(Reason::Outside(expr.to_string())),
        }
    }

    /// The number of the variable that stands for an atom's weight.
    pub(super) fn variable(&mut self, atom: &Atom, tag: usize) -> Outcome<Polynomial> {
        let i = match self.atoms.iter().position(|a| a == atom) {
            Some(i) => i,
            None => {
                self.atoms.push(atom.clone());
                self.atom_tags.push(tag);
                self.atoms.len() - 1
            }
        };
        let too_many = || Failure::new(Reason::TooManyAtoms(MAX_VARIABLES + 1), tag);
        Polynomial::variable(i).ok_or_else(too_many)
    }

    fn weight(&mut self, atom: &Atom, tag: usize) -> Outcome<Product> {
        let base = self.variable(atom, tag)?;
        let mut product = Product::number(Rational::ONE);
        product.factors.push(Factor::plain(base, 1, tag));
        Ok(product)
    }

    fn logarithm(&mut self, value: Value, operand: &Expr, tag: usize) -> Outcome<Value> {
        match value {
            Value::Log(_) => Err(Failure::new(Reason::LogOfLog, tag)),
            Value::Weight(p) if p.scale.signum() <= 0 => {
                Err(Failure::new(Reason::LogOfNonPositive, tag))
            }
            Value::Weight(p) => Ok(Value::Log(p)),
            Value::Scalar(s) => match s.as_rational() {
                Some(r) if r.signum() > 0 => Ok(Value::Log(Product::number(r))),
                Some(_) => Err(Failure::new(Reason::LogOfNonPositive, tag)),
                None => Ok(Value::Scalar(self.log_symbol(&s, operand, tag)?)),
            },
        }
    }

    fn multiply(&mut self, a: Value, b: Value, tag: usize) -> Outcome<Value> {
        let too_large = || Failure::too_large(tag);
        match (a, b) {
            (Value::Scalar(a), Value::Scalar(b)) => {
                Ok(Value::Scalar(a.times(&b).ok_or_else(too_large)?))
            }
            (Value::Scalar(s), Value::Log(p)) | (Value::Log(p), Value::Scalar(s)) => {
                if s.is_zero() {
                    return Ok(Value::Scalar(s));
                }
                let p = self.without_number(p, &s, tag)?;
                Ok(Value::Log(p.power(&s, tag).ok_or_else(too_large)?))
            }
            (Value::Scalar(s), Value::Weight(p)) | (Value::Weight(p), Value::Scalar(s)) => {
                let s = self.as_weight(&s, tag)?;
                Ok(Value::Weight(s.times(&p).ok_or_else(too_large)?))
            }
            (Value::Weight(a), Value::Weight(b)) => {
                Ok(Value::Weight(a.times(&b).ok_or_else(too_large)?))
            }
            (Value::Log(_), Value::Log(_)) => Err(Failure::new(Reason::ProductOfLogs, tag)),
            _ => Err(Failure::new(Reason::MixedLevels, tag)),
        }
    }

    fn invert(&mut self, value: Value, written: &Expr, tag: usize) -> Outcome<Value> {
        let too_large = || Failure::too_large(tag);
        match value {
            Value::Log(_) => Err(Failure::new(Reason::DivisionByLog, tag)),
            Value::Weight(p) if p.is_zero() => Err(Failure::new(Reason::DivisionByZero, tag)),
            Value::Weight(p) => Ok(Value::Weight(p.inverse(tag).ok_or_else(too_large)?)),
            Value::Scalar(s) if s.is_zero() => Err(Failure::new(Reason::DivisionByZero, tag)),
            Value::Scalar(s) => match Scalar::integer(1).over(&s) {
                Some(inverse) => Ok(Value::Scalar(inverse)),
                // A sum of symbols: its reciprocal is a symbol of its own.
                None => {
                    let one = Expr::integer(1, tag);
                    let expr = Expr::binary(BinaryOp::Div, one, written.clone(), tag);
                    let range = s.range(&self.symbols).reciprocal();
                    let name = expr.to_string();
                    Ok(Value::Scalar(self.symbols.define(expr, name, range)))
                }
            },
        }
    }

    fn power(&mut self, base: Value, exponent: Value, expr: &Expr) -> Outcome<Value> {
        let tag = expr.tag;
        let too_large = || Failure::too_large(tag);
        let Value::Scalar(e) = exponent else {
            return Err(Failure::new(Reason::VariableExponent, tag));
        };
        match base {
            Value::Log(p) if e.as_integer() == Some(1) => Ok(Value::Log(p)),
            Value::Log(_) => Err(Failure::new(Reason::ProductOfLogs, tag)),
            Value::Weight(p) => {
                if p.is_zero() {
                    return match e.as_integer() {
                        Some(k) if k > 0 => Ok(Value::Weight(p)),
                        _ => Err(Failure::new(Reason::DivisionByZero, tag)),
                    };
                }
                let p = self.without_number(p, &e, tag)?;
                Ok(Value::Weight(p.power(&e, tag).ok_or_else(too_large)?))
            }
            Value::Scalar(s) => match e.as_integer() {
                Some(k) if k >= 0 => {
                    let mut out = Scalar::integer(1);
                    for _ in 0..k {
                        out = out.times(&s).ok_or_else(too_large)?;
                    }
                    Ok(Value::Scalar(out))
                }
                // A number of its own, of unknown sign unless its base is positive.
                _ => {
                    let range = Range::new(0.0, f64::INFINITY);
                    let positive = s.range(&self.symbols).is_non_negative();
                    let range = if positive { range } else { Range::REAL };
                    Ok(Value::Scalar(self.symbols.define(expr.clone(), expr.to_string(), range)))
                }
            },
        }
    }

    fn add(&mut self, a: Value, b: Value, tag: usize) -> Outcome<Value> {
        let too_large = || Failure::too_large(tag);
        match (a, b) {
            (Value::Scalar(a), Value::Scalar(b)) => {
                Ok(Value::Scalar(a.plus(&b).ok_or_else(too_large)?))
            }
            (Value::Log(a), Value::Log(b)) => Ok(Value::Log(a.times(&b).ok_or_else(too_large)?)),
            (Value::Log(p), Value::Scalar(s)) | (Value::Scalar(s), Value::Log(p)) => {
                let constant = p.constant.plus(&s).ok_or_else(too_large)?;
                Ok(Value::Log(Product { constant, ..p }))
            }
            (Value::Weight(a), Value::Weight(b)) => self.sum(&a, &b, tag).map(Value::Weight),
            (Value::Weight(p), Value::Scalar(s)) => {
                let s = self.as_weight(&s, tag)?;
                self.sum(&p, &s, tag).map(Value::Weight)
            }
            (Value::Scalar(s), Value::Weight(p)) => {
                let s = self.as_weight(&s, tag)?;
                self.sum(&s, &p, tag).map(Value::Weight)
            }
            _ => Err(Failure::new(Reason::MixedLevels, tag)),
        }
    }

    /// a + b as a product: common factors and denominators first, the rest multiplied out.
    fn sum(&mut self, a: &Product, b: &Product, tag: usize) -> Outcome<Product> {
        let too_large = || Failure::too_large(tag);
        if a.is_zero() {
            return Ok(b.clone());
        }
        if b.is_zero() {
            return Ok(a.clone());
        }
        let (left, right) = (a.merged().ok_or_else(too_large)?, b.merged().ok_or_else(too_large)?);
        let mut bases: Vec<&Factor> = left.iter().collect();
        bases.extend(right.iter().filter(|f| !left.iter().any(|g| g.base == f.base)));
        let mut common: Vec<Factor> = Vec::new();
        let mut rest = [Polynomial::constant(1), Polynomial::constant(1)];
        for factor in bases {
            let find = |list: &[Factor]| {
                let found = list.iter().find(|f| f.base == factor.base);
                found.map_or_else(Scalar::default, |f| f.exponent.clone())
            };
            let exponents = [find(&left), find(&right)];
            let shared = if exponents[0] == exponents[1] {
                exponents[0].clone()
            } else {
                let whole = exponents.each_ref().map(Scalar::as_integer);
                let [Some(x), Some(y)] = whole else {
                    let wrong = if whole[0].is_none() { &exponents[0] } else { &exponents[1] };
                    let text = wrong.expr(&self.symbols, tag).to_string();
                    return Err(Failure::new(Reason::FractionalPower(text), factor.tag));
                };
                let low = x.min(y);
                for (side, e) in rest.iter_mut().zip([x, y]) {
                    let power = u32::try_from(e - low).map_err(|_| too_large())?;
                    let grown = factor.base.pow(power).and_then(|p| side.times(&p));
                    *side = grown.ok_or_else(too_large)?;
                }
                Scalar::integer(low)
            };
            if !shared.is_zero() {
                common.push(Factor { exponent: shared, ..factor.clone() });
            }
        }
        let unit = units(&mut common).ok_or_else(too_large)?;
        // Constants e^c that differ leave a constant atom inside the sum.
        let mut constant = a.constant.clone();
        let difference = b.constant.plus(&a.constant.negated().ok_or_else(too_large)?);
        let difference = difference.ok_or_else(too_large)?;
        if !difference.is_zero() {
            let minus = |c: &Scalar| c.negated().ok_or_else(too_large);
            // Both below 1: where it is open which is larger, each is an atom.
            let sizes = [minus(&a.constant)?, minus(&b.constant)?];
            let shares = sizes.iter().all(|c| self.is_positive(c, tag).unwrap_or(false));
            let atoms = match self.is_positive(&difference, tag) {
                Ok(true) => {
                    constant = b.constant.clone();
                    [difference, Scalar::default()]
                }
                Ok(false) => [Scalar::default(), minus(&difference)?],
                Err(_) if shares => {
                    constant = Scalar::default();
                    sizes
                }
                Err(open) => return Err(open),
            };
            for (side, size) in rest.iter_mut().zip(atoms).filter(|(_, size)| !size.is_zero()) {
                let weight = self.constant_atom(&size, tag)?;
                *side = side.times(&weight).ok_or_else(too_large)?;
            }
        }
        let (total, scale) = combine(a, b, unit, &rest).ok_or_else(too_large)?;
        let mut out = Product::of_sum(&total, scale, tag).ok_or_else(too_large)?;
        if out.is_zero() {
            return Ok(out);
        }
        out.scale = out.scale.times(unit).ok_or_else(too_large)?;
        out.constant = constant;
        common.extend(out.factors);
        out.factors = common;
        Ok(out)
    }
}

/// What the numbers of two summands hold of the units of their common factors.
fn units(common: &mut [Factor]) -> Option<Rational> {
    let mut all = Rational::ONE;
    for factor in common.iter_mut().filter(|f| f.unit != Rational::ONE) {
        let Some(e) = factor.exponent.as_integer() else {
            factor.unit = Rational::ONE;
            continue;
        };
        for _ in 0..e.unsigned_abs() {
            all = if e < 0 { all.over(factor.unit)? } else { all.times(factor.unit)? };
        }
    }
    Some(all)
}

/// The two sides times their numbers less a common unit, over the common denominator of those, which is
/// returned with the common part of the numbers as the scale.
fn combine(
    a: &Product,
    b: &Product,
    unit: Rational,
    rest: &[Polynomial; 2],
) -> Option<(Polynomial, Rational)> {
    let number = |p: &Product| p.scale.times(p.content)?.over(unit);
    let (x, y) = (number(a)?, number(b)?);
    let gcd = |a: i128, b: i128| {
        let (mut a, mut b) = (a.unsigned_abs(), b.unsigned_abs());
        while b != 0 {
            (a, b) = (b, a % b);
        }
        i128::try_from(a).ok()
    };
    let (p, q) = (x.denominator(), y.denominator());
    let lcm = (p / gcd(p, q)?).checked_mul(q)?;
    let (left, right) = (x.numerator().checked_mul(lcm / p)?, y.numerator().checked_mul(lcm / q)?);
    let shared = gcd(left, right)?;
    let sum = rest[0].scaled(left / shared)?.plus(&rest[1].scaled(right / shared)?)?;
    Some((sum, Rational::new(shared, lcm)?))
}
