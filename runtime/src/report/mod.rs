//! A run's folder, read back: series to plot, held-out scores to compare, intervals for what they say.
//!
//! In: `metrics.jsonl`, `scores-first.jsonl`, `scores-last.jsonl` as the trainer writes them. Out: numbers
//! and SVG. Invariant: the same folder gives the same page, bootstrap included; nothing is invented for
//! figures that a run has not written.

mod bootstrap;
mod chart;
mod read;
mod tensorboard;

#[cfg(test)]
mod tests;

pub use bootstrap::{Interval, bootstrap_mean};
pub use chart::{Chart, Line, STYLE};
pub use read::{RunLog, ScoreLine, read_run, read_scores};
pub use tensorboard::EventFile;
