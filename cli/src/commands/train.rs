//! `ponens train`

use super::models::{self, DataArgs, Loaded};
use super::progress::{Progress, peak_memory};
use super::samples::{self, Sample};
use super::{demo, numbers};
use crate::args::ParamArgs;
use crate::failure::{Failure, Outcome, Status};
use crate::output::Ui;
use clap::ValueEnum;
use ponens::compiler::session::Options;
use ponens::dsl::Diagnostic;
use ponens::locate;
use ponens::runtime::data::split;
use ponens::runtime::model::{LoraConfig, SaveType, save};
use ponens::runtime::optim::{AdamWConfig, Decay, Schedule};
use ponens::runtime::train::{self, Length, Reference, Run, TrainConfig};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const EXAMPLE: &str = "\
Examples:
  ponens train --demo
  ponens train --loss dpo --model model.gguf --data pairs.jsonl --output runs/dpo --steps 50
  ponens train --loss my.loss --model ./smollm --data pairs.jsonl --template chat --output runs/mine
  ponens train --loss dpo --model model.gguf --data pairs.jsonl --output runs/dpo --steps 50 --resume

The output folder gets metrics.jsonl, checkpoints, and the trained adapter or model. Ctrl-C saves and
stops; --resume goes on to the same result, bit for bit.";

/// Train a language model with a loss
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// Train the small embedded task from start to end; needs no files
    #[arg(long)]
    pub(super) demo: bool,
    /// Catalogue name, `.loss` file, or `file.loss:name`
    #[arg(long, required_unless_present = "demo", value_name = "LOSS")]
    pub(super) loss: Option<String>,
    #[command(flatten)]
    pub(super) params: ParamArgs,
    /// GGUF file, Hugging Face folder, or owner/model in the local cache
    #[arg(long, required_unless_present = "demo", value_name = "MODEL")]
    model: Option<String>,
    #[command(flatten)]
    data: DataArgs,
    /// Held-out pairs; without it a part of --data is held out
    #[arg(long, value_name = "FILE")]
    eval_data: Option<PathBuf>,
    /// The part of --data that is held out
    #[arg(long, default_value_t = 0.1, value_name = "FRACTION")]
    eval_fraction: f64,
    /// Folder for metrics, checkpoints and the result
    #[arg(long, required_unless_present = "demo", value_name = "DIR")]
    pub(super) output: Option<PathBuf>,
    /// Go on from the newest checkpoint in --output
    #[arg(long)]
    resume: bool,
    /// Optimiser steps
    #[arg(long, value_name = "N", conflicts_with = "epochs")]
    steps: Option<usize>,
    /// Passes over the data, when --steps is not given
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    epochs: f64,
    /// Pairs a step
    #[arg(long, default_value_t = 8, value_name = "N")]
    batch: usize,
    /// Pairs a forward and backward pass; changes memory, not the result
    #[arg(long, default_value_t = 2, value_name = "N")]
    micro_batch: usize,
    /// Peak learning rate [default: 5e-4 for an adapter, 5e-6 for --full]
    #[arg(long, value_name = "X")]
    lr: Option<f64>,
    /// Steps of linear warm-up
    #[arg(long, default_value_t = 5, value_name = "N")]
    warmup: usize,
    /// How the learning rate falls after warm-up
    #[arg(long, value_enum, default_value_t = Falls::Linear)]
    schedule: Falls,
    /// Gradients longer than this are scaled down to it
    #[arg(long, default_value_t = 1.0, value_name = "X")]
    clip: f64,
    /// Rank of the low-rank adapter
    #[arg(long, default_value_t = 8, value_name = "RANK", conflicts_with = "full")]
    lora: usize,
    /// Train all weights instead of an adapter
    #[arg(long)]
    full: bool,
    /// Keep layer inputs only and compute each layer again in the backward pass: less memory
    #[arg(long)]
    checkpointing: bool,
    /// Decides the order of the data, the adapter's start and the split
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(super) seed: u64,
    /// Steps between evaluations
    #[arg(long, value_name = "N")]
    eval_every: Option<usize>,
    /// Steps between checkpoints
    #[arg(long, value_name = "N")]
    save_every: Option<usize>,
    /// Prompts to answer before and after, one a line, instead of the five built-in ones
    #[arg(long, value_name = "FILE")]
    sample_prompts: Option<PathBuf>,
    /// Tokens of each sample answer; 0 for no samples
    #[arg(long, default_value_t = 40, value_name = "N")]
    sample_tokens: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Falls {
    Constant,
    Linear,
    Cosine,
}

pub(crate) fn run(args: &Args, ui: &mut Ui) -> Outcome {
    if args.demo { demo::run(args, ui) } else { real(args, ui) }
}

/// A flag that Ctrl-C sets; the run looks at it after every step.
pub(super) fn stop_flag() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&stop);
    // Without a handler Ctrl-C ends the process, which loses one interval at most.
    let _ = ctrlc::set_handler(move || set.store(true, Ordering::SeqCst));
    stop
}

