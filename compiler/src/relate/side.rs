//! Two structures over the union of their atoms, of which there may be more than a table holds.

use crate::logic::{
    Atom, Cube, Fraction, Function, LargeStructure, MAX_VARIABLES, Polynomial, Rational, Structure,
    Table, conjuncts, minimal_cover, prime_implicants, union,
};

/// A structure seen from a longer list of atoms.
#[derive(Clone, Debug)]
pub(super) struct Side<'a> {
    kind: Kind<'a>,
}

#[derive(Clone, Debug)]
enum Kind<'a> {
    /// Tables over the structure's own atoms, and where these stand in the list.
    Tables { structure: &'a Structure, map: Vec<usize> },
    /// Winning and losing rows over the list, as diagrams.
    Diagrams(LargeStructure),
}

/// Which of its two functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rows {
    Wins,
    Loses,
}

/// What can be compared: structures with tables, and those with diagrams.
pub(super) trait Subject: Sized {
    fn atoms(&self) -> &[Atom];
    /// Whether a row wins and a row loses.
    fn is_finite(&self) -> bool;
    /// The same rho with nothing left to cancel.
    fn reduced(&self) -> Self;
    /// `None` where the list lacks an atom of the structure, or is too long.
    fn side(&self, atoms: &[Atom]) -> Option<Side<'_>>;

    /// The atoms of this structure, then the others of `other`.
    fn together(&self, other: &Self) -> Vec<Atom> {
        union(self.atoms(), other.atoms())
    }
}

impl Subject for Structure {
    fn atoms(&self) -> &[Atom] {
        &self.atoms
    }

    fn is_finite(&self) -> bool {
        self.validate().is_ok()
    }

    fn reduced(&self) -> Self {
        self.canonical()
    }

    fn side(&self, atoms: &[Atom]) -> Option<Side<'_>> {
        let map: Option<Vec<usize>> =
            self.atoms.iter().map(|a| atoms.iter().position(|b| a == b)).collect();
        let map = map.filter(|_| atoms.len() <= MAX_VARIABLES)?;
        Some(Side { kind: Kind::Tables { structure: self, map } })
    }
}

impl Subject for LargeStructure {
    fn atoms(&self) -> &[Atom] {
        &self.atoms
    }

    fn is_finite(&self) -> bool {
        self.validate().is_ok()
    }

    fn reduced(&self) -> Self {
        self.canonical()
    }

    fn side(&self, atoms: &[Atom]) -> Option<Side<'_>> {
        Some(Side { kind: Kind::Diagrams(self.over(atoms)?) })
    }
}

fn table(structure: &Structure, rows: Rows) -> Table {
    match rows {
        Rows::Wins => structure.wins,
        Rows::Loses => structure.loses,
    }
}

fn diagram(structure: &LargeStructure, rows: Rows) -> &Function {
    match rows {
        Rows::Wins => &structure.wins,
        Rows::Loses => &structure.loses,
    }
}

