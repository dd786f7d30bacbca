//! `ponens generate`

use super::models::{self, Loaded};
use crate::failure::{Failure, Outcome, Status};
use crate::output::Ui;
use ponens::dsl::Diagnostic;
use ponens::runtime::generate::{Beam, BeamOptions, End, Options, Sampling, beam_search, generate};
use ponens::runtime::tokenizer::Message;
use serde_json::json;
use std::ops::ControlFlow;

const EXAMPLE: &str = "\
Examples:
  ponens generate --model model.gguf --prompt 'What is the capital of France?' --chat
  ponens generate --model runs/dpo/adapter --prompt 'Product review: ' --temperature 0.8 --seed 1
  ponens generate --model runs/dpo/adapter --prompt 'Product review: ' --beams 4";

/// Let a model continue a prompt
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// GGUF file, Hugging Face folder, adapter folder, or owner/model in the local cache
    #[arg(long, value_name = "MODEL")]
    model: String,
    /// The text to continue
    #[arg(long, value_name = "TEXT")]
    prompt: String,
    /// Put the prompt into the model's chat template
    #[arg(long)]
    chat: bool,
    /// Most tokens to make
    #[arg(long, default_value_t = 100, value_name = "N")]
    max_tokens: usize,
    /// Randomness; 0 takes the most likely token
    #[arg(long, default_value_t = 0.0, value_name = "X")]
    temperature: f64,
    /// Sample among the most likely tokens that together have this probability
    #[arg(long, default_value_t = 1.0, value_name = "X")]
    top_p: f64,
    /// Search with this many texts kept at every length, and print the best of those that ended
    #[arg(long, value_name = "N", conflicts_with_all = ["temperature", "top_p", "seed"])]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=64))]
    beams: Option<u16>,
    /// With --beams: texts compare by log-probability over length to this power
    #[arg(long, default_value_t = 1.0, value_name = "X", requires = "beams")]
    length_power: f64,
    /// Decides the random choices
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
}

pub(crate) fn run(args: &Args, ui: &mut Ui) -> Outcome {
    let loaded = models::load(&args.model)?;
    let failed = |e: ponens::runtime::model::Error| -> Failure {
        Diagnostic::error("E0701", e.to_string()).into()
    };
    let text = if args.chat {
        loaded.tokenizer.chat(&[Message::new("user", &args.prompt)], true).map_err(failed)?
    } else {
        args.prompt.clone()
    };
    let ids = loaded.tokenizer.encode(&text, !args.chat).map_err(failed)?;
    if let Some(width) = args.beams {
        return beams(args, &loaded, &ids, usize::from(width), ui);
    }
    let sampling = if args.temperature == 0.0 {
        Sampling::Greedy
    } else {
        Sampling::Nucleus { temperature: args.temperature, top_p: args.top_p }
    };
    let options =
        Options { max_tokens: args.max_tokens, sampling, seed: args.seed, ..Options::default() };
    let started = std::time::Instant::now();
    let generated =
        generate(&loaded.model, &ids, &options, |_| ControlFlow::Continue(())).map_err(failed)?;
    let answer = loaded.tokenizer.decode(&generated.ids, true).map_err(failed)?;
    if ui.is_json() {
        let end = named(generated.end);
        ui.json(&json!({
            "prompt": args.prompt,
            "text": answer,
            "tokens": generated.ids.len(),
            "end": end,
            "tokens_per_second": generated.ids.len() as f64 / started.elapsed().as_secs_f64(),
        }))?;
    } else {
        ui.line(answer)?;
    }
    Ok(Status::Done)
}

fn named(end: End) -> &'static str {
    match end {
        End::Stop => "stop",
        End::MaxTokens => "max_tokens",
        End::Context => "context",
        End::Caller => "caller",
    }
}

fn beams(args: &Args, loaded: &Loaded, ids: &[u32], width: usize, ui: &mut Ui) -> Outcome {
    let failed = |e: ponens::runtime::model::Error| -> Failure {
        Diagnostic::error("E0701", e.to_string()).into()
    };
    let options = BeamOptions {
        width,
        max_tokens: args.max_tokens,
        length_power: args.length_power,
        stop: Vec::new(),
    };
    let found = beam_search(&loaded.model, ids, &options).map_err(failed)?;
    let mut texts = Vec::with_capacity(found.len());
    for beam in &found {
        texts.push(loaded.tokenizer.decode(&beam.ids, true).map_err(failed)?);
    }
    if ui.is_json() {
        let one = |(b, text): (&Beam, &String)| json!({ "text": text, "tokens": b.ids.len(), "logp": b.logp, "end": named(b.end) });
        let beams: Vec<serde_json::Value> = found.iter().zip(&texts).map(one).collect();
        ui.json(&json!({ "prompt": args.prompt, "text": texts.first(), "beams": beams }))?;
    } else if let Some(best) = texts.first() {
        ui.line(best)?;
    }
    Ok(Status::Done)
}
