//! A set of source texts with their imports, and where losses are found by name.

use super::variant;
use crate::hir::Loss;
use ponens_dsl::ast::{self, Item};
use ponens_dsl::{Diagnostic, FileId, SourceMap, load, parse, suggest};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Imports and variants may refer to each other this deep.
const DEPTH: usize = 32;

/// Where losses that no text in sight defines are looked up: the catalogue.
pub trait Library {
    /// The text of the file that defines the loss, and a name for diagnostics.
    fn find(&self, loss: &str) -> Option<(String, String)>;

    /// All names, for suggestions.
    fn names(&self) -> Vec<String>;
}

/// A library without losses.
pub struct NoLibrary;

impl Library for NoLibrary {
    fn find(&self, _: &str) -> Option<(String, String)> {
        None
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Parsed source texts.
#[derive(Default)]
pub struct Program {
    /// The texts, for rendering diagnostics.
    pub sources: SourceMap,
    files: Vec<ast::File>,
    paths: HashSet<PathBuf>,
    library_files: HashSet<String>,
}

impl Program {
    /// An empty program.
    pub fn new() -> Self {
        Self::default()
    }

    /// Parses a text that is not in a file. Its imports are relative to the working directory.
    pub fn add_text(&mut self, name: &str, text: &str) -> (FileId, Vec<Diagnostic>) {
        self.add_text_at(name, text, Path::new("."))
    }

    /// Parses a text whose imports are relative to a folder.
    pub fn add_text_at(
        &mut self,
        name: &str,
        text: &str,
        folder: &Path,
    ) -> (FileId, Vec<Diagnostic>) {
        let id = self.sources.add(name, text);
        let diagnostics = self.add_parsed(id, folder, 0);
        (id, diagnostics)
    }

    /// Adds a tree that was not parsed from a text of the language. Its places have to lie in texts of
    /// [`Program::sources`], and its imports are not followed.
    pub fn add_tree(&mut self, file: ast::File) {
        self.files.push(file);
    }

    /// Reads and parses a file and what it imports.
    pub fn add_file(&mut self, path: &Path) -> (Option<FileId>, Vec<Diagnostic>) {
        self.add_file_at(path, 0)
    }

    fn add_file_at(&mut self, path: &Path, depth: usize) -> (Option<FileId>, Vec<Diagnostic>) {
        match load(&mut self.sources, path) {
            Err(d) => (None, vec![d]),
            Ok(id) => {
                self.paths.insert(path.canonicalize().unwrap_or(path.to_owned()));
                let dir = path.parent().unwrap_or(Path::new(".")).to_owned();
                (Some(id), self.add_parsed(id, &dir, depth))
            }
        }
    }

    fn add_parsed(&mut self, id: FileId, dir: &Path, depth: usize) -> Vec<Diagnostic> {
        let (file, mut diagnostics) = parse(&self.sources, id);
        let imports = file.imports.clone();
        self.files.push(file);
        for i in imports {
            let path = dir.join(&i.path);
            if self.paths.contains(&path.canonicalize().unwrap_or(path.clone())) {
                continue;
            }
            if depth >= DEPTH {
                diagnostics.push(
                    Diagnostic::error("E0107", "imports nest too deeply").at(i.span, "not read"),
                );
                continue;
            }
            let (_, found) = self.add_file_at(&path, depth + 1);
            diagnostics.extend(
                found
                    .into_iter()
                    .map(|d| if d.labels.is_empty() { d.at(i.span, "imported here") } else { d }),
            );
        }
        diagnostics
    }

    fn items(&self) -> impl Iterator<Item = &Item> {
        self.files.iter().flat_map(|f| &f.items)
    }

    /// The losses that the texts define, in order.
    pub fn losses(&self) -> Vec<&ast::Name> {
        self.items()
            .filter_map(|i| match i {
                Item::Loss(l) => Some(&l.name),
                Item::Variant(v) => Some(&v.name),
                Item::Function(_) => None,
            })
            .collect()
    }

    /// The losses that one text defines, in order.
    pub fn losses_of(&self, file: FileId) -> Vec<&ast::Name> {
        self.losses().into_iter().filter(|n| n.span.file == file).collect()
    }

    /// The parsed texts.
    pub fn files(&self) -> &[ast::File] {
        &self.files
    }

    /// Names that several items define.
    pub fn duplicates(&self) -> Vec<Diagnostic> {
        let names: Vec<&ast::Name> = self.losses();
        let mut out = Vec::new();
        for (i, n) in names.iter().enumerate() {
            if let Some(first) = names[..i].iter().find(|m| m.text == n.text) {
                let d = Diagnostic::error("E0102", format!("loss `{}` is defined twice", n.text))
                    .at(n.span, "defined again");
                out.push(if first.span.file == n.span.file {
                    d.at(first.span, "first defined here")
                } else {
                    d.note(format!("first defined in {}", self.sources.get(first.span.file).name))
                });
            }
        }
        out
    }

    /// Resolves a loss by name; `None` comes with at least one error.
    pub fn resolve(
        &mut self,
        name: &str,
        library: &dyn Library,
    ) -> (Option<Loss>, Vec<Diagnostic>) {
        let loss = match self.unfolded(name, None, library, 0) {
            Ok(l) => l,
            Err(d) => return (None, d),
        };
        let functions: Vec<ast::Function> = self
            .items()
            .filter_map(|i| match i {
                Item::Function(f) => Some(f.clone()),
                _ => None,
            })
            .collect();
        super::resolve(&loss, &functions)
    }

    /// The loss with its variants unfolded.
    fn unfolded(
        &mut self,
        name: &str,
        from: Option<&ast::Name>,
        library: &dyn Library,
        depth: usize,
    ) -> Result<ast::Loss, Vec<Diagnostic>> {
        if depth > DEPTH {
            let d = Diagnostic::error("E0107", format!("`{name}` derives from itself"));
            return Err(vec![match from {
                Some(n) => d.at(n.span, "in this circle"),
                None => d,
            }]);
        }
        let found = self.items().find_map(|i| match i {
            Item::Loss(l) if l.name.text == name => Some(Item::Loss(l.clone())),
            // A variant of its own name means the catalogue's loss of that name.
            Item::Variant(v)
                if v.name.text == name && from.is_none_or(|f| f.span != v.base.span) =>
            {
                Some(Item::Variant(v.clone()))
            }
            _ => None,
        });
        match found {
            Some(Item::Loss(l)) => Ok(l),
            Some(Item::Variant(v)) => {
                let base = self.unfolded(&v.base.text, Some(&v.base), library, depth + 1)?;
                variant::unfold(&v, &base)
            }
            _ => match library.find(name) {
                Some((source, text)) if self.library_files.insert(source.clone()) => {
                    let (_, diagnostics) = self.add_text(&source, &text);
                    if diagnostics.iter().any(Diagnostic::is_error) {
                        return Err(diagnostics);
                    }
                    self.unfolded(name, from, library, depth + 1)
                }
                _ => Err(vec![self.unknown(name, from, library)]),
            },
        }
    }

    fn unknown(&self, name: &str, from: Option<&ast::Name>, library: &dyn Library) -> Diagnostic {
        let mut known: Vec<String> = self.losses().iter().map(|n| n.text.clone()).collect();
        known.extend(library.names());
        let d = Diagnostic::error("E0103", format!("there is no loss `{name}`"));
        let d = match from {
            Some(n) => d.at(n.span, "not found"),
            None => d,
        };
        match suggest::closest(name, known.iter().map(String::as_str)) {
            Some(s) => d.help(format!("did you mean `{s}`?")),
            None => d.help("`ponens list` shows the catalogue; a file is given by its path"),
        }
    }
}
