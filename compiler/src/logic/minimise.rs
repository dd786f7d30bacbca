//! The shortest readable formula of a truth table.
//!
//! In: a table. Out: a formula with that table. "Shortest" is least in this total order:
//!
//! 1. the number of atoms written, repetitions counted;
//! 2. the weight of the connectives: `&` 2, `|` 4, `->`, `<->` and `xor` 5 each, `!` 2 before an atom
//!    and 4 before anything else. So a conjunction of negations reads better than a negated
//!    disjunction (`!a & !b`), a negated conjunction better than a disjunction of negations
//!    (`!(a & b)`), and an implication better than a disjunction with one negation (`a -> b`);
//! 3. the number of negations;
//! 4. nesting depth;
//! 5. the sequence of its atoms, then the formula itself, by index.
//!
//! The candidates are: every split of the atoms into two groups whose functions are joined by one
//! connective (which finds every formula that names each atom once, implications and
//! equivalences included); and for a function without such a split, the exact two-level forms of
//! it and of its negation ([`minimal_cover`]) with their clauses written as implications, the forms
//! that single out one atom, and up to four atoms those that single out a pair. The result is the
//! least of these. It has as few atoms as any formula for every function of up to three atoms (checked
//! against an exhaustive search); beyond that it is the least of the candidates, not of all formulas.

use super::cover::{Cube, minimal_cover};
use super::{Formula, MAX_ATOMS, Table};
use std::collections::HashMap;

/// A formula and whether the search behind it ended by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minimised {
    /// The least formula found.
    pub formula: Formula,
    /// False where a two-level cover was taken at the bound of its search.
    pub exact: bool,
}

/// The least formula of `table` over `n` atoms, in the order that the module defines.
///
/// Depends on nothing but its arguments. Atoms on which the function does not depend do not appear.
pub fn minimise(table: Table, n: usize) -> Minimised {
    let n = n.min(MAX_ATOMS);
    let mut search = Search { n, known: HashMap::new(), exact: true };
    let formula = search.best(table & Table::full(n));
    Minimised { formula, exact: search.exact }
}

/// Position of a formula in the total order of readability.
pub(super) type Key = (usize, u32, u32, u32, Vec<usize>, Formula);

pub(super) fn key(formula: &Formula) -> Key {
    let leaves = formula.leaves();
    let (weight, negations, depth) = measure(formula);
    (leaves.len(), weight, negations, depth, leaves, formula.clone())
}

/// (weight of the connectives, negations, depth)
fn measure(formula: &Formula) -> (u32, u32, u32) {
    let join = |args: &[&Formula], each: u32| {
        let connectives = each * (args.len() as u32).saturating_sub(1);
        args.iter()
            .map(|a| measure(a))
            .fold((connectives, 0, 1), |sum, (w, m, d)| (sum.0 + w, sum.1 + m, sum.2.max(d + 1)))
    };
    match formula {
        Formula::True | Formula::False | Formula::Atom(_) => (0, 0, 0),
        Formula::Not(a) => {
            let (w, m, d) = measure(a);
            let own = if matches!(**a, Formula::Atom(_)) { 2 } else { 4 };
            (w + own, m + 1, d + 1)
        }
        Formula::And(args) => join(&args.iter().collect::<Vec<_>>(), 2),
        Formula::Or(args) => join(&args.iter().collect::<Vec<_>>(), 4),
        Formula::Implies(a, b) | Formula::Iff(a, b) | Formula::Xor(a, b) => join(&[a, b], 5),
    }
}

struct Search {
    n: usize,
    known: HashMap<Table, Formula>,
    exact: bool,
}

impl Search {
    fn best(&mut self, f: Table) -> Formula {
        if let Some(known) = self.known.get(&f) {
            return known.clone();
        }
        let formula = self.compute(f);
        debug_assert_eq!(formula.table(self.n), f);
        self.known.insert(f, formula.clone());
        formula
    }

    fn compute(&mut self, f: Table) -> Formula {
        if f.is_false() {
            return Formula::False;
        }
        if f.is_true(self.n) {
            return Formula::True;
        }
        let support = f.support(self.n);
        if support.is_power_of_two() {
            let i = support.trailing_zeros() as usize;
            let atom = Formula::Atom(i);
            return if f == Table::var(i, self.n) { atom } else { atom.negated() };
        }
        let mut candidates = self.splits(f, support);
        if candidates.is_empty() {
            candidates = self.two_level(f);
            candidates.extend(self.single_out(f, support));
            if support.count_ones() <= 4 {
                candidates.extend(self.with_a_pair(f, support));
            }
        }
        candidates.into_iter().min_by_key(key).unwrap_or(Formula::False)
    }

