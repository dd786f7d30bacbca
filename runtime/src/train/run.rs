//! What a run works with, and what its losses ask of it.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use crate::data::{EncodedExample, Examples};
use crate::model::CausalLm;
use crate::op::{LossKernel, RuntimeError};
use crate::optim::AdamW;

use super::bind::Binding;
use super::config::TrainConfig;
use super::metrics::{EvalRecord, Record};
use super::names::Names;
use super::policy::Policy;
use super::reference::ReferenceLogProbs;
use super::reward::Grain;
use super::running_mean::Running;

/// The frozen model that a loss compares the policy with.
#[derive(Clone, Copy)]
pub enum Reference<'a> {
    /// The policy as it is before the first step.
    Initial,
    /// Another model, or the policy with its adapter switched off.
    Model(&'a dyn CausalLm),
    /// The log-probabilities that the data give.
    Data,
    /// Log-probabilities that were computed before.
    Known(&'a ReferenceLogProbs),
}

/// What few losses read.
#[derive(Clone, Copy, Default)]
pub struct Beside<'a> {
    /// A loss of the policy's scalar head alone, with the policy held fixed: a second optimiser follows it,
    /// in the same steps.
    pub head_loss: Option<&'a dyn LossKernel>,
    /// The reference model, for losses that read divergences from it at every step.
    pub reference: Option<&'a dyn CausalLm>,
    /// By held-out example the policy's log-probability of each token before the first step, where it is known:
    /// the first evaluation of a loss that reads nothing else then needs no pass.
    pub first: Option<&'a [Vec<f64>]>,
    /// For scoring: the loss's running means as a run left them. A run has its own.
    pub running: &'a [Running],
}

/// Everything that a run works with.
pub struct Run<'a> {
    /// The model to train.
    pub policy: &'a dyn Policy,
    /// The loss.
    pub kernel: &'a dyn LossKernel,
    /// What the loss calls models and responses.
    pub names: &'a Names,
    /// The settings.
    pub config: &'a TrainConfig,
    /// What to train on, in memory or on disk.
    pub train: &'a dyn Examples,
    /// What to evaluate on; may be empty.
    pub held_out: &'a [EncodedExample],
    /// Asked once, before the first step, if the loss reads a reference; never after a resume.
    pub reference: Reference<'a>,
    /// What few losses read.
    pub beside: Beside<'a>,
    /// The folder for metrics and checkpoints; nothing is written without one.
    pub output: Option<&'a Path>,
    /// When it becomes true the run saves a checkpoint after the current step and stops.
    pub stop: &'a AtomicBool,
    /// Is told every record.
    pub observe: &'a mut dyn FnMut(&Record),
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Steps taken in all.
    pub steps: usize,
    /// False if it was asked to stop before its end.
    pub finished: bool,
    /// True if its patience ended: the held-out loss fell no further.
    pub ended_early: bool,
    /// The first evaluation of this sitting.
    pub first_eval: Option<EvalRecord>,
    /// The last evaluation of this sitting.
    pub last_eval: Option<EvalRecord>,
}

/// The names of the losses that a run minimises.
pub(super) fn losses(run: &Run<'_>) -> String {
    let head = run.beside.head_loss.map(|k| format!(" and {}", k.name())).unwrap_or_default();
    format!("{}{head}", run.kernel.name())
}

/// What the losses of a run read.
pub(super) struct Bindings {
    pub(super) policy: Binding,
    pub(super) head: Option<Binding>,
}

impl Bindings {
    pub(super) fn new(run: &Run<'_>) -> Result<Self, RuntimeError> {
        let policy = Binding::new(run.kernel, run.names)?;
        let head = run.beside.head_loss.map(|k| Binding::new(k, run.names)).transpose()?;
        let refuse = |text: String| Err(RuntimeError::Setting(text));
        if let Some(head) = &head {
            let same = head.data_columns() == policy.data_columns()
                && head.list_columns() == policy.list_columns()
                && head.grain() == policy.grain();
            let kernel = run.beside.head_loss;
            let runs = kernel.is_some_and(|k| !k.running().is_empty());
            if !same || head.head().is_none() || runs {
                return refuse(
                    "the head's loss reads other data than the policy's, a running mean, or no head".into(),
                );
            }
        }
        let all = std::iter::once(&policy).chain(&head);
        if all.clone().any(|b| b.head().is_some()) != run.policy.scalar_head().is_some() {
            return refuse(
                "a loss reads a scalar head and the policy has none, or the reverse".into(),
            );
        }
        if all.clone().any(Binding::needs_live_reference) && run.beside.reference.is_none() {
            return refuse(
                "the loss reads a divergence from the reference, which has to be a model".into(),
            );
        }
        Ok(Self { policy, head })
    }

    pub(super) fn needs_reference(&self) -> bool {
        self.policy.needs_reference() || self.head.as_ref().is_some_and(Binding::needs_reference)
    }

    /// Whether the losses read nothing of the policy but log-probabilities.
    pub(super) fn reads_log_probs_alone(&self) -> bool {
        let mut all = std::iter::once(&self.policy).chain(&self.head);
        all.all(|b| b.head().is_none() && !b.statistics().into_array().contains(&true))
    }

    pub(super) fn grain(&self) -> Grain {
        self.policy.grain()
    }
}

/// One optimiser for the policy, and one for its scalar head.
pub(super) struct Optimisers {
    pub(super) policy: AdamW,
    pub(super) head: Option<AdamW>,
}

impl Optimisers {
    pub(super) fn new(run: &Run<'_>) -> Result<Self, RuntimeError> {
        let of = |variables: &[(String, candle_core::Var)]| {
            AdamW::new(run.config.adamw, variables.to_vec())
        };
        let head = run.policy.scalar_head().map(|h| of(h.variables())).transpose()?;
        Ok(Self { policy: of(run.policy.trainable())?, head })
    }
}
