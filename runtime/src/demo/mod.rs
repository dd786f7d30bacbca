//! A preference task that a processor learns in seconds: four letters, to be answered in order.
//!
//! Why: a first run needs no download, and a test of the whole pipeline needs a task whose success can be
//! checked exactly. In: a seed. Out: a character-level model that answers `kcxb=` with its letters in a
//! random order ([`base_model`]), pairs that prefer the alphabetical order ([`TRAIN`], [`HELD_OUT`]), and
//! the share of prompts that the model answers exactly ([`answers`]). Invariant: the same seed gives the
//! same model, to the last bit on one machine.

mod answer;
mod base;
mod run;
mod task;

#[cfg(test)]
mod tests;

pub use answer::{Answers, answers};
pub use base::{ALPHABET, SftProgress, base_model, model_config};
pub use run::{DemoReport, load, run, train_config};
pub use task::{Example, jsonl, make};

/// The training pairs, as JSON lines.
pub const TRAIN: &str = include_str!("../../assets/demo/train.jsonl");

/// The held-out pairs, as JSON lines; no prompt with the same four letters is in [`TRAIN`].
pub const HELD_OUT: &str = include_str!("../../assets/demo/held_out.jsonl");
