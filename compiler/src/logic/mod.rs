//! Preference structures as pairs of Boolean functions (SEMANTICS, section 2).
//!
//! In: formulas, from the text or from decompiling. Out: truth tables, structures and their minimal
//! readable formulas. Invariant: every question about equality or entailment is decided on truth
//! tables, never by rewriting.

mod structure;

pub use structure::{Atom, AtomKind, Structure, Table};
