//! The loop: batch, gradient, step; metrics, evaluations and checkpoints between.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use candle_core::Tensor;

use crate::data::{EncodedExample, Shuffle};
use crate::model::CausalLm;
use crate::op::{LossKernel, RuntimeError};
use crate::optim::{AdamW, clip_factor};

use super::batch::{BatchError, gradient};
use super::bind::{Binding, Names};
use super::checkpoint::{self, State, digest, kernel_settings};
use super::config::{TrainConfig, unchanged};
use super::metrics::{EvalRecord, Record, ResumedRecord, RunRecord, SavedRecord, StepRecord};
use super::output::{MetricsFile, write_scores};
use super::policy::{Dropping, Policy};
use super::reference::{ReferenceLogProbs, given_log_probs, reference_log_probs};
use super::score::{figures, score, summarise};

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
    /// What to train on.
    pub train: &'a [EncodedExample],
    /// What to evaluate on; may be empty.
    pub held_out: &'a [EncodedExample],
    /// Asked once, before the first step, if the loss reads a reference; never after a resume.
    pub reference: Reference<'a>,
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

/// Trains from the policy's current weights.
///
/// # Errors
/// If a setting is out of range or does not fit the data, the loss reads something that pairs cannot
/// supply, the folder already holds a run or cannot be written, or the loss or its gradient becomes
/// infinite or NaN (then the weights are those before that step).
pub fn train(run: Run<'_>) -> Result<Outcome, RuntimeError> {
    let binding = Binding::new(run.kernel, run.names)?;
    let total = run.config.steps(run.train.len())?;
    let optimiser = AdamW::new(run.config.adamw, run.policy.trainable().to_vec())?;
    let metrics = run.output.map(MetricsFile::create).transpose()?;
    let mut reference = ReferenceLogProbs::default();
    if binding.needs_reference() {
        let micro = run.config.micro_batch;
        let by = |model: &dyn CausalLm| -> Result<ReferenceLogProbs, RuntimeError> {
            let sums =
                |examples: &[EncodedExample]| reference_log_probs(model, examples, micro, |_| {});
            Ok(ReferenceLogProbs { train: sums(run.train)?, held_out: sums(run.held_out)? })
        };
        reference = match run.reference {
            Reference::Initial => by(run.policy)?,
            Reference::Model(model) => by(model)?,
            Reference::Known(known) => known.clone(),
            Reference::Data => ReferenceLogProbs {
                train: given_log_probs(run.train)?,
                held_out: given_log_probs(run.held_out)?,
            },
        };
        reference.check(run.train, run.held_out)?;
    }
    let state = State::new(run.kernel.name(), run.config, digest(&[run.train, run.held_out]));
    let record = Record::Run(Box::new(RunRecord {
        loss: run.kernel.name().to_owned(),
        reward: binding.reward().definition().to_owned(),
        steps: total,
        train_examples: run.train.len(),
        held_out_examples: run.held_out.len(),
        trainable: run.policy.trainable().iter().map(|(_, v)| v.elem_count()).sum(),
        config: run.config.clone(),
    }));
    let mut session = Session::new(run, binding, optimiser, metrics, reference, state, total);
    session.emit(record)?;
    session.evaluate()?;
    // The reference took a pass over all data: it is not lost with the first interval.
    if session.binding.needs_reference() {
        session.save()?;
    }
    session.steps()
}

