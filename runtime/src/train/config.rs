//! The settings of a run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::files::DIGEST;
use crate::op::RuntimeError;
use crate::optim::{AdamWConfig, Decay, Schedule};

/// How long to train.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Length {
    /// Optimiser steps.
    Steps(usize),
    /// Passes over the training examples; a part of the last batch may begin the next pass.
    Epochs(f64),
}

/// The settings of a run; its meaning together with the data, the loss and the initial weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// How long to train.
    pub length: Length,
    /// Examples an optimiser step: pairs, or single responses.
    pub batch_size: usize,
    /// Examples a forward and backward pass, which bounds the memory; the step is the same.
    pub micro_batch: usize,
    /// The learning rate.
    pub schedule: Schedule,
    /// The peak learning rate of a scalar head, where the loss reads one; else that of the policy.
    #[serde(default)]
    pub head_rate: Option<f64>,
    /// Gradients longer than this are scaled down to it.
    pub clip: Option<f64>,
    /// The optimiser's constants.
    pub adamw: AdamWConfig,
    /// Decides the order of the examples.
    pub seed: u64,
    /// Steps between two evaluations on the held-out data; there is always one before the first step
    /// and one after the last.
    pub eval_every: Option<usize>,
    /// Ends the run after this many evaluations in a row whose loss is not below the lowest so far.
    #[serde(default)]
    pub patience: Option<usize>,
    /// Steps between two checkpoints; there is always one after the last step.
    pub save_every: Option<usize>,
    /// How many checkpoints stay; older ones are removed.
    pub keep: usize,
    /// What else the run was started with, by name: the model, its adapter, the reference. A run goes on with
    /// the same alone.
    #[serde(default)]
    pub origin: Settings,
}

/// Settings by name. Digests stand for what is too long to show.
pub type Settings = BTreeMap<String, String>;

/// Refuses settings that are not those of a run's start.
///
/// # Errors
/// Names the first that differs.
pub(super) fn unchanged(was: &Settings, is: &Settings) -> Result<(), RuntimeError> {
    match first_change(was, is) {
        None => Ok(()),
        Some(text) => {
            Err(RuntimeError::Setting(format!("the run to resume was started with {text}")))
        }
    }
}

/// The first setting that differs, as it was and as it is.
pub fn first_change(was: &Settings, is: &Settings) -> Option<String> {
    let name = was.keys().chain(is.keys()).find(|name| was.get(*name) != is.get(*name))?;
    let shown = |settings: &Settings| settings.get(name).map_or("none".to_owned(), String::clone);
    let (was, is) = (shown(was), shown(is));
    Some(match was.starts_with(DIGEST) || is.starts_with(DIGEST) {
        true => format!("another {name}"),
        false => format!("{name} {was}, not {is}"),
    })
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            length: Length::Epochs(1.0),
            batch_size: 16,
            micro_batch: 4,
            schedule: Schedule { peak: 1e-5, warmup: 10, decay: Decay::Linear },
            head_rate: None,
            clip: Some(1.0),
            adamw: AdamWConfig::default(),
            seed: 0,
            eval_every: None,
            patience: None,
            save_every: None,
            keep: 2,
            origin: Settings::new(),
        }
    }
}

impl TrainConfig {
    /// The number of optimiser steps for this many training examples.
    ///
    /// # Errors
    /// Names the setting that is out of range or does not fit the data.
    pub fn steps(&self, examples: usize) -> Result<usize, RuntimeError> {
        let wrong = |text: String| Err(RuntimeError::Setting(text));
        if self.batch_size == 0 || self.micro_batch == 0 {
            return wrong("batch size and micro-batch must be at least 1".into());
        }
        if self.batch_size > examples {
            return wrong(format!(
                "a batch of {} examples is wanted and the training data has {examples}",
                self.batch_size
            ));
        }
        if !(self.schedule.peak >= 0.0 && self.schedule.peak.is_finite()) {
            return wrong(format!("learning rate {} is outside [0, inf)", self.schedule.peak));
        }
        if self.head_rate.is_some_and(|r| !(r >= 0.0 && r.is_finite())) {
            return wrong("the head's learning rate must be in [0, inf)".into());
        }
        if self.clip.is_some_and(|c| c.is_nan() || c <= 0.0) {
            return wrong("the clipping norm must be above 0".into());
        }
        let none = [self.eval_every, self.save_every, self.patience].contains(&Some(0));
        if none || self.keep == 0 {
            return wrong(
                "intervals, patience and the number of kept checkpoints must be at least 1".into(),
            );
        }
        self.adamw.check()?;
        let steps = match self.length {
            Length::Steps(n) => n as f64,
            Length::Epochs(e) => (e * examples as f64 / self.batch_size as f64).ceil(),
        };
        // Beyond 2^53 steps a position in the data would not be exact either.
        if (1.0..9e15).contains(&steps) {
            Ok(steps as usize)
        } else {
            wrong(format!("a length of {:?} is no run", self.length))
        }
    }

    /// Refuses to continue a run of these settings under `new` ones that would change what its past
    /// steps meant.
    ///
    /// # Errors
    /// Names the first setting that differs.
    pub(super) fn continues_as(&self, new: &Self) -> Result<(), RuntimeError> {
        let same = |name: &str, same: bool| match same {
            true => Ok(()),
            false => Err(RuntimeError::Setting(format!(
                "the run to resume was started with another {name}"
            ))),
        };
        unchanged(&self.origin, &new.origin)?;
        same("batch size", self.batch_size == new.batch_size)?;
        same("micro-batch", self.micro_batch == new.micro_batch)?;
        same("learning-rate schedule", self.schedule == new.schedule)?;
        same("learning rate of the head", self.head_rate == new.head_rate)?;
        same("clipping norm", self.clip == new.clip)?;
        same("optimiser setting", self.adamw == new.adamw)?;
        same("seed", self.seed == new.seed)?;
        // A constant rate does not look at the end: such a run can be made longer.
        let extends = self.schedule.decay == Decay::Constant;
        same("length, and its learning rate depends on that", extends || self.length == new.length)
    }
}
