//! Where a structure stands in the paper's lattice.

use crate::landscape;
use crate::logic::{Atom, AtomKind, Structure};

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

/// The place of a structure; `None` when it speaks of anything but the predictions of w and l.
pub(super) fn place(structure: &Structure) -> Option<Place> {
    let atoms = structure.atoms.iter().map(summed).collect::<Option<Vec<Atom>>>()?;
    let plain = Structure { atoms, ..structure.clone() };
    let n = landscape::neighbours(&plain).ok()?;
    Some(Place { node: n.equal, above: n.above, below: n.below })
}

/// The same atom with summed log-probabilities: the lattice does not look at how tokens aggregate.
fn summed(atom: &Atom) -> Option<Atom> {
    match &atom.kind {
        AtomKind::Response { model, response, .. } => {
            let (model, response) = (model.clone(), response.clone());
            let kind = AtomKind::Response { model, response, mean: false };
            Some(Atom { name: atom.name.clone(), kind })
        }
        _ => None,
    }
}
