//! One run, from a loss and a model to a trained adapter or model.

use super::super::models;
use super::super::progress::{Progress, peak_memory};
use super::super::samples::{self, Sample};
use super::credit::Credit;
use super::inputs::{Base, Data, Loss, Start};
use super::record::{self, Description};
use super::{Args, make_folder, settings, stop_flag, wanted};
use crate::failure::{Failure, Outcome, Status};
use crate::output::Ui;
use ponens::dsl::Diagnostic;
use ponens::runtime::data::Examples;
use ponens::runtime::model::{CausalLm as _, Llama, SaveType, Source, save};
use ponens::runtime::op::LossKernel;
use ponens::runtime::report::EventFile;
use ponens::runtime::tokenizer::Tokenizer;
use ponens::runtime::train::{
    self, Beside, Grain, Record, Reference, ReferenceCache, ReferenceLogProbs, Run,
};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// How one run of a sitting ended.
pub(super) struct Ended {
    pub(super) outcome: train::Outcome,
    result: PathBuf,
    before: Vec<Sample>,
    after: Vec<Sample>,
}

/// Everything one run works with.
pub(super) struct Job<'a> {
    pub(super) args: &'a Args,
    pub(super) loss: &'a Loss,
    pub(super) base: &'a Base,
    pub(super) data: &'a Data,
    pub(super) seed: u64,
    pub(super) output: &'a Path,
    pub(super) resume: bool,
    pub(super) stop: &'a AtomicBool,
    /// Where the reference's log-probabilities are kept.
    pub(super) cache: Option<&'a ReferenceCache>,
}

