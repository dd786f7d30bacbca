//! The Python file: its text, its tree, and the functions in it.

use ponens_dsl::{Diagnostic, FileId, SourceMap, Span, suggest};
use rustpython_parser::Parse as _;
use rustpython_parser::ast::{self, Ranged, Stmt};
use std::path::Path;

/// Longest file that is read.
const MAX_BYTES: usize = 1 << 19;

/// Reads a file.
///
/// # Errors
/// `E0003`: it cannot be read, or is too long. `E0002`: it is not UTF-8.
pub(super) fn text(path: &Path) -> Result<String, Diagnostic> {
    let shown = path.display();
    let bytes = std::fs::read(path)
        .map_err(|e| Diagnostic::error("E0003", format!("{shown} cannot be read: {e}")))?;
    if bytes.len() > MAX_BYTES {
        let d = Diagnostic::error("E0003", format!("{shown} has {} bytes", bytes.len()));
        return Err(d
            .note(format!("at most {MAX_BYTES} bytes are read"))
            .help("put the function into a file of its own"));
    }
    String::from_utf8(bytes)
        .map_err(|_| Diagnostic::error("E0002", format!("{shown} is not UTF-8")))
}

/// A parsed file.
pub(super) struct Module {
    file: FileId,
    name: String,
    pub(super) body: Vec<Stmt>,
}

/// A function and where it was found.
pub(super) struct Found<'a> {
    pub(super) function: &'a ast::StmtFunctionDef,
    /// True for a method.
    pub(super) method: bool,
}

impl Module {
    /// Parses a text.
    ///
    /// # Errors
    /// `E0802` where it is not Python.
    pub(super) fn parse(sources: &SourceMap, file: FileId) -> Result<Self, Diagnostic> {
        let source = sources.get(file);
        let name = source.name.clone();
        match ast::Suite::parse(&source.text, &name) {
            Ok(body) => Ok(Self { file, name, body }),
            Err(e) => {
                let at = (u32::from(e.offset) as usize).min(source.text.len());
                let at = (0..=at).rev().find(|i| source.text.is_char_boundary(*i)).unwrap_or(0);
                let end = source.text[at..].chars().next().map_or(at, |c| at + c.len_utf8());
                Err(Diagnostic::error("E0802", format!("{name} is not Python: {}", e.error))
                    .at(Span::new(file, at, end), "here"))
            }
        }
    }

    /// The place of a node.
    pub(super) fn span(&self, node: &impl Ranged) -> Span {
        let range = node.range();
        Span::new(self.file, range.start().into(), range.end().into())
    }

    /// A function by its name, or `Class.method`.
    ///
    /// # Errors
    /// `E0802`: there is none.
    pub(super) fn find(&self, path: &str) -> Result<Found<'_>, Diagnostic> {
        let mut names = Vec::new();
        for s in &self.body {
            match s {
                Stmt::FunctionDef(f) => names.push((f.name.to_string(), f, false)),
                Stmt::ClassDef(c) => {
                    for s in &c.body {
                        if let Stmt::FunctionDef(f) = s {
                            let still = f.decorator_list.iter().any(|d| {
                                matches!(d, ast::Expr::Name(n) if n.id.as_str() == "staticmethod")
                            });
                            names.push((format!("{}.{}", c.name, f.name), f, !still));
                        }
                    }
                }
                _ => {}
            }
        }
        // The last definition of a name is the one that counts.
        if let Some((_, function, method)) = names.iter().rev().find(|(n, ..)| n == path) {
            return Ok(Found { function, method: *method });
        }
        let name = &self.name;
        let d = Diagnostic::error("E0802", format!("{name} defines no function `{path}`"));
        let known = names.iter().map(|(n, ..)| n.as_str());
        Err(match suggest::closest(path, known) {
            Some(s) => d.help(format!("did you mean {name}:{s}?")),
            None if names.is_empty() => d.help("it defines none"),
            None => {
                let list: Vec<&str> = names.iter().take(12).map(|(n, ..)| n.as_str()).collect();
                d.help(format!("it has {}", list.join(", ")))
            }
        })
    }
}
