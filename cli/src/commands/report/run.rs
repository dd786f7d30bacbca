//! The page of one run.

use super::{Made, credit, figure, logic, percent_interval, read_json, unreadable};
use crate::failure::Failure;
use ponens::page;
use ponens::runtime::report::{
    Chart, Interval, Line, RunLog, ScoreLine, bootstrap_mean, read_run, read_scores,
};
use serde_json::{Value, json};
use std::path::Path;

/// A run, read back.
pub(super) struct Reading {
    pub(super) log: RunLog,
    pub(super) description: Value,
    pub(super) samples: Value,
    pub(super) credit: Value,
    pub(super) first: Vec<ScoreLine>,
    pub(super) last: Vec<ScoreLine>,
}

impl Reading {
    /// Reads a run's folder.
    pub(super) fn of(folder: &Path) -> Result<Self, Failure> {
        let scores = |last| read_scores(folder, last).map_err(|e| unreadable(folder, &e));
        let (first, last) = (scores(false)?, scores(true)?);
        if first.len() != last.len() || first.iter().zip(&last).any(|(a, b)| a.row != b.row) {
            return Err(unreadable(folder, &"the two score files are of different data"));
        }
        Ok(Self {
            log: read_run(folder).map_err(|e| unreadable(folder, &e))?,
            description: read_json(&folder.join("run.json"))?,
            samples: read_json(&folder.join("samples.json"))?,
            credit: read_json(&folder.join("credit.json"))?,
            first,
            last,
        })
    }

    /// By held-out pair: how its correctness changed. `None` where the data are no pairs.
    pub(super) fn rise(&self) -> Option<Vec<f64>> {
        let both = self.first.iter().zip(&self.last);
        both.map(|(a, b)| Some(b.correct? - a.correct?)).collect()
    }

    /// By held-out pair: whether the log-ratio to the start prefers the chosen response; a yardstick that
    /// is the same for every loss. Ties, by the rounding of log-probabilities, are 1/2.
    pub(super) fn by_ratio(&self) -> Option<Vec<f64>> {
        let one = |(a, b): (&ScoreLine, &ScoreLine)| {
            let (c, r) = (b.chosen_logp? - a.chosen_logp?, b.rejected_logp? - a.rejected_logp?);
            let noise = 1e-6 * (b.chosen_logp?.abs() + b.rejected_logp?.abs());
            Some(if (c - r).abs() <= noise { 0.5 } else { f64::from(u8::from(c > r)) })
        };
        self.first.iter().zip(&self.last).map(one).collect()
    }
}

/// How often a chart is drawn with all points.
fn line(name: &str, points: &[(f64, f64)], marked: bool) -> Line {
    Line { name: name.to_owned(), points: points.to_vec(), marked }
}

/// Mean over a window of steps, for figures of small batches.
fn smooth(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let window = (points.len() / 40).max(1);
    points
        .chunks(window)
        .map(|c| {
            let n = c.len() as f64;
            (c.iter().map(|p| p.0).sum::<f64>() / n, c.iter().map(|p| p.1).sum::<f64>() / n)
        })
        .collect()
}

/// The charts of a run.
fn charts(log: &RunLog) -> String {
    let both = |name: &str| -> Vec<Line> {
        vec![
            line("training", &smooth(log.step_series(name)), false),
            line("held out", log.eval_series(name), true),
        ]
    };
    let chart = |lines: Vec<Line>, level| Chart {
        x: "step".into(),
        lines: lines.into_iter().filter(|l| !l.points.is_empty()).collect(),
        level,
    };
    let logps = vec![
        line("chosen, training", &smooth(log.step_series("chosen_logp_per_token")), false),
        line("rejected, training", &smooth(log.step_series("rejected_logp_per_token")), false),
        line("chosen, held out", log.eval_series("chosen_logp_per_token"), true),
        line("rejected, held out", log.eval_series("rejected_logp_per_token"), true),
    ];
    let gradient = vec![line("norm", log.step_series("gradient_norm"), false)];
    let displacement = vec![line("chosen", log.eval_series("chosen_change_per_token"), true)];
    let rate = vec![line("rate", log.step_series("lr"), false)];
    let speed = vec![line("tokens a second", &smooth(log.step_series("tokens_per_second")), false)];
    [
        figure("Loss", "", &chart(both("loss"), None)),
        figure("Reward accuracy", "dashed: chance", &chart(both("accuracy"), Some(0.5))),
        figure("Margin", "reward of chosen less rejected", &chart(both("margin"), Some(0.0))),
        figure("Log-probability a token", "", &chart(logps, None)),
        figure("Gradient norm", "before clipping", &chart(gradient, None)),
        figure(
            "Displacement",
            "change of the chosen responses' log-probability a token since the start",
            &chart(displacement, Some(0.0)),
        ),
        figure("Learning rate", "", &chart(rate, None)),
        figure("Speed", "", &chart(speed, None)),
    ]
    .concat()
}

