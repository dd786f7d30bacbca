//! Constants: their signs, their logarithms, and the atoms that stand for them.

use super::mixture;
use super::normal::{Normaliser, Outcome};
use super::product::{Factor, Product};
use super::reason::{Failure, Reason};
use super::scalar::Scalar;
use super::{Expr, UnaryOp};
use crate::logic::{Atom, Polynomial, Rational};

impl Normaliser {
    /// The atom of weight e^-|c|, with its variable.
    pub(super) fn constant_atom(&mut self, size: &Scalar, tag: usize) -> Outcome<Polynomial> {
        let written = size.expr(&self.symbols, tag);
        let atom = Atom::constant(&written.to_string());
        let variable = self.variable(&atom, tag)?;
        if !self.constants.iter().any(|(known, _)| *known == atom) {
            self.constants.push((atom, written));
        }
        Ok(variable)
    }

    /// The variable of an atom of weight q, of which there are `copies` already.
    pub(super) fn coin(&mut self, q: Rational, copies: usize, tag: usize) -> Outcome<Polynomial> {
        let size = mixture::size(q);
        let first = Atom::constant(&size.to_string());
        let atom = match u8::try_from(copies) {
            Ok(0) => first,
            Ok(number) => first.copy(number),
            Err(_) => return Err(Failure::too_large(tag)),
        };
        let variable = self.variable(&atom, tag)?;
        if !self.constants.iter().any(|(known, _)| *known == atom) {
            self.constants.push((atom, size));
        }
        Ok(variable)
    }

    /// Whether a constant is never negative; fails where its range leaves that open.
    pub(super) fn is_positive(&self, constant: &Scalar, tag: usize) -> Outcome<bool> {
        let range = constant.range(&self.symbols);
        if range.is_non_negative() {
            return Ok(true);
        }
        if range.is_non_positive() {
            return Ok(false);
        }
        let constant = constant.expr(&self.symbols, tag).to_string();
        Err(Failure::new(Reason::UnknownSign { constant, range: range.to_string() }, tag))
    }

    /// ln of a constant, as a symbol of its own.
    pub(super) fn log_symbol(
        &mut self,
        of: &Scalar,
        written: &Expr,
        tag: usize,
    ) -> Outcome<Scalar> {
        let range = of.range(&self.symbols);
        if range.hi <= 0.0 {
            return Err(Failure::new(Reason::LogOfNonPositive, tag));
        }
        let expr = Expr::unary(UnaryOp::Log, written.clone(), tag);
        Ok(self.symbols.define(expr.clone(), expr.to_string(), range.ln()))
    }

    /// A constant as a factor of a weight.
    pub(super) fn as_weight(&mut self, s: &Scalar, tag: usize) -> Outcome<Product> {
        if let Some(r) = s.as_rational() {
            return Ok(Product::number(r));
        }
        // 1 - e of a share e is the other side of its coin.
        let rest = Scalar::integer(1).plus(&s.negated().ok_or_else(|| Failure::too_large(tag))?);
        if let Some(share) = rest.filter(|e| e.is_share(&self.symbols)) {
            let written = share.expr(&self.symbols, tag);
            let log = self.log_symbol(&share, &written, tag)?;
            let size = log.negated().ok_or_else(|| Failure::too_large(tag))?;
            let coin = self.constant_atom(&size, tag)?;
            let base =
                Polynomial::constant(1).minus(&coin).ok_or_else(|| Failure::too_large(tag))?;
            let mut product = Product::number(Rational::ONE);
            product.factors.push(Factor::plain(base, 1, tag));
            return Ok(product);
        }
        if !self.is_positive(s, tag)? {
            return Err(Failure::new(Reason::LogOfNonPositive, tag));
        }
        let written = s.expr(&self.symbols, tag);
        Ok(Product::exponential(self.log_symbol(s, &written, tag)?))
    }

    /// Before a power that is not whole, a number among the factors becomes e^(ln of it).
    pub(super) fn without_number(
        &mut self,
        p: Product,
        power: &Scalar,
        tag: usize,
    ) -> Outcome<Product> {
        let number = p.scale.times(p.content).ok_or_else(|| Failure::too_large(tag))?;
        if power.as_integer().is_some() || number == Rational::ONE {
            return Ok(p);
        }
        let written = Expr::rational(number, tag);
        let log = self.log_symbol(&Scalar::rational(number), &written, tag)?;
        let constant = p.constant.plus(&log).ok_or_else(|| Failure::too_large(tag))?;
        Ok(Product { scale: Rational::ONE, content: Rational::ONE, constant, ..p })
    }
}
