//! Training a policy with a compiled preference loss.
//!
//! In: a [`Policy`], a [`crate::op::LossKernel`], encoded examples and a [`TrainConfig`]. Out: changed
//! weights, one metrics record a step, and checkpoints that continue bit for bit. Invariant: whatever
//! the split into micro-batches, the loss is evaluated on the whole batch, so that a loss that couples
//! its examples has its exact gradient.

mod batch;
mod bind;
mod cache;
mod checkpoint;
mod ches;
mod config;
mod mean;
mod metrics;
mod output;
mod policy;
mod reference;
mod score;
mod source;
mod trainer;

#[cfg(test)]
mod tests;

pub use bind::{Binding, Names, ResponseNames, Reward};
pub use cache::{ReferenceCache, model_digest};
pub use checkpoint::{kernel_settings, latest as latest_checkpoint};
pub use ches::{Ches, ches};
pub use config::{Length, Settings, TrainConfig, first_change};
pub use metrics::{EvalRecord, Record, ResumedRecord, RunRecord, SavedRecord, StepRecord};
pub use output::discard_unsaved;
pub use policy::Policy;
pub use reference::{ReferenceLogProbs, given_log_probs, reference_log_probs};
pub use score::{ExampleScore, ResponseScore, Summary, score, summarise};
pub use trainer::{Outcome, Reference, Run, resume, train};
