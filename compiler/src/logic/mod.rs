//! Preference structures as pairs of Boolean functions (SEMANTICS, section 2).
//!
//! Why: whether two losses are the same, or one stronger than the other, is a question about
//! formulas, and formulas over six atoms fit in one machine word. In: formulas, from the text or from
//! decompiling. Out: truth tables ([`Table`]), structures ([`Structure`]), minimal readable formulas
//! ([`minimise()`]), and the polynomials that weighted model counting turns them into
//! ([`Polynomial`], [`Fraction`]). From seven to twelve atoms the same is done on binary decision
//! diagrams ([`Function`], [`LargeStructure`]).
//!
//! Invariant: every question about equality or entailment is decided on truth tables, on diagrams or on
//! exact polynomials, never by rewriting.

mod atom;
mod cover;
mod diagram;
mod formula;
mod fraction;
mod function;
mod large;
mod minimise;
mod polynomial;
mod rational;
mod readable;
mod structure;
mod table;

pub use atom::{Atom, AtomKind};
pub use cover::{Cover, Cube, minimal_cover, prime_implicants};
pub use formula::{Formula, Shown};
pub use fraction::{Fraction, conjuncts};
pub use function::Function;
pub use large::LargeStructure;
pub use minimise::{Minimised, minimise};
pub use polynomial::{Inadmissible, MAX_TERMS, MAX_VARIABLES, Monomial, Polynomial};
pub use rational::Rational;
pub use readable::readable;
pub(crate) use structure::union;
pub use structure::{Core, Mark, Row, Structure, StructureError};
pub use table::{MAX_ATOMS, Table};
