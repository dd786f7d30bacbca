//! What to look for in the landscape.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::gradient::{Aggregate, Inputs};
use crate::logic::Structure;

/// A condition on losses; a query asks for all of its filters together.
///
/// All but [`Filter::Between`] speak of rho, so a structure without winning or without losing rows
/// passes none of them, and two structures of the same rho pass alike. `Between` speaks of the
/// structure as it stands: of the reduced one when the query lists distinct rho.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// At least one winning and one losing row: rho is defined.
    NonEmpty,
    /// Not constant in (w, l), nowhere falling with w, nowhere rising with l.
    Monotone,
    /// Depends on w and on l.
    DependsOnBoth,
    /// Exchanging w with l, in the references too, turns rho into -rho.
    Symmetric,
    /// `lower` entails it and it entails `upper` (SEMANTICS section 4).
    Between {
        /// The structure below.
        lower: Structure,
        /// The structure above.
        upper: Structure,
    },
    /// Under the logistic link with beta 1, at equal log-probabilities, some derivative of the loss
    /// is at least 1e-6.
    UsableGradient {
        /// Log-probabilities of -100 for sums, -1 for means.
        aggregate: Aggregate,
        /// Which derivatives count.
        inputs: Inputs,
    },
    /// Its rho is that of none of these. Structures over atoms that the landscape does not have
    /// (constants, copies) have a rho outside of it and exclude nothing.
    NotIn(Vec<Structure>),
}

/// What a query lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Each {
    /// Every distinct rho once, by its reduced structure.
    #[default]
    DistinctRho,
    /// Every structure.
    Structure,
}

/// A question to the landscape of two, three or four atoms.
///
/// ```
/// use ponens_compiler::landscape::{Filter, Query, count, stream};
///
/// let query = Query::new(2).with(Filter::Monotone).with(Filter::DependsOnBoth);
/// assert_eq!(count(&query, &|_, _| ())?, 34);
/// let first = stream(&query)?.next();
/// assert!(first.is_some());
/// # Ok::<(), ponens_compiler::landscape::LandscapeError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// The number of atoms: 2, 3 or 4.
    pub atoms: usize,
    /// The conditions, all of which must hold.
    pub filters: Vec<Filter>,
    /// Distinct rho or every structure.
    pub each: Each,
    /// How many results a stream gives at most.
    pub limit: Option<u64>,
    /// A flag that stops the search when someone raises it.
    pub cancel: Option<Arc<AtomicBool>>,
}

impl Query {
    /// Every distinct rho over `atoms` atoms.
    #[must_use]
    pub fn new(atoms: usize) -> Self {
        Self { atoms, ..Self::default() }
    }

    /// With one more condition.
    #[must_use]
    pub fn with(mut self, filter: Filter) -> Self {
        self.filters.push(filter);
        self
    }

    /// Every structure instead of one for each rho.
    #[must_use]
    pub fn every_structure(mut self) -> Self {
        self.each = Each::Structure;
        self
    }

    /// At most this many results from a stream. A count is of all.
    #[must_use]
    pub fn limit(mut self, limit: u64) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Stops as soon as `flag` is raised.
    #[must_use]
    pub fn cancelled_by(mut self, flag: Arc<AtomicBool>) -> Self {
        self.cancel = Some(flag);
        self
    }
}
