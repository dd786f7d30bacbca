//! The records of a run: one JSON line each, with a `type`.

use serde::Serialize;

use super::config::TrainConfig;
use super::score::Summary;

/// One line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Record {
    /// The first line of a run.
    Run(Box<RunRecord>),
    /// A run goes on under settings that may change, and did.
    Resumed(Box<ResumedRecord>),
    /// One optimiser step.
    Step(StepRecord),
    /// One evaluation on the held-out data.
    Eval(EvalRecord),
    /// A checkpoint was written.
    Saved(SavedRecord),
}

/// What is run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunRecord {
    /// The loss.
    pub loss: String,
    /// What accuracy and margin compare.
    pub reward: String,
    /// Optimiser steps in all.
    pub steps: usize,
    /// Training examples: pairs, or single responses.
    pub train_examples: usize,
    /// Held-out examples.
    pub held_out_examples: usize,
    /// Trainable numbers.
    pub trainable: usize,
    /// The settings.
    pub config: TrainConfig,
}

/// What changed when a run went on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ResumedRecord {
    /// Steps taken before.
    pub step: usize,
    /// Optimiser steps in all.
    pub steps: usize,
    /// The settings from here on.
    pub config: TrainConfig,
}

/// One optimiser step; log-probabilities and rewards are those before it. A figure that the batch has no
/// response for is NaN, and absent from the file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepRecord {
    /// Counted from 1.
    pub step: usize,
    /// Passes over the training examples when the step ends.
    pub epoch: f64,
    /// Mean loss of the batch.
    pub loss: f64,
    /// Share of comparisons with the better response above the other in reward, ties half.
    #[serde(skip_serializing_if = "super::metrics::is_absent")]
    pub accuracy: f64,
    /// Mean reward of chosen (good) less rejected (bad) responses.
    #[serde(skip_serializing_if = "super::metrics::is_absent")]
    pub margin: f64,
    /// Mean log-probability of the chosen (good) responses, summed over tokens.
    #[serde(skip_serializing_if = "super::metrics::is_absent")]
    pub chosen_logp: f64,
    /// The same of the rejected (bad) responses.
    #[serde(skip_serializing_if = "super::metrics::is_absent")]
    pub rejected_logp: f64,
    /// By token.
    #[serde(skip_serializing_if = "super::metrics::is_absent")]
    pub chosen_logp_per_token: f64,
    /// By token.
    #[serde(skip_serializing_if = "super::metrics::is_absent")]
    pub rejected_logp_per_token: f64,
    /// Euclidean norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// Mean loss of the scalar head, where it has one of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_loss: Option<f64>,
    /// The learning rate.
    pub lr: f64,
    /// Tokens of prompts and responses that were trained on, a second.
    pub tokens_per_second: f64,
    /// Since the start of the run, earlier sittings included.
    pub seconds: f64,
}

/// One evaluation on the held-out data.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EvalRecord {
    /// After how many steps.
    pub step: usize,
    /// The means.
    #[serde(flatten)]
    pub summary: Summary,
    /// Change of the chosen responses' log-probability by token since the start: a fall while accuracy
    /// rises means that the policy unlearns the good answers as well.
    #[serde(skip_serializing_if = "super::metrics::is_absent")]
    pub chosen_change_per_token: f64,
    /// Since the start of the run, earlier sittings included.
    pub seconds: f64,
}

/// A checkpoint was written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SavedRecord {
    /// After how many steps.
    pub step: usize,
    /// Its folder.
    pub path: String,
}

impl Record {
    /// After how many steps it was written.
    pub fn step(&self) -> usize {
        match self {
            Record::Run(_) => 0,
            Record::Resumed(r) => r.step,
            Record::Step(r) => r.step,
            Record::Eval(r) => r.step,
            Record::Saved(r) => r.step,
        }
    }
}

/// Whether a figure does not exist.
#[allow(clippy::trivially_copy_pass_by_ref)] // What serde hands over.
pub(super) fn is_absent(figure: &f64) -> bool {
    figure.is_nan()
}
