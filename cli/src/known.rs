//! The structures of the catalogue, to recognise a loss by its rho.

use ponens_compiler::explain;
use ponens_compiler::hir::Program;
use ponens_compiler::logic::Structure;
use ponens_losses::Catalogue;
use std::collections::HashMap;

/// Named structures, in the plain names of [`explain::in_plain_names`].
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// By their canonical form: the same for the same rho.
    names: HashMap<Structure, Vec<String>>,
}

impl Known {
    /// The losses of the catalogue that are logic.
    pub fn catalogue() -> Self {
        let mut names: HashMap<Structure, Vec<String>> = HashMap::new();
        for entry in Catalogue.entries() {
            let name = entry.name.to_string();
            let (Some(loss), _) = Program::new().resolve(&name, &Catalogue) else { continue };
            let Ok(found) = explain::structure(&loss) else { continue };
            if let Some(plain) = explain::in_plain_names(&loss, &found.structure) {
                names.entry(key(&plain)).or_default().push(name);
            }
        }
        Self { names }
    }

    /// One structure for each rho, in the order of the names.
    pub fn structures(&self) -> Vec<Structure> {
        let mut all: Vec<_> = self.names.iter().collect();
        all.sort_by_key(|(_, names)| *names);
        all.into_iter().map(|(s, _)| s.clone()).collect()
    }

    /// The names of the losses with the rho of a structure in plain names.
    pub fn names(&self, structure: &Structure) -> &[String] {
        self.names.get(&key(structure)).map_or(&[], Vec::as_slice)
    }
}

fn key(structure: &Structure) -> Structure {
    structure.canonical().sorted()
}
