//! What a run leaves beside its metrics, for `report`: `run.json`, `samples.json`, event files.

use super::super::samples::Sample;
use super::super::{explain, models};
use super::Args;
use crate::failure::Failure;
use ponens::compiler::explain as meaning;
use ponens::compiler::session::Compiled;
use ponens::dsl::SourceMap;
use ponens::runtime::model::LoraConfig;
use ponens::runtime::op::RuntimeError;
use ponens::runtime::report::EventFile;
use ponens::runtime::train::Record;
use serde_json::{Map, Value, json};
use std::path::Path;

/// What a run is about.
pub(super) struct Description<'a> {
    pub(super) args: &'a Args,
    pub(super) loss: &'a Compiled,
    /// The parameters of the loss, by name.
    pub(super) params: Vec<(String, f64)>,
    pub(super) sources: &'a SourceMap,
    pub(super) model: &'a str,
    pub(super) adapter: Option<&'a LoraConfig>,
    pub(super) seed: u64,
}

/// Writes a JSON file that appears whole or not at all.
pub(super) fn write_json(path: &Path, value: &Value) -> Result<(), Failure> {
    models::write_file(path, format!("{value:#}\n").as_bytes())
}

/// Writes `run.json`: the loss with its logic, the model, the data, the adapter.
pub(super) fn write_run(output: &Path, d: &Description<'_>) -> Result<(), Failure> {
    let explanation = meaning::explain(d.loss);
    let params: Map<String, Value> =
        d.params.iter().map(|(n, v)| (n.clone(), ponens::number::to_json(*v))).collect();
    let adapter = d.adapter.map(|a| {
        json!({
            "rank": a.rank,
            "alpha": a.alpha,
            "dropout": a.dropout,
            "targets": a.target_modules,
        })
    });
    let path = |p: &Option<std::path::PathBuf>| p.as_ref().map(|p| p.display().to_string());
    let document = json!({
        "loss": explain::document(&explanation, d.sources),
        "params": params,
        "model": d.model,
        "data": path(&d.args.data.data),
        "eval_data": path(&d.args.eval_data),
        "template": d.args.data.template,
        "max_length": d.args.data.max_length,
        "flip": d.args.flip,
        "adapter": adapter,
        "seed": d.seed,
    });
    write_json(&output.join("run.json"), &document)
}

/// Writes `samples.json`: prompts with the answers before and after.
pub(super) fn write_samples(
    output: &Path,
    before: &[Sample],
    after: &[Sample],
) -> Result<(), Failure> {
    let both = before.iter().zip(after);
    let one = |(b, a): (&Sample, &Sample)| json!({ "prompt": b.prompt, "before": b.text, "after": a.text });
    write_json(&output.join("samples.json"), &both.map(one).collect())
}

/// The figures of a record as TensorBoard shows them.
pub(super) fn scalars(file: &mut EventFile, record: &Record) -> Result<(), RuntimeError> {
    match record {
        Record::Step(s) => file.scalars(
            s.step,
            &[
                ("train/loss", s.loss),
                ("train/accuracy", s.accuracy),
                ("train/margin", s.margin),
                ("train/chosen_logp", s.chosen_logp),
                ("train/rejected_logp", s.rejected_logp),
                ("train/gradient_norm", s.gradient_norm),
                ("train/lr", s.lr),
                ("train/tokens_per_second", s.tokens_per_second),
            ],
        ),
        Record::Eval(e) => file.scalars(
            e.step,
            &[
                ("held_out/loss", e.summary.loss),
                ("held_out/accuracy", e.summary.accuracy),
                ("held_out/margin", e.summary.margin),
                ("held_out/chosen_logp", e.summary.chosen_logp),
                ("held_out/rejected_logp", e.summary.rejected_logp),
                ("held_out/chosen_change_per_token", e.chosen_change_per_token),
            ],
        ),
        Record::Run(_) | Record::Resumed(_) | Record::Saved(_) => Ok(()),
    }
}
