//! `ponens data`

use super::models::{self, DataArgs};
use crate::args::ParamArgs;
use crate::failure::{Failure, Outcome, Status};
use crate::output::Ui;
use ponens::compiler::session::Options;
use ponens::dsl::Diagnostic;
use ponens::dsl::diagnostic::to_json;
use ponens::locate;
use ponens::runtime::data::{
    self, DataCheck, EncodeOptions, EncodeReport, Encoder as _, ReadOptions, Shape, TextExample,
    encode_examples, load_examples,
};
use ponens::runtime::op::LossKernel as _;
use ponens::runtime::tokenizer::Tokenizer;
use ponens::runtime::train::{Binding, ches};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

const EXAMPLE: &str = "\
Examples:
  ponens data check pairs.parquet
  ponens data check pairs.jsonl --loss odpo              also the columns that the loss reads
  ponens data check pairs.csv --model model.gguf --max-length 256   also what is cut
  ponens data check pairs.jsonl --format json | jq .columns";

const BOTH_EXAMPLES: &str = "\
Examples:
  ponens data check pairs.parquet
  ponens data score pairs.jsonl --model model.gguf";

/// Look into preference data before training on them
#[derive(Debug, clap::Args)]
#[command(after_help = BOTH_EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Check(CheckArgs),
    Score(ScoreArgs),
}

const SCORE_EXAMPLE: &str = "\
Examples:
  ponens data score pairs.jsonl --model model.gguf
  ponens data score pairs.parquet --model model.gguf --keep 0.95 --output kept.jsonl

CHES is high where the model sees both responses as nearly the same: training on such pairs pushes the
chosen response down with the rejected one (likelihood displacement).";

/// Score pairs by CHES, the closeness of their responses in the model, and keep the better part
#[derive(Debug, clap::Args)]
#[command(after_help = SCORE_EXAMPLE)]
struct ScoreArgs {
    /// Pairs: JSON lines, CSV or Parquet
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The model whose hidden states count
    #[arg(long, value_name = "MODEL")]
    model: String,
    /// Keep this share of the pairs, those with the lowest normalised score
    #[arg(long, value_name = "SHARE", requires = "output")]
    keep: Option<f64>,
    /// Where the kept rows go, as JSON lines with all their columns
    #[arg(long, value_name = "FILE", requires = "keep")]
    output: Option<PathBuf>,
    /// Pairs a forward pass
    #[arg(long, default_value_t = 2, value_name = "N")]
    micro_batch: usize,
    /// What stands around a prompt: text with `{prompt}`, or `chat` for the model's own template
    #[arg(long, default_value = "{prompt}", value_name = "TEXT|chat")]
    template: String,
    /// Longest sequence in tokens, prompt and response together
    #[arg(long, default_value_t = 512, value_name = "N")]
    max_length: usize,
}

/// Say what a data file holds, which losses it fits, and what is wrong with it
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
struct CheckArgs {
    /// JSON lines, CSV or Parquet
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Also look for what this loss reads
    #[arg(long, value_name = "LOSS")]
    loss: Option<String>,
    #[command(flatten)]
    params: ParamArgs,
    /// Also count tokens, and what is cut at --max-length
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Also look for the reference's log-probabilities
    #[arg(long)]
    reference_logps: bool,
    /// What stands around a prompt: text with `{prompt}`, or `chat` for the model's own template
    #[arg(long, default_value = "{prompt}", value_name = "TEXT|chat")]
    template: String,
    /// Longest sequence in tokens, prompt and response together
    #[arg(long, default_value_t = 512, value_name = "N")]
    max_length: usize,
}

pub(crate) fn run(args: &Args, ui: &mut Ui) -> Outcome {
    match &args.command {
        Command::Check(a) => check(a, ui),
        Command::Score(a) => score(a, ui),
    }
}

