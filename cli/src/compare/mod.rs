//! Comparing two losses at every level at which they can be the same (SEMANTICS, section 3).
//!
//! In: two compiled losses with parameters. Out: [`Comparison`]: structure, rho, core and value, and the
//! order of their rho with its proof. Names do not matter: the second loss's models and responses are
//! renamed after the first's by role and rank. Invariant: what is said of structures is proved; what is
//! said of values is found by evaluation with 256 bits, and says so.

mod core;
mod points;
mod rename;

use ponens_compiler::explain::{self, NoStructure};
use ponens_compiler::relate::{self, Relation};
use ponens_compiler::session::Compiled;

pub use points::{Difference, POINTS};

/// How two losses compare.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// How their structures compare; the reason where one of them has none.
    pub relation: Result<Relation, NoStructure>,
    /// The same structure when link, margins and aggregation are left aside.
    pub core_equal: bool,
    /// The same value at the given parameters, at each of [`POINTS`] random examples.
    pub loss_equal: bool,
    /// An example where the values differ.
    pub difference: Option<Difference>,
}

/// Compares two losses, each with values for its parameters in order.
pub fn compare(a: (&Compiled, &[f64]), b: (&Compiled, &[f64])) -> Comparison {
    let names = rename::Renaming::new(&b.0.loss, &a.0.loss);
    let structure = |c: &Compiled| explain::structure(&c.loss).map(|f| f.structure);
    let both = structure(a.0).and_then(|x| Ok((x, names.structure(&structure(b.0)?))));
    let core_equal = both.as_ref().is_ok_and(|(x, y)| core::same(x, y));
    let relation = both.map(|(x, y)| relate::compare(&x, &y));
    let difference = points::difference(a, b, &names);
    Comparison { relation, core_equal, loss_equal: difference.is_none(), difference }
}
