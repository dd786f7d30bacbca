//! A set of source texts with their imports, and where losses are found by name.

use super::{builtin, variant};
use crate::hir::Loss;
use ponens_dsl::ast::{self, Item};
use ponens_dsl::diagnostic::limited;
use ponens_dsl::{Diagnostic, FileId, SourceMap, load, parse, suggest};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
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

/// Where an item stands: its file and its place among the file's items.
type Place = (usize, usize);

/// Parsed source texts.
#[derive(Default)]
pub struct Program {
    /// The texts, for rendering diagnostics.
    pub sources: SourceMap,
    files: Vec<ast::File>,
    /// The items of each name that is a loss's, in order.
    losses: HashMap<String, Vec<Place>>,
    /// The first function of each name.
    functions: HashMap<String, Place>,
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
        let place = self.files.len();
        for (i, item) in file.items.iter().enumerate() {
            match item {
                Item::Loss(ast::Loss { name, .. }) | Item::Variant(ast::Variant { name, .. }) => {
                    self.losses.entry(name.text.clone()).or_default().push((place, i));
                }
                Item::Function(f) => {
                    self.functions.entry(f.name.text.clone()).or_insert((place, i));
                }
            }
        }
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
        self.add_tree(file);
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

    /// Names that several items define, and functions that hide a built-in one.
    pub fn duplicates(&self) -> Vec<Diagnostic> {
        let mut out = Vec::new();
        let mut first: HashMap<(bool, &str), &ast::Name> = HashMap::new();
        for item in self.items() {
            let (what, name) = match item {
                Item::Loss(ast::Loss { name, .. }) | Item::Variant(ast::Variant { name, .. }) => {
                    ("loss", name)
                }
                Item::Function(f) => ("function", &f.name),
            };
            if let Item::Function(f) = item {
                let mut seen = HashSet::new();
                out.extend(f.args.iter().filter(|a| !seen.insert(&a.text)).map(|a| {
                    Diagnostic::error("E0102", format!("`{}` takes two `{}`", f.name.text, a.text))
                        .at(a.span, "named again")
                        .help("choose another name")
                }));
            }
            if what == "function" && builtin::builtin(&name.text).is_some() {
                out.push(
                    Diagnostic::error("E0102", format!("the function `{}` is built in", name.text))
                        .at(name.span, "would hide it")
                        .help("choose another name"),
                );
            }
            let first = match first.entry((what == "loss", &name.text)) {
                Entry::Vacant(v) => {
                    v.insert(name);
                    continue;
                }
                Entry::Occupied(o) => *o.get(),
            };
            let d = Diagnostic::error("E0102", format!("{what} `{}` is defined twice", name.text))
                .at(name.span, "defined again");
            out.push(if first.span.file == name.span.file {
                d.at(first.span, "first defined here")
            } else {
                d.note(format!("first defined in {}", self.sources.get(first.span.file).name))
            });
        }
        limited(out)
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
        super::resolve(&loss, &Functions { program: self })
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
        let places = self.losses.get(name).map(Vec::as_slice).unwrap_or_default();
        let found = places.iter().map(|(file, item)| &self.files[*file].items[*item]).find(|i| {
            // A variant of its own name means the catalogue's loss of that name.
            !matches!(i, Item::Variant(v) if from.is_some_and(|f| f.span == v.base.span))
        });
        let found = found.cloned();
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

/// The `fn` items in sight, by name.
#[derive(Clone, Copy)]
pub(crate) struct Functions<'a> {
    program: &'a Program,
}

impl<'a> Functions<'a> {
    /// The function of a name.
    pub(super) fn get(self, name: &str) -> Option<&'a ast::Function> {
        let (file, item) = self.program.functions.get(name)?;
        match &self.program.files[*file].items[*item] {
            Item::Function(f) => Some(f),
            _ => None,
        }
    }

    /// All names, in no order.
    pub(super) fn names(self) -> impl Iterator<Item = &'a str> {
        self.program.functions.keys().map(String::as_str)
    }
}
