//! `ponens train --demo`: from the text of a loss to a trained model, with nothing to download.

use super::progress::Progress;
use super::train::{Args, make_folder, stop_flag};
use super::{explain, models, numbers, shown};
use crate::failure::{Outcome, Status};
use crate::output::Ui;
use ponens::Refusal;
use ponens::compiler::explain as meaning;
use ponens::compiler::session::Options;
use ponens::locate::{self, Located};
use ponens::runtime::demo;
use serde_json::json;
use std::cell::RefCell;

/// The loss that the demonstration trains with unless another is named.
const LOSS: &str = include_str!("demo.loss");

pub(super) fn run(args: &Args, ui: &mut Ui) -> Outcome {
    let (text, located) = match &args.loss {
        Some(loss) => (None, locate::locate(loss)?),
        None => (Some(LOSS), embedded()?),
    };
    let (compiled, located) = located.compile(&Options::default())?;
    ui.report(&located.program.sources, &located.warnings);
    let names = models::names(&compiled.loss);
    let kernel = models::kernel(&compiled, &numbers(&args.params)?)?;
    if let Some(output) = &args.output {
        make_folder(output)?;
    }
    if !ui.is_json() {
        if let Some(text) = text {
            ui.line(ui.style.strong("the loss, as logic"))?;
            ui.text(text)?;
            ui.line("")?;
        }
        explain::show(&meaning::explain(&compiled), &located.program.sources, ui)?;
        ui.line("")?;
        ui.line(ui.style.strong("the task: answer four letters in alphabetical order"))?;
        ui.flush()?;
    }
    let config = demo::train_config(args.seed);
    let stop = stop_flag();
    let progress = RefCell::new(Progress::new(ui));
    let report = demo::run(
        &kernel,
        &names,
        &config,
        (args.output.as_deref(), &stop),
        |p| {
            let text = format!("base model, loss {:.3}", p.loss);
            progress.borrow_mut().part(p.steps, p.step, text);
        },
        &mut |record| progress.borrow_mut().record(record),
    )
    .map_err(models::failed)?;
    progress.into_inner().finish()?;
    let (before, after) = (&report.before, &report.after);
    if ui.is_json() {
        let samples: Vec<_> = report
            .prompts
            .iter()
            .zip(before.texts.iter().zip(&after.texts))
            .map(|(p, (b, a))| json!({ "prompt": p, "before": b, "after": a }))
            .collect();
        ui.json_line(&json!({
            "type": "done",
            "finished": report.outcome.finished,
            "steps": report.outcome.steps,
            "exact_before": before.exactness(),
            "exact_after": after.exactness(),
            "samples": samples,
        }))?;
        return Ok(Status::Done);
    }
    let accuracy = |e: &Option<ponens::runtime::train::EvalRecord>| {
        e.as_ref().map_or("-".to_owned(), |e| shown::percent(e.summary.accuracy))
    };
    ui.line(format!(
        "held-out reward accuracy {} -> {}, exact greedy answers {:.0} % -> {:.0} %",
        accuracy(&report.outcome.first_eval),
        accuracy(&report.outcome.last_eval),
        100.0 * before.exactness(),
        100.0 * after.exactness()
    ))?;
    for ((p, b), a) in report.prompts.iter().zip(&before.texts).zip(&after.texts) {
        ui.line(format!("  {p}  before {b}  after {}", ui.style.good(a)))?;
    }
    Ok(Status::Done)
}

fn embedded() -> ponens::Result<Located> {
    let mut program = ponens::compiler::hir::Program::new();
    let (_, found) = program.add_text("<demo>", LOSS);
    if found.iter().any(ponens::dsl::Diagnostic::is_error) {
        return Err(Refusal::new(program.sources, found));
    }
    Ok(Located { program, name: "demo".to_owned(), warnings: found })
}