/// Continues a run from a checkpoint; the result is the same to the last bit as without the pause.
///
/// # Errors
/// If the checkpoint cannot be read, or was made with another loss, model, data or setting; and as
/// [`train`].
pub fn resume(run: Run<'_>, checkpoint: &Path) -> Result<Outcome, RuntimeError> {
    let binding = Binding::new(run.kernel, run.names)?;
    let total = run.config.steps(run.train.len())?;
    let mut state = checkpoint::load_state(checkpoint)?;
    let refuse = |what: &str| {
        Err(RuntimeError::Setting(format!("the run to resume was started with {what}")))
    };
    if state.loss != run.kernel.name() {
        return refuse(&format!("the loss `{}`", state.loss));
    }
    if state.data != digest(&[run.train, run.held_out]) {
        return refuse("other data (or another split, tokenizer or length limit)");
    }
    unchanged(&state.kernel, &kernel_settings(run.kernel))?;
    if state.step > total {
        return refuse(&format!(
            "more steps: it has taken {} and {total} are asked for",
            state.step
        ));
    }
    state.changed = state.config != *run.config;
    state.config.continues_as(run.config)?;
    state.config = run.config.clone();
    let variables = run.policy.trainable();
    let mut optimiser = AdamW::new(run.config.adamw, variables.to_vec())?;
    let data = (run.train, run.held_out);
    let reference = checkpoint::restore(checkpoint, state.step, variables, &mut optimiser, data)?;
    let metrics = run.output.map(|o| MetricsFile::reopen(o, state.step)).transpose()?;
    Session::new(run, binding, optimiser, metrics, reference, state, total).steps()
}

struct Session<'a> {
    run: Run<'a>,
    binding: Binding,
    optimiser: AdamW,
    metrics: Option<MetricsFile>,
    reference: ReferenceLogProbs,
    state: State,
    total: usize,
    order: Shuffle,
    started: Instant,
    earlier_seconds: f64,
    saved: Option<usize>,
    first_eval: Option<EvalRecord>,
    last_eval: Option<EvalRecord>,
}

impl<'a> Session<'a> {
    fn new(
        run: Run<'a>,
        binding: Binding,
        optimiser: AdamW,
        metrics: Option<MetricsFile>,
        reference: ReferenceLogProbs,
        state: State,
        total: usize,
    ) -> Self {
        let order = Shuffle::new(run.config.seed, run.train.len());
        let earlier_seconds = state.seconds;
        let started = Instant::now();
        let mut state = state;
        state.kernel = kernel_settings(run.kernel);
        Self {
            run,
            binding,
            optimiser,
            metrics,
            reference,
            state,
            total,
            order,
            started,
            earlier_seconds,
            saved: None,
            first_eval: None,
            last_eval: None,
        }
    }

    fn seconds(&self) -> f64 {
        self.earlier_seconds + self.started.elapsed().as_secs_f64()
    }

    fn emit(&mut self, record: Record) -> Result<(), RuntimeError> {
        if let Some(file) = &mut self.metrics {
            file.write(&record)?;
        }
        (self.run.observe)(&record);
        Ok(())
    }

    fn steps(mut self) -> Result<Outcome, RuntimeError> {
        let due = |every: Option<usize>, step: usize| every.is_some_and(|n| step.is_multiple_of(n));
        if self.state.changed {
            let config = self.run.config.clone();
            let (step, steps) = (self.state.step, self.total);
            self.emit(Record::Resumed(Box::new(ResumedRecord { step, steps, config })))?;
        }
        while self.state.step < self.total
            && !self.out_of_patience()
            && !self.run.stop.load(Ordering::Relaxed)
        {
            self.step()?;
            let step = self.state.step;
            if due(self.run.config.eval_every, step) || step == self.total {
                self.evaluate()?;
            }
            if due(self.run.config.save_every, step) {
                self.save()?;
            }
        }
        self.save()?;
        let ended_early = self.state.step < self.total && self.out_of_patience();
        Ok(Outcome {
            steps: self.state.step,
            finished: self.state.step >= self.total || ended_early,
            ended_early,
            first_eval: self.first_eval,
            last_eval: self.last_eval,
        })
    }

    fn out_of_patience(&self) -> bool {
        self.run.config.patience.is_some_and(|n| self.state.stale >= n)
    }

    /// The places in the training data of the next batch.
    fn batch(&mut self) -> Vec<usize> {
        let size = self.run.config.batch_size;
        let first = self.state.step * size;
        (first..first + size).filter_map(|p| self.order.at(p)).collect()
    }

