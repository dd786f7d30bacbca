//! The ponens loss language: source map and spans, grammar, syntax tree, canonical printer and
//! diagnostics. It knows nothing of what a loss means; that is `ponens-compiler`.

pub mod ast;
pub mod codes;
pub mod diagnostic;
pub mod parse;
pub mod print;
pub mod span;
pub mod suggest;
#[cfg(feature = "arbitrary")]
pub mod testing;

pub use diagnostic::{Diagnostic, Label, Severity};
pub use parse::{load, parse, parse_expr};
pub use span::{FileId, Source, SourceMap, Span};
