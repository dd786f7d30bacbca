//! The result: tables, and what was demanded of them.

use super::measure::Measured;
use super::work::{Settings, Shape, Target};
use super::{hidden, logits};
use serde_json::{Value, json};

const MIB: f64 = (1 << 20) as f64;

/// A contender's line.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Median time in milliseconds.
    pub median_ms: Option<f64>,
    /// Peak above the inputs in MiB.
    pub peak_mib: Option<f64>,
    /// Against whom, and the median paired ratio of the times.
    pub ratio: Option<(String, f64)>,
    /// Why it did not run.
    pub skipped: Option<String>,
}

impl Row {
    pub(super) fn new(name: &str, median_ms: Option<f64>, peak: Option<u64>) -> Self {
        let peak_mib = peak.map(|b| b as f64 / MIB);
        Self { name: name.into(), median_ms, peak_mib, ratio: None, skipped: None }
    }

    pub(super) fn skipped(name: &str, why: String) -> Self {
        Self { skipped: Some(why), ..Self::new(name, None, None) }
    }

    pub(super) fn ratio(self, against: &str, ratio: Option<f64>) -> Self {
        Self { ratio: ratio.map(|r| (against.to_owned(), r)), ..self }
    }
}

/// A bound on a measured ratio.
#[derive(Clone, Debug, PartialEq)]
pub struct Demand {
    /// What is compared.
    pub what: String,
    /// The ratio found; `None` where a side did not run.
    pub value: Option<f64>,
    /// The bound.
    pub bound: f64,
    /// Whether the ratio may not lie above the bound, or not below it.
    pub at_most: bool,
}

impl Demand {
    pub(super) fn at_most(what: impl Into<String>, value: Option<f64>, bound: f64) -> Self {
        Self { what: what.into(), value, bound, at_most: true }
    }

    fn at_least(what: impl Into<String>, value: Option<f64>, bound: f64) -> Self {
        Self { what: what.into(), value, bound, at_most: false }
    }

    /// Whether the bound is kept; `None` where nothing was measured.
    pub fn met(&self) -> Option<bool> {
        self.value.map(|v| if self.at_most { v <= self.bound } else { v >= self.bound })
    }
}

/// A table and its demands.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// What was measured.
    pub title: String,
    /// The contenders.
    pub rows: Vec<Row>,
    /// The demands on them.
    pub demands: Vec<Demand>,
}

/// Everything that was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Threads of the pool.
    pub threads: usize,
    /// Rounds that count.
    pub rounds: usize,
    /// The tables.
    pub groups: Vec<Group>,
}

impl Report {
    pub(super) fn new(settings: &Settings, groups: Vec<Group>) -> Self {
        Self { threads: rayon::current_num_threads(), rounds: settings.rounds, groups }
    }

    /// As one JSON document.
    pub fn to_json(&self) -> Value {
        let group = |g: &Group| {
            let rows: Vec<Value> = g.rows.iter().map(|r| {
                json!({
                    "name": r.name, "median_ms": r.median_ms, "peak_mib": r.peak_mib,
                    "against": r.ratio.as_ref().map(|r| &r.0), "ratio": r.ratio.as_ref().map(|r| r.1),
                    "skipped": r.skipped,
                })
            }).collect();
            let demands: Vec<Value> = g
                .demands
                .iter()
                .map(|d| {
                    let relation = if d.at_most { "at most" } else { "at least" };
                    json!({
                        "what": d.what, "value": d.value, "relation": relation, "bound": d.bound,
                        "met": d.met(),
                    })
                })
                .collect();
            json!({ "title": g.title, "rows": rows, "demands": demands })
        };
        let groups: Vec<Value> = self.groups.iter().map(group).collect();
        json!({ "threads": self.threads, "rounds": self.rounds, "groups": groups })
    }
}

/// The table of a target, from times and peaks in the contenders' order.
pub(super) fn group(
    target: &Target,
    names: Vec<String>,
    skipped: Vec<Option<String>>,
    times: Vec<Measured>,
    peaks: Vec<Option<u64>>,
) -> Group {
    let all = Found { names, times, peaks };
    let (against, demands) = match target {
        Target::Hidden(shape, width) => (hidden::LOGITS, of_hidden(&all, *shape, *width)),
        _ => (logits::FLOOR, of_logits(&all)),
    };
    let row = |(i, name): (usize, &String)| match &skipped[i] {
        Some(why) => Row::skipped(name, why.clone()),
        None => Row::new(name, all.times[i].median(), all.peaks[i])
            .ratio(against, all.ratio(name, against)),
    };
    let rows = all.names.iter().enumerate().map(row).collect();
    Group { title: target.to_string(), rows, demands }
}

struct Found {
    names: Vec<String>,
    times: Vec<Measured>,
    peaks: Vec<Option<u64>>,
}

impl Found {
    fn place(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|n| n == name)
    }

    fn times(&self, name: &str) -> Option<&Measured> {
        self.place(name).map(|i| &self.times[i])
    }

    fn ratio(&self, a: &str, b: &str) -> Option<f64> {
        self.times(a)?.ratio(self.times(b)?)
    }

    fn ratio_to_sum(&self, a: &str, parts: &[&str]) -> Option<f64> {
        let parts: Option<Vec<&Measured>> = parts.iter().map(|p| self.times(p)).collect();
        self.times(a)?.ratio(&Measured::sum(parts?))
    }

    fn peak(&self, name: &str) -> Option<f64> {
        self.peaks[self.place(name)?].map(|b| b as f64)
    }
}

fn of_logits(all: &Found) -> Vec<Demand> {
    use logits::{COMPILED, COMPOSED, DIRECT, EAGER, FLOOR};
    let memory = |other: &str| Some(all.peak(DIRECT)? / all.peak(other)?);
    vec![
        Demand::at_most(
            "time: fused, direct / read twice, write once (aim: 1.6)",
            all.ratio(DIRECT, FLOOR),
            2.2,
        ),
        Demand::at_least(
            "time: composed candle / fused, direct",
            all.ratio(COMPOSED, DIRECT),
            20.0,
        ),
        Demand::at_least("time: PyTorch, eager / fused, direct", all.ratio(EAGER, DIRECT), 3.0),
        Demand::at_least(
            "time: PyTorch, compiled / fused, direct",
            all.ratio(COMPILED, DIRECT),
            2.0,
        ),
        Demand::at_most("memory: fused, direct / PyTorch, eager", memory(EAGER), 0.5),
        Demand::at_most("memory: fused, direct / PyTorch, compiled", memory(COMPILED), 0.5),
    ]
}

fn of_hidden(all: &Found, shape: Shape, width: usize) -> Vec<Demand> {
    use hidden::{FROZEN, HIDDEN, LOGITS, TRAINED, WEIGHT};
    let extra = |name: &str| {
        let returned = hidden::returned(name, shape, width) as f64;
        Some(((all.peak(name)? - returned) / MIB).max(0.0))
    };
    vec![
        Demand::at_most(
            "time: frozen head / its two products",
            all.ratio_to_sum(FROZEN, &[LOGITS, HIDDEN]),
            1.15,
        ),
        Demand::at_most("time: frozen head / hidden x head", all.ratio(FROZEN, LOGITS), 2.3),
        Demand::at_most(
            "time: trained head / its four products",
            all.ratio_to_sum(TRAINED, &[LOGITS, LOGITS, HIDDEN, WEIGHT]),
            1.15,
        ),
        Demand::at_most("memory: frozen head beyond the gradient, MiB", extra(FROZEN), 64.0),
        Demand::at_most("memory: trained head beyond the gradients, MiB", extra(TRAINED), 64.0),
    ]
}
