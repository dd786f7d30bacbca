//! Products of powers of polynomials: the normal form of a weight, and with a logarithm before it of a
//! log-probability.

use super::gcd::{gcd, primitive, quotient};
use super::scalar::Scalar;
use crate::logic::{Polynomial, Rational};

/// A polynomial to a power.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Factor {
    /// Primitive, not constant, with its lowest term positive.
    pub(super) base: Polynomial,
    pub(super) exponent: Scalar,
    /// The sub-expression that brought it about.
    pub(super) tag: usize,
    /// By what the sum that it was written as is a multiple of it: 1/10 for 3 x + 7 y out of
    /// 0.3 x + 0.7 y. The number of the product holds it already.
    pub(super) unit: Rational,
}

impl Factor {
    /// A polynomial as it was written.
    pub(super) fn plain(base: Polynomial, exponent: i64, tag: usize) -> Self {
        Self { base, exponent: Scalar::integer(exponent), tag, unit: Rational::ONE }
    }
}

/// scale * content * e^constant * the product of the factors, in the order in which they were written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Product {
    /// The number that was written as a factor.
    pub(super) scale: Rational,
    /// The number that came out of sums of equal terms.
    pub(super) content: Rational,
    /// The last sum that it came out of.
    pub(super) content_tag: usize,
    pub(super) constant: Scalar,
    pub(super) factors: Vec<Factor>,
}

impl Product {
    pub(super) fn number(scale: Rational) -> Self {
        Self {
            scale,
            content: Rational::ONE,
            content_tag: 0,
            constant: Scalar::default(),
            factors: Vec::new(),
        }
    }

    pub(super) fn exponential(constant: Scalar) -> Self {
        Self { constant, ..Self::number(Rational::ONE) }
    }

    /// A polynomial with a rational factor taken out, as it came out of a sum.
    pub(super) fn of_sum(p: &Polynomial, scale: Rational, tag: usize) -> Option<Self> {
        let (content, base) = primitive(p)?;
        let unit = Rational::integer(if content < 0 { -1 } else { 1 });
        let size = i128::try_from(content.unsigned_abs()).ok()?;
        let mut out = Self::number(scale.times(unit)?);
        if content == 0 {
            return Some(Self::number(Rational::ZERO));
        }
        let size = Rational::new(size, 1)?;
        if scale.as_integer().is_some() {
            (out.content, out.content_tag) = (size, tag);
        } else {
            // Fractions were written: what is left of them is a number like any other factor.
            out.scale = out.scale.times(size)?;
        }
        if base.support() != 0 {
            let unit = scale.times(size)?;
            let unit = if unit.signum() < 0 { unit.negated()? } else { unit };
            out.factors.push(Factor { unit, ..Factor::plain(base, 1, tag) });
        }
        Some(out)
    }

    pub(super) fn is_zero(&self) -> bool {
        self.scale.is_zero()
    }

    pub(super) fn times(&self, other: &Self) -> Option<Self> {
        let later = if other.content == Rational::ONE { self } else { other };
        Some(Self {
            scale: self.scale.times(other.scale)?,
            content: self.content.times(other.content)?,
            content_tag: later.content_tag,
            constant: self.constant.plus(&other.constant)?,
            factors: self.factors.iter().chain(&other.factors).cloned().collect(),
        })
    }

    /// self to a power; `None` on overflow, and for a number to a power that is not whole.
    pub(super) fn power(&self, exponent: &Scalar, tag: usize) -> Option<Self> {
        let whole = |r: Rational| {
            if r == Rational::ONE {
                return Some(r);
            }
            let e = exponent.as_integer()?;
            let mut out = Rational::ONE;
            for _ in 0..e.unsigned_abs() {
                out = out.times(r)?;
            }
            if e < 0 { Rational::ONE.over(out) } else { Some(out) }
        };
        let unit = exponent.as_integer().is_some_and(|e| e.abs() == 1);
        let mut factors = Vec::with_capacity(self.factors.len());
        for factor in &self.factors {
            let tag = if unit { factor.tag } else { tag };
            let exponent = factor.exponent.times(exponent)?;
            factors.push(Factor { exponent, tag, ..factor.clone() });
        }
        Some(Self {
            scale: whole(self.scale)?,
            content: whole(self.content)?,
            content_tag: self.content_tag,
            constant: self.constant.times(exponent)?,
            factors,
        })
    }

    pub(super) fn inverse(&self, tag: usize) -> Option<Self> {
        self.power(&Scalar::integer(-1), tag)
    }

    /// Equal factors merged, in the order of their first place; those to the power 0 dropped.
    pub(super) fn merged(&self) -> Option<Vec<Factor>> {
        let mut out: Vec<Factor> = Vec::new();
        for factor in &self.factors {
            match out.iter_mut().find(|f| f.base == factor.base) {
                Some(same) => {
                    same.exponent = same.exponent.plus(&factor.exponent)?;
                    same.tag = factor.tag;
                }
                None => out.push(factor.clone()),
            }
        }
        out.retain(|f| !f.exponent.is_zero());
        Some(out)
    }

    /// The factors over a base of pairwise coprime polynomials: nothing more cancels.
    pub(super) fn coprime(&self) -> Option<Vec<Factor>> {
        let mut base: Vec<Factor> = Vec::new();
        // A stack, in the order of writing.
        let mut todo: Vec<Factor> = self.merged()?.into_iter().rev().collect();
        while let Some(next) = todo.pop() {
            let mut shared = None;
            for (i, known) in base.iter().enumerate() {
                let common = gcd(&known.base, &next.base)?;
                if common.support() != 0 {
                    shared = Some((i, common));
                    break;
                }
            }
            let Some((i, common)) = shared else {
                base.push(next);
                continue;
            };
            let known = base.remove(i);
            let rest = |f: &Factor| -> Option<Factor> {
                let base = quotient(&f.base, &common)??;
                Some(Factor { base, ..f.clone() })
            };
            let parts = [rest(&next)?, rest(&known)?];
            let exponent = known.exponent.plus(&next.exponent)?;
            // A number that was taken out of a sum stays with what is left of the sum.
            let whole = parts.iter().find(|f| f.base.support() == 0);
            let unit = whole.map_or(Rational::ONE, |f| f.unit);
            let merged = Factor { base: common, exponent, tag: next.tag, unit };
            todo.extend(parts.into_iter().filter(|f| f.base.support() != 0));
            if !merged.exponent.is_zero() {
                todo.push(merged);
            }
        }
        base.retain(|f| !f.exponent.is_zero());
        Some(base)
    }
}
