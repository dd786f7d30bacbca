//! A curriculum with a moving reference (Curry-DPO, arXiv 2403.07230): each stage goes on from the model that
//! the one before left, and is compared with it.
//!
//! A stage is a run of its own in `stage-N`; `stages.json` lists them. With `--resume` stages that are done
//! are left alone and the first that is not goes on.

use super::grid::done;
use super::inputs::{Base, Data, Loss};
use super::record::write_json;
use super::single::{self, Job};
use super::{Args, make_folder, settings, stop_flag, wanted};
use crate::failure::{Failure, Outcome, Status};
use crate::output::Ui;
use ponens::dsl::Diagnostic;
use serde_json::{Value, json};
use std::path::Path;

pub(super) fn run(args: &Args, ui: &mut Ui) -> Outcome {
    let output = wanted(args.output.as_deref(), "output")?;
    let loss = Loss::find(wanted(args.loss.as_deref(), "loss")?, args, ui)?;
    // The last stage's data are looked at before the first stage trains.
    let mut stages = Vec::with_capacity(args.stages.len());
    for path in &args.stages {
        let mut own = args.clone();
        own.data.data = Some(path.clone());
        let text = Data::read(&own, &loss)?;
        own.data.tell_dropped(ui)?;
        stages.push((own, text));
    }
    make_folder(output)?;
    claim(args, &loss, output)?;
    let stop = stop_flag();
    let count = stages.len();
    let mut name = wanted(args.model.as_deref(), "model")?.to_owned();
    for (i, (mut own, text)) in stages.into_iter().enumerate() {
        let place = output.join(format!("stage-{}", i + 1));
        if !done(&place) {
            own.model = Some(name);
            let (base, model) = Base::load(&own, loss.needs_reference())?;
            let data = text.encode(&own, &base, &loss, output)?;
            let path = own.data.data.as_deref().unwrap_or(Path::new("")).display().to_string();
            if ui.is_json() {
                ui.json_line(&json!({ "type": "start", "stage": i + 1, "data": path }))?;
            } else {
                let head = format!("stage {} of {count}: {path}", i + 1);
                ui.line(ui.style.strong(&head))?;
                ui.flush()?;
            }
            make_folder(&place)?;
            let cache = single::cache(&own, &base, &model, None)?;
            let job = Job {
                args: &own,
                loss: &loss,
                base: &base,
                data: &data,
                seed: args.seed,
                output: &place,
                resume: args.resume,
                stop: &stop,
                cache: cache.as_ref(),
            };
            let ended = job.run(base.only_start(&own, &loss, model)?, ui)?;
            if !ended.outcome.finished {
                return said(i, count, "", ui);
            }
            write_json(&place.join("done.json"), &json!({ "steps": ended.outcome.steps }))?;
        }
        name = single::result(args, &place).display().to_string();
    }
    said(count, count, &name, ui)
}

/// Says how many stages are done.
fn said(done: usize, count: usize, result: &str, ui: &mut Ui) -> Outcome {
    if ui.is_json() {
        ui.json_line(
            &json!({ "type": "done", "stages": count, "left": count - done, "result": result }),
        )?;
    } else if done < count {
        ui.line(format!("stopped with {} of {count} stages left; --resume goes on", count - done))?;
    } else {
        ui.line(format!("{count} stages done; result in {result}"))?;
    }
    Ok(Status::Done)
}

/// Takes a new folder, or one that holds the same stages and is to be resumed.
fn claim(args: &Args, loss: &Loss, output: &Path) -> Result<(), Failure> {
    let list = output.join("stages.json");
    let mut plan = settings::of_runs(args, &[loss])?;
    plan["stages"] = json!(args.stages);
    let refuse = |text: String, help: &str| -> Result<(), Failure> {
        Err(Diagnostic::error("E0703", text).help(help.to_owned()).into())
    };
    match std::fs::read_to_string(&list) {
        Ok(_) if !args.resume => refuse(
            format!("{} holds stages already", output.display()),
            "go on with --resume, or give another folder with --output",
        ),
        Ok(text) => {
            let old = serde_json::from_str::<Value>(&text).unwrap_or_default();
            if old["stages"] != plan["stages"] {
                return refuse(
                    format!("{}: other stages were asked for then", list.display()),
                    "name the files that the folder was begun with, in their order",
                );
            }
            settings::unchanged(&list, &old, &plan)
        }
        Err(_) => write_json(&list, &plan),
    }
}
