//! `ponens train`

mod credit;
mod grid;
mod inputs;
mod record;
mod settings;
mod single;
mod stages;

use super::demo;
use super::models::DataArgs;
use crate::args::ParamArgs;
use crate::failure::{Failure, Outcome};
use crate::output::Ui;
use clap::ValueEnum;
use ponens::dsl::Diagnostic;
use ponens::runtime::model::LoraConfig;
use ponens::runtime::optim::{AdamWConfig, Decay, Schedule};
use ponens::runtime::train::{Length, Settings, TrainConfig};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const EXAMPLE: &str = "\
Examples:
  ponens train --demo
  ponens train --loss dpo --model model.gguf --data pairs.jsonl --output runs/dpo --steps 50
  ponens train --loss my.loss --model ./smollm --data pairs.jsonl --template chat --output runs/mine
  ponens train --loss dpo --model model.gguf --data pairs.jsonl --output runs/dpo --steps 50 --resume
  ponens train --loss kto --model model.gguf --data ratings.parquet --output runs/kto --steps 50
  ponens train --loss dpo --model model.gguf --stages easy.jsonl,hard.jsonl --output runs/curry --steps 50
  ponens train --loss dpo_pl --model model.gguf --data ranked.jsonl --output runs/ranked --steps 50
  ponens train --loss oreo_policy --head-loss oreo_value --head-lr 1e-3 --model model.gguf --data steps.jsonl --output runs/oreo --steps 50
  ponens train --losses dpo,simpo,orpo --seeds 3 --model model.gguf --data pairs.jsonl --output runs/lab --steps 50

The output folder gets metrics.jsonl, checkpoints, and the trained adapter or model. Ctrl-C saves and
stops; --resume goes on to the same result, bit for bit. `ponens report DIR` makes a page of it.";

/// Train a language model with a loss
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// Train the small embedded task from start to end; needs no files
    // Its model, data and settings are its own: a flag that it would not heed is refused, not dropped.
    #[arg(long, conflicts_with_all = [
        "model", "data", "template", "max_length", "drop_empty", "reference", "reference_cache", "eval_data",
        "eval_fraction", "flip", "resume", "steps", "epochs", "batch", "micro_batch", "lr", "warmup", "schedule",
        "clip", "lora", "lora_alpha", "lora_targets", "lora_dropout", "packed", "full", "checkpointing",
        "eval_every", "patience", "save_every", "tensorboard", "sample_prompts", "sample_tokens",
    ])]
    pub(super) demo: bool,
    /// Catalogue name, `.loss` file, or `file.loss:name`
    #[arg(long, required_unless_present_any = ["demo", "losses"], value_name = "LOSS")]
    pub(super) loss: Option<String>,
    /// Train with each of these losses under the same settings, for `report` to compare
    #[arg(long, value_delimiter = ',', value_name = "LOSS,..", conflicts_with_all = ["loss", "demo"])]
    losses: Vec<String>,
    /// With --losses: runs of each, with other orders of the data and starts of the adapter
    #[arg(long, default_value_t = 1, value_name = "N", requires = "losses")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    #[command(flatten)]
    pub(super) params: ParamArgs,
    /// A curriculum: train on each of these files in turn, from what the one before left, which is also the
    /// reference; the settings hold for each
    #[arg(long, value_delimiter = ',', value_name = "FILE,..")]
    #[arg(conflicts_with_all = ["losses", "demo", "data", "reference"])]
    stages: Vec<PathBuf>,
    /// GGUF file, Hugging Face folder, or owner/model in the local cache
    #[arg(long, required_unless_present = "demo", value_name = "MODEL")]
    model: Option<String>,
    #[command(flatten)]
    data: DataArgs,
    /// The reference, `start` for the model as it starts, or `data` for log-probabilities in the data;
    /// without it the model as it starts, less any adapter
    #[arg(long, value_name = "MODEL|start|data")]
    reference: Option<String>,
    /// Keep the reference's log-probabilities in this folder, for every run on the same model and data
    #[arg(long, value_name = "DIR")]
    reference_cache: Option<PathBuf>,
    /// Held-out data; without it a part of --data is held out
    #[arg(long, value_name = "FILE")]
    eval_data: Option<PathBuf>,
    /// The part of --data that is held out
    #[arg(long, default_value_t = 0.1, value_name = "FRACTION", value_parser = share)]
    eval_fraction: f64,
    /// Keep the tokens of --data on disk beside the run, for data larger than the memory; wants --eval-data
    #[arg(long, requires = "eval_data", conflicts_with_all = ["flip", "demo"])]
    stream: bool,
    /// Turn this share of the training labels, at random: a study of label noise
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", value_parser = share)]
    flip: f64,
    /// Folder for metrics, checkpoints and the result
    #[arg(long, required_unless_present = "demo", value_name = "DIR")]
    pub(super) output: Option<PathBuf>,
    /// Go on from the newest checkpoint in --output; start where there is none
    #[arg(long)]
    resume: bool,
    /// Optimiser steps
    #[arg(long, value_name = "N", conflicts_with = "epochs")]
    steps: Option<usize>,
    /// Passes over the data, when --steps is not given
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    epochs: f64,
    /// Examples a step
    #[arg(long, default_value_t = 8, value_name = "N")]
    batch: usize,
    /// Examples a forward and backward pass; changes memory, not the result
    #[arg(long, default_value_t = 2, value_name = "N")]
    micro_batch: usize,
    /// Peak learning rate [default: 5e-4 for an adapter, 5e-6 for --full]
    #[arg(long, value_name = "X")]
    lr: Option<f64>,
    /// With a loss that reads a value head: the loss of that head, which a second optimiser follows
    #[arg(long, value_name = "LOSS", conflicts_with_all = ["losses", "demo"])]
    head_loss: Option<String>,
    /// Peak learning rate of a value or reward head [default: that of the policy]
    #[arg(long, value_name = "X")]
    head_lr: Option<f64>,
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
    /// The adapter counts by this over its rank [default: twice the rank]
    #[arg(long, value_name = "ALPHA", conflicts_with = "full")]
    lora_alpha: Option<f64>,
    /// The maps that are adapted
    #[arg(long, value_delimiter = ',', value_name = "NAME,..", conflicts_with = "full")]
    #[arg(default_values_t = ["q_proj".to_owned(), "v_proj".to_owned()])]
    lora_targets: Vec<String>,
    /// Share of the adapter's inputs that is dropped at random
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", conflicts_with = "full")]
    lora_dropout: f64,
    /// Keep a quantised base as the file has it, and unpack a matrix at a time: less memory, slower
    #[arg(long, conflicts_with = "full")]
    packed: bool,
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
    /// End the run after this many evaluations in a row without a lower held-out loss
    #[arg(long, value_name = "N", requires = "eval_every")]
    patience: Option<usize>,
    /// Steps between checkpoints
    #[arg(long, value_name = "N")]
    save_every: Option<usize>,
    /// Also write a TensorBoard event file
    #[arg(long)]
    tensorboard: bool,
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
    if args.demo {
        demo::run(args, ui)
    } else if !args.stages.is_empty() {
        stages::run(args, ui)
    } else if args.losses.is_empty() {
        single::run(args, ui)
    } else {
        grid::run(args, ui)
    }
}

