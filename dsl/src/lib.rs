//! The ponens loss language: source map and spans, grammar, syntax tree, canonical printer and
//! diagnostics. It knows nothing of what a loss means; that is `ponens-compiler`.
//!
//! In: loss texts. Out: syntax trees ([`ast`]) and diagnostics with codes ([`codes`]). Invariants:
//! no text makes a function of this crate panic or hang; a tree without errors holds the whole text,
//! comments included; [`print::file`] and [`parse`](fn@parse) undo each other up to spans.
//!
//! | module | what it is for |
//! |---|---|
//! | [`span`] | texts, and places in them |
//! | [`mod@parse`] | text to tree, with recovery: an error in one clause hides no other |
//! | [`ast`] | the tree: what was written, nothing resolved |
//! | [`mod@print`] | tree to canonical text |
//! | [`diagnostic`] | findings, as text for people and as JSON for programs |
//! | [`suggest`] | "did you mean" |
//!
//! ```
//! use ponens_dsl::diagnostic::to_text;
//! use ponens_dsl::{SourceMap, parse, print};
//!
//! let mut sources = SourceMap::default();
//! let text = "loss cpo(beta=.1) { data pair(w>l) model pi = policy
//!                         prefer pi(l)->pi(w) minimize logistic((beta*rho)) }";
//! let file = sources.add("cpo.loss", text);
//! let (tree, diagnostics) = parse(&sources, file);
//! assert!(diagnostics.is_empty(), "{}", to_text(&diagnostics, &sources, false));
//! assert_eq!(
//!     print::file(&tree),
//!     "\
//! loss cpo(beta = 0.1) {
//!     data pair(w > l)
//!     model pi = policy
//!
//!     prefer pi(l) -> pi(w)
//!     minimize logistic(beta * rho)
//! }
//! "
//! );
//!
//! // What cannot be read is explained, and the rest is read all the same.
//! let file = sources.add("slip.loss", "loss slip() {\n    minimise log p\n    let x = 2 y\n}\n");
//! let (_, diagnostics) = parse(&sources, file);
//! let remedies: Vec<_> = diagnostics.iter().filter_map(|d| d.help.as_deref()).collect();
//! assert_eq!(remedies, ["did you mean `minimize`?", "to multiply, write `2 * y`"]);
//! ```

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
