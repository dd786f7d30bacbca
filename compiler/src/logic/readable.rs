//! Readable formulas for functions of more than six atoms.
//!
//! In: a [`Function`]. Out: a formula of it. What splits into parts over disjoint atoms is written part by
//! part; parts of up to six atoms get their least formula ([`minimise()`]); the others the shortest of
//! their irredundant two-level forms and of the forms that single out one atom. So it is right, and short,
//! but beyond six atoms not the shortest there is.

use super::cover::Cube;
use super::function::Function;
use super::minimise::{conjunction, disjunction, key};
use super::{Formula, MAX_ATOMS, MAX_VARIABLES, Minimised, minimise};
use std::collections::HashMap;

/// The most cubes of a two-level form that is considered.
const MAX_CUBES: usize = 256;

/// A short formula of a function; exact where it is known to be the least.
pub fn readable(f: &Function) -> Minimised {
    let mut search = Search { known: HashMap::new(), exact: true };
    let formula = search.best(f);
    Minimised { formula, exact: search.exact }
}

struct Search {
    known: HashMap<Function, Formula>,
    exact: bool,
}

fn atoms_of(mask: u32) -> Vec<usize> {
    (0..MAX_VARIABLES).filter(|i| mask >> i & 1 == 1).collect()
}

impl Search {
    fn best(&mut self, f: &Function) -> Formula {
        if let Some(known) = self.known.get(f) {
            return known.clone();
        }
        let formula = self.compute(f);
        debug_assert!(Function::of_formula(&formula) == *f);
        self.known.insert(f.clone(), formula.clone());
        formula
    }

    fn compute(&mut self, f: &Function) -> Formula {
        if f.is_false() {
            return Formula::False;
        }
        let atoms = atoms_of(f.support());
        if atoms.len() <= MAX_ATOMS
            && let Some(table) = f.table(&atoms)
        {
            let found = minimise(table, atoms.len());
            self.exact &= found.exact;
            return found.formula.renamed(&atoms);
        }
        let parts = f.conjuncts();
        if parts.len() > 1 {
            return conjunction(parts.iter().map(|p| self.best(p)).collect());
        }
        let denied = f.not();
        let parts = denied.conjuncts();
        if parts.len() > 1 {
            return self.disjoint(&parts);
        }
        self.exact = false;
        let mut candidates = self.two_level(f, &denied);
        candidates.extend(self.single_out(f, &atoms));
        candidates.into_iter().min_by_key(key).unwrap_or(Formula::False)
    }

    /// The negation of a conjunction of parts over disjoint atoms: a disjunction, an implication from
    /// one part where that reads better, or the negated conjunction itself.
    fn disjoint(&mut self, parts: &[Function]) -> Formula {
        let (plain, denied): (Vec<Formula>, Vec<Formula>) =
            parts.iter().map(|p| (self.best(p), self.best(&p.not()))).unzip();
        let mut candidates =
            vec![disjunction(denied.clone()), conjunction(plain.clone()).negated()];
        for (i, premise) in plain.iter().enumerate() {
            let others = denied.iter().enumerate().filter(|(j, _)| *j != i);
            let conclusion = disjunction(others.map(|(_, d)| d.clone()).collect());
            candidates.push(premise.clone().implies(conclusion));
        }
        candidates.into_iter().min_by_key(key).unwrap_or(Formula::False)
    }

    fn two_level(&mut self, f: &Function, denied: &Function) -> Vec<Formula> {
        let mut out = Vec::new();
        if let Some(cubes) = irredundant(f) {
            out.push(disjunction(cubes.iter().map(|c| c.formula()).collect()));
        }
        if let Some(cubes) = irredundant(denied) {
            let clause = |c: &Cube| {
                let literals = atoms_of(c.care).into_iter().map(|i| {
                    let atom = Formula::Atom(i);
                    if c.value >> i & 1 == 1 { atom.negated() } else { atom }
                });
                disjunction(literals.collect())
            };
            out.push(conjunction(cubes.iter().map(clause).collect()));
        }
        out
    }

    /// The forms that treat the atom apart whose fixing leaves the smallest diagrams.
    fn single_out(&mut self, f: &Function, atoms: &[usize]) -> Option<Formula> {
        let left = |i: usize| f.cofactor(i, true).size() + f.cofactor(i, false).size();
        let i = atoms.iter().copied().min_by_key(|i| (left(*i), *i))?;
        let (f1, f0) = (f.cofactor(i, true), f.cofactor(i, false));
        let atom = Formula::Atom(i);
        let on = self.best(&f1);
        if f1 == f0.not() {
            return Some(atom.iff(on));
        }
        let off = self.best(&f0);
        Some(if f0.is_within(&f1) {
            disjunction(vec![conjunction(vec![atom, on]), off])
        } else if f1.is_within(&f0) {
            conjunction(vec![atom.implies(on), off])
        } else {
            conjunction(vec![disjunction(vec![atom.clone(), off]), atom.implies(on)])
        })
    }
}

/// A disjunction of cubes for the function, none of which can be left out, each a prime implicant
/// (Minato and Morreale's recursion); `None` beyond [`MAX_CUBES`].
pub(super) fn irredundant(f: &Function) -> Option<Vec<Cube>> {
    Some(between(f, f)?.0)
}

/// Cubes for some function between `low` and `high`, and that function.
fn between(low: &Function, high: &Function) -> Option<(Vec<Cube>, Function)> {
    if low.is_false() {
        return Some((Vec::new(), Function::constant(false)));
    }
    if high.is_true() {
        return Some((vec![Cube { care: 0, value: 0 }], Function::constant(true)));
    }
    let support = low.support() | high.support();
    let i = support.trailing_zeros() as usize;
    let at = |f: &Function, value: bool| f.cofactor(i, value);
    let (l0, l1, h0, h1) = (at(low, false), at(low, true), at(high, false), at(high, true));
    // Rows that only cubes with the literal can cover, for each of the two literals.
    let (mut cubes, f0) = between(&l0.without(&h1), &h0)?;
    let (positive, f1) = between(&l1.without(&h0), &h1)?;
    let rest = l0.without(&f0).or(&l1.without(&f1));
    let (free, f2) = between(&rest, &h0.and(&h1))?;
    let with = |c: &mut Cube, value: u32| {
        c.care |= 1 << i;
        c.value |= value << i;
    };
    cubes.iter_mut().for_each(|c| with(c, 0));
    cubes.extend(positive.into_iter().map(|mut c| {
        with(&mut c, 1);
        c
    }));
    cubes.extend(free);
    if cubes.len() > MAX_CUBES {
        return None;
    }
    let atom = Function::atom(i);
    let covered = f0.without(&atom).or(&f1.and(&atom)).or(&f2);
    Some((cubes, covered))
}