/// A number in [0, 1].
fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(x) if (0.0..=1.0).contains(&x) => Ok(x),
        Ok(_) => Err("outside [0, 1]".into()),
        Err(e) => Err(e.to_string()),
    }
}

/// A flag that Ctrl-C sets; the run looks at it after every step.
pub(super) fn stop_flag() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&stop);
    // Without a handler Ctrl-C ends the process, which loses one interval at most.
    let _ = ctrlc::set_handler(move || set.store(true, Ordering::SeqCst));
    stop
}

/// Makes the output folder, so that one that cannot be written is found before any work is done.
pub(super) fn make_folder(output: &Path) -> Result<(), Failure> {
    let refuse = |what: &str, e: &std::io::Error| {
        let d = Diagnostic::error("E0703", format!("cannot {what} {}: {e}", output.display()));
        Failure::from(d.help("give another folder with --output"))
    };
    std::fs::create_dir_all(output).map_err(|e| refuse("create", &e))?;
    // A folder that is there may be read-only.
    tempfile::tempfile_in(output).map(drop).map_err(|e| refuse("write to", &e))
}

/// An argument that is there unless `--demo` is.
fn wanted<'a, T: ?Sized>(value: Option<&'a T>, name: &str) -> Result<&'a T, Failure> {
    value.ok_or_else(|| Failure::Usage(format!("--{name} is needed without --demo")))
}

impl Args {
    /// Whether the reference is the model that a run starts from, adapter and all.
    fn moves(&self) -> bool {
        !self.stages.is_empty() || self.reference.as_deref() == Some("start")
    }

    fn lora_config(&self) -> LoraConfig {
        LoraConfig {
            rank: self.lora,
            alpha: self.lora_alpha.unwrap_or(2.0 * self.lora as f64),
            dropout: self.lora_dropout,
            target_modules: self.lora_targets.clone(),
        }
    }

    fn config(&self, seed: u64) -> TrainConfig {
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
            head_rate: self.head_lr,
            clip: Some(self.clip),
            adamw: AdamWConfig::default(),
            seed,
            eval_every: self.eval_every,
            patience: self.patience,
            save_every: self.save_every,
            keep: 2,
            origin: Settings::new(),
        }
    }
}
