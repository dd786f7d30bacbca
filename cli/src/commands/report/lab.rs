//! The page that compares the losses of a laboratory.
//!
//! Intervals are paired: each held-out pair is compared with itself, at the start, or under another loss;
//! its figure is the mean over the seeds. Two yardsticks are shown: each loss's own reward, and the
//! log-ratio to the start, which is the same for all.

use super::run::{Reading, samples};
use super::{Made, figure, logic, percent_interval, read_json, unreadable};
use crate::failure::Failure;
use ponens::page;
use ponens::runtime::report::{Chart, Interval, Line, bootstrap_mean};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// All runs of one loss.
struct Group {
    loss: String,
    seeds: Vec<u64>,
    runs: Vec<Reading>,
}

/// Whether two runs were held to the same examples, in the same order.
fn same_rows(a: &Reading, b: &Reading) -> bool {
    a.last.iter().map(|s| s.row).eq(b.last.iter().map(|s| s.row))
}

/// The mean over runs of a figure of each held-out pair; `None` if a run lacks it or the data differ.
fn by_pair(runs: &[Reading], figure: impl Fn(&Reading) -> Option<Vec<f64>>) -> Option<Vec<f64>> {
    let first = runs.first()?;
    if first.last.is_empty() || !runs.iter().all(|r| same_rows(first, r)) {
        return None;
    }
    let all: Vec<Vec<f64>> = runs.iter().map(figure).collect::<Option<_>>()?;
    let n = first.last.len();
    let mean = |i: usize| all.iter().map(|v| v[i]).sum::<f64>() / all.len() as f64;
    Some((0..n).map(mean).collect())
}

impl Group {
    fn rise(&self) -> Option<Interval> {
        bootstrap_mean(&by_pair(&self.runs, Reading::rise)?)
    }

    fn ratio(&self) -> Option<Vec<f64>> {
        by_pair(&self.runs, Reading::by_ratio)
    }

    /// First and last value of a held-out figure, the mean over seeds.
    fn ends(&self, name: &str) -> Option<(f64, f64)> {
        let all: Vec<(f64, f64)> =
            self.runs.iter().map(|r| r.log.ends(name)).collect::<Option<_>>()?;
        let n = all.len() as f64;
        Some((all.iter().map(|e| e.0).sum::<f64>() / n, all.iter().map(|e| e.1).sum::<f64>() / n))
    }

    /// A held-out figure by step, the mean over the seeds that have it.
    fn course(&self, name: &str) -> Vec<(f64, f64)> {
        let mut at: BTreeMap<u64, (f64, usize)> = BTreeMap::new();
        for (step, value) in self.runs.iter().flat_map(|r| r.log.eval_series(name)) {
            let entry = at.entry(*step as u64).or_default();
            *entry = (entry.0 + value, entry.1 + 1);
        }
        at.into_iter().map(|(step, (sum, n))| (step as f64, sum / n as f64)).collect()
    }

    fn seconds(&self) -> f64 {
        let last = |r: &Reading| r.log.step_series("seconds").last().map_or(0.0, |s| s.1);
        self.runs.iter().map(last).sum::<f64>() / self.runs.len().max(1) as f64
    }
}

