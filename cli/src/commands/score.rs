//! `ponens score`

use super::models::{self, DataArgs};
use super::{numbers, shown};
use crate::args::ParamArgs;
use crate::failure::{Failure, Outcome, Status};
use crate::output::Ui;
use ponens::compiler::session::Options;
use ponens::dsl::Diagnostic;
use ponens::locate;
use ponens::runtime::model::CausalLm;
use ponens::runtime::train::{
    Beside, Binding, given_log_probs, reference_numbers, score, summarise,
};
use serde_json::{Value, json};

const EXAMPLE: &str = "\
Examples:
  ponens score --loss simpo --model model.gguf --data pairs.jsonl
  ponens score --loss dpo --model runs/dpo/adapter --reference model.gguf --data pairs.jsonl --format json";

/// Score preference data: loss, reward accuracy, margins, log-probabilities
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// Catalogue name, `.loss` file, or `file.loss:name`
    #[arg(long, value_name = "LOSS")]
    loss: String,
    #[command(flatten)]
    params: ParamArgs,
    /// GGUF file, Hugging Face folder, adapter folder, or owner/model in the local cache
    #[arg(long, value_name = "MODEL")]
    model: String,
    /// The reference, or `data` for log-probabilities in the data; an adapter's is its base model, any
    /// other model is its own
    #[arg(long, value_name = "MODEL|data")]
    reference: Option<String>,
    #[command(flatten)]
    data: DataArgs,
    /// Examples a forward pass
    #[arg(long, default_value_t = 2, value_name = "N")]
    micro_batch: usize,
    /// Examples that a loss of the whole batch sees at a time
    #[arg(long, default_value_t = 16, value_name = "N")]
    batch: usize,
}

pub(crate) fn run(args: &Args, ui: &mut Ui) -> Outcome {
    let Some(path) = args.data.data.as_deref() else {
        return Err(Failure::Usage("--data is needed".to_owned()));
    };
    let (compiled, located) = locate::locate(&args.loss)?.compile(&Options::default())?;
    ui.report(&located.program.sources, &located.warnings);
    let names = models::names(&compiled.loss);
    let kernel = models::kernel(&compiled, &numbers(&args.params)?)?;
    let binding = Binding::new(&kernel, &names).map_err(models::failed)?;
    if binding.head().is_some() {
        let text = format!("`{}` reads a head, which `score` has not", args.loss);
        return Err(Diagnostic::error("E0205", text).help("train it: ponens train").into());
    }
    let given = args.reference.as_deref() == Some("data");
    let records = args.data.read(path, &binding, given)?;
    args.data.tell_dropped(ui)?;
    let policy = models::load(&args.model)?;
    let (examples, report) = args.data.encode(&records, path, &policy.tokenizer, &binding)?;
    ui.remark(format!("template  {}", args.data.stated()));
    if let Some(text) = models::cuts(&report) {
        ui.remark(text);
    }
    let needed = binding.needs_reference() || binding.needs_live_reference();
    let frozen = match args.reference.as_deref() {
        _ if !needed => None,
        Some("data") => None,
        Some(name) => Some(models::load_reference(name, &policy.tokenizer)?),
        None => Some(policy.model.without_adapter()),
    };
    let reference = if !binding.needs_reference() {
        None
    } else if given {
        Some(given_log_probs(&examples).map_err(models::failed)?)
    } else {
        let model = frozen.as_ref().unwrap_or(&policy.model);
        let grain = binding.grain();
        let numbers = reference_numbers(model, &examples, args.micro_batch, grain, |_| {});
        Some(numbers.map_err(models::failed)?)
    };
    let sizes = (args.batch, args.micro_batch);
    let live = frozen.as_ref().map(|m| m as &dyn CausalLm);
    let beside = Beside { reference: live, ..Beside::default() };
    let reference = reference.as_deref();
    let scores = score(&policy.model, &kernel, &binding, beside, &examples, reference, sizes)
        .map_err(models::failed)?;
    let summary = summarise(&scores);
    if ui.is_json() {
        for s in &scores {
            let mut line = serde_json::to_value(s).map_err(std::io::Error::from)?;
            tag(&mut line, if s.margin.is_some() { "pair" } else { "response" });
            ui.json_line(&line)?;
        }
        let mut line = serde_json::to_value(&summary).map_err(std::io::Error::from)?;
        tag(&mut line, "summary");
        ui.json_line(&line)?;
        return Ok(Status::Done);
    }
    for s in &scores {
        let mut line = format!("row {:>5}  loss {:.4}", s.row, s.loss);
        if let Some(margin) = s.margin {
            line += &format!("  margin {margin:+.3}");
        }
        for (side, response) in [("chosen", &s.chosen), ("rejected", &s.rejected)] {
            if let Some(r) = response {
                line += &format!("  {side} {:.2} (reward {:+.3})", r.logp, r.reward);
            }
        }
        ui.line(line)?;
    }
    ui.line(format!(
        "{} examples  loss {:.4}  accuracy {}  margin {}  chosen {} a token  rejected {} a token",
        summary.examples,
        summary.loss,
        shown::percent(summary.accuracy),
        shown::signed(summary.margin),
        shown::signed(summary.chosen_logp_per_token),
        shown::signed(summary.rejected_logp_per_token)
    ))?;
    ui.line(format!("reward: {}", binding.reward().definition()))?;
    Ok(Status::Done)
}

fn tag(line: &mut Value, kind: &str) {
    if let Value::Object(map) = line {
        map.insert("type".to_owned(), json!(kind));
    }
}