impl Side<'_> {
    /// Whether the function is true in a row over the list.
    pub(super) fn holds(&self, rows: Rows, row: usize) -> bool {
        match &self.kind {
            Kind::Tables { structure, map } => {
                let own = map.iter().enumerate().filter(|(_, to)| row >> **to & 1 == 1);
                table(structure, rows).get(own.fold(0, |bits, (i, _)| bits | 1 << i))
            }
            Kind::Diagrams(s) => diagram(s, rows).holds(row),
        }
    }

    /// Whether every row of the function is a row of the other side's, over `n` atoms.
    pub(super) fn is_within(&self, other: &Side<'_>, rows: Rows, n: usize) -> bool {
        match (&self.kind, &other.kind) {
            (Kind::Diagrams(a), Kind::Diagrams(b)) => diagram(a, rows).is_within(diagram(b, rows)),
            _ => within(self, other, rows, n),
        }
    }

    /// A short disjunction of prime implicants for the function, over the list; `None` where they are too
    /// many.
    pub(super) fn cover(&self, rows: Rows) -> Option<Vec<Cube>> {
        match &self.kind {
            Kind::Tables { structure, map } => {
                let cubes = minimal_cover(table(structure, rows), structure.n()).cubes;
                Some(cubes.into_iter().map(|c| wide(map, c)).collect())
            }
            Kind::Diagrams(s) => {
                let mut cubes = diagram(s, rows).cover()?;
                cubes.sort_by_key(|c| (c.literals(), *c));
                Some(cubes)
            }
        }
    }

    /// A prime implicant of the function that follows from a cube, if one does.
    pub(super) fn prime_above(&self, rows: Rows, premise: Cube) -> Option<Cube> {
        match &self.kind {
            Kind::Tables { structure, map } => {
                let primes = prime_implicants(table(structure, rows), structure.n());
                primes.into_iter().map(|c| wide(map, c)).find(|p| follows_from(*p, premise))
            }
            Kind::Diagrams(s) => {
                let f = diagram(s, rows);
                let mut cube = premise;
                if !cube.function().is_within(f) {
                    return None;
                }
                for i in 0..MAX_VARIABLES {
                    let without =
                        Cube { care: cube.care & !(1 << i), value: cube.value & !(1 << i) };
                    if without.function().is_within(f) {
                        cube = without;
                    }
                }
                Some(cube)
            }
        }
    }

    /// The weighted count of the function, in the weights of the list.
    pub(super) fn polynomial(&self, rows: Rows) -> Option<Polynomial> {
        match &self.kind {
            Kind::Tables { structure, map } => {
                Polynomial::of_table(table(structure, rows), structure.n()).remap(map)
            }
            Kind::Diagrams(s) => diagram(s, rows).polynomial(),
        }
    }

    /// Its value at a point of the cube; `None` where a number outgrows 128 bits.
    pub(super) fn weight(&self, rows: Rows, point: &[Rational]) -> Option<Rational> {
        match &self.kind {
            Kind::Tables { .. } => self.polynomial(rows)?.eval(point),
            Kind::Diagrams(s) => diagram(s, rows).weight(point),
        }
    }

    /// The irreducible factors of that.
    pub(super) fn factors(&self, rows: Rows) -> Option<Vec<Polynomial>> {
        match &self.kind {
            Kind::Tables { structure, map } => {
                counts(conjuncts(table(structure, rows), structure.n()), structure.n(), map)
            }
            Kind::Diagrams(s) => {
                diagram(s, rows).conjuncts().iter().map(Function::polynomial).collect()
            }
        }
    }

    /// The factors that both weighted counts share.
    pub(super) fn common(&self) -> Option<Vec<Polynomial>> {
        match &self.kind {
            Kind::Tables { structure: s, map } => {
                counts(Fraction::common(s.wins, s.loses, s.n()), s.n(), map)
            }
            Kind::Diagrams(s) => s.common().iter().map(Function::polynomial).collect(),
        }
    }
}

/// The weighted counts of tables over `n` atoms, in the weights of the list.
fn counts(tables: Vec<Table>, n: usize, map: &[usize]) -> Option<Vec<Polynomial>> {
    tables.into_iter().map(|t| Polynomial::of_table(t, n).remap(map)).collect()
}

fn wide(map: &[usize], cube: Cube) -> Cube {
    let spread = |mask: u32| {
        let set = map.iter().enumerate().filter(|(i, _)| mask >> i & 1 == 1);
        set.fold(0, |out, (_, to)| out | 1 << to)
    };
    Cube { care: spread(cube.care), value: spread(cube.value) }
}

/// Whether the second cube is one of the first with further literals.
fn follows_from(cube: Cube, premise: Cube) -> bool {
    cube.care & !premise.care == 0 && premise.value & cube.care == cube.value
}

/// Whether every row of one function is a row of the other, over `n` atoms, looked at one by one.
pub(super) fn within(a: &Side<'_>, b: &Side<'_>, rows: Rows, n: usize) -> bool {
    (0..1usize << n).all(|row| !a.holds(rows, row) || b.holds(rows, row))
}

/// Whether a row is one of the cube's.
pub(super) fn inside(cube: Cube, row: usize) -> bool {
    row as u32 & cube.care == cube.value
}
