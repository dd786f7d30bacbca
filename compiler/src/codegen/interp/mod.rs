//! Interpreters: the oracle of every later test.
//!
//! In: a [`crate::mir::Graph`] of either stage, parameter values, and a [`Batch`] of columns. Out: the
//! values of its roots. [`evaluate`] is the plain evaluator over any [`Real`]: f32, f64, or the
//! high-precision [`Big`]. [`Tape`] is the fast one for f32 and f64. Invariant: in one type both give
//! the same values to the last bit.

mod batch;
mod big;
mod difference;
#[cfg(test)]
mod dual;
mod error;
mod evaluate;
mod fold;
pub mod primitive;
mod real;
mod scalar;
mod tape;
#[cfg(test)]
mod tests;

pub use batch::Batch;
pub use big::Big;
pub use difference::directional_derivative;
#[cfg(test)]
pub(crate) use dual::{Dual, forward};
pub use error::EvalError;
pub use evaluate::evaluate;
pub use real::Real;
pub use tape::{Scratch, Tape};
