//! Preference structures: which rows of the truth table win and which lose.

use super::{
    Atom, AtomKind, Formula, Fraction, MAX_ATOMS, MAX_VARIABLES, Polynomial, Table, minimise,
};
use std::fmt;

/// A preference structure: the winning rows and the losing rows over named atoms.
///
/// It denotes rho = log WMC(wins) - log WMC(loses). Equality is equality of atoms, in order, and of
/// rows; for equality of rho see [`Structure::same_rho`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Structure {
    /// The atoms; row bits follow this order.
    pub atoms: Vec<Atom>,
    /// W = (P | Pa) & Pc
    pub wins: Table,
    /// L = (!P | Pa) & Pc
    pub loses: Table,
}

/// What is wrong with a structure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StructureError {
    /// More atoms than a truth table holds.
    TooManyAtoms(usize),
    /// The same atom twice.
    RepeatedAtom(String),
    /// No row is ticked: rho would be minus infinity everywhere.
    NoWinningRow,
    /// No row is crossed: rho would be infinity everywhere.
    NoLosingRow,
}

impl fmt::Display for StructureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyAtoms(n) => {
                write!(
                    f,
                    "the logic has {n} atoms, and a truth table holds at most {MAX_ATOMS}, a \
                           decision diagram {MAX_VARIABLES}"
                )
            }
            Self::RepeatedAtom(name) => write!(f, "the atom {name} is listed twice"),
            Self::NoWinningRow => f.write_str(
                "no row of the truth table is preferred, so rho would be minus infinity everywhere",
            ),
            Self::NoLosingRow => f.write_str(
                "no row of the truth table is dispreferred, so rho would be infinity everywhere",
            ),
        }
    }
}

impl std::error::Error for StructureError {}

/// What a row of the truth table carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mark {
    /// It wins only.
    Tick,
    /// It loses only.
    Cross,
    /// It counts on both sides.
    Both,
    /// It counts on neither.
    None,
}

impl Mark {
    pub(super) fn of(wins: bool, loses: bool) -> Self {
        match (wins, loses) {
            (true, false) => Mark::Tick,
            (false, true) => Mark::Cross,
            (true, true) => Mark::Both,
            (false, false) => Mark::None,
        }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mark::Tick => "tick",
            Mark::Cross => "cross",
            Mark::Both => "both",
            Mark::None => "none",
        })
    }
}

/// A row of a structure's truth table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its number: bit `i` is the value of atom `i`.
    pub index: usize,
    /// The values of the atoms, in their order.
    pub assignment: Vec<bool>,
    /// What it carries.
    pub mark: Mark,
}

/// The clauses of a structure as minimal formulas over its atoms.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Core {
    /// P, the clause `prefer`: what a preferred row implies, Sem(loses) -> Sem(wins).
    pub p: Formula,
    /// Pc, the clause `given`: the rows that count at all.
    pub given: Formula,
    /// Pa, the clause `tie`: the rows that count on both sides.
    pub tie: Formula,
    /// False where minimising stopped at a bound: right, perhaps longer than need be.
    pub exact: bool,
}

impl Core {
    /// The clauses in the loss language, one a line, leaving out `given true` and `tie false`.
    pub fn shown<S: AsRef<str>>(&self, names: &[S]) -> String {
        let mut out = format!("prefer {}", self.p.shown(names));
        if self.given != Formula::True {
            out.push_str(&format!("\ngiven {}", self.given.shown(names)));
        }
        if self.tie != Formula::False {
            out.push_str(&format!("\ntie {}", self.tie.shown(names)));
        }
        out
    }
}

impl Structure {
    /// The structure with these winning and losing rows; bits past the last row are dropped.
    ///
    /// # Errors
    /// [`StructureError::TooManyAtoms`] and [`StructureError::RepeatedAtom`].
    pub fn from_rows(atoms: Vec<Atom>, wins: Table, loses: Table) -> Result<Self, StructureError> {
        distinct(&atoms, MAX_ATOMS)?;
        let full = Table::full(atoms.len());
        Ok(Self { atoms, wins: wins & full, loses: loses & full })
    }

