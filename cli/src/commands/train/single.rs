//! One run, from a loss and a model to a trained adapter or model.

use super::super::models::{self, Loaded};
use super::super::numbers;
use super::super::progress::{Progress, peak_memory};
use super::super::samples::{self, Sample};
use super::record::{self, Description};
use super::{Args, make_folder, stop_flag, wanted};
use crate::failure::{Failure, Outcome, Status};
use crate::output::Ui;
use ponens::compiler::session::{Compiled, Options};
use ponens::dsl::Diagnostic;
use ponens::locate::{self, Located};
use ponens::runtime::data::{EncodedExample, split};
use ponens::runtime::model::{Llama, SaveType, save};
use ponens::runtime::op::GraphKernel;
use ponens::runtime::report::EventFile;
use ponens::runtime::tokenizer::Tokenizer;
use ponens::runtime::train::{
    self, Binding, Names, Record, Reference, ReferenceCache, ReferenceLogProbs, Run,
};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// A loss, ready to train with.
pub(super) struct Loss {
    pub(super) compiled: Compiled,
    located: Located,
    pub(super) kernel: GraphKernel,
    names: Names,
    binding: Binding,
}

impl Loss {
    /// Finds and compiles a loss.
    pub(super) fn find(name: &str, args: &Args, ui: &mut Ui) -> Result<Self, Failure> {
        let (compiled, located) = locate::locate(name)?.compile(&Options::default())?;
        ui.report(&located.program.sources, &located.warnings);
        let names = models::names(&compiled.loss)?;
        // In a grid a parameter goes to the losses that have it.
        let params: Vec<(String, f64)> = numbers(&args.params)?
            .into_iter()
            .filter(|(n, _)| {
                args.losses.is_empty() || compiled.loss.params.iter().any(|p| p.name == *n)
            })
            .collect();
        let kernel = models::kernel(&compiled, &params)?;
        let binding = Binding::new(&kernel, &names).map_err(models::failed)?;
        Ok(Self { compiled, located, kernel, names, binding })
    }

    /// Whether it reads the reference model.
    pub(super) fn needs_reference(&self) -> bool {
        self.binding.needs_reference()
    }

    /// The values of its parameters.
    fn params(&self) -> Vec<(String, f64)> {
        let names = self.kernel.graph().params.iter().map(|p| p.name.clone());
        names.zip(self.kernel.params().iter().copied()).collect()
    }
}

/// A model, loaded once for all runs.
pub(super) struct Base {
    name: String,
    model: Llama,
    tokenizer: Tokenizer,
    /// The reference, where it is another model.
    other: Option<Llama>,
}

impl Base {
    /// Loads the model, and the reference if another one is named.
    pub(super) fn load(args: &Args, needs_reference: bool) -> Result<Self, Failure> {
        let name = wanted(args.model.as_deref(), "model")?;
        let Loaded { model, tokenizer } = models::load_as(name, args.packed)?;
        let other = match args.reference.as_deref() {
            Some(other) if other != "data" && needs_reference => {
                Some(models::load_reference(other, &tokenizer)?)
            }
            _ => None,
        };
        Ok(Self { name: name.to_owned(), model, tokenizer, other })
    }

    fn policy(&self, args: &Args, seed: u64) -> Result<Llama, Failure> {
        let attempt = |e: ponens::runtime::model::Error| {
            Failure::from(Diagnostic::error("E0701", format!("{}: {e}", self.name)))
        };
        let policy = if args.full {
            self.model.snapshot().and_then(Llama::into_trainable).map_err(attempt)?
        } else if self.model.adapter().is_some() {
            self.model.with_adapter_continued().map_err(attempt)?
        } else {
            self.model.with_adapter(&args.lora_config(), seed).map_err(attempt)?
        };
        Ok(policy.with_checkpointing(args.checkpointing))
    }
}

/// The examples of a run.
pub(super) struct Data {
    train: Vec<EncodedExample>,
    held_out: Vec<EncodedExample>,
    cuts: Option<String>,
}

impl Data {
    /// Reads the files as text.
    pub(super) fn read(args: &Args, loss: &Loss) -> Result<TextData, Failure> {
        let path = wanted(args.data.data.as_deref(), "data")?;
        let given = args.reference.as_deref() == Some("data");
        let records = args.data.read(path, &loss.binding, given)?;
        let (train, held_out) = match &args.eval_data {
            Some(path) => (records, args.data.read(path, &loss.binding, given)?),
            None => split(records, args.eval_fraction, args.seed),
        };
        Ok(TextData { train, held_out })
    }
}

/// The rows of a run, before a model is there.
pub(super) struct TextData {
    train: Vec<ponens::runtime::data::TextExample>,
    held_out: Vec<ponens::runtime::data::TextExample>,
}

