//! From rows to the inputs of a loss.
//!
//! In: the columns that a loss reads, and rows. Out: numbers by column, and where each input of the
//! graph comes from. A mean is either given, or is the sum divided by the length. Invariant: every number
//! lies in its column's domain, so that no evaluation meets an undefined operation.

use super::arrays::Array;
use super::findings::Findings;
use super::read::{Row, Rows};
use super::tokens::{self, FromTokens, How};
use crate::number;
use crate::refusal::{Refusal, Result};
use ponens_compiler::hir::{self, Quantity};
use ponens_compiler::mir::Interval;
use ponens_dsl::{Diagnostic, suggest};
use serde_json::Value;

/// How rows make batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Batching {
    /// Rows with the same value in the column `batch`; each row alone where there is no such column.
    #[default]
    ByColumn,
    /// All rows together.
    All,
    /// Each row alone.
    Line,
}

/// A column of the data that the loss uses.
#[derive(Clone, Debug, PartialEq)]
pub struct Given {
    /// The canonical name.
    pub name: String,
    /// One number a row.
    pub values: Vec<f64>,
    /// False for lengths and labels, which have no derivative.
    pub real: bool,
    domain: Interval,
}

/// A mean that the data do not hold: sum / max(length, 1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mean {
    /// The column that the loss reads.
    pub mean: String,
    /// The column of the sum.
    pub sum: String,
    /// The column of the length.
    pub len: String,
}

/// Rows that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The value of the column `batch`, if that made the group.
    pub key: Option<Value>,
    /// Indices of the rows in order.
    pub rows: Vec<usize>,
}

/// Checked numbers for a loss.
#[derive(Clone, Debug)]
pub struct Bound {
    /// The columns that the loss uses.
    pub given: Vec<Given>,
    /// The columns with several numbers a row.
    pub arrays: Vec<Array>,
    /// The quantities that are computed from tokens.
    pub tokens: Vec<FromTokens>,
    /// The means that are computed from sums and lengths.
    pub means: Vec<Mean>,
    /// The line of each row in the text, from 1.
    pub lines: Vec<usize>,
    /// The batches; `None` when each row is one of its own.
    pub groups: Option<Vec<Group>>,
    /// `W0401` for each empty response.
    pub warnings: Vec<Diagnostic>,
}

/// Finds the columns of a loss in the rows.
///
/// # Errors
/// `E0401`: a column is missing. `E0402`: it holds something else than a number (a boolean for
/// `label`). `E0405`: a number outside its domain, such as a log-probability above 0.
pub fn bind(loss: &hir::Loss, rows: &Rows, batching: Batching) -> Result<Bound> {
    let (found, given, arrays) = (Findings::default(), Vec::new(), Vec::new());
    let mut b = Binder { loss, rows, found, given, arrays };
    let (mut means, mut by_tokens) = (Vec::new(), Vec::new());
    // The first row decides for all, so that one file has one meaning.
    let first = &rows.rows[0];
    let names = first.names();
    for c in &loss.columns {
        let has = |n: &str| first.get(n).is_some();
        if let Some(d) = tokens::find(loss, &c.quantity, c.level, &has, &names) {
            b.tokens(&d);
            by_tokens.push(d);
            continue;
        }
        match (&c.quantity, c.of) {
            (_, Some(of)) => b.array_column(c, of),
            (Quantity::MeanLogp { model, response }, None) => {
                means.extend(b.mean(c, model, response));
            }
            (q, None) => b.column(&q.to_string(), kind(q), c.range),
        }
    }
    b.line_up();
    let groups = b.groups(batching);
    let warnings = b.empty_responses(&means);
    let found = b.found.finish();
    if found.is_empty() {
        let lines = rows.rows.iter().map(|r| r.line).collect();
        Ok(Bound {
            given: b.given,
            arrays: b.arrays,
            tokens: by_tokens,
            means,
            lines,
            groups,
            warnings,
        })
    } else {
        Err(Refusal::new(rows.sources.clone(), found))
    }
}

impl Bound {
    /// Checks that every number stays in its domain when it is rounded to f32.
    ///
    /// # Errors
    /// `E0405` for a number that becomes infinite, or leaves the range of its column.
    pub fn check_f32(&self, rows: &Rows) -> Result<()> {
        let mut found = Findings::default();
        for g in &self.given {
            for (i, x) in g.values.iter().enumerate() {
                let rounded = f64::from(*x as f32);
                if !g.domain.contains(rounded) {
                    let row = &rows.rows[i];
                    let what = format!(
                        "{}: `{}` = {} is {} in f32",
                        place(rows, row, i),
                        g.name,
                        number::to_text(*x),
                        number::to_text(rounded)
                    );
                    found.push(
                        Diagnostic::error("E0405", what)
                            .at(rows.place(row, &g.name), format!("not in {} there", g.domain))
                            .help("evaluate with --dtype f64"),
                    );
                }
            }
        }
        for a in &self.arrays {
            let cells = a.rows.iter().enumerate();
            let cells = cells.flat_map(|(i, r)| r.iter().flatten().map(move |x| (i, *x)));
            for (i, x) in cells.filter(|(_, x)| !a.domain.contains(f64::from(*x as f32))) {
                let (row, text) = (&rows.rows[i], number::to_text(x));
                let what = format!("{}: {text} in `{}`", place(rows, row, i), a.name);
                found.push(
                    Diagnostic::error("E0405", format!("{what} leaves its domain in f32"))
                        .at(rows.place(row, &a.name), format!("not in {} there", a.domain))
                        .help("evaluate with --dtype f64"),
                );
            }
        }
        let found = found.finish();
        if found.is_empty() { Ok(()) } else { Err(Refusal::new(rows.sources.clone(), found)) }
    }
}

