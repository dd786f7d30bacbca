//! Truth tables, formulas, minimal formulas, structures and their polynomials.

// A helper that fails is a failing test.
#![allow(clippy::unwrap_used)]

mod formulas;
mod polynomials;
mod structures;
#[path = "../support/mod.rs"]
mod support;

use ponens_compiler::logic::Table;
use proptest::prelude::*;

pub(crate) fn all_structures(n: usize) -> impl Iterator<Item = (Table, Table)> {
    let size = 1u64 << (1 << n);
    (0..size).flat_map(move |w| (0..size).map(move |l| (Table(w), Table(l))))
}

pub(crate) fn table(n: usize) -> impl Strategy<Value = Table> {
    any::<u64>().prop_map(move |bits| Table(bits) & Table::full(n))
}