    /// The forms `g(A) op h(B)` for every split of the atoms into disjoint groups A and B.
    fn splits(&mut self, f: Table, support: u32) -> Vec<Formula> {
        let n = self.n;
        let not_f = f.not(n);
        let lowest = support & support.wrapping_neg();
        let mut out = Vec::new();
        // Every unordered split once: A holds the lowest atom.
        for a in (1..1u32 << n).filter(|a| a & !support == 0 && a & lowest != 0 && *a != support) {
            let b = support & !a;
            let (g, h) = (f.exists(b, n), f.exists(a, n));
            if g & h == f {
                out.push(conjunction(vec![self.best(g), self.best(h)]));
            }
            let (g, h) = (not_f.exists(b, n), not_f.exists(a, n));
            if g & h == not_f {
                let (not_g, not_h) = (self.best(g), self.best(h));
                let (g, h) = (self.best(g.not(n)), self.best(h.not(n)));
                out.extend(either((g, not_g), (h, not_h)));
            }
            let g = zero(f, b, n);
            let h = zero(f, a, n) ^ zero(g, a, n);
            if g ^ h == f {
                let (not_g, not_h) = (self.best(g.not(n)), self.best(h.not(n)));
                let (g, h) = (self.best(g), self.best(h));
                out.push(parity((g, not_g), (h, not_h)));
            }
        }
        out
    }

    /// The two-level forms of `f` and of its negation.
    fn two_level(&mut self, f: Table) -> Vec<Formula> {
        let n = self.n;
        let not_f = f.not(n);
        let (on, off) = (minimal_cover(f, n), minimal_cover(not_f, n));
        self.exact &= on.exact && off.exact;
        let terms = |cubes: &[Cube]| cubes.iter().map(|c| c.formula()).collect::<Vec<_>>();
        let clauses = |search: &mut Self, cubes: &[Cube]| {
            cubes.iter().map(|c| search.best(c.table(n).not(n))).collect::<Vec<_>>()
        };
        let conjunctive = conjunction(clauses(self, &off.cubes));
        let negative = conjunction(clauses(self, &on.cubes)).negated();
        let mut out = vec![
            disjunction(terms(&on.cubes)),
            conjunctive,
            disjunction(terms(&off.cubes)).negated(),
            negative,
        ];
        out.extend(implications(&on.cubes, n));
        out
    }

    /// The forms that treat one atom apart: `x & g | h`, `(x | h) & g` and their mirror images.
    fn single_out(&mut self, f: Table, support: u32) -> Vec<Formula> {
        let n = self.n;
        let mut out = Vec::new();
        for i in (0..n).filter(|i| support >> i & 1 == 1) {
            let atom = Formula::Atom(i);
            let (f1, f0) = (f.cofactor(i, true, n), f.cofactor(i, false, n));
            let (on, off) = (self.best(f1), self.best(f0));
            out.push(disjunction(vec![
                conjunction(vec![atom.clone(), on.clone()]),
                conjunction(vec![atom.clone().negated(), off.clone()]),
            ]));
            out.push(conjunction(vec![
                disjunction(vec![atom.clone(), off.clone()]),
                atom.clone().implies(on.clone()),
            ]));
            // With one cofactor inside the other, the inner one need not be repeated in full.
            if f0.is_within(f1) {
                for (g, _) in self.between(f1.without(f0), f1, support) {
                    out.push(disjunction(vec![conjunction(vec![atom.clone(), g]), off.clone()]));
                }
                for (h, _) in self.between(f0, f0 | f1.not(n), support) {
                    out.push(conjunction(vec![disjunction(vec![atom.clone(), h]), on.clone()]));
                }
            } else if f1.is_within(f0) {
                let no = atom.clone().negated();
                for (g, _) in self.between(f0.without(f1), f0, support) {
                    out.push(disjunction(vec![conjunction(vec![no.clone(), g]), on.clone()]));
                }
                for (h, _) in self.between(f1, f1 | f0.not(n), support) {
                    out.push(conjunction(vec![atom.clone().implies(h), off.clone()]));
                }
            }
        }
        out
    }

    /// The forms `p op g` where p joins two atoms that g may name again.
    fn with_a_pair(&mut self, f: Table, support: u32) -> Vec<Formula> {
        let n = self.n;
        let mut out = Vec::new();
        for i in (0..n).filter(|i| support >> i & 1 == 1) {
            for j in (i + 1..n).filter(|j| support >> j & 1 == 1) {
                let (x, y) = (Table::var(i, n), Table::var(j, n));
                let [nx, ny] = [x.not(n), y.not(n)];
                let pairs = [x & y, x & ny, nx & y, nx & ny, x ^ y];
                for p in pairs.into_iter().flat_map(|p| [p, p.not(n)]) {
                    let (this, not_this) = (self.best(p), self.best(p.not(n)));
                    if f.is_within(p) {
                        for (g, _) in self.between(f, f | p.not(n), support) {
                            out.push(conjunction(vec![this.clone(), g]));
                        }
                    }
                    if p.is_within(f) {
                        for g in self.between(f.without(p), f, support) {
                            out.extend(either((this.clone(), not_this.clone()), g));
                        }
                    }
                    if let Some(g) = self.simpler(f ^ p, support) {
                        out.push(parity((this, not_this), g));
                    }
                }
            }
        }
        out
    }

