//! Structures of up to twelve atoms, their rows as binary decision diagrams.
//!
//! Why: beyond six atoms (three responses under three models) a truth table is no machine word. Everything
//! that is decided about a [`Structure`] is decided here by the same definitions on diagrams.

use super::readable::{irredundant, readable};
use super::structure::{distinct, finite, union, with_reference};
use super::{
    Atom, Core, Cube, Formula, Function, MAX_VARIABLES, Mark, Polynomial, Structure, StructureError,
};

/// A preference structure of up to [`MAX_VARIABLES`] atoms.
///
/// Equality is equality of atoms, in order, and of rows; for equality of rho see
/// [`LargeStructure::same_rho`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LargeStructure {
    /// The atoms; row bits follow this order.
    pub atoms: Vec<Atom>,
    /// W = (P | Pa) & Pc
    pub wins: Function,
    /// L = (!P | Pa) & Pc
    pub loses: Function,
}

impl From<&Structure> for LargeStructure {
    fn from(s: &Structure) -> Self {
        let [wins, loses] = [s.wins, s.loses].map(|t| Function::of_table(t, s.n()));
        Self { atoms: s.atoms.clone(), wins, loses }
    }
}

impl LargeStructure {
    /// The structure with these winning and losing rows, which depend on no other atoms.
    ///
    /// # Errors
    /// [`StructureError::TooManyAtoms`] and [`StructureError::RepeatedAtom`].
    pub fn from_rows(
        atoms: Vec<Atom>,
        wins: Function,
        loses: Function,
    ) -> Result<Self, StructureError> {
        distinct(&atoms, MAX_VARIABLES)?;
        Ok(Self { atoms, wins, loses })
    }

    /// The structure of the clauses `prefer p`, `given`, `tie` over `atoms`.
    ///
    /// # Errors
    /// As [`LargeStructure::from_rows`]. Whether any row wins or loses is for
    /// [`LargeStructure::validate`].
    pub fn from_clauses(
        atoms: Vec<Atom>,
        p: &Formula,
        given: &Formula,
        tie: &Formula,
    ) -> Result<Self, StructureError> {
        distinct(&atoms, MAX_VARIABLES)?;
        let [p, given, tie] = [p, given, tie].map(Function::of_formula);
        let wins = p.or(&tie).and(&given);
        let loses = p.not().or(&tie).and(&given);
        Self::from_rows(atoms, wins, loses)
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

    /// P = Sem(loses) -> Sem(wins), Pc = either, Pa = both, each as a readable formula.
    pub fn core(&self) -> Core {
        let p = readable(&self.loses.implies(&self.wins));
        let given = readable(&self.wins.or(&self.loses));
        let tie = readable(&self.wins.and(&self.loses));
        let exact = p.exact && given.exact && tie.exact;
        Core { p: p.formula, given: given.formula, tie: tie.formula, exact }
    }

    /// The mark of a row.
    pub fn mark(&self, row: usize) -> Mark {
        Mark::of(self.wins.holds(row), self.loses.holds(row))
    }

    /// WMC(wins) and WMC(loses) as polynomials in the weights of the atoms; `None` beyond
    /// [`super::MAX_TERMS`] monomials.
    pub fn polynomials(&self) -> Option<(Polynomial, Polynomial)> {
        Some((self.wins.polynomial()?, self.loses.polynomial()?))
    }

    /// The functions that are factors of both counts.
    pub fn common(&self) -> Vec<Function> {
        if self.validate().is_err() {
            return Vec::new();
        }
        let bottom = self.loses.conjuncts();
        self.wins.conjuncts().into_iter().filter(|f| bottom.contains(f)).collect()
    }

    /// The same rho with common factors cancelled, over the atoms that it then still depends on. A
    /// structure without winning or without losing rows comes back without atoms.
    #[must_use]
    pub fn canonical(&self) -> Self {
        let (wins, loses) = if self.validate().is_err() {
            let end = |f: &Function| Function::constant(!f.is_false());
            (end(&self.wins), end(&self.loses))
        } else {
            let (top, bottom) = (self.wins.conjuncts(), self.loses.conjuncts());
            let product = |of: &[Function], without: &[Function]| {
                let left = of.iter().filter(|f| !without.contains(f));
                left.fold(Function::constant(true), |all, f| all.and(f))
            };
            (product(&top, &bottom), product(&bottom, &top))
        };
        let mask = wins.support() | loses.support();
        let mut map = vec![usize::MAX; self.n()];
        let mut atoms = Vec::new();
        for (i, atom) in self.atoms.iter().enumerate().filter(|(i, _)| mask >> i & 1 == 1) {
            map[i] = atoms.len();
            atoms.push(atom.clone());
        }
        match (wins.remap(&map), loses.remap(&map)) {
            (Some(wins), Some(loses)) => Self { atoms, wins, loses },
            // Every atom of the support has a place, so this is not reached.
            _ => self.clone(),
        }
    }

    /// Whether both denote the same rho as a function of all weights, whatever the order of atoms.
    pub fn same_rho(&self, other: &Self) -> bool {
        let (x, y) = (self.canonical(), other.canonical());
        x.n() == y.n() && x.over(&y.atoms) == Some(y)
    }

    /// The same functions over `atoms`, which holds every atom of the structure; `None` where it does
    /// not, or holds more than [`MAX_VARIABLES`].
    pub fn over(&self, atoms: &[Atom]) -> Option<Self> {
        if atoms.len() > MAX_VARIABLES {
            return None;
        }
        let places: Option<Vec<usize>> =
            self.atoms.iter().map(|a| atoms.iter().position(|b| a == b)).collect();
        let map = places?;
        let (wins, loses) = (self.wins.remap(&map)?, self.loses.remap(&map)?);
        Some(Self { atoms: atoms.to_vec(), wins, loses })
    }

    /// The atoms of this structure, then those of `other` that are not among them.
    pub fn union(&self, other: &Self) -> Vec<Atom> {
        union(&self.atoms, &other.atoms)
    }

    /// rho - (log r(winner) - log r(loser)) for a model r; see [`Structure::relative_to`].
    ///
    /// # Errors
    /// As [`LargeStructure::from_rows`].
    pub fn relative_to(
        &self,
        reference: &str,
        winner: &str,
        loser: &str,
    ) -> Result<Self, StructureError> {
        let n = self.n();
        let atoms = with_reference(&self.atoms, reference, winner, loser);
        distinct(&atoms, MAX_VARIABLES)?;
        let atom = |i: usize| Cube { care: 1 << i, value: 1 << i }.function();
        let (wins, loses) = (self.wins.and(&atom(n + 1)), self.loses.and(&atom(n)));
        Self::from_rows(atoms, wins, loses)
    }

    /// The structure as one with tables, where six atoms are enough for it.
    pub fn small(&self) -> Option<Structure> {
        let all: Vec<usize> = (0..self.n()).collect();
        let (wins, loses) = (self.wins.table(&all)?, self.loses.table(&all)?);
        Structure::from_rows(self.atoms.clone(), wins, loses).ok()
    }
}

impl Function {
    /// A disjunction of prime implicants equal to it, none of which can be left out; `None` where they
    /// are too many.
    pub fn cover(&self) -> Option<Vec<Cube>> {
        irredundant(self)
    }
}
