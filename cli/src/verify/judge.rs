//! The comparison itself.
//!
//! In: chunks of rows. Out: the [`Report`]. A function that gives one number an example is called once a
//! chunk; one that gives a single number is called on every row alone, so that a difference has one row
//! to show, and once on all of them, to see what it does with a batch.

use super::Request;
use super::expect::{self, Expected, Number};
use super::inputs::Chunk;
use super::matching::{Matched, Meaning, Source};
use super::report::{Case, Counts, Difference, Dtype, Report};
use super::worker::{Signature, Worker};
use crate::number;
use crate::refusal::Result;
use crate::value::is_batch_coupled;
use ponens_compiler::hir::{Loop, Quantity};
use ponens_compiler::session::Compiled;
use ponens_dsl::Diagnostic;
use serde_json::{Map, Value, json};

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
                for (n, g) in want[0].iter().zip(got) {
                    check(format!("d/{name}"), n, *g);
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

    /// Calls the function on rows.
    fn call(
        &mut self,
        worker: &mut Worker,
        rows: &[Map<String, Value>],
        params: &[f64],
        dtype: Dtype,
        case: Case,
    ) -> Result<Given> {
        let arguments: Vec<Value> = self
            .matched
            .meanings
            .iter()
            .filter_map(|(a, m)| {
                let mut given = self.argument(m, rows, params)?;
                given["name"] = json!(a.name);
                given["positional"] = json!(a.positional);
                Some(given)
            })
            .collect();
        let loss = &self.compiled.loss;
        let mut own: Map<String, Value> = loss
            .params
            .iter()
            .zip(params)
            .map(|(p, x)| (p.name.clone(), number::to_json(*x)))
            .collect();
        if self.signature.method {
            own.extend(self.request.set.iter().cloned());
        }
        let call = json!({
            "dtype": dtype.torch(), "arguments": arguments, "output": self.request.output,
            "self": own,
        });
        let answer = worker.call(&call).map_err(|d| self.at(d, rows, case, dtype))?;
        if let Some(note) = answer["note"].as_str() {
            self.remark(note.to_owned());
        }
        let shape: Vec<u64> =
            answer["shape"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
        let values = floats(&answer["values"]);
        let (n, several) = (rows.len(), shape.iter().product::<u64>() != 1);
        if several && values.len() != n || values.is_empty() {
            let d = format!("{} returns a tensor of shape {shape:?}", self.request.subject);
            let d = Diagnostic::error("E0805", d)
                .note(format!("it was given {n} examples"))
                .help("return one number an example, or one for the batch");
            return Err(self.at(d, rows, case, dtype).into());
        }
        if answer["dtype"] != dtype.torch() {
            let got = answer["dtype"].as_str().unwrap_or_default();
            self.remark(format!("given {}, the function computes in {got}", dtype.torch()));
        }
        // Of one example both readings are the same.
        let scalar = !several && (n > 1 || self.reduction.is_none_or(|r| r != "none"));
        let columns = self.matched.columns().map(Source::name);
        let gradients = columns.filter_map(|name| {
            let argument = self.argument_of(&name)?;
            let all = answer["gradients"].get(argument)?;
            let each = rows.iter().enumerate().map(|(i, row)| {
                let mut flat = Vec::new();
                pick(row.get(&name).unwrap_or(&Value::Null), all.get(i), &mut flat);
                flat
            });
            let each = each.collect();
            Some((name, each))
        });
        let gradients = gradients.collect();
        Ok(Given { values, gradients, scalar })
    }

    fn argument_of(&self, column: &str) -> Option<&str> {
        let is = |m: &Meaning| matches!(m, Meaning::Column(s) if s.name() == column);
        self.matched.meanings.iter().find(|(_, m)| is(m)).map(|(a, _)| a.name.as_str())
    }

    /// The value of an argument; `None` leaves it at its default.
    fn argument(&self, m: &Meaning, rows: &[Map<String, Value>], params: &[f64]) -> Option<Value> {
        let column = |name: &str| -> Vec<Value> {
            rows.iter().map(|r| r.get(name).cloned().unwrap_or_default()).collect()
        };
        Some(match m {
            Meaning::Column(s) => {
                let whole = matches!(&s.quantity, Quantity::Len { .. }) || is_mask(&s.quantity);
                let kind = match &s.quantity {
                    Quantity::Label { .. } => "bool",
                    _ if whole => "int",
                    _ => "float",
                };
                json!({ "kind": kind, "rows": column(&s.name()), "grad": kind == "float" })
            }
            Meaning::Mask(r) => {
                let of = |s: &&Source| s.of == Some(Loop::Tokens(*r));
                let tokens = self.matched.columns().find(of).map(Source::name)?;
                json!({ "kind": "mask", "rows": column(&tokens), "grad": false })
            }
            Meaning::Param(i) => json!({ "value": params[*i] }),
            Meaning::Fixed(v) => json!({ "value": v }),
            Meaning::Default => return None,
        })
    }

    fn remark(&mut self, text: String) {
        if !self.remarks.contains(&text) {
            self.remarks.push(text);
        }
    }

    /// A finding about a call, with the rows of the call.
    fn at(
        &self,
        d: Diagnostic,
        rows: &[Map<String, Value>],
        case: Case,
        dtype: Dtype,
    ) -> Diagnostic {
        let Some(first) = rows.first() else { return d };
        let what = match case {
            Case::Ordinary => "ordinary rows".to_owned(),
            Case::Edge(name) => format!("the edge: {name}"),
        };
        let row = Value::Object(first.clone());
        let more =
            if rows.len() > 1 { format!(" and {} more", rows.len() - 1) } else { String::new() };
        d.note(format!("in {}, {what}: {row}{more}", dtype.name()))
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
            Meaning::Param(i) => loss.params[*i].name.clone(),
            Meaning::Fixed(v) => v.to_string(),
            Meaning::Default => "(its default)".to_owned(),
        };
        let names = |values: &Vec<f64>| {
            loss.params.iter().map(|p| p.name.clone()).zip(values.iter().copied()).collect()
        };
        Report {
            loss: loss.name.clone(),
            arguments: self
                .matched
                .meanings
                .iter()
                .map(|(a, m)| (a.name.clone(), shown(m)))
                .collect(),
            remarks: self.remarks,
            reduction: self.reduction.unwrap_or("mean"),
            counts: self.counts,
            differences: self.differences,
            settings: settings.iter().map(names).collect(),
            torch: torch.to_owned(),
        }
    }
}

fn is_mask(q: &Quantity) -> bool {
    matches!(q, Quantity::Data { name } if name.starts_with("mask"))
}

fn of_row(g: &Given, row: usize) -> Vec<(&str, &[f64])> {
    g.gradients.iter().map(|(n, rows)| (n.as_str(), rows[row].as_slice())).collect()
}

fn floats(v: &Value) -> Vec<f64> {
    let number = |v: &Value| number::from_json(v).unwrap_or(f64::NAN);
    v.as_array().into_iter().flatten().map(number).collect()
}

/// The numbers of a padded result that belong to a row; none at all counts as 0.
fn pick(row: &Value, padded: Option<&Value>, out: &mut Vec<f64>) {
    match row {
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(i, v)| pick(v, padded.and_then(|p| p.get(i)), out));
        }
        _ => out.push(match padded {
            None | Some(Value::Null) => 0.0,
            Some(v) => number::from_json(v).unwrap_or(f64::NAN),
        }),
    }
}
