//! Tests of the optimiser.

mod accuracy;
mod derivations;
mod equal;
mod instances;
mod limits;
mod losses;
mod rules;
mod text;
mod values;
