//! The nearest structure to an expression that has none.

use super::product::{Factor, Product};
use super::read::{Reader, common_power, compact};
use super::reason::{Nearest, NotLogic, Reason};
use super::scalar::Scalar;
use crate::logic::{Atom, MAX_ATOMS, Monomial, Polynomial, Rational, Structure, Table};

/// A power that is not whole, or one that all factors share.
pub(super) fn not_whole(
    reader: &Reader,
    product: &Product,
    own: &[Factor],
    wrong: &Factor,
) -> NotLogic {
    let symbols = &reader.normaliser.symbols;
    let text = |s: &Scalar| s.expr(symbols, reader.tag).to_string();
    let Some(power) = common_power(own) else {
        let number = wrong.exponent.as_rational().and_then(Rational::as_integer);
        let reason = match number {
            Some(_) => Reason::HighPower(text(&wrong.exponent)),
            None => Reason::FractionalPower(text(&wrong.exponent)),
        };
        let nearest = powers(reader, product, own).map(Box::new);
        return no_logic(reason, wrong.tag, Vec::new(), nearest);
    };
    let by = text(&power);
    let nearest = unscaled(reader, product, &power).map(|structure| {
        let core = structure.core();
        let reading = format!("the factor {by} belongs to the link, not to rho");
        Box::new(Nearest { reading, structure, core })
    });
    no_logic(Reason::Scaled { by }, wrong.tag, Vec::new(), nearest)
}

/// The structure where a power of one weight is an event of its own, beside the weight itself where the
/// power is above 1: `pi(w)^6` is `pi(w)` and `pi(w)^5`, as where DPO-Positive charges five times.
pub(super) fn powers(reader: &Reader, product: &Product, own: &[Factor]) -> Option<Nearest> {
    let mut again = reader.again();
    let mut read = Product { factors: Vec::new(), ..product.clone() };
    let mut parts = Vec::new();
    for factor in own {
        let tag = factor.tag;
        let positive = again.normaliser.is_positive(&factor.exponent, tag).ok()?;
        let size = if positive { factor.exponent.clone() } else { factor.exponent.negated()? };
        let sign = if positive { 1 } else { -1 };
        if size.as_integer() == Some(1) {
            read.factors.push(factor.clone());
            continue;
        }
        let own = (0..again.normaliser.atoms.len())
            .find(|i| Polynomial::variable(*i).is_some_and(|x| x == factor.base))?;
        let atom = again.normaliser.atoms[own].clone();
        let more = size.plus(&Scalar::integer(-1))?;
        let beside = again.normaliser.is_positive(&more, tag).is_ok_and(|above| above);
        if beside {
            read.factors.push(Factor::plain(factor.base.clone(), sign, tag));
        }
        let exponent = if beside { more } else { size };
        let (event, part) = if exponent.as_integer() == Some(1) {
            let copy = atom.copy(1);
            let part = format!("{copy} as an equally likely copy of {atom}");
            (copy, part)
        } else {
            let text = exponent.expr(&again.normaliser.symbols, tag).to_string();
            let power = atom.power(&text);
            let part = if beside {
                format!("{power} as a copy of {atom} taken to the power {text}")
            } else {
                format!("{power} as an event of its own")
            };
            (power, part)
        };
        let base = again.normaliser.variable(&event, tag).ok()?;
        read.factors.push(Factor::plain(base, sign, tag));
        parts.push(part);
    }
    if parts.is_empty() {
        return None;
    }
    let structure = again.read(&read).ok()?.structure;
    Some(Nearest { reading: parts.join("; "), core: structure.core(), structure })
}

/// The structure of rho divided by a factor.
fn unscaled(reader: &Reader, product: &Product, by: &Scalar) -> Option<Structure> {
    let inverse = Scalar::integer(1).over(by)?;
    let divided = product.power(&inverse, reader.tag)?;
    reader.again().read(&divided).ok().map(|d| d.structure)
}

/// A sum of equal terms: the number could be a constant factor, which has an atom.
pub(super) fn coefficient(reader: Reader, product: &Product) -> NotLogic {
    let content = super::expr::number(product.content);
    let side = |f: &&Factor| f.base.shown(&reader.normaliser.atoms);
    let monomials = product.factors.iter().take(1).collect::<Vec<_>>();
    let monomials = monomials.iter().map(|f| format!("{content} * ({})", side(f))).collect();
    let tag = product.content_tag;
    let mut constant = product.clone();
    let nearest = product.scale.times(product.content).and_then(|number| {
        (constant.scale, constant.content) = (number, Rational::ONE);
        let structure = reader.read(&constant).ok()?.structure;
        let core = structure.core();
        let reading = format!("the constant log({content}) as an atom of its own");
        Some(Box::new(Nearest { reading, structure, core }))
    });
    no_logic(Reason::Coefficient(content), tag, monomials, nearest)
}