    fn step(&mut self) -> Result<(), RuntimeError> {
        let begin = Instant::now();
        let places = self.batch();
        let train = self.run.train;
        let examples: Vec<&EncodedExample> = places.iter().map(|&i| &train[i]).collect();
        let reference: Option<Vec<Vec<f64>>> = self
            .binding
            .needs_reference()
            .then(|| places.iter().filter_map(|&i| self.reference.train.get(i).cloned()).collect());
        let step = self.state.step + 1;
        let diverged = |what: &str, value: f64| RuntimeError::Diverged {
            step,
            what: what.to_owned(),
            value,
            rows: examples.iter().map(|e| e.row).collect(),
        };
        let (policy, config) = (self.run.policy, self.run.config);
        let _dropping = Dropping::new(policy, config.seed, self.state.step);
        let result = gradient(
            policy,
            self.run.kernel,
            &self.binding,
            &examples,
            reference.as_deref(),
            config.micro_batch,
        )
        .map_err(|e| match e {
            BatchError::Other(e) => e,
            BatchError::NotFinite { what, value } => diverged(&what, value),
        })?;
        result.gradients.assert_all_reached(policy.trainable())?;
        let norm = result.gradients.norm()?;
        if !norm.is_finite() {
            return Err(diverged("the gradient's norm", norm));
        }
        let lr = config.schedule.rate(self.state.step, self.total);
        let gradients: Vec<Tensor> = result.gradients.iter().map(|(_, g)| g.clone()).collect();
        self.optimiser.step(&gradients, lr, clip_factor(norm, config.clip))?;
        self.state.step = step;

        let (loss, sums) = (&result.loss, &result.sums);
        let s = summarise(&figures(&examples, reference.as_deref(), loss, sums, &self.binding));
        let tokens: usize = examples.iter().map(|e| e.tokens()).sum();
        let record = StepRecord {
            step,
            epoch: (step * config.batch_size) as f64 / train.len() as f64,
            loss: s.loss,
            accuracy: s.accuracy,
            margin: s.margin,
            chosen_logp: s.chosen_logp,
            rejected_logp: s.rejected_logp,
            chosen_logp_per_token: s.chosen_logp_per_token,
            rejected_logp_per_token: s.rejected_logp_per_token,
            gradient_norm: norm,
            lr,
            tokens_per_second: tokens as f64 / begin.elapsed().as_secs_f64().max(1e-9),
            seconds: self.seconds(),
        };
        self.emit(Record::Step(record))
    }

    fn evaluate(&mut self) -> Result<(), RuntimeError> {
        if self.run.held_out.is_empty() {
            return Ok(());
        }
        let reference =
            self.binding.needs_reference().then_some(self.reference.held_out.as_slice());
        let config = self.run.config;
        let scores = score(
            self.run.policy,
            self.run.kernel,
            &self.binding,
            self.run.held_out,
            reference,
            (config.batch_size, config.micro_batch),
        )?;
        if let Some(folder) = self.run.output {
            write_scores(folder, self.state.step, &scores)?;
        }
        let summary = summarise(&scores);
        // A loss that is NaN is none to be below.
        let lower = self.state.best.is_none_or(|best| summary.loss < best);
        if lower && !summary.loss.is_nan() {
            self.state.best = Some(summary.loss);
            self.state.stale = 0;
        } else {
            self.state.stale += 1;
        }
        let now = summary.chosen_logp_per_token;
        let baseline = *self.state.baseline.get_or_insert(now);
        let record = EvalRecord {
            step: self.state.step,
            summary,
            chosen_change_per_token: now - baseline,
            seconds: self.seconds(),
        };
        self.first_eval.get_or_insert_with(|| record.clone());
        self.last_eval = Some(record.clone());
        self.emit(Record::Eval(record))
    }

    fn save(&mut self) -> Result<(), RuntimeError> {
        let Some(folder) = self.run.output else { return Ok(()) };
        if self.saved == Some(self.state.step) {
            return Ok(());
        }
        self.state.seconds = self.seconds();
        let path = checkpoint::save(
            folder,
            &self.state,
            self.run.policy.trainable(),
            &self.optimiser,
            &self.reference,
        )?;
        self.saved = Some(self.state.step);
        let record = SavedRecord { step: self.state.step, path: path.display().to_string() };
        self.emit(Record::Saved(record))
    }
}
