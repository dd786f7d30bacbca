//! `ponens score`

use super::models::{self, DataArgs};
use super::numbers;
use crate::args::ParamArgs;
use crate::failure::{Failure, Outcome, Status};
use crate::output::Ui;
use ponens::compiler::session::Options;
use ponens::locate;
use ponens::runtime::train::{Binding, reference_log_probs, score, summarise};
use serde_json::{Value, json};

const EXAMPLE: &str = "\
Examples:
  ponens score --loss simpo --model model.gguf --data pairs.jsonl
  ponens score --loss dpo --model runs/dpo/adapter --reference model.gguf --data pairs.jsonl --format json";

/// Score preference pairs: loss, reward accuracy, margins, log-probabilities
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
    /// The reference; an adapter's is its base model, any other model is its own
    #[arg(long, value_name = "MODEL")]
    reference: Option<String>,
    #[command(flatten)]
    data: DataArgs,
    /// Pairs a forward pass
    #[arg(long, default_value_t = 2, value_name = "N")]
    micro_batch: usize,
    /// Pairs that a loss of the whole batch sees at a time
    #[arg(long, default_value_t = 16, value_name = "N")]
    batch: usize,
}

pub(crate) fn run(args: &Args, ui: &mut Ui) -> Outcome {
    let Some(path) = args.data.data.as_deref() else {
        return Err(Failure::Usage("--data is needed".to_owned()));
    };
    let (compiled, located) = locate::locate(&args.loss)?.compile(&Options::default())?;
    ui.report(&located.program.sources, &located.warnings);
    let names = models::names(&compiled.loss)?;
    let kernel = models::kernel(&compiled, &numbers(&args.params)?)?;
    let binding = Binding::new(&kernel, &names).map_err(models::failed)?;
    let records = args.data.read(path, binding.data_columns())?;
    let policy = models::load(&args.model)?;
    let (pairs, report) = args.data.encode(&records, path, &policy.tokenizer)?;
    ui.remark(format!("template  {}", args.data.stated()));
    if let Some(text) = models::cuts(&report) {
        ui.remark(text);
    }
    let reference = if binding.needs_reference() {
        let other = args.reference.as_deref().map(models::load).transpose()?;
        let model = match other {
            Some(loaded) => loaded.model,
            None => policy.model.without_adapter(),
        };
        Some(
            reference_log_probs(&model, &pairs, args.micro_batch, |_| {})
                .map_err(models::failed)?,
        )
    } else {
        None
    };
    let sizes = (args.batch, args.micro_batch);
    let scores = score(&policy.model, &kernel, &binding, &pairs, reference.as_deref(), sizes)
        .map_err(models::failed)?;
    let summary = summarise(&scores);
    if ui.is_json() {
        for s in &scores {
            let mut line = serde_json::to_value(s).map_err(std::io::Error::from)?;
            tag(&mut line, "pair");
            ui.json_line(&line)?;
        }
        let mut line = serde_json::to_value(&summary).map_err(std::io::Error::from)?;
        tag(&mut line, "summary");
        ui.json_line(&line)?;
        return Ok(Status::Done);
    }
    for s in &scores {
        ui.line(format!(
            "row {:>5}  loss {:.4}  margin {:+.3}  chosen {:.2}  rejected {:.2}",
            s.row, s.loss, s.margin, s.chosen_logp, s.rejected_logp
        ))?;
    }
    ui.line(format!(
        "{} pairs  loss {:.4}  accuracy {:.1} %  margin {:+.3}  chosen {:.3} a token  rejected {:.3} a token",
        summary.pairs,
        summary.loss,
        100.0 * summary.accuracy,
        summary.margin,
        summary.chosen_logp_per_token,
        summary.rejected_logp_per_token
    ))?;
    ui.line(format!("reward: {}", binding.reward().definition()))?;
    Ok(Status::Done)
}

fn tag(line: &mut Value, kind: &str) {
    if let Value::Object(map) = line {
        map.insert("type".to_owned(), json!(kind));
    }
}
