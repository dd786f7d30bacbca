//! From text to syntax tree.
//!
//! In: a text of a [`SourceMap`]. Out: the [`File`] with all that could be read, and a diagnostic for
//! everything that could not. Invariant: no input makes it panic, overflow the stack or take more
//! than linear time; when it reports no error, the tree holds the whole text.
//!
//! The stages: `scan` cuts the text into tokens, `items` cuts the tokens into pieces at item and
//! clause boundaries, `piece` runs the grammar on one piece, `build` and `expr` make nodes of what
//! the grammar saw, and `explain` turns a refusal of the grammar into words.

mod build;
mod comments;
mod explain;
mod expr;
mod items;
mod load;
mod piece;
mod scan;

pub use load::load;

use crate::ast::{Expr, File};
use crate::diagnostic::Diagnostic;
use crate::span::{FileId, SourceMap, Span};

/// Longest text that is read, in bytes.
pub const MAX_BYTES: usize = 1 << 20;

/// Deepest nesting that is read: levels of the tree of one expression, and brackets in brackets.
pub const MAX_DEPTH: usize = 200;

pub use crate::diagnostic::MAX_DIAGNOSTICS;

/// Words that cannot be names, nor stand in a dotted name's first place.
pub const RESERVED: &[&str] = &[
    "loss", "fn", "data", "model", "column", "let", "prefer", "given", "tie", "minimize", "if",
    "else", "with", "in", "import", "edition", "true", "false", "xor",
];

/// Words that reduce over an index when `(var)` or `(var < bound)` and an operand follow; names
/// anywhere else.
pub const REDUCERS: &[&str] = &["sum", "mean", "max", "min", "logsumexp", "product", "std"];

/// The grammar, generated from `grammar.pest`.
mod grammar {
    // The generated items carry no documentation and a visibility of their own.
    #![allow(missing_docs, unreachable_pub)]

    #[derive(pest_derive::Parser)]
    #[grammar = "grammar.pest"]
    pub struct Grammar;
}

/// Parses a whole text: editions, imports, losses, variants and functions.
///
/// The tree holds every item and clause that could be read; it is complete when no diagnostic is an
/// error. Codes: `E0001` (grammar), `E0003` (longer than [`MAX_BYTES`]), `E0004` (deeper than
/// [`MAX_DEPTH`]), `E0005` (edition), `E0006` (a number that does not fit).
///
/// ```
/// use ponens_dsl::{SourceMap, parse};
///
/// let mut sources = SourceMap::default();
/// let text = "loss ce() { data pair(w > l) model pi = policy minimize -logp(pi, w) }";
/// let file = sources.add("ce.loss", text);
/// let (tree, diagnostics) = parse(&sources, file);
/// assert!(diagnostics.is_empty());
/// assert_eq!(tree.items.len(), 1);
/// ```
pub fn parse(sources: &SourceMap, file: FileId) -> (File, Vec<Diagnostic>) {
    let text = sources.get(file).text.as_str();
    if let Err(refused) = length(text, file) {
        return (File::default(), vec![refused]);
    }
    let (tree, diagnostics) = items::read(text, file);
    (tree, limited(diagnostics))
}

/// Parses a text that is one expression or formula, as given on a command line.
///
/// # Errors
///
/// The diagnostics of what could not be read; at least one of them is an error. Codes as for
/// [`parse`].
pub fn parse_expr(sources: &SourceMap, file: FileId) -> Result<Expr, Vec<Diagnostic>> {
    let text = sources.get(file).text.as_str();
    length(text, file).map_err(|refused| vec![refused])?;
    let (tokens, _) = scan::scan(text);
    let mut diagnostics = Vec::new();
    let piece = piece::Piece::whole(file, text, &tokens);
    build::expression(&piece, &mut diagnostics).ok_or_else(|| limited(diagnostics))
}

fn length(text: &str, file: FileId) -> Result<(), Diagnostic> {
    if text.len() <= MAX_BYTES {
        return Ok(());
    }
    Err(Diagnostic::error("E0003", "the text is too long")
        .at(Span::new(file, 0, 0), format!("this text has {} bytes", text.len()))
        .note(format!("at most {MAX_BYTES} bytes are read"))
        .help("split it into several files and `import` them"))
}

/// In the order of the text, and no more than a person will read.
fn limited(mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    diagnostics.sort_by_key(|d| d.labels.first().map_or(0, |l| l.span.start));
    crate::diagnostic::limited(diagnostics)
}
