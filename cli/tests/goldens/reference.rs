//! The reference records as they are stored.

use crate::subject::Subject;
use ponens::number;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// All records.
pub(crate) struct Goldens {
    sets: BTreeMap<String, Vec<Input>>,
    /// Per example.
    pub(crate) losses: Vec<Record>,
    /// Per batch.
    pub(crate) batches: Vec<Record>,
}

/// One row of an input set.
pub(crate) struct Input {
    pub(crate) id: String,
    fields: Map<String, Value>,
}

/// One loss configuration with its results.
pub(crate) struct Record {
    document: Value,
    /// The names of the record's columns in this project.
    names: Map<String, Value>,
}

fn load(text: &str) -> Value {
    serde_json::from_str(text).expect("a JSON file")
}

impl Goldens {
    pub(crate) fn load() -> Self {
        let all = load(include_str!("../../../tests/fixtures/goldens/losses.json"));
        let names = load(include_str!("../../../tests/fixtures/goldens/names.json"));
        let input = |v: &Value| {
            let fields = v.as_object().expect("an object").clone();
            Input { id: fields["id"].as_str().expect("a name").to_owned(), fields }
        };
        let list = |v: &Value| v.as_array().expect("a list").clone();
        let sets = all["input_sets"].as_object().expect("an object");
        let sets = sets.iter().map(|(n, v)| (n.clone(), list(v).iter().map(input).collect()));
        let record = |v: Value| {
            let name = v["loss"].as_str().expect("a name");
            let names = names[name].as_object().unwrap_or_else(|| panic!("{name} has no entry"));
            Record { names: names.clone(), document: v }
        };
        Self {
            sets: sets.collect(),
            losses: list(&all["losses"]).into_iter().map(record).collect(),
            batches: list(&all["batches"]).into_iter().map(record).collect(),
        }
    }

    /// The rows that a record was computed on.
    pub(crate) fn inputs(&self, record: &Record) -> Vec<&Input> {
        match record.document["ids"].as_array() {
            None => {
                let set = record.document["input_set"].as_str().expect("a set");
                self.sets[set].iter().collect()
            }
            Some(ids) => {
                let find = |id: &Value| {
                    let all = || self.sets.values().flatten();
                    all().find(|i| Some(i.id.as_str()) == id.as_str()).expect("a known row")
                };
                ids.iter().map(find).collect()
            }
        }
    }
}

impl Input {
    pub(crate) fn has(&self, tag: &str) -> bool {
        self.fields["tags"].as_array().is_some_and(|t| t.iter().any(|t| t == tag))
    }

    /// The row as a line of `ponens value --data`.
    pub(crate) fn line(&self, columns: &BTreeMap<String, String>, record: &Record) -> String {
        let row: Map<String, Value> = columns
            .iter()
            .map(|(field, column)| {
                let value = self.fields.get(field);
                (
                    column.clone(),
                    value.unwrap_or_else(|| panic!("{}: {field}", record.title())).clone(),
                )
            })
            .collect();
        Value::Object(row).to_string()
    }

    fn number(&self, field: &str) -> f64 {
        self.fields.get(field).and_then(number::from_json).unwrap_or(0.0)
    }

    /// max(1, |beta rho|): how far a rounding of rho moves the argument of the link.
    pub(crate) fn condition(&self, subject: &Subject) -> f64 {
        let has = |f: &str| subject.columns.contains_key(f);
        let of = |f: &str| if has(f) { self.number(f) } else { 0.0 };
        let margin = (of("lc") - of("rc")) - (of("lr") - of("rr"));
        let mean = of("avg_c") - of("avg_r");
        let parts = ["lc", "lr"].map(|s| {
            let of = |part: &str, m: &str| of(&format!("{m}{}_{part}", &s[1..]));
            of("shared", "l") + of("tail", "l") - of("shared", "r") - of("tail", "r")
        });
        let single = of("lp") - of("ref");
        let rho = [margin, mean, parts[0] - parts[1], single]
            .into_iter()
            .fold(0.0, |a: f64, b| if b.is_finite() { a.max(b.abs()) } else { a });
        (subject.beta() * rho).max(1.0)
    }
}

impl Record {
    pub(crate) fn name(&self) -> &str {
        self.document["loss"].as_str().expect("a name")
    }

    /// What the record calls its loss, with its parameters.
    pub(crate) fn title(&self) -> String {
        let batch = self.document["batch"].as_str().map(|b| format!(" {b}")).unwrap_or_default();
        format!("{} {}{batch}", self.name(), self.document["params"])
    }

    pub(crate) fn params(&self) -> &Map<String, Value> {
        self.document["params"].as_object().expect("an object")
    }

    /// The entry in the table of names: the loss, or words about it.
    pub(crate) fn target(&self) -> &str {
        self.names["loss"].as_str().expect("a name")
    }

    /// The record's fields and the columns that they are.
    pub(crate) fn columns(&self) -> BTreeMap<String, String> {
        let columns = self.names["columns"].as_object().expect("an object");
        columns.iter().map(|(f, c)| (f.clone(), c.as_str().expect("a name").to_owned())).collect()
    }

    /// This project's name of a parameter.
    pub(crate) fn parameter<'a>(&'a self, name: &'a str) -> &'a str {
        let renamed = self.names.get("params").and_then(|p| p.get(name));
        renamed.and_then(Value::as_str).unwrap_or(name)
    }

    /// Loss and gradients of one row by column; `None` where the record has none.
    pub(crate) fn expected(
        &self,
        row: usize,
        input: &Input,
        columns: &BTreeMap<String, String>,
    ) -> Option<BTreeMap<String, Vec<f64>>> {
        let loss = wide(&self.document["loss_exact"][row])?;
        let mut all = BTreeMap::from([("loss".to_owned(), vec![loss])]);
        for (field, values) in self.document["grad_exact"].as_object().expect("an object") {
            let derivative = wide(&values[row])?;
            // The anchor differentiates through tokens: a part of a response that has none gets 0,
            // whatever the loss does with the part's sum.
            let part = field.ends_with("_shared") || field.ends_with("_tail");
            let absent = part && derivative == 0.0 && input.number(field) == 0.0;
            if let (Some(column), false) = (columns.get(field), absent) {
                all.insert(column.clone(), vec![derivative]);
            }
        }
        Some(all)
    }

    /// Loss and gradients of a batch by column; `None` where the record has none.
    pub(crate) fn expected_batch(
        &self,
        columns: &BTreeMap<String, String>,
    ) -> Option<BTreeMap<String, Vec<f64>>> {
        let loss = wide(self.document.get("loss_exact")?)?;
        let mut all = BTreeMap::from([("loss".to_owned(), vec![loss])]);
        for (field, values) in self.document["grad_exact"].as_object()? {
            if let Some(column) = columns.get(field) {
                let values: Option<Vec<f64>> = values.as_array()?.iter().map(wide).collect();
                all.insert(column.clone(), values?);
            }
        }
        Some(all)
    }
}

/// A number of a record: one beyond the range of f64 is a decimal text, and its f64 an infinity or 0.
fn wide(v: &Value) -> Option<f64> {
    number::from_json(v).or_else(|| v.as_str()?.parse().ok())
}
