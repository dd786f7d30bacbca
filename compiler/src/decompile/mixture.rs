//! Numbers between 0 and 1 inside a sum: `0.3 * pi(w) + 0.7 * pi(l)` tosses a coin, and a coin is an atom.
//!
//! Why: a constant factor has an atom (SEMANTICS, section 3), and so has one of a single term. In: a product
//! of polynomials of which some were written with fractions. Out: the same product, each such polynomial
//! written with constant atoms: at a vertex where it is q, of weight q, at one where it is 1 - q the negation
//! of that. Or the vertex where it is no probability.
//!
//! Invariant: the product is the same function of the weights. A polynomial of whole numbers is left alone: what
//! it counts twice is an overlap, not a coin.

use super::expr::{Expr, UnaryOp, number};
use super::normal::Normaliser;
use super::product::{Factor, Product};
use super::read::Reader;
use super::reason::{Failure, Nearest, NotLogic, Reason};
use super::step::{Claim, Law, Step};
use crate::logic::{Monomial, Polynomial, Rational};
use std::cmp::Reverse;

impl Reader {
    /// The product with its coins, where it has any.
    ///
    /// # Errors
    /// The first polynomial with fractions that is no probability at every vertex.
    pub(super) fn mixtures(
        &mut self,
        product: &Product,
        own: &[Factor],
    ) -> Result<Option<Product>, NotLogic> {
        let too_large = || NotLogic::from(Failure::too_large(self.tag));
        let mut out = product.clone();
        out.scale = product.scale.times(product.content).ok_or_else(too_large)?;
        (out.content, out.factors) = (Rational::ONE, own.to_vec());
        let mut coins = Coins::default();
        for (at, factor) in own.iter().enumerate() {
            let Some(values) = fractions(factor) else { continue };
            let is_share = |v: &Rational| v.signum() >= 0 && *v <= Rational::ONE;
            if !values.iter().all(is_share) {
                return Err(self.no_share(&out, at, &values));
            }
            self.replace(&mut out, at, &values, &mut coins)?;
        }
        Ok((out.factors != own).then_some(out))
    }

    /// The step to a product with coins.
    pub(super) fn toss(&mut self, product: &Product, mixed: &Product, number: Rational) {
        let before = self.joined(product, number);
        let after = self.form(mixed, mixed.scale).expr();
        if before.to_string() != after.to_string() {
            let claim = Claim::Equal { before, after: after.clone() };
            self.steps.push(Step { law: Law::CoinAtom, claim });
        }
        self.plain = after;
    }

    /// Writes one factor with coins; its unit leaves the number of the product.
    fn replace(
        &mut self,
        product: &mut Product,
        at: usize,
        values: &[Rational],
        coins: &mut Coins,
    ) -> Result<(), NotLogic> {
        let (factor, tag) = (product.factors[at].clone(), self.tag);
        let too_large = || NotLogic::from(Failure::too_large(tag));
        let exponent = factor.exponent.as_integer().ok_or_else(too_large)?;
        let side = usize::from(exponent < 0);
        // Of q and 1 - q the one that comes first, at the vertices with the fewest ones, names the coin.
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by_key(|row| (row.count_ones(), *row));
        let mut own: Vec<usize> = Vec::new();
        let mut seen = vec![Rational::ZERO];
        let mut sum = Polynomial::default();
        for q in order.into_iter().map(|row| values[row]) {
            if seen.contains(&q) {
                continue;
            }
            seen.push(q);
            let rows = values.iter().map(|v| i128::from(*v == q)).collect();
            let rows = Polynomial::of_values(rows).ok_or_else(too_large)?;
            let weight = if q == Rational::ONE {
                Polynomial::constant(1)
            } else {
                coins.of(q, side, &mut own, &mut self.normaliser, factor.tag)?
            };
            sum = rows.times(&weight).and_then(|p| sum.plus(&p)).ok_or_else(too_large)?;
        }
        coins.taken[side].extend(own);
        for _ in 0..exponent.unsigned_abs() {
            let scale = product.scale;
            let less =
                if exponent < 0 { scale.times(factor.unit) } else { scale.over(factor.unit) };
            product.scale = less.ok_or_else(too_large)?;
        }
        product.factors[at] = Factor::plain(sum, exponent, factor.tag);
        Ok(())
    }