fn no_logic(
    reason: Reason,
    tag: usize,
    monomials: Vec<String>,
    nearest: Option<Box<Nearest>>,
) -> NotLogic {
    NotLogic { reason, tag, monomials, nearest, written: None }
}

/// The nearest structure of T/B given by its factors: copies for repeated weights, then the
/// disjoint expansion of what still overlaps.
pub(super) fn of_polynomials(atoms: &[Atom], factors: &[Factor]) -> Option<Nearest> {
    let mut copies = Copies { atoms: atoms.to_vec(), made: Vec::new() };
    let mut sides = [Polynomial::constant(1), Polynomial::constant(1)];
    for side in [0, 1] {
        let mut used = 0u32;
        let wanted = factors.iter().filter_map(|f| Some((f, f.exponent.as_integer()?)));
        for (factor, e) in wanted.filter(|(_, e)| usize::from(*e < 0) == side) {
            for _ in 0..e.unsigned_abs() {
                let fresh = copies.disjoint(&factor.base, used)?;
                used |= fresh.support();
                sides[side] = sides[side].times(&fresh)?;
            }
        }
    }
    let mask = sides[0].support() | sides[1].support();
    let (kept, map) = compact(&copies.atoms, mask);
    let n = kept.len();
    if n > MAX_ATOMS {
        return None;
    }
    let mut overlap = false;
    let mut rows = Vec::new();
    for side in &sides {
        let values = side.remap(&map)?.vertex_values(n)?;
        if values.iter().any(|v| *v < 0) {
            return None;
        }
        overlap |= values.iter().any(|v| *v > 1);
        rows.push(Table::of_rows((0..values.len()).filter(|&r| values[r] > 0), n));
    }
    let structure = Structure::from_rows(kept, rows[0], rows[1]).ok()?;
    structure.validate().ok()?;
    let mut parts = Vec::new();
    for (original, copy) in &copies.made {
        parts.push(format!("{copy} as an equally likely copy of {original}"));
    }
    if overlap {
        let names = &structure.atoms;
        let shown = structure.polynomials();
        parts.push(format!(
            "overlapping terms counted once, {} over {}",
            shown.0.shown(names),
            shown.1.shown(names)
        ));
    }
    Some(Nearest { reading: parts.join("; "), core: structure.core(), structure })
}

/// Atoms, and the copies made of them.
struct Copies {
    atoms: Vec<Atom>,
    made: Vec<(Atom, Atom)>,
}

impl Copies {
    /// The polynomial with every power written as distinct copies, none of the atoms in `used`.
    fn disjoint(&mut self, p: &Polynomial, used: u32) -> Option<Polynomial> {
        let mut terms = Vec::new();
        for (monomial, c) in p.terms() {
            let mut image = Monomial::default();
            for (i, &e) in monomial.0.iter().enumerate().filter(|(_, e)| **e > 0) {
                let mut next = i;
                for _ in 0..e {
                    while image.0.get(next).is_none_or(|e| *e > 0) || used >> next & 1 == 1 {
                        next = self.copy_after(i, next)?;
                    }
                    image.0[next] = 1;
                }
            }
            terms.push((image, c));
        }
        Polynomial::of_terms(terms)
    }

    /// The variable of the copy of atom `i` that comes after variable `last`.
    fn copy_after(&mut self, i: usize, last: usize) -> Option<usize> {
        let original = self.atoms.get(i)?.clone();
        let number = (1..=u8::MAX).find(|&k| {
            let copy = original.copy(k);
            self.atoms.iter().position(|a| *a == copy).is_none_or(|at| at > last)
        })?;
        let copy = original.copy(number);
        if let Some(at) = self.atoms.iter().position(|a| *a == copy) {
            return Some(at);
        }
        if self.atoms.len() == crate::logic::MAX_VARIABLES {
            return None;
        }
        self.atoms.push(copy.clone());
        self.made.push((original, copy));
        Some(self.atoms.len() - 1)
    }
}
