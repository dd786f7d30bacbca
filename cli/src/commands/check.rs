//! `ponens check`

use crate::failure::{Outcome, Status};
use crate::output::Ui;
use ponens::check;
use ponens::dsl::Diagnostic;
use ponens::dsl::diagnostic::to_json;
use serde_json::Value;
use std::path::PathBuf;

const EXAMPLE: &str = "\
Examples:
  ponens check my.loss other.loss
  ponens check --format json my.loss | jq '.[].code'
  cat my.loss | ponens check -";

/// Check loss files: grammar, names, types, and that every operation is defined
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// Loss files; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub(crate) fn run(args: &Args, ui: &mut Ui) -> Outcome {
    let checked: Vec<check::Checked> = args.files.iter().map(|f| check::check(f)).collect();
    let all = || checked.iter().flat_map(|c| &c.diagnostics);
    let errors = all().filter(|d| d.is_error()).count();
    if ui.is_json() {
        let findings = checked
            .iter()
            .filter_map(|c| to_json(&c.diagnostics, &c.sources).as_array().cloned())
            .flatten()
            .collect();
        ui.json(&Value::Array(findings))?;
    } else {
        for c in &checked {
            ui.report(&c.sources, &c.diagnostics);
        }
        let warnings = all().filter(|d: &&Diagnostic| !d.is_error()).count();
        let losses: usize = checked.iter().map(|c| c.losses).sum();
        ui.line(format!(
            "{}, {}: {}, {}",
            count(args.files.len(), "file"),
            count(losses, "loss"),
            count(errors, "error"),
            count(warnings, "warning")
        ))?;
    }
    Ok(if errors == 0 { Status::Done } else { Status::Wrong })
}

fn count(n: usize, what: &str) -> String {
    match (n, what) {
        (1, _) => format!("1 {what}"),
        (_, "loss") => format!("{n} losses"),
        _ => format!("{n} {what}s"),
    }
}
