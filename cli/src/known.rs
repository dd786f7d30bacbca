//! The structures of the catalogue, to recognise a loss by its rho.

use ponens_compiler::explain;
use ponens_compiler::hir::Program;
use ponens_compiler::logic::{Atom, AtomKind, Structure};
use ponens_losses::Catalogue;

/// Named structures.
#[derive(Clone, Debug, Default)]
pub struct Known {
    named: Vec<(String, Structure)>,
}

impl Known {
    /// The losses of the catalogue that are logic, with sums for means.
    pub fn catalogue() -> Self {
        let mut named = Vec::new();
        for entry in Catalogue.entries() {
            let name = entry.name.to_string();
            let (loss, _) = Program::new().resolve(&name, &Catalogue);
            if let Some(found) = loss.and_then(|l| explain::structure(&l).ok()) {
                named.push((name, summed(&found.structure)));
            }
        }
        Self { named }
    }

    /// All structures.
    pub fn structures(&self) -> Vec<Structure> {
        self.named.iter().map(|(_, s)| s.clone()).collect()
    }

    /// The names of the losses with the same rho.
    pub fn names(&self, structure: &Structure) -> Vec<String> {
        let same = self.named.iter().filter(|(_, s)| s.same_rho(structure));
        same.map(|(n, _)| n.clone()).collect()
    }
}

/// The structure with the sum of log-probabilities in place of each mean: the landscape has one atom
/// for a prediction, however its tokens aggregate.
pub fn summed(structure: &Structure) -> Structure {
    let atom = |a: &Atom| match &a.kind {
        AtomKind::Response { model, response, .. } => Atom::response(model, response),
        _ => a.clone(),
    };
    Structure { atoms: structure.atoms.iter().map(atom).collect(), ..structure.clone() }
}
