//! `ponens report`

mod credit;
mod lab;
mod logic;
mod run;

use super::models;
use crate::failure::{Failure, Outcome, Status};
use crate::output::Ui;
use ponens::dsl::Diagnostic;
use ponens::page;
use ponens::runtime::report::STYLE;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const EXAMPLE: &str = "\
Examples:
  ponens report runs/dpo                  writes runs/dpo/report.html
  ponens report runs/lab --output lab.html
  ponens report runs/lab --format json | jq '.losses[].rise'

The page needs no other file and no network. DIR is the --output of `ponens train`: of one run, or of
--losses A,B,.. with several.";

/// Make a page of a training run, or a comparison of several
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// The folder of a run, or of several
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Where the page goes [default: report.html in DIR]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// A page and the numbers on it.
struct Made {
    title: String,
    body: String,
    figures: Value,
    /// Lines for people.
    lines: Vec<String>,
}

pub(crate) fn run(args: &Args, ui: &mut Ui) -> Outcome {
    let folder = args.folder.as_path();
    let made = if folder.join("lab.json").is_file() {
        lab::make(folder)?
    } else if folder.join("metrics.jsonl").is_file() {
        run::make(folder)?
    } else {
        let d = Diagnostic::error("E0703", format!("{} holds no run", folder.display()));
        return Err(d.help("give the folder that `ponens train --output` wrote").into());
    };
    let path = args.output.clone().unwrap_or_else(|| folder.join("report.html"));
    let body = format!("<style>{STYLE}{LAYOUT}</style>\n{}", made.body);
    models::write_file(&path, page::page(&made.title, &body).as_bytes())?;
    if ui.is_json() {
        let mut document = made.figures;
        document["page"] = json!(path.display().to_string());
        ui.json(&document)?;
    } else {
        ui.lines(made.lines)?;
        ui.line(format!("page: {}", path.display()))?;
    }
    Ok(Status::Done)
}

/// How the parts of the page stand.
const LAYOUT: &str = "\
body { max-width: 76rem; margin: 2rem auto; padding: 0 1.25rem; line-height: 1.45; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(26rem, 1fr)); gap: 1rem 1.5rem; }
figure { margin: 0; } figcaption { font-weight: 600; margin: .25rem 0; } figcaption small { font-weight: 400; opacity: .75; }
td, th { vertical-align: top; } td.n { font-variant-numeric: tabular-nums; white-space: nowrap; }
pre { overflow-x: auto; padding: .6rem .8rem; background: #8881; border-radius: .3rem; }
.good { color: #2b8a3e; } .bad { color: #d9480f; } .note { opacity: .8; } details { margin: .6rem 0; } summary { cursor: pointer; font-weight: 600; }
.answer { white-space: pre-wrap; }
";

/// A JSON file of a run; `Null` where the run wrote none.
fn read_json(path: &Path) -> Result<Value, Failure> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Value::Null),
        Err(e) => return Err(unreadable(path, &e)),
    };
    serde_json::from_str(&text).map_err(|e| unreadable(path, &e))
}

fn unreadable(path: &Path, e: &dyn std::fmt::Display) -> Failure {
    Diagnostic::error("E0703", format!("cannot read {}: {e}", path.display()))
        .help("was it written by this program?")
        .into()
}

/// A chart under its caption.
fn figure(caption: &str, note: &str, chart: &ponens::runtime::report::Chart) -> String {
    format!(
        "<figure><figcaption>{} <small>{}</small></figcaption>{}</figure>\n",
        page::escape(caption),
        page::escape(note),
        chart.svg(caption)
    )
}

/// A mean with its interval, in percent.
fn percent_interval(i: &ponens::runtime::report::Interval) -> String {
    format!("{:+.1} % [{:+.1}, {:+.1}]", 100.0 * i.mean, 100.0 * i.low, 100.0 * i.high)
}