    /// A sum that counts a row more often than once, or negatively.
    fn no_share(&self, product: &Product, at: usize, values: &[Rational]) -> NotLogic {
        let factor = &product.factors[at];
        let atoms = &self.normaliser.atoms;
        let wrong = |v: &Rational| v.signum() < 0 || *v > Rational::ONE;
        let rows = (0..values.len()).filter(|row| wrong(&values[*row]));
        let row = rows.min_by_key(|row| (row.count_ones(), *row)).unwrap_or_default();
        let named = atoms.iter().enumerate().filter(|(i, _)| row >> i & 1 == 1);
        let reason = Reason::NotAnIndicator {
            row: named.map(|(_, a)| a.name.clone()).collect(),
            value: values[row],
        };
        let mut monomials: Vec<_> =
            factor.base.terms().filter(|(m, _)| m.support() & !(row as u32) == 0).collect();
        monomials.sort_by_key(|(m, _)| (m.degree(), Reverse(*m)));
        let shown = |(m, c): &(Monomial, i128)| {
            let size = Rational::new(*c, 1).and_then(|c| c.times(factor.unit)).map(number);
            let weights = m.shown(atoms);
            if weights.is_empty() {
                return size.unwrap_or_default();
            }
            match size {
                Some(size) if size != "1" => format!("{size} * {weights}"),
                _ => weights,
            }
        };
        NotLogic {
            reason,
            tag: factor.tag,
            monomials: monomials.iter().map(shown).collect(),
            nearest: self.clipped(product, at, values).map(Box::new),
            written: None,
        }
    }

    /// The structure where rows count once at most.
    fn clipped(&self, product: &Product, at: usize, values: &[Rational]) -> Option<Nearest> {
        if values.iter().any(|v| v.signum() < 0) {
            return None;
        }
        let values: Vec<Rational> = values.iter().map(|v| (*v).min(Rational::ONE)).collect();
        let mut again = self.again();
        let mut once = product.clone();
        again.replace(&mut once, at, &values, &mut Default::default()).ok()?;
        let structure = again.read(&once).ok()?.structure;
        let reading = "what a row counts beyond once left out".to_owned();
        Some(Nearest { reading, core: structure.core(), structure })
    }
}

/// The coins of an expression. One may stand above and below the bar, but in one factor of each: another
/// factor tosses another coin.
#[derive(Default)]
struct Coins {
    /// The weight and the variable of each.
    all: Vec<(Rational, Polynomial)>,
    /// Which stand above the bar, and which below.
    taken: [Vec<usize>; 2],
}

impl Coins {
    /// The weight q as that of a coin or of its negation, for a factor that has the coins `own`.
    fn of(
        &mut self,
        q: Rational,
        side: usize,
        own: &mut Vec<usize>,
        normaliser: &mut Normaliser,
        tag: usize,
    ) -> Result<Polynomial, Failure> {
        let too_large = || Failure::too_large(tag);
        let rest = Rational::ONE.minus(q).ok_or_else(too_large)?;
        let free = |i: &usize| own.contains(i) || !self.taken[side].contains(i);
        let known = (0..self.all.len()).filter(free).find(|i| [q, rest].contains(&self.all[*i].0));
        let at = match known {
            Some(at) => at,
            None => {
                let copies = self.all.iter().filter(|(weight, _)| *weight == q).count();
                let variable = normaliser.coin(q, copies, tag)?;
                self.all.push((q, variable));
                self.all.len() - 1
            }
        };
        own.push(at);
        let (weight, variable) = &self.all[at];
        if *weight == q {
            return Ok(variable.clone());
        }
        Polynomial::constant(1).minus(variable).ok_or_else(too_large)
    }
}

/// The values at the vertices of a polynomial that was written with fractions, where they are not
/// all 0 or 1 up to a factor.
fn fractions(factor: &Factor) -> Option<Vec<Rational>> {
    let base = &factor.base;
    if factor.unit.as_integer().is_some() || !base.is_multilinear() {
        return None;
    }
    let n = u32::BITS - base.support().leading_zeros();
    let values = base.vertex_values(n as usize)?;
    if values.iter().all(|v| matches!(v, 0 | 1)) {
        return None;
    }
    values.into_iter().map(|v| Rational::new(v, 1)?.times(factor.unit)).collect()
}

/// The size of the constant of a coin: -log q.
pub(super) fn size(q: Rational) -> Expr {
    let log = Expr::unary(UnaryOp::Log, Expr::rational(q, 0), 0);
    Expr::unary(UnaryOp::Neg, log, 0)
}
