//! What decides a run beside its checkpoint: a run, a grid or a curriculum goes on under the same alone.
//!
//! Settings stand under the names of their options, models and data files under digests of their content.

use super::inputs::Loss;
use super::{Args, wanted};
use crate::failure::Failure;
use ponens::dsl::Diagnostic;
use ponens::runtime::files;
use ponens::runtime::model::{LoraConfig, Source};
use ponens::runtime::train::{Settings, first_change, kernel_settings};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

fn model(name: &str) -> Result<String, Failure> {
    Source::find(name).and_then(|s| s.digest()).map_err(|e| {
        let text = format!("the model `{name}` cannot be read: {e}");
        Diagnostic::error("E0701", text).into()
    })
}

fn file(path: &Path) -> Result<String, Failure> {
    files::digest(path).map_err(|e| {
        let text = format!("cannot read {}: {e}", path.display());
        Diagnostic::error("E0003", text).into()
    })
}

fn adapter_settings(adapter: Option<&LoraConfig>) -> Settings {
    let of = |a: &LoraConfig| {
        [
            ("`--lora`", a.rank.to_string()),
            ("`--lora-alpha`", a.alpha.to_string()),
            ("`--lora-dropout`", a.dropout.to_string()),
            ("`--lora-targets`", a.target_modules.join(",")),
        ]
    };
    match adapter {
        Some(adapter) => of(adapter).map(|(n, v)| (n.to_owned(), v)).into(),
        None => [("`--lora`".to_owned(), "none".to_owned())].into(),
    }
}

/// What a run starts from: the model, its adapter, and the reference where the loss reads one.
pub(super) fn origin(
    args: &Args,
    reads_reference: bool,
    adapter: Option<&LoraConfig>,
) -> Result<Settings, Failure> {
    let mut settings = adapter_settings(adapter);
    settings.insert("`--model`".into(), model(wanted(args.model.as_deref(), "model")?)?);
    if reads_reference {
        let reference = match args.reference.as_deref() {
            None if args.moves() => "start".to_owned(),
            None => "without the adapter".to_owned(),
            Some(kind @ ("data" | "start")) => kind.to_owned(),
            Some(name) => model(name)?,
        };
        settings.insert("`--reference`".into(), reference);
    }
    Ok(settings)
}

/// All settings that several runs share, and the content of all their files.
fn shared(args: &Args, reads_reference: bool, stages: &[PathBuf]) -> Result<Settings, Failure> {
    let adapter = args.lora_config();
    let mut settings = origin(args, reads_reference, (!args.full).then_some(&adapter))?;
    let config = args.config(args.seed);
    let data = args.data.data.iter().chain(stages);
    for (name, path) in
        data.map(|p| ("--data", p)).chain(args.eval_data.iter().map(|p| ("--eval-data", p)))
    {
        settings.insert(format!("`{name} {}`", path.display()), file(path)?);
    }
    let length = args.steps.map_or(format!("{} epochs", args.epochs), |n| format!("{n} steps"));
    let or_none = |v: Option<usize>| v.map_or("none".to_owned(), |n| n.to_string());
    let options = [
        ("a length of", length),
        ("`--batch`", args.batch.to_string()),
        ("`--micro-batch`", args.micro_batch.to_string()),
        ("`--lr`", config.schedule.peak.to_string()),
        ("`--warmup`", args.warmup.to_string()),
        ("`--schedule`", format!("{:?}", args.schedule).to_lowercase()),
        ("`--clip`", args.clip.to_string()),
        ("`--seed`", args.seed.to_string()),
        ("`--eval-every`", or_none(args.eval_every)),
        ("`--patience`", or_none(args.patience)),
        ("`--eval-fraction`", args.eval_fraction.to_string()),
        ("`--flip`", args.flip.to_string()),
        ("`--template`", args.data.template.clone()),
        ("`--max-length`", args.data.max_length.to_string()),
        ("`--drop-empty`", args.data.drop_empty.to_string()),
    ];
    settings.extend(options.map(|(n, v)| (n.to_owned(), v)));
    Ok(settings)
}

/// The settings of several runs and the losses that they train with, for the list of the runs.
pub(super) fn of_runs(args: &Args, losses: &[&Loss]) -> Result<Value, Failure> {
    let reads_reference = losses.iter().any(|l| l.needs_reference());
    let shared = shared(args, reads_reference, &args.stages)?;
    let own: Value = losses
        .iter()
        .map(|l| (l.compiled.loss.name.clone(), json!(kernel_settings(&l.kernel))))
        .collect::<serde_json::Map<_, _>>()
        .into();
    Ok(json!({ "settings": shared, "losses": own }))
}

/// Refuses to go on with runs that were begun under other settings; `list` names their file. Losses that are
/// new in `is` are no change.
pub(super) fn unchanged(list: &Path, was: &Value, is: &Value) -> Result<(), Failure> {
    let read = |v: &Value| serde_json::from_value::<Settings>(v.clone()).unwrap_or_default();
    let mut change = first_change(&read(&was["settings"]), &read(&is["settings"]));
    for (name, own) in was["losses"].as_object().into_iter().flatten() {
        change = change.or_else(|| match is["losses"].get(name) {
            Some(now) => first_change(&read(own), &read(now)).map(|c| format!("{c} ({name})")),
            None => Some(format!("the loss `{name}`")),
        });
    }
    match change {
        None => Ok(()),
        Some(change) => {
            let text = format!("{}: the runs were begun with {change}", list.display());
            Err(Diagnostic::error("E0703", text)
                .help("go on with the settings that they were begun with, or give another folder")
                .into())
        }
    }
}
