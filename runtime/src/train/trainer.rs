//! The loop: batch, gradient, step; metrics, evaluations and checkpoints between.

use std::borrow::Cow;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Instant;

use candle_core::Tensor;

use crate::data::{EncodedExample, Examples, Shuffle};
use crate::model::{CausalLm, Gradients};
use crate::op::RuntimeError;
use crate::optim::{Schedule, clip_factor};

use super::batch::gradient;
use super::checkpoint::{self, State, digest, kernel_settings};
use super::config::{Settings, unchanged};
use super::metrics::{EvalRecord, Record, ResumedRecord, RunRecord, SavedRecord, StepRecord};
use super::output::{MetricsFile, write_scores};
use super::policy::Dropping;
use super::problem::{BatchError, Problem};
use super::reference::{ReferenceLogProbs, given_log_probs, reference_numbers, unreadable};
use super::run::{Bindings, Optimisers, Outcome, Reference, Run, losses};
use super::score::{figures, score_problem, summarise};

/// What tells the losses of a run from others of their names.
fn settings(run: &Run<'_>) -> Settings {
    let head = run.beside.head_loss.map(kernel_settings).unwrap_or_default();
    kernel_settings(run.kernel).into_iter().chain(head).collect()
}

/// Trains from the policy's current weights.
///
/// # Errors
/// If a setting is out of range or does not fit the data, the loss reads something that pairs cannot
/// supply, the folder already holds a run or cannot be written, or the loss or its gradient becomes
/// infinite or NaN (then the weights are those before that step).
pub fn train(run: Run<'_>) -> Result<Outcome, RuntimeError> {
    let bindings = Bindings::new(&run)?;
    let total = run.config.steps(run.train.len())?;
    let optimisers = Optimisers::new(&run)?;
    let metrics = run.output.map(MetricsFile::create).transpose()?;
    let mut reference = ReferenceLogProbs::default();
    if bindings.needs_reference() {
        let (micro, grain) = (run.config.micro_batch, bindings.grain());
        let by = |model: &dyn CausalLm| -> Result<ReferenceLogProbs, RuntimeError> {
            let sums =
                |examples: &dyn Examples| reference_numbers(model, examples, micro, grain, |_| {});
            Ok(ReferenceLogProbs { train: sums(run.train)?, held_out: sums(&run.held_out)? })
        };
        reference = match run.reference {
            Reference::Initial => by(run.policy)?,
            Reference::Model(model) => by(model)?,
            Reference::Known(known) => known.clone(),
            Reference::Data => ReferenceLogProbs {
                train: given_log_probs(run.train)?,
                held_out: given_log_probs(&run.held_out)?,
            },
        };
        reference.check(run.train, &run.held_out, grain)?;
    }
    let state = State::new(&losses(&run), run.config, digest(&[run.train, &run.held_out])?);
    let record = Record::Run(Box::new(RunRecord {
        loss: run.kernel.name().to_owned(),
        reward: bindings.policy.reward().definition().to_owned(),
        steps: total,
        train_examples: run.train.len(),
        held_out_examples: run.held_out.len(),
        trainable: run.policy.trainable().iter().map(|(_, v)| v.elem_count()).sum(),
        config: run.config.clone(),
    }));
    let mut session = Session::new(run, bindings, optimisers, metrics, reference, state, total);
    session.emit(record)?;
    session.evaluate()?;
    // The reference took a pass over all data: it is not lost with the first interval.
    if session.bindings.needs_reference() {
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
    let bindings = Bindings::new(&run)?;
    let total = run.config.steps(run.train.len())?;
    let mut state = checkpoint::load_state(checkpoint)?;
    let refuse = |what: &str| {
        Err(RuntimeError::Setting(format!("the run to resume was started with {what}")))
    };
    if state.loss != losses(&run) {
        return refuse(&format!("the loss `{}`", state.loss));
    }
    if state.data != digest(&[run.train, &run.held_out])? {
        return refuse("other data (or another split, tokenizer or length limit)");
    }
    unchanged(&state.kernel, &settings(&run))?;
    if state.step > total {
        return refuse(&format!(
            "more steps: it has taken {} and {total} are asked for",
            state.step
        ));
    }
    state.changed = state.config != *run.config;
    state.config.continues_as(run.config)?;
    state.config = run.config.clone();
    let mut optimisers = Optimisers::new(&run)?;
    let data: [&dyn Examples; 2] = [run.train, &run.held_out];
    let mut trained = vec![(run.policy.trainable(), &mut optimisers.policy)];
    if let (Some(head), Some(optimiser)) = (run.policy.scalar_head(), &mut optimisers.head) {
        trained.push((head.variables(), optimiser));
    }
    let grain = bindings.grain();
    let reference = checkpoint::restore(checkpoint, state.step, &mut trained, data, grain)?;
    let metrics = run.output.map(|o| MetricsFile::reopen(o, state.step)).transpose()?;
    Session::new(run, bindings, optimisers, metrics, reference, state, total).steps()
}

struct Session<'a> {
    run: Run<'a>,
    bindings: Bindings,
    optimisers: Optimisers,
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
        bindings: Bindings,
        optimisers: Optimisers,
        metrics: Option<MetricsFile>,
        reference: ReferenceLogProbs,
        state: State,
        total: usize,
    ) -> Self {
        let order = Shuffle::new(run.config.seed, run.train.len());
        let earlier_seconds = state.seconds;
        let started = Instant::now();
        let mut state = state;
        state.kernel = settings(&run);
        Self {
            run,
            bindings,
            optimisers,
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

    fn problem(&self) -> Problem<'_> {
        Problem {
            kernel: self.run.kernel,
            binding: &self.bindings.policy,
            head: self.run.beside.head_loss.zip(self.bindings.head.as_ref()),
            live: self.run.beside.reference,
            past: &self.state.running,
        }
    }

    fn step(&mut self) -> Result<(), RuntimeError> {
        let begin = Instant::now();
        let places = self.batch();
        let train = self.run.train;
        let read = |&i: &usize| train.get(i).map_err(unreadable);
        let read: Vec<Cow<'_, EncodedExample>> =
            places.iter().map(read).collect::<Result<_, RuntimeError>>()?;
        let examples: Vec<&EncodedExample> = read.iter().map(Cow::as_ref).collect();
        let reference: Option<Vec<Vec<f64>>> = self
            .bindings
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
        let result =
            gradient(policy, self.problem(), &examples, reference.as_deref(), config.micro_batch)
                .map_err(|e| match e {
                BatchError::Other(e) => e,
                BatchError::NotFinite { what, value } => diverged(&what, value),
            })?;
        result.gradients.assert_all_reached(policy.trainable())?;
        let norm = result.gradients.norm()?;
        let head_norm = result.of_head.norm()?;
        for (what, norm) in [("the gradient's norm", norm), ("the head's gradient", head_norm)] {
            if !norm.is_finite() {
                return Err(diverged(what, norm));
            }
        }
        let lr = config.schedule.rate(self.state.step, self.total);
        let tensors = |g: &Gradients| g.iter().map(|(_, g)| g.clone()).collect::<Vec<Tensor>>();
        let gradients = tensors(&result.gradients);
        self.optimisers.policy.step(&gradients, lr, clip_factor(norm, config.clip))?;
        if let Some(head) = &mut self.optimisers.head {
            let own = Schedule { peak: config.head_rate.unwrap_or(1.0), ..config.schedule };
            let rate = match config.head_rate {
                Some(_) => own.rate(self.state.step, self.total),
                None => lr,
            };
            head.step(&tensors(&result.of_head), rate, clip_factor(head_norm, config.clip))?;
        }
        self.state.step = step;
        self.state.running.clone_from(&result.running);

        let (loss, sums) = (&result.loss, &result.sums);
        let own = &self.bindings.policy;
        let s = summarise(&figures(&examples, reference.as_deref(), loss, sums, own));
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
            head_loss: match result.head_loss.len() {
                0 => None,
                n => Some(result.head_loss.iter().sum::<f64>() / n as f64),
            },
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
            self.bindings.needs_reference().then_some(self.reference.held_out.as_slice());
        let config = self.run.config;
        let first = self.state.step == 0 && self.bindings.reads_log_probs_alone();
        let scores = score_problem(
            self.run.policy,
            self.problem(),
            self.run.held_out,
            reference,
            self.run.beside.first.filter(|_| first),
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
        let mut trained = vec![(self.run.policy.trainable(), &self.optimisers.policy)];
        if let (Some(head), Some(optimiser)) =
            (self.run.policy.scalar_head(), &self.optimisers.head)
        {
            trained.push((head.variables(), optimiser));
        }
        let path = checkpoint::save(folder, &self.state, &trained, &self.reference)?;
        self.saved = Some(self.state.step);
        let record = SavedRecord { step: self.state.step, path: path.display().to_string() };
        self.emit(Record::Saved(record))
    }
}
