//! The comparison itself.
//!
//! In: chunks of rows. Out: the [`Report`]. A function that gives one number an example is called once a
//! chunk; one that gives a single number is called on every row alone, so that a difference has one row
//! to show, and once on all of them, to see what it does with a batch: value and gradient are to be those of
//! the rows, as a mean or a sum.

mod call;

use super::Request;
use super::expect::{self, Expected, Number};
use super::inputs::Chunk;
use super::matching::{Matched, Meaning};
use super::report::{Case, Counts, Difference, Dtype, Report};
use super::worker::{Signature, Worker};
use crate::refusal::Result;
use crate::value::is_batch_coupled;
use ponens_compiler::session::Compiled;
use ponens_dsl::{Diagnostic, suggest};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// As many differences are kept.
const KEPT: usize = 1000;

/// What a call gave: values, and by column the derivatives of each row.
struct Given {
    values: Vec<f64>,
    gradients: Vec<(String, Vec<Vec<f64>>)>,
    scalar: bool,
}

pub(super) struct Judge<'a> {
    compiled: &'a Compiled,
    matched: &'a Matched,
    signature: &'a Signature,
    request: &'a Request,
    coupled: bool,
    counts: Vec<Counts>,
    differences: Vec<Difference>,
    remarks: Vec<String>,
    reduction: Option<&'static str>,
    /// Attributes that a method has read.
    read: BTreeSet<String>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(
        compiled: &'a Compiled,
        matched: &'a Matched,
        signature: &'a Signature,
        request: &'a Request,
    ) -> Self {
        Self {
            compiled,
            matched,
            signature,
            request,
            coupled: is_batch_coupled(compiled.graph()),
            counts: Vec::new(),
            differences: Vec::new(),
            remarks: matched.remarks.clone(),
            reduction: None,
            read: BTreeSet::new(),
        }
    }

    /// Compares on the rows of a chunk.
    pub(super) fn compare(
        &mut self,
        worker: &mut Worker,
        chunk: &Chunk,
        params: &[f64],
        dtype: Dtype,
    ) -> Result<()> {
        let expected = expect::expected(self.compiled, params, chunk, dtype)?;
        let rows = expect::rounded(&chunk.rows, dtype);
        let whole = self.call(worker, &rows, params, dtype, chunk.cases[0])?;
        if self.coupled {
            self.batch(&rows, chunk.cases[0], &expected, whole, params, dtype);
            return Ok(());
        }
        let mut alone = Vec::new();
        if whole.scalar {
            for (row, case) in rows.iter().zip(&chunk.cases) {
                alone.push(self.call(worker, std::slice::from_ref(row), params, dtype, *case)?);
            }
            if chunk.cases[0] == Case::Ordinary && dtype == self.request.dtypes[0] {
                self.reduces(&whole, &alone, dtype);
            }
        } else {
            self.reduction = Some("none");
        }
        // What the derivatives by a batch are multiplied with to give those of its rows.
        let scale = match self.reduction {
            Some("mean") if whole.scalar && rows.len() > 1 => Some(rows.len() as f64),
            Some("sum") if whole.scalar && rows.len() > 1 => Some(1.0),
            _ => None,
        };
        for (i, e) in expected.iter().enumerate() {
            let (value, gradients): (f64, Vec<(&str, &[f64])>) = match alone.get(i) {
                Some(one) => (one.values[0], of_row(one, 0)),
                None => (whole.values[i], of_row(&whole, i)),
            };
            let mut wrong = Vec::new();
            let mut check = |what: String, n: &Number, got: f64| {
                if !n.allows(got, dtype) {
                    wrong.push((what, 0, n.exact, got));
                }
            };
            check("loss".to_owned(), &e.loss, value);
            for (name, got) in gradients {
                let Some((_, want)) = e.gradients.iter().find(|(n, _)| n == name) else { continue };
                let all = whole.gradients.iter().find(|(n, _)| n == name);
                let all = all.and_then(|(_, rows)| rows.get(i));
                for (k, (n, g)) in want[0].iter().zip(got).enumerate() {
                    check(format!("d/{name}"), n, *g);
                    let batch = all.and_then(|r| r.get(k)).zip(scale);
                    if let (Some((g, scale)), true) = (batch, n.allows(*g, dtype)) {
                        check(format!("d/{name} in a batch"), n, g * scale);
                    }
                }
            }
            self.note(wrong, &rows[i..=i], chunk.cases[i], params, dtype);
        }
        Ok(())
    }

    /// Compares one number a batch.
    fn batch(
        &mut self,
        rows: &[Map<String, Value>],
        case: Case,
        expected: &[Expected],
        got: Given,
        params: &[f64],
        dtype: Dtype,
    ) {
        let Some(e) = expected.first() else { return };
        let n = rows.len() as f64;
        // One number an example: its mean is meant. A single number may be the mean or the sum.
        let value = got.values.iter().sum::<f64>();
        let scale = if !got.scalar {
            self.reduction = Some("none");
            1.0 / n
        } else {
            let sum = e.loss.allows(value / n, dtype) && !e.loss.allows(value, dtype);
            let found = *self.reduction.get_or_insert(if sum { "sum" } else { "mean" });
            if found == "sum" { 1.0 / n } else { 1.0 }
        };
        let mut wrong = Vec::new();
        if !e.loss.allows(value * scale, dtype) {
            wrong.push(("loss".to_owned(), 0, e.loss.exact, value * scale));
        }
        for (name, all) in &got.gradients {
            let Some((_, want)) = e.gradients.iter().find(|(n, _)| n == name) else { continue };
            for (row, (want, got)) in want.iter().zip(all).enumerate() {
                for (n, g) in want.iter().zip(got).filter(|(n, g)| !n.allows(**g * scale, dtype)) {
                    wrong.push((format!("d/{name}"), row, n.exact, g * scale));
                }
            }
        }
        self.note(wrong, rows, case, params, dtype);
    }

    fn note(
        &mut self,
        wrong: Vec<(String, usize, f64, f64)>,
        rows: &[Map<String, Value>],
        case: Case,
        params: &[f64],
        dtype: Dtype,
    ) {
        let edge = case != Case::Ordinary;
        let at = self.counts.iter().position(|c| c.dtype == dtype && c.edge == edge);
        let at = at.unwrap_or_else(|| {
            self.counts.push(Counts { dtype, edge, compared: 0, differ: 0 });
            self.counts.len() - 1
        });
        self.counts[at].compared += 1;
        self.counts[at].differ += usize::from(!wrong.is_empty());
        let names = self.compiled.loss.params.iter().map(|p| p.name.clone());
        let params: Vec<(String, f64)> = names.zip(params.iter().copied()).collect();
        for (what, row, expected, got) in wrong {
            if self.differences.len() < KEPT {
                let (rows, params) = (rows.to_vec(), params.clone());
                self.differences.push(Difference {
                    dtype,
                    case,
                    what,
                    rows,
                    row,
                    params,
                    expected,
                    got,
                });
            }
        }
    }

    /// What a function that gives a single number does with a batch.
    fn reduces(&mut self, whole: &Given, alone: &[Given], dtype: Dtype) {
        let values = alone.iter().map(|g| g.values[0]);
        let (sum, size) = values.fold((0.0, 0.0), |(s, a): (f64, f64), x| (s + x, a + x.abs()));
        let near = |x: f64| (whole.values[0] - x).abs() <= 1e4 * dtype.epsilon() * size.max(1.0);
        let found = match alone.len() {
            0 | 1 => return,
            n if near(sum / n as f64) => "mean",
            _ if near(sum) => "sum",
            _ => "unknown",
        };
        if self.reduction.is_none() || found == "unknown" {
            self.reduction = Some(found);
        }
    }

    /// What a method was given by hand it has to read; what it did not read is said.
    ///
    /// # Errors
    /// `E0804`: an attribute that is given by hand was never read.
    pub(super) fn attributes(&mut self) -> Result<()> {
        if !self.signature.method {
            return Ok(());
        }
        let unread = |name: &String| !self.read.contains(name);
        if let Some((name, _)) = self.matched.own.iter().find(|(n, _)| unread(n)) {
            let d = format!(
                "{} has no argument `{name}`, and reads no `self.{name}`",
                self.request.subject
            );
            let read = self.read.iter().map(String::as_str);
            let d = Diagnostic::error("E0804", d);
            return Err(match suggest::closest(name, read) {
                Some(s) => d.help(format!("did you mean `{s}`?")),
                None => d,
            }
            .into());
        }
        for (i, p) in self.compiled.loss.params.iter().enumerate() {
            let by_hand = self.matched.own.iter().any(|(_, m)| *m == Meaning::Param(i));
            if !by_hand && unread(&p.name) && !self.matched.has_param(i) {
                self.remarks.push(format!("the method reads no `self.{}`", p.name));
            }
        }
        Ok(())
    }

    pub(super) fn report(mut self, settings: &[Vec<f64>], torch: &str) -> Report {
        self.differences.sort_by_key(|d| (d.dtype, d.case != Case::Ordinary));
        self.counts.sort_by_key(|c| (c.dtype, c.edge));
        let loss = &self.compiled.loss;
        let shown = |m: &Meaning| match m {
            Meaning::Column(s) => s.name(),
            Meaning::Mask(r) => {
                format!("mask({})", loss.shape.responses().get(*r).copied().unwrap_or_default())
            }
            Meaning::Candidates => "mask".to_owned(),
            Meaning::Param(i) => loss.params[*i].name.clone(),
            Meaning::Fixed(v) => v.to_string(),
            Meaning::Default => "(its default)".to_owned(),
        };
        let names = |values: &Vec<f64>| {
            loss.params.iter().map(|p| p.name.clone()).zip(values.iter().copied()).collect()
        };
        Report {
            loss: loss.name.clone(),
            arguments: {
                let named = self.matched.meanings.iter().map(|(a, m)| (a.name.clone(), shown(m)));
                let own = self.matched.own.iter();
                named.chain(own.map(|(n, m)| (format!("self.{n}"), shown(m)))).collect()
            },
            remarks: self.remarks,
            reduction: self.reduction.unwrap_or("mean"),
            counts: self.counts,
            differences: self.differences,
            settings: settings.iter().map(names).collect(),
            torch: torch.to_owned(),
        }
    }
}

fn of_row(g: &Given, row: usize) -> Vec<(&str, &[f64])> {
    g.gradients.iter().map(|(n, rows)| (n.as_str(), rows[row].as_slice())).collect()
}
