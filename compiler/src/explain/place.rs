//! Where a structure stands in the paper's lattice.

use super::names::in_plain_names;
use crate::hir::Loss;
use crate::landscape;
use crate::logic::Structure;

/// The neighbours of a structure in the two-atom lattice, or among its reference versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The node that it is, if it is one.
    pub node: Option<String>,
    /// The least nodes that it entails.
    pub above: Vec<String>,
    /// The greatest nodes that entail it.
    pub below: Vec<String>,
}

/// The place of a loss's structure; `None` when it speaks of anything but the predictions of the
/// preferred response and of the other.
pub(super) fn place(loss: &Loss, structure: &Structure) -> Option<Place> {
    let n = landscape::neighbours(&in_plain_names(loss, structure)?).ok()?;
    Some(Place { node: n.equal, above: n.above, below: n.below })
}
