//! The canonical printer.
//!
//! In: a syntax tree. Out: its one canonical text. Invariants: parsing the text gives the tree again
//! up to spans, comments included, and printing that gives the same text; brackets stand only where
//! the tree needs them. The layout depends on the tree alone, never on how it was written.
//!
//! The laws hold for trees that a text can stand for: names are identifiers and not reserved, numbers
//! are finite and not negative, no expression is higher than [`crate::parse::MAX_DEPTH`]. For other
//! trees the printer does what comes nearest (a negative number prints as such) and never panics.

mod expr;
mod item;
mod layout;

use std::fmt;

use crate::ast::{Comment, Expr, File, Item, Loss};
use layout::{Doc, Leaf};

pub use expr::number;

/// Columns that a line of the canonical form tries to stay within.
pub const WIDTH: usize = 100;

/// Spaces of one level of indentation.
const STEP: usize = 4;

/// The canonical text of a whole file, with its comments and a final newline.
pub fn file(file: &File) -> String {
    let mut printer = Printer::new(&file.comments);
    let doc = printer.file(file);
    layout::render(&doc, &printer.rest(), WIDTH)
}

/// The canonical text of one loss with a final newline.
pub fn loss(loss: &Loss) -> String {
    layout::render(&Printer::new(&[]).loss(loss), &[], WIDTH)
}

/// The canonical text of one item with a final newline.
pub fn item(item: &Item) -> String {
    layout::render(&Printer::new(&[]).item(item), &[], WIDTH)
}

/// The canonical text of an expression or formula on one line.
///
/// ```
/// use ponens_dsl::{SourceMap, parse_expr, print};
///
/// let mut sources = SourceMap::default();
/// let file = sources.add("<formula>", "((pi(l))->(pi(w)&(!ref(l))))");
/// let formula = parse_expr(&sources, file).expect("a formula");
/// assert_eq!(print::expr(&formula), "pi(l) -> pi(w) & !ref(l)");
/// ```
pub fn expr(expr: &Expr) -> String {
    let mut text = layout::render(&Printer::new(&[]).expr(expr, 0), &[], usize::MAX);
    text.truncate(text.trim_end().len());
    text
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&expr(self))
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&loss(self))
    }
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&file(self))
    }
}

/// How many words the canonical text of an item has, as [`Comment::word`] counts them.
#[cfg(feature = "arbitrary")]
pub(crate) fn words(item: &Item) -> usize {
    let mut printer = Printer::new(&[]);
    printer.item(item);
    printer.words
}

/// Turns nodes into layout documents and hands each comment to the word that it stands before.
struct Printer<'a> {
    comments: Vec<&'a Comment>,
    /// The comments given out so far.
    given: usize,
    /// The words printed so far.
    words: usize,
}

impl<'a> Printer<'a> {
    fn new(comments: &'a [Comment]) -> Self {
        let mut comments: Vec<&Comment> = comments.iter().collect();
        comments.sort_by_key(|c| c.word);
        Self { comments, given: 0, words: 0 }
    }

    /// A word as [`Comment::word`] counts them.
    fn word(&mut self, text: impl Into<String>) -> Doc<'a> {
        self.leaf(text, None)
    }

    /// A word whose comments have an indentation of their own.
    fn leaf(&mut self, text: impl Into<String>, indent: Option<usize>) -> Doc<'a> {
        let due = self.comments[self.given..].partition_point(|c| c.word <= self.words);
        let comments = self.comments[self.given..self.given + due].to_vec();
        self.given += due;
        self.words += 1;
        Doc::Leaf(Leaf { text: text.into(), comments, indent })
    }

    /// The comments behind the last word.
    fn rest(&self) -> Vec<&'a Comment> {
        self.comments[self.given..].to_vec()
    }
}
