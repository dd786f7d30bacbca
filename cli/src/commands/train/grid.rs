//! The laboratory: several losses, several seeds, one model, one data set, one set of settings.
//!
//! Each run has a folder `LOSS-seed-N` of its own, and `lab.json` lists them. With `--resume` runs that are
//! done are left alone and the others go on; the reference is run once for all of them.

use super::inputs::{Base, Data, Loss};
use super::record::write_json;
use super::single::{self, Job};
use super::{Args, make_folder, settings, stop_flag, wanted};
use crate::failure::{Failure, Outcome, Status};
use crate::output::Ui;
use ponens::dsl::Diagnostic;
use ponens::runtime::op::LossKernel as _;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::atomic::Ordering;

/// The name of a run's folder.
fn folder(loss: &str, seed: u64) -> String {
    let plain: String = loss
        .chars()
        .map(|c| if c.is_alphanumeric() || "._".contains(c) { c } else { '-' })
        .collect();
    format!("{plain}-seed-{seed}")
}

/// Whether a run of an earlier sitting took all its steps and wrote its samples.
pub(super) fn done(output: &Path) -> bool {
    output.join("done.json").is_file()
}

pub(super) fn run(args: &Args, ui: &mut Ui) -> Outcome {
    let output = wanted(args.output.as_deref(), "output")?;
    let mut losses = Vec::with_capacity(args.losses.len());
    for name in &args.losses {
        losses.push(Loss::find(name, args, ui)?);
    }
    let mut names: Vec<&str> = losses.iter().map(|l| l.kernel.name()).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|w| w[0] == w[1]) {
        return Err(Failure::Usage(format!("--losses names `{}` twice", twice[0])));
    }
    for (name, _) in &args.params.params {
        let has = |l: &Loss| l.compiled.loss.params.iter().any(|p| p.name == *name);
        if !losses.iter().any(has) {
            return Err(Diagnostic::error(
                "E0303",
                format!("none of the losses has a parameter `{name}`"),
            )
            .help(format!("the losses: {}", names.join(", ")))
            .into());
        }
    }
    let mut texts = Vec::with_capacity(losses.len());
    for loss in &losses {
        texts.push(Data::read(args, loss)?);
    }
    args.data.tell_dropped(ui)?;
    let (base, model) = Base::load(args, losses.iter().any(Loss::needs_reference))?;
    make_folder(output)?;
    let mut data = Vec::with_capacity(losses.len());
    for (loss, text) in losses.iter().zip(texts) {
        data.push(text.encode(args, &base, loss, output)?);
    }
    let seeds: Vec<u64> = (args.seed..).take(args.seeds as usize).collect();
    let cells: Vec<(usize, u64)> =
        seeds.iter().flat_map(|&s| (0..losses.len()).map(move |l| (l, s))).collect();
    let runs: Value = cells
        .iter()
        .map(|&(l, seed)| {
            let name = losses[l].kernel.name();
            json!({ "loss": name, "seed": seed, "folder": folder(name, seed) })
        })
        .collect();
    let mut plan = settings::of_runs(args, &losses.iter().collect::<Vec<_>>())?;
    (plan["runs"], plan["seeds"]) = (runs, json!(seeds));
    let list = output.join("lab.json");
    if args.resume {
        keep_plan(&list, &plan)?;
    } else if list.is_file() {
        let d = Diagnostic::error("E0703", format!("{} holds runs already", output.display()));
        return Err(d.help("go on with --resume, or give another folder with --output").into());
    }
    write_json(&list, &plan)?;
    let kept = output.join("reference");
    let cache = single::cache(args, &base, &model, Some(&kept))?;
    let stop = stop_flag();
    for (i, &(l, seed)) in cells.iter().enumerate() {
        let name = losses[l].kernel.name();
        let place = output.join(folder(name, seed));
        if done(&place) {
            continue;
        }
        if stop.load(Ordering::SeqCst) {
            break;
        }
        if ui.is_json() {
            ui.json_line(&json!({ "type": "start", "loss": name, "seed": seed }))?;
        } else {
            let head = format!("run {} of {}: {name}, seed {seed}", i + 1, cells.len());
            ui.line(ui.style.strong(&head))?;
            ui.flush()?;
        }
        make_folder(&place)?;
        let job = Job {
            args,
            loss: &losses[l],
            base: &base,
            data: &data[l],
            seed,
            output: &place,
            resume: args.resume,
            stop: &stop,
            cache: cache.as_ref(),
        };
        let ended = job.run(base.start(args, &losses[l], &model, seed)?, ui)?;
        if ended.outcome.finished {
            write_json(&place.join("done.json"), &json!({ "steps": ended.outcome.steps }))?;
        }
    }
    let left = cells
        .iter()
        .filter(|&&(l, s)| !done(&output.join(folder(losses[l].kernel.name(), s))))
        .count();
    if ui.is_json() {
        ui.json_line(&json!({ "type": "done", "runs": cells.len(), "left": left }))?;
    } else if left > 0 {
        ui.line(format!("stopped with {left} of {} runs left; --resume goes on", cells.len()))?;
    } else {
        ui.line(format!(
            "{} runs done; `ponens report {}` compares them",
            cells.len(),
            output.display()
        ))?;
    }
    Ok(Status::Done)
}

/// Refuses to go on with other losses, seeds or settings than the folder was begun with; more losses and seeds
/// are fine.
fn keep_plan(list: &Path, plan: &Value) -> Result<(), Failure> {
    let Ok(text) = std::fs::read_to_string(list) else { return Ok(()) };
    let old: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
    let runs = |v: &Value| v.get("runs").and_then(Value::as_array).cloned().unwrap_or_default();
    let new = runs(plan);
    match runs(&old).iter().find(|r| !new.contains(r)) {
        None => settings::unchanged(list, &old, plan),
        Some(gone) => {
            let name = gone.get("folder").and_then(Value::as_str).unwrap_or("?").to_owned();
            let d = Diagnostic::error(
                "E0703",
                format!("{}: the run `{name}` is not asked for any more", list.display()),
            );
            Err(d.help("name all losses and seeds that the folder was begun with").into())
        }
    }
}