impl Job<'_> {
    /// Lines about the run, for people.
    pub(super) fn announce(&self, ui: &mut Ui) -> Result<(), Failure> {
        if ui.is_json() {
            return Ok(());
        }
        let loss = &self.loss.compiled.loss;
        ui.line(format!("loss      {}: {}", loss.name, loss.title()))?;
        ui.line(format!("model     {}", self.base.name))?;
        ui.line(format!("template  {}", self.args.data.stated()))?;
        if let Some(text) = &self.data.cuts {
            ui.line(text)?;
        }
        ui.flush()
    }

    /// The reference's log-probabilities, from the cache where there is one.
    fn known(&self, reference: &Llama) -> Result<Option<ReferenceLogProbs>, Failure> {
        let Some(cache) = self.cache.filter(|_| self.loss.binding.needs_reference()) else {
            return Ok(None);
        };
        let sums = |examples: &dyn Examples| {
            let grain = self.loss.binding.grain();
            let sums = cache.sums(reference, examples, self.args.micro_batch, grain);
            sums.map(|(sums, _)| sums).map_err(models::failed)
        };
        let (train, held_out) = (sums(&*self.data.train)?, sums(&self.data.held_out)?);
        Ok(Some(ReferenceLogProbs { train, held_out }))
    }

    /// The policy's log-probabilities of the held-out tokens before the first step, where all runs of a
    /// sitting start from the same model: it is run once for all of them.
    fn first(&self, frozen: Option<&Llama>) -> Result<Option<Vec<Vec<f64>>>, Failure> {
        let (Some(cache), Some(model)) = (self.cache, frozen) else { return Ok(None) };
        // The cache is the reference's; a policy that goes on from an adapter is another model.
        if self.base.other.is_some() || self.base.adapted {
            return Ok(None);
        }
        let micro = self.args.micro_batch;
        let tokens = cache.sums(model, &self.data.held_out, micro, Grain::Token);
        Ok(Some(tokens.map_err(models::failed)?.0))
    }

    /// Trains, and writes the result.
    pub(super) fn run(&self, start: Start, ui: &mut Ui) -> Result<Ended, Failure> {
        let (args, loss, base) = (self.args, self.loss, self.base);
        let Start { policy, frozen } = start;
        let prompts = match args.sample_tokens {
            0 => Vec::new(),
            _ => samples::prompts(args.sample_prompts.as_deref())?,
        };
        let from = if self.resume { self.newest()? } else { None };
        let before = samples::answers(&policy, &base.tokenizer, &prompts, args.sample_tokens)?;
        // Where it is the policy, it is asked before the first step only.
        let reference = base.other.as_ref().or(frozen.as_ref()).unwrap_or(&policy);
        let credit = Credit::begin(self, reference)?;
        // A checkpoint brings its own.
        let first = if from.is_none() { self.first(frozen.as_ref())? } else { None };
        let known = if from.is_none() { self.known(reference)? } else { None };
        let mut config = args.config(self.seed);
        config.origin = settings::origin(args, loss.needs_reference(), policy.adapter())?;
        let description = Description {
            args,
            loss: &loss.compiled,
            params: loss.params(),
            sources: &loss.located.program.sources,
            model: &base.name,
            adapter: policy.adapter(),
            seed: self.seed,
        };
        // That of a run which is resumed, or in the way of this one, stays as it was written at its start.
        let begun = from.is_some() || self.output.join("metrics.jsonl").exists();
        if !(begun && self.output.join("run.json").exists()) {
            record::write_run(self.output, &description)?;
        }
        let mut events = match args.tensorboard {
            true => Some(EventFile::create(self.output).map_err(models::failed)?),
            false => None,
        };
        let mut failed = None;
        let mut progress = Progress::new(ui);
        let mut observe = |r: &Record| {
            progress.record(r);
            if let Some(Err(e)) = events.as_mut().map(|file| record::scalars(file, r)) {
                failed.get_or_insert(e);
            }
        };
        let run = Run {
            policy: &policy,
            kernel: &loss.kernel,
            names: &loss.names,
            config: &config,
            train: &*self.data.train,
            held_out: &self.data.held_out,
            reference: match (&known, args.reference.as_deref()) {
                (Some(known), _) => Reference::Known(known),
                (None, Some("data")) => Reference::Data,
                (None, _) => Reference::Model(reference),
            },
            beside: Beside {
                head_loss: loss.head.as_ref().map(|k| k as &dyn LossKernel),
                reference: Some(reference),
                first: first.as_deref(),
                running: &[],
            },
            output: Some(self.output),
            stop: self.stop,
            observe: &mut observe,
        };
        let outcome = match &from {
            Some(checkpoint) => train::resume(run, checkpoint),
            None => train::train(run),
        };
        let outcome = outcome.map_err(models::failed)?;
        progress.finish()?;
        if let Some(e) = failed {
            return Err(models::failed(e));
        }
        let result = save_result(args, &base.name, &policy, &base.tokenizer, self.output)?;
        let after = samples::answers(&policy, &base.tokenizer, &prompts, args.sample_tokens)?;
        record::write_samples(self.output, &before, &after)?;
        credit.write(self, &policy)?;
        Ok(Ended { outcome, result, before, after })
    }

    /// The checkpoint to go on from. A run that ended before its first one is started again.
    fn newest(&self) -> Result<Option<PathBuf>, Failure> {
        let newest = train::latest_checkpoint(self.output).map_err(models::failed)?;
        if newest.is_none() {
            train::discard_unsaved(self.output).map_err(models::failed)?;
        }
        Ok(newest)
    }
}

/// The reference cache of the arguments, or of a folder that is used without one.
pub(super) fn cache(
    args: &Args,
    base: &Base,
    model: &Llama,
    folder: Option<&Path>,
) -> Result<Option<ReferenceCache>, Failure> {
    if args.reference.as_deref() == Some("data") {
        return Ok(None);
    }
    let Some(folder) = args.reference_cache.as_deref().or(folder) else { return Ok(None) };
    let reference = base.other.as_ref().map_or_else(|| base.frozen(model), Llama::frozen);
    let merged = reference.merged().map_err(|e| models::failed(e.into()))?;
    let digest = train::model_digest(&merged).map_err(models::failed)?;
    Ok(Some(ReferenceCache::new(folder, digest)))
}

