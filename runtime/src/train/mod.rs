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
mod feeds;
mod mean;
mod metrics;
mod names;
mod nested;
mod output;
mod policy;
mod problem;
mod reference;
mod reward;
mod run;
mod running_mean;
mod score;
mod source;
mod trainer;

#[cfg(test)]
mod tests;

pub use bind::Binding;
pub use cache::{ReferenceCache, model_digest};
pub use checkpoint::{kernel_settings, latest as latest_checkpoint};
pub use ches::{Ches, ches};
pub use config::{Length, Settings, TrainConfig, first_change};
pub use metrics::{EvalRecord, Record, ResumedRecord, RunRecord, SavedRecord, StepRecord};
pub use names::{Names, ResponseNames};
pub use output::discard_unsaved;
pub use policy::Policy;
pub use reference::{ReferenceLogProbs, given_log_probs, reference_log_probs, reference_numbers};
pub use reward::{Grain, HeadKind, Reward};
pub use run::{Beside, Outcome, Reference, Run};
pub use running_mean::Running;
pub use score::{ExampleScore, ResponseScore, Summary, score, summarise};
pub use trainer::{resume, train};
