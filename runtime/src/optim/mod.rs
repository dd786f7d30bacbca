//! Optimisation: AdamW in place, learning-rate schedules, clipping by global norm.
//!
//! In: trainable variables, their gradients in the same order, a rate. Out: changed variables.
//! Invariant: the state is a plain list of tensors, so that a run can stop and continue bit for bit.

mod adamw;
mod clip;
mod schedule;

#[cfg(test)]
mod tests;

pub use adamw::{AdamW, AdamWConfig};
pub use clip::clip_factor;
pub use schedule::{Decay, Schedule};
