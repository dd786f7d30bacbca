//! Exact two-level minimisation: prime implicants and the cheapest cover by them (Quine-McCluskey).

use super::{Formula, Function, MAX_ATOMS, Table};

/// How many branches the search for the cheapest cover may open. Functions of up to four atoms need
/// far fewer.
const MAX_BRANCHES: usize = 20_000;

/// A conjunction of literals: the atoms in `care`, each as the same bit of `value` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cube {
    /// The atoms that stand in it.
    pub care: u32,
    /// Which of them stand positively; a subset of `care`.
    pub value: u32,
}

impl Cube {
    /// Its truth table over `n` atoms.
    pub fn table(self, n: usize) -> Table {
        (0..n.min(MAX_ATOMS)).filter(|i| self.care >> i & 1 == 1).fold(Table::full(n), |t, i| {
            let var = Table::var(i, n);
            t & if self.value >> i & 1 == 1 { var } else { var.not(n) }
        })
    }

    /// Its diagram.
    pub fn function(self) -> Function {
        Function::of_formula(&self.formula())
    }

    /// How many literals it has.
    pub fn literals(self) -> u32 {
        self.care.count_ones()
    }

    /// The conjunction, its literals in the order of the atoms.
    pub fn formula(self) -> Formula {
        let mut literals: Vec<Formula> = (0..32)
            .filter(|i| self.care >> i & 1 == 1)
            .map(|i| {
                let atom = Formula::Atom(i);
                if self.value >> i & 1 == 1 { atom } else { atom.negated() }
            })
            .collect();
        match literals.len() {
            0 => Formula::True,
            1 => literals.remove(0),
            _ => Formula::And(literals),
        }
    }
}

/// A disjunction of cubes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cover {
    /// The cubes, in ascending order of (literals, cube).
    pub cubes: Vec<Cube>,
    /// False where the search stopped at its bound: still a cover by primes, perhaps not the cheapest.
    pub exact: bool,
}

/// The prime implicants of a function of `n` atoms, in ascending order of (literals, cube).
pub fn prime_implicants(f: Table, n: usize) -> Vec<Cube> {
    let n = n.min(MAX_ATOMS);
    let mut primes: Vec<Cube> = Vec::new();
    let mut by_size: Vec<u32> = (0..1u32 << n).collect();
    by_size.sort_by_key(|care| (care.count_ones(), *care));
    for care in by_size {
        for value in (0..1u32 << n).filter(|value| value & !care == 0) {
            let cube = Cube { care, value };
            // A shorter implicant that contains this one was found before it.
            let contained = |p: &Cube| p.care & !care == 0 && value & p.care == p.value;
            if cube.table(n).is_within(f) && !primes.iter().any(contained) {
                primes.push(cube);
            }
        }
    }
    primes
}

/// The cheapest disjunction of prime implicants equal to `f`: fewest literals, then fewest cubes, then
/// the least list of cubes.
pub fn minimal_cover(f: Table, n: usize) -> Cover {
    let primes: Vec<(Cube, Table)> =
        prime_implicants(f, n).into_iter().map(|c| (c, c.table(n))).collect();
    let mut search = Search { primes, best: None, branches: 0, chosen: Vec::new() };
    search.extend(f, 0);
    let exact = search.branches < MAX_BRANCHES;
    let mut cubes = search.best.map(|(_, cubes)| cubes).unwrap_or_default();
    cubes.sort_by_key(|c| (c.literals(), *c));
    Cover { cubes, exact }
}

type Cost = (u32, usize, Vec<Cube>);

struct Search {
    primes: Vec<(Cube, Table)>,
    best: Option<(Cost, Vec<Cube>)>,
    branches: usize,
    chosen: Vec<Cube>,
}

impl Search {
    fn extend(&mut self, uncovered: Table, literals: u32) {
        // The first descent always ends: it gives the greedy cover that a stopped search returns.
        if self.branches >= MAX_BRANCHES && self.best.is_some() {
            return;
        }
        self.branches += 1;
        if uncovered.is_false() {
            let mut sorted = self.chosen.clone();
            sorted.sort_unstable();
            let cost = (literals, sorted.len(), sorted);
            if self.best.as_ref().is_none_or(|(best, _)| cost < *best) {
                self.best = Some((cost, self.chosen.clone()));
            }
            return;
        }
        if let Some((best, _)) = &self.best {
            let bound = literals + self.lower_bound(uncovered);
            if bound > best.0 || (bound == best.0 && self.chosen.len() >= best.1) {
                return;
            }
        }
        // The row with the fewest primes leaves the fewest choices.
        let options = |row: usize| self.primes.iter().filter(|(_, t)| t.get(row)).count();
        let Some(row) = uncovered.rows().min_by_key(|&row| options(row)) else { return };
        let mut candidates: Vec<(Cube, Table)> =
            self.primes.iter().copied().filter(|(_, t)| t.get(row)).collect();
        candidates.sort_by_key(|(c, t)| {
            let gain = (*t & uncovered).count();
            (c.literals(), std::cmp::Reverse(gain), *c)
        });
        for (cube, table) in candidates {
            self.chosen.push(cube);
            self.extend(uncovered.without(table), literals + cube.literals());
            self.chosen.pop();
        }
    }

    /// At least one more cube is needed, no shorter than the shortest that covers a row left.
    fn lower_bound(&self, uncovered: Table) -> u32 {
        let shortest = |row: usize| {
            self.primes.iter().filter(|(_, t)| t.get(row)).map(|(c, _)| c.literals()).min()
        };
        uncovered.rows().filter_map(shortest).max().unwrap_or(0)
    }
}