fn score(args: &ScoreArgs, ui: &mut Ui) -> Outcome {
    let path = args.file.as_path();
    if args.keep.is_some_and(|k| !(k > 0.0 && k <= 1.0)) {
        return Err(Failure::Usage("--keep wants a share in (0, 1]".to_owned()));
    }
    let loaded = models::load(&args.model)?;
    let arguments = DataArgs {
        data: None,
        template: args.template.clone(),
        max_length: args.max_length,
        drop_empty: true,
        dropped: Default::default(),
    };
    let options = ReadOptions { drop_empty: true, ..ReadOptions::default() };
    let (records, read) = load_examples(path, &options).map_err(|e| models::refused(&e))?;
    if let Some(text) = models::dropped(path, read) {
        ui.remark(text);
    }
    let format = arguments.prompt_format(&loaded.tokenizer)?;
    let lengths = EncodeOptions::new(args.max_length);
    let (examples, _) = encode_examples(&records, path, &format, &loaded.tokenizer, lengths)
        .map_err(|e| models::refused(&e))?;
    let bar = ui.progress("pairs");
    let all = examples.len() as u64;
    let scores = ches(&loaded.model, &examples, args.micro_batch, |n| bar.set(n as u64, all));
    bar.end();
    let mut scores = scores.map_err(models::failed)?;
    // The worst first; ties in the order of the data.
    scores.sort_by(|a, b| b.normalised.total_cmp(&a.normalised).then(a.row.cmp(&b.row)));
    for s in &scores {
        if ui.is_json() {
            ui.json_line(&serde_json::to_value(s).map_err(std::io::Error::from)?)?;
        } else {
            ui.line(format!(
                "row {:>6}  ches {:+.4}  normalised {:+.6}",
                s.row, s.ches, s.normalised
            ))?;
        }
    }
    if let (Some(share), Some(output)) = (args.keep, &args.output) {
        let kept = (share * scores.len() as f64).round() as usize;
        let rows: HashSet<usize> = scores.iter().rev().take(kept).map(|s| s.row).collect();
        let mut text = Vec::new();
        let written = data::copy_rows(path, &rows, &mut text).map_err(|e| models::refused(&e))?;
        models::write_file(output, &text)?;
        ui.remark(format!("{written} of {} pairs kept in {}", scores.len(), output.display()));
    }
    Ok(Status::Done)
}

/// The name of a loss, and what it reads.
fn reads(args: &CheckArgs, ui: &mut Ui) -> Result<Option<(String, ReadOptions)>, Failure> {
    let Some(loss) = &args.loss else { return Ok(None) };
    let (compiled, located) = locate::locate(loss)?.compile(&Options::default())?;
    ui.report(&located.program.sources, &located.warnings);
    let names = models::names(&compiled.loss);
    let kernel = models::kernel(&compiled, &super::numbers(&args.params)?)?;
    let binding = Binding::new(&kernel, &names).map_err(models::failed)?;
    let options = ReadOptions {
        shape: binding.shape(),
        columns: binding.data_columns().to_vec(),
        lists: binding.list_columns().to_vec(),
        further: binding.further().to_vec(),
        ..ReadOptions::default()
    };
    Ok(Some((kernel.name().to_owned(), options)))
}

/// Tokens of the rows so far.
struct Tokens {
    tokenizer: Tokenizer,
    format: data::PromptFormat,
    options: EncodeOptions,
    report: EncodeReport,
    error: Option<data::DataError>,
    total: usize,
}

impl Tokens {
    fn add(&mut self, path: &Path, example: &TextExample) {
        let one = std::slice::from_ref(example);
        match encode_examples(one, path, &self.format, &self.tokenizer, self.options) {
            Ok((examples, r)) => {
                self.report.add(&r);
                self.total += examples.iter().map(|e| e.tokens()).sum::<usize>();
            }
            Err(e) => {
                self.error.get_or_insert(e);
            }
        }
    }
}

fn check(args: &CheckArgs, ui: &mut Ui) -> Outcome {
    let path = args.file.as_path();
    let reads = reads(args, ui)?;
    let mut tokens = match &args.model {
        None => None,
        Some(name) => {
            let tokenizer = models::tokenizer(name)?;
            let arguments = DataArgs {
                data: None,
                template: args.template.clone(),
                max_length: args.max_length,
                drop_empty: true,
                dropped: Default::default(),
            };
            let format = arguments.prompt_format(&tokenizer)?;
            Some(Tokens {
                tokenizer,
                format,
                options: EncodeOptions::new(args.max_length),
                report: EncodeReport::default(),
                error: None,
                total: 0,
            })
        }
    };
    // Labelled losses take pairs and single responses.
    let any = ReadOptions { shape: Shape::Labelled, any: true, ..ReadOptions::default() };
    let options = ReadOptions {
        reference: args.reference_logps,
        drop_empty: true,
        ..reads.as_ref().map_or(any, |r| r.1.clone())
    };
    let (found, wrong) = data::check(path, &options, |example| {
        if let Some(tokens) = &mut tokens {
            tokens.add(path, &example);
        }
    })
    .map_err(|e| models::refused(&e))?;
    let mut findings = models::findings(&wrong);
    if let Some(e) = tokens.as_ref().and_then(|t| t.error.as_ref()) {
        findings.extend(models::findings(e));
    }
    if found.rows == 0 {
        findings.push(Diagnostic::error(
            "E0406",
            format!("{}: the file holds no rows", path.display()),
        ));
    }
    let bad = !findings.is_empty();
    if ui.is_json() {
        let mut document = serde_json::to_value(&found).map_err(std::io::Error::from)?;
        document["file"] = json!(path.display().to_string());
        document["fits"] = json!(fits(&found));
        document["loss"] = json!(reads.as_ref().map(|r| &r.0));
        document["tokens"] = tokens.as_ref().map_or(Value::Null, tokens_document);
        document["diagnostics"] = to_json(&findings, &Default::default());
        ui.json(&document)?;
    } else {
        show(&found, path, ui)?;
        if let Some(t) = &tokens {
            ui.lines(tokens_lines(t, args.max_length))?;
        }
        ui.report(&Default::default(), &findings);
    }
    Ok(if bad { Status::Wrong } else { Status::Done })
}