    /// The structure of the clauses `prefer p`, `given`, `tie`, each a table over `atoms`.
    ///
    /// # Errors
    /// As [`Structure::from_rows`]. Whether any row wins or loses is for [`Structure::validate`].
    pub fn from_clauses(
        atoms: Vec<Atom>,
        p: Table,
        given: Table,
        tie: Table,
    ) -> Result<Self, StructureError> {
        let n = atoms.len();
        Self::from_rows(atoms, (p | tie) & given, (p.not(n) | tie) & given)
    }

    /// Whether rho is finite inside the cube.
    ///
    /// # Errors
    /// [`StructureError::NoWinningRow`] and [`StructureError::NoLosingRow`].
    pub fn validate(&self) -> Result<(), StructureError> {
        finite(self.wins.is_false(), self.loses.is_false())
    }

    /// How many atoms it has.
    pub fn n(&self) -> usize {
        self.atoms.len()
    }

    /// P = Sem(loses) -> Sem(wins), Pc = either, Pa = both, each as its minimal formula.
    ///
    /// Outside Pc and inside Pa the value of P makes no difference to the structure. It is fixed here
    /// by the implication and not by what prints shortest: ORPO's core is `l -> w`, not `w`.
    pub fn core(&self) -> Core {
        let n = self.n();
        let p = minimise(self.loses.implies(self.wins, n), n);
        let given = minimise(self.wins | self.loses, n);
        let tie = minimise(self.wins & self.loses, n);
        let exact = p.exact && given.exact && tie.exact;
        Core { p: p.formula, given: given.formula, tie: tie.formula, exact }
    }

    /// The mark of a row.
    pub fn mark(&self, row: usize) -> Mark {
        Mark::of(self.wins.get(row), self.loses.get(row))
    }

