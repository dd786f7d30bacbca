//! Why a question about the landscape has no answer.

use std::fmt;

/// Why a count, a listing or a comparison could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LandscapeError {
    /// The landscape is defined over two, three or four atoms.
    Atoms {
        /// The number asked for.
        atoms: usize,
    },
    /// A structure depends on an atom that is not among those of the landscape.
    ForeignAtom {
        /// The atom's name.
        atom: String,
        /// The number of atoms of the landscape.
        atoms: usize,
    },
    /// Structures to compare have more atoms together than a truth table holds.
    TooManyAtoms {
        /// How many there are together.
        atoms: usize,
    },
    /// The query's cancel flag was raised.
    Cancelled {
        /// Steps done.
        done: u64,
        /// Steps in all.
        total: u64,
    },
    /// The limit of the query was reached; there may be more losses.
    Limit {
        /// The limit.
        limit: u64,
    },
    /// The exact decision of monotonicity met its bound on subdivision.
    Undecided {
        /// For how many pairs of products.
        pairs: u64,
    },
}

impl fmt::Display for LandscapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Atoms { atoms } => {
                write!(f, "the landscape is defined over 2, 3 or 4 atoms, not {atoms}")
            }
            Self::ForeignAtom { atom, atoms } => {
                write!(f, "the atom `{atom}` is not among the {atoms} atoms of the landscape")
            }
            Self::TooManyAtoms { atoms } => {
                write!(f, "{atoms} atoms together, and a truth table holds at most 6")
            }
            Self::Cancelled { done, total } => write!(f, "cancelled after {done} of {total} steps"),
            Self::Limit { limit } => write!(f, "stopped at the limit of {limit}"),
            Self::Undecided { pairs } => {
                write!(f, "monotonicity undecided for {pairs} pairs of products within the bounds")
            }
        }
    }
}

impl std::error::Error for LandscapeError {}