impl TextData {
    /// The rows as tokens.
    pub(super) fn encode(self, args: &Args, base: &Base, loss: &Loss) -> Result<Data, Failure> {
        let path = wanted(args.data.data.as_deref(), "data")?;
        let held_path = args.eval_data.as_deref().unwrap_or(path);
        let encode = |rows, path| args.data.encode(rows, path, &base.tokenizer, &loss.binding);
        let (train, report) = encode(&self.train, path)?;
        let (held_out, _) = encode(&self.held_out, held_path)?;
        Ok(Data { train, held_out, cuts: models::cuts(&report) })
    }
}

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
        let sums = |examples: &[EncodedExample]| {
            let sums = cache.sums(reference, examples, self.args.micro_batch);
            sums.map(|(sums, _)| sums).map_err(models::failed)
        };
        let (train, held_out) = (sums(&self.data.train)?, sums(&self.data.held_out)?);
        Ok(Some(ReferenceLogProbs { train, held_out }))
    }

    /// Trains, and writes the result.
    pub(super) fn run(&self, ui: &mut Ui) -> Result<Ended, Failure> {
        let (args, loss, base) = (self.args, self.loss, self.base);
        let policy = base.policy(args, self.seed)?;
        // An adapter that is trained on is compared with the model that it adapts.
        let frozen = base.model.without_adapter();
        let prompts = match args.sample_tokens {
            0 => Vec::new(),
            _ => samples::prompts(args.sample_prompts.as_deref())?,
        };
        let from = if self.resume { self.newest()? } else { None };
        let before = samples::answers(&policy, &base.tokenizer, &prompts, args.sample_tokens)?;
        let reference = base.other.as_ref().unwrap_or(&frozen);
        // A checkpoint brings its own.
        let known = if from.is_none() { self.known(reference)? } else { None };
        let config = args.config(self.seed);
        let description = Description {
            args,
            loss: &loss.compiled,
            params: loss.params(),
            sources: &loss.located.program.sources,
            model: &base.name,
            adapter: policy.adapter(),
            seed: self.seed,
        };
        record::write_run(self.output, &description)?;
        let mut events = match args.tensorboard {
            true => Some(EventFile::create(self.output).map_err(models::failed)?),
            false => None,
        };
        let mut failed = None;
        let mut progress = Progress::new(ui);
        let mut observe = |r: &Record| {
            progress.record(r);
            if let Some(file) = &mut events {
                if let Err(e) = record::scalars(file, r) {
                    failed.get_or_insert(e);
                }
            }
        };
        let run = Run {
            policy: &policy,
            kernel: &loss.kernel,
            names: &loss.names,
            config: &config,
            train: &self.data.train,
            held_out: &self.data.held_out,
            reference: match (&known, args.reference.as_deref()) {
                (Some(known), _) => Reference::Known(known),
                (None, Some("data")) => Reference::Data,
                (None, _) => Reference::Model(reference),
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
    folder: Option<&Path>,
) -> Result<Option<ReferenceCache>, Failure> {
    if args.reference.as_deref() == Some("data") {
        return Ok(None);
    }
    let Some(folder) = args.reference_cache.as_deref().or(folder) else { return Ok(None) };
    let digest = match &base.other {
        Some(other) => {
            let merged = other.merged().map_err(|e| models::failed(e.into()))?;
            train::model_digest(&merged)
        }
        None => train::model_digest(&base.model.without_adapter()),
    };
    let digest = digest.map_err(models::failed)?;
    Ok(Some(ReferenceCache::new(folder, digest)))
}

pub(super) fn run(args: &Args, ui: &mut Ui) -> Outcome {
    let output = wanted(args.output.as_deref(), "output")?;
    let loss = Loss::find(wanted(args.loss.as_deref(), "loss")?, args, ui)?;
    let text = Data::read(args, &loss)?;
    let base = Base::load(args, loss.binding.needs_reference())?;
    make_folder(output)?;
    let data = text.encode(args, &base, &loss)?;
    let cache = cache(args, &base, None)?;
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
    let ended = job.run(ui)?;
    show_samples(&ended.before, &ended.after, ui)?;
    let outcome = &ended.outcome;
    let summary = outcome.last_eval.as_ref().map(|e| &e.summary);
    let lengths = summary.filter(|s| !s.longer_accuracy.is_nan());
    let memory = peak_memory();
    if ui.is_json() {
        ui.json_line(&json!({
            "type": "done",
            "finished": outcome.finished,
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
        let how = if outcome.finished { "done" } else { "stopped" };
        ui.line(format!(
            "{how} after {} steps in {:.0} s{memory}; result in {}",
            outcome.steps,
            started.elapsed().as_secs_f64(),
            ended.result.display()
        ))?;
    }
    Ok(Status::Done)
}

/// Writes the trained adapter or model beside the checkpoints.
fn save_result(
    args: &Args,
    model_name: &str,
    policy: &Llama,
    tokenizer: &Tokenizer,
    output: &Path,
) -> Result<PathBuf, Failure> {
    let folder = output.join(if args.full { "model" } else { "adapter" });
    let saved = if args.full {
        save::save_model(policy, &folder, SaveType::F32)
    } else {
        // A path is recorded in full, so that the adapter finds its base from anywhere.
        let base = Path::new(model_name);
        let base = base.canonicalize().map_or(model_name.to_owned(), |p| p.display().to_string());
        save::save_adapter(policy, &base, &folder)
    };
    saved.and_then(|()| tokenizer.save(&folder)).map_err(|e| {
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
