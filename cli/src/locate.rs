//! From a LOSS argument to a compiled loss.
//!
//! In: a catalogue name, the path of a `.loss` file, or `file.loss:name`. Out: the program that defines
//! the loss, with its name there. Invariant: a file that holds several losses is never guessed at.

use crate::refusal::{Refusal, Result};
use ponens_compiler::hir::{self, Program};
use ponens_compiler::session::{self, Compiled, Options};
use ponens_dsl::{Diagnostic, FileId, suggest};
use ponens_losses::Catalogue;
use std::path::{Path, PathBuf};

/// A LOSS argument, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LossRef {
    /// A loss of the catalogue.
    Catalogue(String),
    /// A file, and the loss in it if one is named.
    File(PathBuf, Option<String>),
}

impl LossRef {
    /// Reads the argument. Only a text that ends in `.loss`, or names an existing file, is a path.
    pub fn parse(text: &str) -> Self {
        if let Some((stem, name)) = text.rsplit_once(".loss:") {
            return LossRef::File(PathBuf::from(format!("{stem}.loss")), Some(name.to_owned()));
        }
        if text.ends_with(".loss") || text.contains('/') || Path::new(text).is_file() {
            return LossRef::File(PathBuf::from(text), None);
        }
        LossRef::Catalogue(text.to_owned())
    }
}

/// A loss that has been found.
pub struct Located {
    /// The texts that define it.
    pub program: Program,
    /// Its name there.
    pub name: String,
    /// Warnings found while reading.
    pub warnings: Vec<Diagnostic>,
}

impl std::fmt::Debug for Located {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Located").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Located {
    /// Resolves the names of the loss.
    ///
    /// # Errors
    /// The loss has errors.
    pub fn resolve(mut self) -> Result<(hir::Loss, Located)> {
        let (loss, mut diagnostics) = self.program.resolve(&self.name, &Catalogue);
        self.warnings.append(&mut diagnostics);
        match loss {
            Some(loss) => Ok((loss, self)),
            None => Err(Refusal::new(self.program.sources, self.warnings)),
        }
    }

    /// Compiles the loss; the warnings end up in `Located::warnings`.
    ///
    /// # Errors
    /// The loss has errors.
    pub fn compile(mut self, options: &Options) -> Result<(Compiled, Located)> {
        match session::compile(&mut self.program, &self.name, &Catalogue, options) {
            Ok(compiled) => {
                self.warnings.extend(compiled.warnings.iter().cloned());
                Ok((compiled, self))
            }
            Err(mut diagnostics) => {
                self.warnings.append(&mut diagnostics);
                Err(Refusal::new(self.program.sources, self.warnings))
            }
        }
    }
}

/// Finds the loss that an argument names.
///
/// # Errors
/// `E0103`: no such loss, or a file with several and none named. `E0002`, `E0003` and the errors of
/// the grammar for the file itself.
pub fn locate(argument: &str) -> Result<Located> {
    match LossRef::parse(argument) {
        LossRef::Catalogue(name) => in_catalogue(name),
        LossRef::File(path, name) => in_file(&path, name),
    }
}

/// Finds a loss in a text that is not in a file.
///
/// # Errors
/// The errors of the grammar; `E0103` when the text does not define the loss.
pub fn in_text(text: &str, name: &str) -> Result<Located> {
    let mut program = Program::new();
    let (_, mut found) = program.add_text("<text>", text);
    found.extend(program.duplicates());
    if found.iter().any(Diagnostic::is_error) {
        return Err(Refusal::new(program.sources, found));
    }
    Ok(Located { program, name: name.to_owned(), warnings: found })
}

/// Finds the loss of a text that defines one.
///
/// # Errors
/// The errors of the grammar; `E0103` when the text defines none or several.
pub fn only_in_text(text: &str) -> Result<Located> {
    let mut program = Program::new();
    let (file, mut found) = program.add_text("<text>", text);
    found.extend(program.duplicates());
    if found.iter().any(Diagnostic::is_error) {
        return Err(Refusal::new(program.sources, found));
    }
    match choose(&program, file, Path::new("<text>"), None) {
        Ok(name) => Ok(Located { program, name, warnings: found }),
        Err(d) => {
            found.push(d);
            Err(Refusal::new(program.sources, found))
        }
    }
}

/// Finds a loss of the catalogue.
///
/// # Errors
/// `E0103`, with the closest name as help.
pub fn in_catalogue(name: String) -> Result<Located> {
    if Catalogue.get(&name).is_some() {
        return Ok(Located { program: Program::new(), name, warnings: Vec::new() });
    }
    let names = hir::Library::names(&Catalogue);
    let d = Diagnostic::error("E0103", format!("there is no loss `{name}` in the catalogue"));
    Err(Refusal::plain(match suggest::closest(&name, names.iter().map(String::as_str)) {
        Some(s) => d.help(format!("did you mean `{s}`?")),
        None => d.help("`ponens list` shows the catalogue; a file is given by its path"),
    }))
}

fn in_file(path: &Path, name: Option<String>) -> Result<Located> {
    let mut program = Program::new();
    let (file, mut found) = program.add_file(path);
    found.extend(program.duplicates());
    let refuse = found.iter().any(Diagnostic::is_error);
    match (file, refuse) {
        (Some(file), false) => match choose(&program, file, path, name) {
            Ok(name) => Ok(Located { program, name, warnings: found }),
            Err(d) => {
                found.push(d);
                Err(Refusal::new(program.sources, found))
            }
        },
        _ => Err(Refusal::new(program.sources, found)),
    }
}

/// The one loss that is meant.
fn choose(
    program: &Program,
    file: FileId,
    path: &Path,
    name: Option<String>,
) -> std::result::Result<String, Diagnostic> {
    let here: Vec<String> = program.losses_of(file).iter().map(|n| n.text.clone()).collect();
    let shown = path.display();
    let list = || here.iter().map(|n| format!("{shown}:{n}")).collect::<Vec<_>>().join(", ");
    match (name, here.as_slice()) {
        (Some(name), _) if here.contains(&name) => Ok(name),
        (Some(name), _) => {
            let d = Diagnostic::error("E0103", format!("{shown} has no loss `{name}`"));
            Err(match suggest::closest(&name, here.iter().map(String::as_str)) {
                Some(s) => d.help(format!("did you mean `{shown}:{s}`?")),
                None if here.is_empty() => d.help("it defines none"),
                None => d.help(format!("it has {}", list())),
            })
        }
        (None, [only]) => Ok(only.clone()),
        (None, []) => Err(Diagnostic::error("E0103", format!("{shown} defines no loss"))
            .help("write `loss name() { .. }` in it, or name a loss of the catalogue")),
        (None, many) => Err(Diagnostic::error(
            "E0103",
            format!("{shown} holds {} losses, and none is named", many.len()),
        )
        .help(format!("name one of them: {}", list()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_told_apart() {
        assert_eq!(LossRef::parse("dpo"), LossRef::Catalogue("dpo".into()));
        assert_eq!(LossRef::parse("lattice.ORPO"), LossRef::Catalogue("lattice.ORPO".into()));
        assert_eq!(LossRef::parse("a/b.loss"), LossRef::File("a/b.loss".into(), None));
        assert_eq!(LossRef::parse("b.loss:x"), LossRef::File("b.loss".into(), Some("x".into())));
        let odd = LossRef::parse("a.loss:b.loss:lattice.ORPO");
        assert_eq!(odd, LossRef::File("a.loss:b.loss".into(), Some("lattice.ORPO".into())));
    }
}