fn read(folder: &Path) -> Result<(Vec<Group>, usize), Failure> {
    let list = folder.join("lab.json");
    let plan = read_json(&list)?;
    let runs = plan["runs"].as_array().ok_or_else(|| unreadable(&list, &"it lists no runs"))?;
    let mut groups: Vec<Group> = Vec::new();
    let mut open = 0;
    for run in runs {
        let (Some(loss), Some(seed), Some(place)) =
            (run["loss"].as_str(), run["seed"].as_u64(), run["folder"].as_str())
        else {
            return Err(unreadable(&list, &"a run has no loss, seed or folder"));
        };
        let place = folder.join(place);
        if !place.join("done.json").is_file() {
            open += 1;
            continue;
        }
        let reading = Reading::of(&place)?;
        let at = groups.iter().position(|g| g.loss == loss);
        let group = match at {
            Some(at) => &mut groups[at],
            None => {
                groups.push(Group { loss: loss.to_owned(), seeds: Vec::new(), runs: Vec::new() });
                let last = groups.len() - 1;
                &mut groups[last]
            }
        };
        group.seeds.push(seed);
        group.runs.push(reading);
    }
    if groups.is_empty() {
        return Err(unreadable(folder, &"no run in it is done"));
    }
    Ok((groups, open))
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn summary(groups: &[Group]) -> String {
    let head = [
        "loss",
        "seeds",
        "accuracy at the start",
        "at the end",
        "rise [95 %]",
        "by log-ratio to the start [95 %]",
        "chosen, nats a token",
        "held-out loss",
        "seconds a run",
    ];
    let row = |g: &Group| {
        let ends =
            |name: &str, f: &dyn Fn((f64, f64)) -> String| g.ends(name).map_or("-".into(), f);
        let ratio = g.ratio().and_then(|r| bootstrap_mean(&r));
        vec![
            g.loss.clone(),
            g.runs.len().to_string(),
            ends("accuracy", &|e| percent(e.0)),
            ends("accuracy", &|e| percent(e.1)),
            g.rise().map_or("-".into(), |i| percent_interval(&i)),
            ratio.map_or("-".into(), |i| {
                format!("{} [{:.1}, {:.1}]", percent(i.mean), 100.0 * i.low, 100.0 * i.high)
            }),
            ends("chosen_change_per_token", &|e| format!("{:+.3}", e.1)),
            ends("loss", &|e| format!("{:.4} → {:.4}", e.0, e.1)),
            format!("{:.0}", g.seconds()),
        ]
    };
    page::table(&head, &groups.iter().map(row).collect::<Vec<_>>())
}

/// By couple of losses: how much more often the row's prefers the chosen response, by the log-ratio.
fn differences(groups: &[Group]) -> Vec<(usize, usize, Interval)> {
    let ratios: Vec<Option<Vec<f64>>> = groups.iter().map(Group::ratio).collect();
    let mut out = Vec::new();
    for (i, a) in ratios.iter().enumerate() {
        for (j, b) in ratios.iter().enumerate().filter(|(j, _)| *j != i) {
            let (Some(a), Some(b)) = (a, b) else { continue };
            if same_rows(&groups[i].runs[0], &groups[j].runs[0]) {
                let gap: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
                out.extend(bootstrap_mean(&gap).map(|interval| (i, j, interval)));
            }
        }
    }
    out
}

fn matrix(groups: &[Group], gaps: &[(usize, usize, Interval)]) -> String {
    let head: String =
        groups.iter().map(|g| format!("<th>{}</th>", page::escape(&g.loss))).collect();
    let cell = |i: usize, j: usize| {
        let found = gaps.iter().find(|(a, b, _)| (*a, *b) == (i, j));
        let Some((_, _, gap)) = found else { return "<td></td>".to_owned() };
        let class = match (gap.low > 0.0, gap.high < 0.0) {
            (true, _) => "n good",
            (_, true) => "n bad",
            _ => "n",
        };
        format!("<td class=\"{class}\">{}</td>", percent_interval(gap))
    };
    let row = |(i, g): (usize, &Group)| {
        let cells: String = (0..groups.len()).map(|j| cell(i, j)).collect();
        format!("<tr><th>{}</th>{cells}</tr>", page::escape(&g.loss))
    };
    let rows: String = groups.iter().enumerate().map(row).collect();
    format!("<table><thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody></table>")
}

fn charts(groups: &[Group]) -> String {
    let chart = |name: &str, level: f64| Chart {
        x: "step".into(),
        lines: groups
            .iter()
            .map(|g| Line { name: g.loss.clone(), points: g.course(name), marked: true })
            .filter(|l| !l.points.is_empty())
            .collect(),
        level: Some(level),
    };
    [
        figure(
            "Held-out reward accuracy",
            "each loss's own reward, mean over seeds",
            &chart("accuracy", 0.5),
        ),
        figure(
            "Displacement",
            "change of the chosen responses' log-probability a token",
            &chart("chosen_change_per_token", 0.0),
        ),
        figure("Held-out loss", "not comparable between losses", &chart("loss", 0.0)),
        figure("Margin", "each loss's own reward", &chart("margin", 0.0)),
    ]
    .concat()
}

pub(super) fn make(folder: &Path) -> Result<Made, Failure> {
    let (groups, open) = read(folder)?;
    let gaps = differences(&groups);
    let pairs = groups[0].runs[0].last.len();
    let mut body = String::new();
    if open > 0 {
        body += &format!("<p class=\"bad\">{open} runs are not done and are left out.</p>\n");
    }
    let first = &groups[0].runs[0];
    if groups.iter().flat_map(|g| &g.runs).any(|r| !same_rows(first, r)) {
        body += "<p class=\"bad\">Some runs were held to other examples than others: what would pair \
                 them is left out.</p>\n";
    }
    body += &format!(
        "<p>{} losses on {pairs} held-out examples; intervals are paired bootstraps over examples \
         (10,000 resamples), the figure of an example being its mean over seeds.</p>\n{}\n\
         <h2>Course</h2>\n<div class=\"charts\">\n{}</div>\n\
         <h2>Loss against loss</h2>\n<p>How much more often the loss of the row prefers the chosen response \
         than the loss of the column, by the log-ratio to the start. Coloured where the interval excludes 0.</p>\n{}\n\
         <h2>The losses</h2>\n",
        groups.len(),
        summary(&groups),
        charts(&groups),
        matrix(&groups, &gaps)
    );
    for group in &groups {
        let first = &group.runs[0];
        body += &format!(
            "<details><summary>{}</summary>\n{}\n<h3>Answers, seed {}</h3>\n{}</details>\n",
            page::escape(&group.loss),
            logic::section(&first.description["loss"]),
            group.seeds[0],
            samples(&first.samples)
        );
    }
    let mut lines = Vec::new();
    let mut losses = Vec::new();
    for group in &groups {
        let rise = group.rise();
        let ratio = group.ratio().and_then(|r| bootstrap_mean(&r));
        if let (Some((a, b)), Some(i)) = (group.ends("accuracy"), &rise) {
            lines.push(format!(
                "{:<16} accuracy {} to {}, rise {} over {} pairs and {} seeds",
                group.loss,
                percent(a),
                percent(b),
                percent_interval(i),
                i.n,
                group.runs.len()
            ));
        }
        losses.push(json!({
            "loss": group.loss,
            "seeds": group.seeds,
            "accuracy": group.ends("accuracy").map(|(a, b)| json!({ "first": a, "last": b })),
            "rise": rise,
            "ratio_accuracy": ratio,
            "chosen_change_per_token": group.ends("chosen_change_per_token").map(|e| e.1),
        }));
    }
    let differences: Value = gaps
        .iter()
        .map(|(i, j, gap)| json!({ "loss": groups[*i].loss, "against": groups[*j].loss, "gap": gap }))
        .collect();
    let figures = json!({ "losses": losses, "differences": differences, "left_out": open });
    Ok(Made { title: "Losses compared".into(), body, figures, lines })
}
