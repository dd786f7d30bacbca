//! Two structures over the union of their atoms, of which there may be more than a table holds.

use crate::logic::{
    Atom, Cube, Polynomial, Structure, Table, conjuncts, minimal_cover, prime_implicants,
};

/// A structure seen from a longer list of atoms.
#[derive(Clone, Debug)]
pub(super) struct Side<'a> {
    pub(super) structure: &'a Structure,
    /// Where its atoms stand in the list.
    map: Vec<usize>,
}

/// Which of its two functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rows {
    Wins,
    Loses,
}

impl<'a> Side<'a> {
    /// `None` where the list lacks an atom of the structure.
    pub(super) fn over(structure: &'a Structure, atoms: &[Atom]) -> Option<Self> {
        let map: Option<Vec<usize>> =
            structure.atoms.iter().map(|a| atoms.iter().position(|b| a == b)).collect();
        Some(Self { structure, map: map? })
    }

    pub(super) fn table(&self, rows: Rows) -> Table {
        match rows {
            Rows::Wins => self.structure.wins,
            Rows::Loses => self.structure.loses,
        }
    }

    /// Whether the function is true in a row over the list.
    pub(super) fn holds(&self, rows: Rows, row: usize) -> bool {
        let own = self.map.iter().enumerate().filter(|(_, to)| row >> **to & 1 == 1);
        self.table(rows).get(own.fold(0, |bits, (i, _)| bits | 1 << i))
    }

    fn wide(&self, cube: Cube) -> Cube {
        let spread = |mask: u32| {
            let set = self.map.iter().enumerate().filter(|(i, _)| mask >> i & 1 == 1);
            set.fold(0, |out, (_, to)| out | 1 << to)
        };
        Cube { care: spread(cube.care), value: spread(cube.value) }
    }

    /// The shortest disjunction of cubes for the function, over the list.
    pub(super) fn cover(&self, rows: Rows) -> Vec<Cube> {
        let cubes = minimal_cover(self.table(rows), self.structure.n()).cubes;
        cubes.into_iter().map(|c| self.wide(c)).collect()
    }

    /// The prime implicants of the function, over the list.
    pub(super) fn primes(&self, rows: Rows) -> Vec<Cube> {
        let cubes = prime_implicants(self.table(rows), self.structure.n());
        cubes.into_iter().map(|c| self.wide(c)).collect()
    }

    /// The weighted count of the function, in the weights of the list.
    pub(super) fn polynomial(&self, rows: Rows) -> Option<Polynomial> {
        self.of_table(self.table(rows))
    }

    /// The weighted count of a function of the structure's atoms, in the weights of the list.
    pub(super) fn of_table(&self, table: Table) -> Option<Polynomial> {
        Polynomial::of_table(table, self.structure.n()).remap(&self.map)
    }

    /// The irreducible factors of that.
    pub(super) fn factors(&self, rows: Rows) -> Option<Vec<Polynomial>> {
        let parts = conjuncts(self.table(rows), self.structure.n());
        parts.into_iter().map(|t| self.of_table(t)).collect()
    }
}

/// Whether every row of one function is a row of the other, over `n` atoms.
pub(super) fn within(a: &Side<'_>, b: &Side<'_>, rows: Rows, n: usize) -> bool {
    (0..1usize << n).all(|row| !a.holds(rows, row) || b.holds(rows, row))
}

/// Whether a row is one of the cube's.
pub(super) fn inside(cube: Cube, row: usize) -> bool {
    row as u32 & cube.care == cube.value
}
