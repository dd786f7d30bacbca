//! Atoms, truth tables in one machine word, and structures.

/// What the weight of an atom is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AtomKind {
    /// The probability that a model gives to a response; `mean` when its token log-probabilities
    /// are averaged.
    Response {
        /// The model's name in the loss.
        model: String,
        /// The response's name in the loss.
        response: String,
        /// Averaged instead of summed.
        mean: bool,
    },
    /// A constant weight e^-|c|, written as its text (SimPO's margin).
    Constant(String),
    /// A copy of another atom, for a weight that stands twice (DPOP).
    Copy(Box<AtomKind>, u8),
}

/// A prediction that is true or false, with a name for printing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Atom {
    /// `pi(w)`, `ref(l)`, ...
    pub name: String,
    /// Its weight.
    pub kind: AtomKind,
}

/// A Boolean function of up to six atoms: bit `r` is its value in row `r`, and bit `i` of `r` is the
/// value of atom `i` there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Table(pub u64);

/// A preference structure: the winning rows and the losing rows over named atoms.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Structure {
    /// The atoms; row bits follow this order.
    pub atoms: Vec<Atom>,
    /// W = (P | Pa) & Pc
    pub wins: Table,
    /// L = (!P | Pa) & Pc
    pub loses: Table,
}
