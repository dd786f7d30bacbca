//! Preference structures as pairs of Boolean functions (SEMANTICS, section 2).
//!
//! Why: whether two losses are the same, or one stronger than the other, is a question about
//! formulas, and formulas over six atoms fit in one machine word. In: formulas, from the text or from
//! decompiling. Out: truth tables ([`Table`]), structures ([`Structure`]), minimal readable formulas
//! ([`minimise()`]), and the polynomials that weighted model counting turns them into
//! ([`Polynomial`], [`Fraction`]).
//!
//! Invariant: every question about equality or entailment is decided on truth tables or on exact
//! polynomials, never by rewriting.

mod atom;
mod cover;
mod formula;
mod fraction;
mod minimise;
mod polynomial;
mod rational;
mod structure;
mod table;

pub use atom::{Atom, AtomKind};
pub use cover::{Cover, Cube, minimal_cover, prime_implicants};
pub use formula::{Formula, Shown};
pub use fraction::{Fraction, conjuncts};
pub use minimise::{Minimised, minimise};
pub use polynomial::{Inadmissible, MAX_TERMS, MAX_VARIABLES, Monomial, Polynomial};
pub use rational::Rational;
pub use structure::{Core, Mark, Row, Structure, StructureError};
pub use table::{MAX_ATOMS, Table};
