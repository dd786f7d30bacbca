//! The files of a run's folder.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde_json::Value;

use crate::op::RuntimeError;

/// What `metrics.jsonl` says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunLog {
    /// The first record: loss, reward, settings; the settings as they were in the last sitting.
    pub run: Value,
    /// By name: the figure of each step that has one.
    pub steps: BTreeMap<String, Vec<(f64, f64)>>,
    /// By name: the figure of each evaluation.
    pub evals: BTreeMap<String, Vec<(f64, f64)>>,
    /// The last step that was taken.
    pub last_step: usize,
}

impl RunLog {
    /// A series of the steps.
    pub fn step_series(&self, name: &str) -> &[(f64, f64)] {
        self.steps.get(name).map_or(&[], Vec::as_slice)
    }

    /// A series of the evaluations.
    pub fn eval_series(&self, name: &str) -> &[(f64, f64)] {
        self.evals.get(name).map_or(&[], Vec::as_slice)
    }

    /// First and last value of an evaluation figure.
    pub fn ends(&self, name: &str) -> Option<(f64, f64)> {
        let series = self.eval_series(name);
        Some((series.first()?.1, series.last()?.1))
    }
}

/// Reads the metrics of a run.
///
/// # Errors
/// If there are none, or a line is no record (the last one may be cut short: the run may be going on).
pub fn read_run(folder: &Path) -> Result<RunLog, RuntimeError> {
    let path = folder.join("metrics.jsonl");
    let text = fs::read_to_string(&path).map_err(RuntimeError::io("cannot read", &path))?;
    let mut log = RunLog::default();
    for (number, line) in text.lines().enumerate() {
        let record: Value = match serde_json::from_str(line) {
            Ok(record) => record,
            Err(_) if number + 1 == text.lines().count() => break,
            Err(e) => {
                let reason = format!("line {} is no record: {e}", number + 1);
                return Err(RuntimeError::format(&path, reason));
            }
        };
        let kind = record.get("type").and_then(Value::as_str).unwrap_or("").to_owned();
        let into = match kind.as_str() {
            "run" => {
                log.run = record;
                continue;
            }
            "resumed" => {
                for name in ["steps", "config"] {
                    log.run[name] = record[name].clone();
                }
                continue;
            }
            "step" => &mut log.steps,
            "eval" => &mut log.evals,
            _ => continue,
        };
        let (Some(step), Value::Object(fields)) =
            (record.get("step").and_then(Value::as_u64), &record)
        else {
            let reason = format!("line {} has no step", number + 1);
            return Err(RuntimeError::format(&path, reason));
        };
        log.last_step = log.last_step.max(step as usize);
        for (name, value) in fields {
            if let Some(value) = value.as_f64().filter(|_| name != "step") {
                into.entry(name.clone()).or_default().push((step as f64, value));
            }
        }
    }
    if log.run.is_null() {
        return Err(RuntimeError::format(&path, "no record of a run"));
    }
    Ok(log)
}

/// One held-out example as a score file has it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ScoreLine {
    /// Its row in the data.
    pub row: usize,
    /// Its loss.
    pub loss: f64,
    /// Of a pair: reward of chosen less rejected.
    pub margin: Option<f64>,
    /// Of a pair: 1, 1/2 or 0.
    pub correct: Option<f64>,
    /// The policy's log-probability of the chosen response.
    pub chosen_logp: Option<f64>,
    /// And of the rejected one.
    pub rejected_logp: Option<f64>,
}

/// Reads the scores of the first or the last evaluation; none if the run wrote none.
///
/// # Errors
/// If the file cannot be read or a line is no score.
pub fn read_scores(folder: &Path, last: bool) -> Result<Vec<ScoreLine>, RuntimeError> {
    let path = folder.join(if last { "scores-last.jsonl" } else { "scores-first.jsonl" });
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(RuntimeError::io("cannot read", &path)(e)),
    };
    let one = |(number, line): (usize, &str)| {
        let wrong = |reason: String| {
            RuntimeError::format(&path, format!("line {} is no score: {reason}", number + 1))
        };
        let v: Value = serde_json::from_str(line).map_err(|e| wrong(e.to_string()))?;
        let get = |name: &str| v.get(name).and_then(Value::as_f64);
        let row = v.get("row").and_then(Value::as_u64).ok_or_else(|| wrong("no row".into()))?;
        Ok(ScoreLine {
            row: row as usize,
            loss: get("loss").unwrap_or(f64::NAN),
            margin: get("margin"),
            correct: get("correct"),
            chosen_logp: get("chosen_logp"),
            rejected_logp: get("rejected_logp"),
        })
    };
    text.lines().enumerate().map(one).collect()
}