/// The run in sentences.
fn verdict(reading: &Reading, rise: Option<&Interval>) -> Vec<String> {
    let log = &reading.log;
    let mut out = Vec::new();
    if let Some((a, b)) = log.ends("accuracy") {
        let rise = rise.map_or(String::new(), |i| {
            format!(
                ", {} over {} held-out pairs (95 %, paired bootstrap)",
                percent_interval(i),
                i.n
            )
        });
        out.push(format!(
            "Held-out reward accuracy went from {:.1} % to {:.1} %{rise}.",
            100.0 * a,
            100.0 * b
        ));
    }
    if let Some((_, change)) = log.ends("chosen_change_per_token") {
        out.push(if change < 0.0 {
            format!(
                "The chosen responses became less likely, by {:.3} nats a token: part of the margin was \
                 gained by unlearning good answers too (likelihood displacement).",
                -change
            )
        } else {
            format!("The chosen responses became more likely, by {change:.3} nats a token.")
        });
    }
    if let Some((a, b)) = log.ends("loss") {
        out.push(format!("The held-out loss went from {a:.4} to {b:.4}."));
    }
    out
}

/// Rows of a table of settings.
fn settings(reading: &Reading) -> Vec<Vec<String>> {
    let (run, d) = (&reading.log.run, &reading.description);
    let shown = |v: &Value| match v {
        Value::Null => String::new(),
        Value::String(s) => s.clone(),
        other => other.to_string(),
    };
    let params = d["params"].as_object().map_or(String::new(), |p| {
        p.iter().map(|(n, v)| format!("{n} = {}", shown(v))).collect::<Vec<_>>().join(", ")
    });
    let adapter = match &d["adapter"] {
        Value::Null => "none: all weights are trained".to_owned(),
        a => format!("low rank {}, alpha {}", a["rank"], a["alpha"]),
    };
    let config = &run["config"];
    let rows = [
        ("loss", shown(&run["loss"])),
        ("parameters", params),
        ("reward", shown(&run["reward"])),
        ("model", shown(&d["model"])),
        ("adapter", adapter),
        ("trainable numbers", shown(&run["trainable"])),
        ("data", shown(&d["data"])),
        ("held-out data", shown(&d["eval_data"])),
        (
            "labels turned",
            d["flip"].as_f64().filter(|f| *f > 0.0).map_or(String::new(), |f| f.to_string()),
        ),
        ("template", shown(&d["template"])),
        (
            "examples",
            format!("{} to train on, {} held out", run["train_examples"], run["held_out_examples"]),
        ),
        (
            "steps",
            format!(
                "{} of {}, {} examples each",
                reading.log.last_step, run["steps"], config["batch_size"]
            ),
        ),
        ("peak learning rate", shown(&config["schedule"]["peak"])),
        ("seed", shown(&config["seed"])),
    ];
    let kept = rows.into_iter().filter(|(_, v)| !v.is_empty());
    kept.map(|(k, v)| vec![k.to_owned(), v]).collect()
}

/// Answers before and after.
pub(super) fn samples(list: &Value) -> String {
    let list = list.as_array().map_or(&[] as &[Value], Vec::as_slice);
    if list.is_empty() {
        return String::new();
    }
    let cell = |v: &Value| page::escape(v.as_str().unwrap_or("").trim());
    let rows: String = list
        .iter()
        .map(|s| {
            format!(
                "<tr><td>{}</td><td class=\"answer\">{}</td><td class=\"answer\">{}</td></tr>",
                cell(&s["prompt"]),
                cell(&s["before"]),
                cell(&s["after"])
            )
        })
        .collect();
    format!(
        "<table><thead><tr><th>prompt</th><th>before</th><th>after</th></tr></thead><tbody>{rows}</tbody></table>"
    )
}

pub(super) fn make(folder: &Path) -> Result<Made, Failure> {
    let reading = Reading::of(folder)?;
    let rise = reading.rise().and_then(|r| bootstrap_mean(&r));
    let ratio = reading.by_ratio().and_then(|r| bootstrap_mean(&r));
    let loss = reading.log.run["loss"].as_str().unwrap_or("?").to_owned();
    let lines = verdict(&reading, rise.as_ref());
    let sentences: String = lines.iter().map(|l| format!("<p>{}</p>", page::escape(l))).collect();
    let body = format!(
        "{sentences}\n<h2>Course</h2>\n<div class=\"charts\">\n{}</div>\n<h2>The loss</h2>\n{}\n\
         {}<h2>Answers</h2>\n{}\n<h2>Settings</h2>\n{}",
        charts(&reading.log),
        logic::section(&reading.description["loss"]),
        credit::section(&reading.credit),
        samples(&reading.samples),
        page::table(&["setting", "value"], &settings(&reading)),
    );
    let ends = |name: &str| reading.log.ends(name).map(|(a, b)| json!({ "first": a, "last": b }));
    let figures = json!({
        "loss": loss,
        "steps": reading.log.last_step,
        "accuracy": ends("accuracy"),
        "held_out_loss": ends("loss"),
        "margin": ends("margin"),
        "chosen_change_per_token": reading.log.ends("chosen_change_per_token").map(|e| e.1),
        "rise": rise,
        "ratio_accuracy": ratio,
    });
    Ok(Made { title: format!("{loss}: a training run"), body, figures, lines })
}
