//! Tests of the optimiser.

mod gradient;
mod losses;
mod text;