    /// Formulas of functions between `low` and `high`, each with its negation's: what is left of the
    /// ends when atoms of `support` are forgotten.
    fn between(&mut self, low: Table, high: Table, support: u32) -> Vec<(Formula, Formula)> {
        let n = self.n;
        let mut tables = Vec::new();
        for mask in (0..1u32 << n).filter(|mask| mask & !support == 0) {
            tables.push(low.exists(mask, n));
            tables.push(high.not(n).exists(mask, n).not(n));
        }
        tables.retain(|t| low.is_within(*t) && t.is_within(high));
        tables.sort_unstable();
        tables.dedup();
        tables.into_iter().filter_map(|t| self.simpler(t, support)).collect()
    }

    /// The formulas of `g` and of its negation, where finding them leads to smaller functions only:
    /// fewer atoms than `support`, or a split.
    fn simpler(&mut self, g: Table, support: u32) -> Option<(Formula, Formula)> {
        let not_g = g.not(self.n);
        if g.support(self.n) != support {
            return Some((self.best(g), self.best(not_g)));
        }
        let plain = self.splits(g, support).into_iter().min_by_key(key)?;
        let negated = self.splits(not_g, support).into_iter().min_by_key(key)?;
        Some((plain, negated))
    }
}

/// The ways to write `g | h`, given each with its negation.
fn either(g: (Formula, Formula), h: (Formula, Formula)) -> [Formula; 4] {
    [
        disjunction(vec![g.0.clone(), h.0.clone()]),
        g.1.clone().implies(h.0),
        h.1.clone().implies(g.0),
        conjunction(vec![g.1, h.1]).negated(),
    ]
}

/// `g xor h`, given each with its negation: of each side whichever reads better is taken.
fn parity(g: (Formula, Formula), h: (Formula, Formula)) -> Formula {
    let mut flips = false;
    let mut operands = Vec::new();
    for (plain, negated) in [g, h] {
        let flip = key(&negated) < key(&plain);
        flips ^= flip;
        flips ^= flatten_parity(if flip { negated } else { plain }, &mut operands);
    }
    by_atoms(&mut operands);
    let last = if flips { operands.pop() } else { None };
    let chain = operands.into_iter().reduce(Formula::xor).unwrap_or(Formula::False);
    match last {
        Some(last) => chain.iff(last),
        None => chain,
    }
}

/// The cover as an implication, for each way to read its short cubes as the negation of a premise.
fn implications(cubes: &[Cube], n: usize) -> Vec<Formula> {
    let negative = |c: &Cube| c.literals() == 1 && c.value == 0;
    let (premises, rest): (Vec<Cube>, Vec<Cube>) = cubes.iter().partition(|c| negative(c));
    if premises.is_empty() || rest.is_empty() {
        return Vec::new();
    }
    let atoms = (0..n).filter(|i| premises.iter().any(|c| c.care >> i & 1 == 1));
    let premise = conjunction(atoms.map(Formula::Atom).collect());
    vec![premise.implies(disjunction(rest.iter().map(|c| c.formula()).collect()))]
}

/// `f` with every atom of `mask` false.
fn zero(f: Table, mask: u32, n: usize) -> Table {
    (0..n).filter(|i| mask >> i & 1 == 1).fold(f, |t, i| t.cofactor(i, false, n))
}

/// Adds the operands of a chain of `xor` and `<->`; true where the chain is their `xor` negated.
fn flatten_parity(formula: Formula, operands: &mut Vec<Formula>) -> bool {
    match formula {
        Formula::Xor(a, b) => flatten_parity(*a, operands) ^ flatten_parity(*b, operands),
        Formula::Iff(a, b) => !(flatten_parity(*a, operands) ^ flatten_parity(*b, operands)),
        other => {
            operands.push(other);
            false
        }
    }
}

fn by_atoms(args: &mut [Formula]) {
    args.sort_by_cached_key(|a| (a.leaves(), a.clone()));
}

pub(super) fn conjunction(args: Vec<Formula>) -> Formula {
    let mut flat = Vec::new();
    for arg in args {
        match arg {
            Formula::And(inner) => flat.extend(inner),
            Formula::True => {}
            other => flat.push(other),
        }
    }
    by_atoms(&mut flat);
    if flat.len() == 1 { flat.remove(0) } else { Formula::And(flat) }
}

pub(super) fn disjunction(args: Vec<Formula>) -> Formula {
    let mut flat = Vec::new();
    for arg in args {
        match arg {
            Formula::Or(inner) => flat.extend(inner),
            Formula::False => {}
            other => flat.push(other),
        }
    }
    by_atoms(&mut flat);
    if flat.len() == 1 { flat.remove(0) } else { Formula::Or(flat) }
}
