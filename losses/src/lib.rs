//! The catalogue: one `.loss` file per published loss, with its source.
//!
//! Why: one definition of each loss, usable by name everywhere: on the command line, in the macros, in
//! the trainer. A loss is named after its file, with the family in front for the lattice:
//! `catalogue/pair/dpo.loss` defines `dpo`, `catalogue/lattice/CPO_ref.loss` defines `lattice.CPO_ref`.
//!
//! ```
//! use ponens_losses::Catalogue;
//! let dpo = ponens_losses::compile("dpo", &Default::default()).unwrap();
//! assert_eq!(dpo.loss.params[0].name, "beta");
//! assert!(Catalogue.entries().any(|e| e.name == "lattice.ORPO_ref"));
//! ```

use ponens_compiler::hir::{Library, Program};
use ponens_compiler::session::{self, Compiled, Options};
use ponens_dsl::Diagnostic;

const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/catalogue.rs"));

/// One file of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `pair`, `labelled`, `batch`, `lattice`.
    pub family: &'static str,
    /// The path below `catalogue/`.
    pub path: &'static str,
    /// The loss text.
    pub text: &'static str,
    /// The name of the loss.
    pub name: Name,
}

/// The name of a catalogue loss, compared as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    prefix: &'static str,
    stem: &'static str,
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&format!("{}{}", self.prefix, self.stem))
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        other.strip_prefix(self.prefix) == Some(self.stem)
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

/// The catalogue as a library for [`Program::resolve`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Catalogue;

impl Catalogue {
    /// All losses, family by family.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        FILES.iter().filter_map(|(path, text)| {
            let (family, file) = path.split_once('/')?;
            let stem = file.strip_suffix(".loss")?;
            let prefix = if family == "lattice" { "lattice." } else { "" };
            Some(Entry { family, path, text, name: Name { prefix, stem } })
        })
    }

    /// The loss of that name.
    pub fn get(&self, name: &str) -> Option<Entry> {
        self.entries().find(|e| e.name == *name)
    }
}

impl Library for Catalogue {
    fn find(&self, loss: &str) -> Option<(String, String)> {
        self.get(loss).map(|e| (format!("<catalogue>/{}", e.path), e.text.to_owned()))
    }

    fn names(&self) -> Vec<String> {
        self.entries().map(|e| e.name.to_string()).collect()
    }
}

/// Compiles a loss of the catalogue by name.
///
/// # Errors
/// The name is unknown; the catalogue itself compiles, which its tests check.
pub fn compile(name: &str, options: &Options) -> Result<Compiled, Vec<Diagnostic>> {
    session::compile(&mut Program::new(), name, &Catalogue, options)
}