/// The losses that the usable rows fit.
fn fits(found: &DataCheck) -> Vec<&'static str> {
    let mut fits = Vec::new();
    if found.pairs > 0 && found.singles == 0 {
        fits.push("pair");
    }
    if found.usable > found.lists {
        fits.push("labelled");
    }
    if found.lists > 0 && found.singles == 0 {
        fits.push("ranked");
    }
    fits
}

fn share(part: usize, whole: usize) -> String {
    format!("{:.1} %", 100.0 * part as f64 / whole.max(1) as f64)
}

fn show(found: &DataCheck, path: &Path, ui: &mut Ui) -> Result<(), Failure> {
    ui.line(format!(
        "{}: {}, {} rows, {} usable, {} wrong",
        path.display(),
        found.format,
        found.rows,
        found.usable,
        found.wrong
    ))?;
    let mut lines = Vec::new();
    if found.pairs > 0 {
        lines.push(format!("pairs           {}", found.pairs));
    }
    if found.singles > 0 {
        lines.push(format!(
            "single          {} responses, {} good",
            found.singles,
            share(found.good, found.singles)
        ));
    }
    if found.lists > 0 {
        lines.push(format!("lists           {}", found.lists));
    }
    for (count, text) in [
        (found.conversations, "rows are conversations (--template chat)"),
        (found.implicit_prompts, "rows have an implicit prompt: what both responses begin with"),
        (found.empty, "rows have an empty response (--drop-empty)"),
        (found.identical, "pairs of equal responses teach nothing"),
        (found.repeated, "rows repeat an earlier one"),
    ] {
        if count > 0 {
            lines.push(format!("{count:<15} {text}"));
        }
    }
    lines.push(format!("prompts         {} different", found.prompts));
    if let Some(longer) = found.longer_preferred {
        lines.push(format!(
            "length          the longer response is preferred in {:.1} %",
            100.0 * longer
        ));
    }
    for (part, l) in &found.lengths {
        lines.push(format!(
            "{part:<15} {:.0} characters in the mean, {} at most",
            l.mean, l.longest
        ));
    }
    for (name, column) in &found.columns {
        let types: Vec<&str> = column.types.keys().map(String::as_str).collect();
        lines.push(format!(
            "column          {name}: {}, in {} of {} rows",
            if types.is_empty() { "no value".to_owned() } else { types.join(" or ") },
            column.rows,
            found.rows
        ));
    }
    let fits = match fits(found).as_slice() {
        [] => "no loss".to_owned(),
        ["ranked"] => {
            "losses of ranked lists (dpo_pl; with a list of numbers info_nca, grpo)".to_owned()
        }
        ["labelled"] => "losses of labelled responses (kto, bco, apo_zero_unpaired)".to_owned(),
        _ => "losses of pairs and losses of labelled responses".to_owned(),
    };
    lines.push(format!("fits            {fits}"));
    ui.lines(lines)
}

fn tokens_lines(t: &Tokens, longest: usize) -> Vec<String> {
    let r = &t.report;
    vec![
        format!(
            "tokens          {} in all, {:.0} an example, {} at most after cutting to {longest}",
            t.total,
            t.total as f64 / r.examples.max(1) as f64,
            r.longest
        ),
        format!(
            "cut             {} prompts and {} responses lose {} tokens",
            r.prompts_cut, r.responses_cut, r.tokens_cut
        ),
        format!(
            "end of sequence {}",
            t.tokenizer.end_of_sequence().map_or("none".to_owned(), |id| id.to_string())
        ),
    ]
}

fn tokens_document(t: &Tokens) -> Value {
    let r = &t.report;
    json!({
        "total": t.total,
        "examples": r.examples,
        "longest": r.longest,
        "prompts_cut": r.prompts_cut,
        "responses_cut": r.responses_cut,
        "tokens_cut": r.tokens_cut,
    })
}
