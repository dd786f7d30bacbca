//! One call of the function.
//!
//! In: rows. Out: what the function gave, by column as the loss has them.

use super::{Given, Judge};
use crate::number;
use crate::refusal::Result;
use crate::verify::matching::{Meaning, Source};
use crate::verify::report::{Case, Dtype};
use crate::verify::worker::Worker;
use ponens_compiler::hir::{Loop, Quantity};
use ponens_dsl::Diagnostic;
use serde_json::{Map, Value, json};

impl Judge<'_> {
    /// Calls the function on rows.
    pub(super) fn call(
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
        for (name, m) in &self.matched.own {
            let value = match m {
                Meaning::Param(i) => number::to_json(params[*i]),
                Meaning::Fixed(v) => v.clone(),
                _ => continue,
            };
            own.insert(name.clone(), value);
        }
        let call = json!({
            "dtype": dtype.torch(), "arguments": arguments, "output": self.request.output,
            "self": own,
        });
        let answer = worker.call(&call).map_err(|d| self.at(d, rows, case, dtype))?;
        if let Some(note) = answer["note"].as_str() {
            self.remark(note.to_owned());
        }
        let read = answer["read"].as_array().into_iter().flatten().filter_map(Value::as_str);
        self.read.extend(read.map(str::to_owned));
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
            Meaning::Candidates => {
                let lists = self.matched.columns().find(|s| s.of.is_some()).map(Source::name)?;
                let counts = column(&lists);
                let ones = |v: &Value| vec![1; v.as_array().map_or(0, Vec::len)];
                let each: Vec<Vec<u8>> = counts.iter().map(ones).collect();
                json!({ "kind": "mask", "rows": each, "grad": false })
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
}

fn is_mask(q: &Quantity) -> bool {
    matches!(q, Quantity::Data { name } if name.starts_with("mask"))
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
