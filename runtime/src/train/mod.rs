//! Training a policy with a compiled preference loss.
//!
//! In: a [`Policy`], a [`crate::op::LossKernel`], encoded pairs and a [`TrainConfig`]. Out: changed
//! weights, one metrics record a step, and checkpoints that continue bit for bit. Invariant: whatever
//! the split into micro-batches, the loss is evaluated on the whole batch, so that a loss that couples
//! its examples has its exact gradient.

mod batch;
mod bind;
mod checkpoint;
mod config;
mod metrics;
mod output;
mod policy;
mod reference;
mod score;
mod trainer;

#[cfg(test)]
mod tests;

pub use bind::{Binding, Names, Reward};
pub use checkpoint::latest as latest_checkpoint;
pub use config::{Length, TrainConfig};
pub use metrics::{EvalRecord, Record, RunRecord, SavedRecord, StepRecord};
pub use policy::Policy;
pub use reference::{ReferenceLogProbs, reference_log_probs};
pub use score::{PairScore, Summary, score, summarise};
pub use trainer::{Outcome, Reference, Run, resume, train};