impl Args {
    fn config(&self) -> TrainConfig {
        let peak = self.lr.unwrap_or(if self.full { 5e-6 } else { 5e-4 });
        let decay = match self.schedule {
            Falls::Constant => Decay::Constant,
            Falls::Linear => Decay::Linear,
            Falls::Cosine => Decay::Cosine,
        };
        TrainConfig {
            length: self.steps.map_or(Length::Epochs(self.epochs), Length::Steps),
            batch_size: self.batch,
            micro_batch: self.micro_batch,
            schedule: Schedule { peak, warmup: self.warmup, decay },
            clip: Some(self.clip),
            adamw: AdamWConfig::default(),
            seed: self.seed,
            eval_every: self.eval_every,
            save_every: self.save_every,
            keep: 2,
        }
    }
}

fn real(args: &Args, ui: &mut Ui) -> Outcome {
    let wanted = |what: &str| Failure::Usage(format!("--{what} is needed without --demo"));
    let loss = args.loss.as_deref().ok_or_else(|| wanted("loss"))?;
    let model_name = args.model.as_deref().ok_or_else(|| wanted("model"))?;
    let data = args.data.data.as_deref().ok_or_else(|| wanted("data"))?;
    let output = args.output.as_deref().ok_or_else(|| wanted("output"))?;
    let (compiled, located) = locate::locate(loss)?.compile(&Options::default())?;
    ui.report(&located.program.sources, &located.warnings);
    let names = models::names(&compiled.loss)?;
    let kernel = models::kernel(&compiled, &numbers(&args.params)?)?;
    let binding = train::Binding::new(&kernel, &names).map_err(models::failed)?;

    let records = args.data.read(data, binding.data_columns())?;
    let (train_records, held_records) = match &args.eval_data {
        Some(path) => (records, args.data.read(path, binding.data_columns())?),
        None => split(records, args.eval_fraction, args.seed),
    };
    let Loaded { model: base, tokenizer } = models::load(model_name)?;
    let (pairs, report) = args.data.encode(&train_records, data, &tokenizer)?;
    let held_path = args.eval_data.as_deref().unwrap_or(data);
    let (held_out, _) = args.data.encode(&held_records, held_path, &tokenizer)?;

    let attempt = |e: ponens::runtime::model::Error| {
        Failure::from(Diagnostic::error("E0701", format!("{model_name}: {e}")))
    };
    let policy = if args.full {
        base.snapshot().and_then(ponens::runtime::model::Llama::into_trainable).map_err(attempt)?
    } else {
        let lora =
            LoraConfig { rank: args.lora, alpha: 2.0 * args.lora as f64, ..LoraConfig::default() };
        base.with_adapter(&lora, args.seed).map_err(attempt)?
    };
    let policy = policy.with_checkpointing(args.checkpointing);
    let frozen = base.frozen();

    if !ui.is_json() {
        ui.line(format!("loss      {}: {}", compiled.loss.name, compiled.loss.title()))?;
        ui.line(format!("model     {model_name}"))?;
        ui.line(format!("template  {}", args.data.stated()))?;
        if let Some(text) = models::cuts(&report) {
            ui.line(text)?;
        }
        ui.flush()?;
    }
    let prompts = match args.sample_tokens {
        0 => Vec::new(),
        _ => samples::prompts(args.sample_prompts.as_deref())?,
    };
    let before = samples::answers(&policy, &tokenizer, &prompts, args.sample_tokens)?;
    let config = args.config();
    let stop = stop_flag();
    let mut progress = Progress::new(ui);
    let run = Run {
        policy: &policy,
        kernel: &kernel,
        names: &names,
        config: &config,
        train: &pairs,
        held_out: &held_out,
        reference: Reference::Model(&frozen),
        output: Some(output),
        stop: &stop,
        observe: &mut |record| progress.record(record),
    };
    let started = std::time::Instant::now();
    let outcome = if args.resume {
        match train::latest_checkpoint(output).map_err(models::failed)? {
            Some(checkpoint) => train::resume(run, &checkpoint),
            None => {
                return Err(Diagnostic::error(
                    "E0703",
                    format!("{} holds no checkpoint to resume", output.display()),
                )
                .help("start the run without --resume")
                .into());
            }
        }
    } else {
        train::train(run)
    };
    let outcome = outcome.map_err(models::failed)?;
    progress.finish()?;
    let result = save_result(args, model_name, &policy, &tokenizer, output)?;
    let after = samples::answers(&policy, &tokenizer, &prompts, args.sample_tokens)?;
    show_samples(&before, &after, ui)?;
    let summary = outcome.last_eval.as_ref().map(|e| &e.summary);
    let memory = peak_memory();
    if ui.is_json() {
        ui.json_line(&json!({
            "type": "done",
            "finished": outcome.finished,
            "steps": outcome.steps,
            "result": result.display().to_string(),
            "template": args.data.template,
            "shorter_accuracy": summary.map(|s| s.shorter_accuracy),
            "longer_accuracy": summary.map(|s| s.longer_accuracy),
            "peak_memory_mib": memory,
            "seconds": started.elapsed().as_secs_f64(),
        }))?;
    } else {
        if let Some(s) = summary {
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
            result.display()
        ))?;
    }
    Ok(Status::Done)
}

/// Writes the trained adapter or model beside the checkpoints.
fn save_result(
    args: &Args,
    model_name: &str,
    policy: &ponens::runtime::model::Llama,
    tokenizer: &ponens::runtime::tokenizer::Tokenizer,
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