    /// All rows, in ascending order.
    pub fn rows(&self) -> impl Iterator<Item = Row> + '_ {
        (0..1usize << self.n().min(MAX_ATOMS)).map(|index| Row {
            index,
            assignment: (0..self.n()).map(|i| index >> i & 1 == 1).collect(),
            mark: self.mark(index),
        })
    }

    /// WMC(wins) and WMC(loses) as polynomials in the weights of the atoms, as they stand.
    pub fn polynomials(&self) -> (Polynomial, Polynomial) {
        let n = self.n();
        (Polynomial::of_table(self.wins, n), Polynomial::of_table(self.loses, n))
    }

    /// The same rho with common factors cancelled, over the atoms that it then still depends on.
    ///
    /// A structure without winning or without losing rows is returned as 0/1, 1/0 or 0/0 over no
    /// atoms.
    #[must_use]
    pub fn canonical(&self) -> Structure {
        let fraction = Fraction::reduced(self.wins, self.loses, self.n());
        let mask = fraction.support(self.n());
        let kept = self.atoms.iter().enumerate().filter(|(i, _)| mask >> i & 1 == 1);
        Structure {
            atoms: kept.map(|(_, a)| a.clone()).collect(),
            wins: fraction.numerator.restrict(mask),
            loses: fraction.denominator.restrict(mask),
        }
    }

    /// Whether both denote the same rho as a function of all weights, whatever the order of atoms.
    pub fn same_rho(&self, other: &Structure) -> bool {
        self.canonical().sorted() == other.canonical().sorted()
    }

    /// The same structure with its atoms in ascending order.
    #[must_use]
    pub fn sorted(&self) -> Structure {
        let mut atoms = self.atoms.clone();
        atoms.sort();
        self.over(&atoms).unwrap_or_else(|| self.clone())
    }

    /// The same functions over `atoms`, which holds every atom of the structure; `None` where it does
    /// not, or holds more than [`MAX_ATOMS`].
    pub fn over(&self, atoms: &[Atom]) -> Option<Structure> {
        if atoms.len() > MAX_ATOMS {
            return None;
        }
        let places: Option<Vec<usize>> =
            self.atoms.iter().map(|a| atoms.iter().position(|b| a == b)).collect();
        let (map, n) = (places?, atoms.len());
        Some(Structure {
            atoms: atoms.to_vec(),
            wins: self.wins.remap(&map, n),
            loses: self.loses.remap(&map, n),
        })
    }

    /// The atoms of this structure, then those of `other` that are not among them.
    pub fn union(&self, other: &Structure) -> Vec<Atom> {
        union(&self.atoms, &other.atoms)
    }

    /// Both structures over the union of their atoms; `None` where that is more than [`MAX_ATOMS`].
    pub fn aligned(&self, other: &Structure) -> Option<(Structure, Structure)> {
        let atoms = self.union(other);
        Some((self.over(&atoms)?, other.over(&atoms)?))
    }

    /// Winning and losing rows exchanged: -rho.
    #[must_use]
    pub fn negated(&self) -> Structure {
        Structure { atoms: self.atoms.clone(), wins: self.loses, loses: self.wins }
    }

    /// The structure that says of `loser` what this one says of `winner`, and the other way round.
    ///
    /// Atoms keep their order where the exchange maps the set of atoms to itself.
    #[must_use]
    pub fn swapped(&self, winner: &str, loser: &str) -> Structure {
        let atoms: Vec<Atom> = self.atoms.iter().map(|a| a.swapped(winner, loser)).collect();
        let renamed = Structure { atoms, wins: self.wins, loses: self.loses };
        renamed.over(&self.atoms).unwrap_or(renamed)
    }

    /// The reference version, rho - (log ref(w) - log ref(l)), with the names of the language's
    /// examples. See [`Structure::relative_to`].
    ///
    /// # Errors
    /// As [`Structure::relative_to`].
    pub fn reference_version(&self) -> Result<Structure, StructureError> {
        self.relative_to("ref", "w", "l")
    }

    /// rho - (log r(winner) - log r(loser)) for a model r: `r(loser)` joins every winning row and
    /// `r(winner)` every losing row. The new atoms are averaged where an atom about the winner is.
    ///
    /// # Errors
    /// As [`Structure::from_rows`]: two more atoms may be too many, or be there already.
    pub fn relative_to(
        &self,
        reference: &str,
        winner: &str,
        loser: &str,
    ) -> Result<Structure, StructureError> {
        let n = self.n();
        let atoms = with_reference(&self.atoms, reference, winner, loser);
        if atoms.len() > MAX_ATOMS {
            return Err(StructureError::TooManyAtoms(atoms.len()));
        }
        let wins = self.wins.extend(n, n + 2) & Table::var(n + 1, n + 2);
        let loses = self.loses.extend(n, n + 2) & Table::var(n, n + 2);
        Structure::from_rows(atoms, wins, loses)
    }
}

/// Checks that a list of atoms is short enough and names none twice.
pub(super) fn distinct(atoms: &[Atom], most: usize) -> Result<(), StructureError> {
    if atoms.len() > most {
        return Err(StructureError::TooManyAtoms(atoms.len()));
    }
    match atoms.iter().enumerate().find(|(i, a)| atoms[..*i].contains(a)) {
        Some((_, atom)) => Err(StructureError::RepeatedAtom(atom.name.clone())),
        None => Ok(()),
    }
}

/// Whether some row wins and some row loses.
pub(super) fn finite(none_wins: bool, none_loses: bool) -> Result<(), StructureError> {
    match (none_wins, none_loses) {
        (true, _) => Err(StructureError::NoWinningRow),
        (_, true) => Err(StructureError::NoLosingRow),
        _ => Ok(()),
    }
}

/// The atoms of one list, then those of the other that are not among them.
pub(crate) fn union(own: &[Atom], others: &[Atom]) -> Vec<Atom> {
    own.iter().chain(others.iter().filter(|a| !own.contains(a))).cloned().collect()
}

/// The atoms, then those of a reference; these are averaged where an atom about the winner is.
pub(super) fn with_reference(
    atoms: &[Atom],
    reference: &str,
    winner: &str,
    loser: &str,
) -> Vec<Atom> {
    let averaged = atoms.iter().any(|a| {
        matches!(&a.kind, AtomKind::Response { response, mean: true, .. } if response == winner)
    });
    let new = [winner, loser].map(|y| Atom::aggregated(reference, y, averaged));
    atoms.iter().cloned().chain(new).collect()
}
