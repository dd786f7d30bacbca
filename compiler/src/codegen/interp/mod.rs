//! Interpreters: the oracle of every later test.

mod big;
pub mod primitive;
mod real;

pub use big::Big;
pub use real::Real;
