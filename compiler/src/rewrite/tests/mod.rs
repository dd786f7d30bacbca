//! Tests of the optimiser.

mod accuracy;
mod equal;
mod gradient;
mod instances;
mod losses;
mod rules;
mod text;
mod values;