/// What the JSON of a column has to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Real,
    Length,
    Label,
}

fn kind(q: &Quantity) -> Kind {
    match q {
        Quantity::Len { .. } => Kind::Length,
        Quantity::Label { .. } => Kind::Label,
        _ => Kind::Real,
    }
}

pub(super) struct Binder<'a> {
    pub(super) loss: &'a hir::Loss,
    pub(super) rows: &'a Rows,
    pub(super) found: Findings,
    given: Vec<Given>,
    pub(super) arrays: Vec<Array>,
}

impl Binder<'_> {
    /// Reads the columns that make a quantity of a response.
    fn tokens(&mut self, d: &FromTokens) {
        let nested = self.loss.shape.family().is_some();
        self.array(&d.tokens, d.of, nested, d.domain);
        match &d.how {
            How::Within(_, other) => {
                let hir::Loop::Tokens(own) = d.of else { return };
                self.array(other, hir::Loop::Tokens(1 - own.min(1)), nested, Interval::LOG_PROB);
            }
            How::From(at) => self.column(at, Kind::Length, Interval::NONNEG),
            How::Sum | How::Mean | How::Count => {}
        }
    }

    /// Reads a mean, or the sum and the length that make it.
    fn mean(&mut self, c: &hir::Column, model: &str, response: &str) -> Option<Mean> {
        let mean = c.name();
        let (sum, len) = (format!("logp({model},{response})"), format!("len({response})"));
        // The first row decides for all, so that one file has one meaning.
        let first = &self.rows.rows[0];
        let has = |n: &str| first.get(n).is_some();
        if has(&mean) || !(has(&sum) || has(&len)) {
            self.column(&mean, Kind::Real, c.range);
            return None;
        }
        let domain = Quantity::Len { response: response.to_owned() }.domain();
        self.column(&sum, Kind::Real, Interval::LOG_PROB);
        self.column(&len, Kind::Length, domain);
        Some(Mean { mean, sum, len })
    }

    /// Reads a column, unless it was read before.
    fn column(&mut self, name: &str, kind: Kind, domain: Interval) {
        if self.given.iter().all(|g| g.name != name) {
            let rows = 0..self.rows.rows.len();
            let values = rows.map(|i| self.cell(i, name, kind, domain)).collect();
            let real = kind == Kind::Real;
            self.given.push(Given { name: name.to_owned(), values, real, domain });
        }
    }

    /// One number; NaN after a finding.
    fn cell(&mut self, i: usize, name: &str, kind: Kind, domain: Interval) -> f64 {
        let row = &self.rows.rows[i];
        let Some(v) = row.get(name) else {
            self.missing(i, name);
            return f64::NAN;
        };
        let number = match kind {
            Kind::Label => v.as_bool().map(f64::from),
            _ => number::from_json(v),
        };
        let Some(x) = number else {
            let wanted = match kind {
                Kind::Label => "a boolean: true for good, false for bad",
                Kind::Length => "a whole number",
                Kind::Real => "a number",
            };
            self.mistyped(i, name, wanted, v);
            return f64::NAN;
        };
        self.inside(i, name, name, kind, domain, x)
    }

    /// A number that has to lie in its domain; NaN after a finding. `path` says which one it is.
    pub(super) fn inside(
        &mut self,
        i: usize,
        name: &str,
        path: &str,
        kind: Kind,
        domain: Interval,
        x: f64,
    ) -> f64 {
        let row = &self.rows.rows[i];
        let whole = kind != Kind::Length || x.fract() == 0.0;
        if !domain.contains(x) || !whole {
            let wanted = match kind {
                Kind::Length => "a number of tokens is a whole number, 0 or greater".to_owned(),
                _ if domain == Interval::LOG_PROB => {
                    "a log-probability is finite and at most 0".to_owned()
                }
                _ => format!("`{name}` lies in {domain}"),
            };
            let at = self.rows.place(row, name);
            let what = format!("{}: `{path}` = {}", place(self.rows, row, i), number::to_text(x));
            let d = Diagnostic::error("E0405", format!("{what} lies outside its domain"));
            self.found
                .push(d.at(at, format!("{} is not allowed", number::to_text(x))).help(wanted));
            return f64::NAN;
        }
        x
    }

    pub(super) fn missing(&mut self, i: usize, name: &str) {
        let row = &self.rows.rows[i];
        let needs = needs(self.loss);
        let d = Diagnostic::error(
            "E0401",
            format!("{} has no column `{name}`", place(self.rows, row, i)),
        )
        .at(row.span(), format!("`{name}` is missing"))
        .note(format!("loss `{}` needs {needs}", self.loss.name));
        let d = match suggest::closest(name, row.names()) {
            Some(s) => d.help(format!("the row has `{s}`: rename it to `{name}`")),
            None => d.help(format!("add `{name}` to the row")),
        };
        self.found.once(name, d);
    }

    pub(super) fn mistyped(&mut self, i: usize, name: &str, wanted: &str, v: &Value) {
        let row = &self.rows.rows[i];
        let is = match v {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a text",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        };
        let d = Diagnostic::error(
            "E0402",
            format!("{}: `{name}` is {is}, not {wanted}", place(self.rows, row, i)),
        )
        .at(self.rows.place(row, name), format!("{is} stands here"))
        .note(format!("loss `{}` needs {}", self.loss.name, needs(self.loss)))
        .help(format!("write {wanted}"));
        self.found.push(d);
    }

    fn groups(&mut self, batching: Batching) -> Option<Vec<Group>> {
        let rows = &self.rows.rows;
        match batching {
            Batching::Line => None,
            Batching::All => Some(vec![Group { key: None, rows: (0..rows.len()).collect() }]),
            Batching::ByColumn if rows.iter().all(|r| r.get("batch").is_none()) => None,
            Batching::ByColumn => {
                let mut groups: Vec<Group> = Vec::new();
                let mut seen = std::collections::HashMap::new();
                for (i, row) in rows.iter().enumerate() {
                    let Some(v) = row.get("batch") else {
                        let d = format!("{} has no column `batch`", place(self.rows, row, i));
                        let d = Diagnostic::error("E0401", d)
                            .at(row.span(), "`batch` is missing")
                            .note("other rows have it")
                            .help("give every row a batch, or none, or use --batch all");
                        self.found.once("batch", d);
                        continue;
                    };
                    let g = *seen.entry(v.to_string()).or_insert_with(|| {
                        groups.push(Group { key: Some(v.clone()), rows: Vec::new() });
                        groups.len() - 1
                    });
                    groups[g].rows.push(i);
                }
                Some(groups)
            }
        }
    }

    /// An empty response has no tokens: its sum is 0, and its mean counts as 0.
    fn empty_responses(&mut self, means: &[Mean]) -> Vec<Diagnostic> {
        let mut warnings = Findings::default();
        let value = |name: &str, i: usize| {
            self.given.iter().find(|g| g.name == name).map_or(f64::NAN, |g| g.values[i])
        };
        for len in self.given.iter().filter(|g| g.name.starts_with("len(")) {
            let of = &len.name;
            for i in (0..len.values.len()).filter(|i| len.values[*i] == 0.0) {
                let row = &self.rows.rows[i];
                let place = place(self.rows, row, i);
                let mut sums = means.iter().filter(|m| m.len == *of).map(|m| &m.sum);
                match sums.find(|s| value(s, i) < 0.0) {
                    Some(sum) => {
                        let x = number::to_text(value(sum, i));
                        let d = format!("{place}: `{of}` = 0, and yet `{sum}` = {x}");
                        self.found.push(
                            Diagnostic::error("E0405", d)
                                .at(self.rows.place(row, sum), "no token, no log-probability")
                                .help("an empty response has log-probability 0"),
                        );
                    }
                    None => warnings.push(
                        Diagnostic::warning(
                            "W0401",
                            format!("{place}: empty response, `{of}` = 0"),
                        )
                        .at(self.rows.place(row, of), "its mean log-probability counts as 0")
                        .help("drop the row if the response was cut off by accident"),
                    ),
                }
            }
        }
        warnings.finish()
    }
}

/// `row 3 of data.jsonl`, with the line where blank lines make it another.
pub(super) fn place(rows: &Rows, row: &Row, index: usize) -> String {
    let name = &rows.sources.get(row.span().file).name;
    if row.line == index + 1 {
        format!("row {} of {name}", index + 1)
    } else {
        format!("row {} (line {}) of {name}", index + 1, row.line)
    }
}

/// What a loss reads, for people.
pub fn needs(loss: &hir::Loss) -> String {
    let list: Vec<String> = loss
        .columns
        .iter()
        .map(|c| match &c.quantity {
            Quantity::MeanLogp { model, response } => {
                format!("`{}` (or `logp({model},{response})` and `len({response})`)", c.name())
            }
            _ if c.of.is_some() => format!("`{}` (a list)", c.name()),
            _ => format!("`{}`", c.name()),
        })
        .collect();
    list.join(", ")
}