pub(super) fn run(args: &Args, ui: &mut Ui) -> Outcome {
    let output = wanted(args.output.as_deref(), "output")?;
    let loss = Loss::find(wanted(args.loss.as_deref(), "loss")?, args, ui)?;
    let text = Data::read(args, &loss)?;
    args.data.tell_dropped(ui)?;
    let (base, model) = Base::load(args, loss.needs_reference())?;
    make_folder(output)?;
    let data = text.encode(args, &base, &loss, output)?;
    let cache = cache(args, &base, &model, None)?;
    let stop = stop_flag();
    let job = Job {
        args,
        loss: &loss,
        base: &base,
        data: &data,
        seed: args.seed,
        output,
        resume: args.resume,
        stop: &stop,
        cache: cache.as_ref(),
    };
    job.announce(ui)?;
    let started = std::time::Instant::now();
    let ended = job.run(base.only_start(args, &loss, model)?, ui)?;
    show_samples(&ended.before, &ended.after, ui)?;
    let outcome = &ended.outcome;
    let summary = outcome.last_eval.as_ref().map(|e| &e.summary);
    let lengths = summary.filter(|s| !s.longer_accuracy.is_nan());
    let memory = peak_memory();
    if ui.is_json() {
        ui.json_line(&json!({
            "type": "done",
            "finished": outcome.finished,
            "ended_early": outcome.ended_early,
            "steps": outcome.steps,
            "result": ended.result.display().to_string(),
            "template": args.data.template,
            "shorter_accuracy": lengths.map(|s| s.shorter_accuracy),
            "longer_accuracy": lengths.map(|s| s.longer_accuracy),
            "peak_memory_mib": memory,
            "seconds": started.elapsed().as_secs_f64(),
        }))?;
    } else {
        if let Some(s) = lengths {
            ui.line(format!(
                "choosing by length alone would score {:.1} % (longer) or {:.1} % (shorter)",
                100.0 * s.longer_accuracy,
                100.0 * s.shorter_accuracy
            ))?;
        }
        let memory = memory.map_or(String::new(), |m| format!(", peak memory {m} MiB"));
        let how = match (outcome.finished, outcome.ended_early) {
            (_, true) => "done, the held-out loss fell no further,",
            (true, _) => "done",
            (false, _) => "stopped",
        };
        ui.line(format!(
            "{how} after {} steps in {:.0} s{memory}; result in {}",
            outcome.steps,
            started.elapsed().as_secs_f64(),
            ended.result.display()
        ))?;
    }
    Ok(Status::Done)
}

/// Where the result of a run goes.
pub(super) fn result(args: &Args, output: &Path) -> PathBuf {
    output.join(if args.full { "model" } else { "adapter" })
}

/// Writes the trained adapter or model beside the checkpoints.
fn save_result(
    args: &Args,
    model_name: &str,
    policy: &Llama,
    tokenizer: &Tokenizer,
    output: &Path,
) -> Result<PathBuf, Failure> {
    let folder = result(args, output);
    let saved = if args.full {
        save::save_model(policy, &folder, SaveType::F32)
    } else {
        Source::base_name(model_name).and_then(|base| save::save_adapter(policy, &base, &folder))
    };
    let head = |()| match policy.scalar_head() {
        None => Ok(()),
        Some(head) => {
            let tensors = head.variables().iter().map(|(n, v)| (n.clone(), v.as_tensor().clone()));
            save::save_tensors(
                &folder.join("scalar_head.safetensors"),
                tensors.collect(),
                SaveType::F32,
            )
        }
    };
    saved.and_then(head).and_then(|()| tokenizer.save(&folder)).map_err(|e| {
        Failure::from(Diagnostic::error("E0703", format!("the result cannot be saved: {e}")))
    })?;
    Ok(folder)
}

fn show_samples(before: &[Sample], after: &[Sample], ui: &mut Ui) -> Result<(), Failure> {
    for (b, a) in before.iter().zip(after) {
        if ui.is_json() {
            ui.json_line(&json!({
                "type": "sample", "prompt": b.prompt, "before": b.text, "after": a.text
            }))?;
        } else {
            ui.line(ui.style.strong(&b.prompt))?;
            ui.line(format!("  before  {}", b.text.trim().replace('\n', " ")))?;
            ui.line(format!("  after   {}", a.text.trim().replace('\n', " ")))?;
        }
    }
    Ok(())
}
