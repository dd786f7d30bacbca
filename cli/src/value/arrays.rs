//! Columns with several numbers an example: one a response of a list, or one a token.
//!
//! In: the JSON of a column: `[-1.5, -2]` for responses or tokens, `[[-1, -2], [-3]]` for the tokens of
//! each response of a list. Out: [`Array`]s. Invariant: within a row all lists of one loop have one
//! length, so that the loops of the loss line up.

use super::bind::{Binder, Kind, place};
use crate::number;
use ponens_compiler::hir::{Column, Loop};
use ponens_compiler::mir::Interval;
use ponens_dsl::Diagnostic;
use serde_json::Value;

/// A column of the data with several numbers a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// The canonical name.
    pub name: String,
    /// The loop that it runs over.
    pub of: Loop,
    /// The numbers of each row: one list, or for the tokens of a list of responses one list a response.
    pub rows: Vec<Vec<Vec<f64>>>,
    /// True when the tokens belong to one response of a list each.
    pub nested: bool,
    pub(super) domain: Interval,
}

impl Array {
    /// The lengths that shape a row: of its loop and, where nested, of each turn's own.
    fn shape(&self, row: usize) -> Vec<usize> {
        self.rows[row].iter().map(Vec::len).collect()
    }

    /// How many responses a row has; `None` where the column says nothing of that.
    pub fn responses(&self, row: usize) -> Option<usize> {
        match self.of {
            Loop::Candidates => self.rows[row].first().map(Vec::len),
            Loop::Tokens(_) => self.nested.then(|| self.rows[row].len()),
        }
    }
}

impl Binder<'_> {
    /// Reads a column with several numbers a row, unless it was read before.
    pub(super) fn array(&mut self, name: &str, of: Loop, nested: bool, range: Interval) {
        if self.arrays.iter().any(|a| a.name == name) {
            return;
        }
        let rows = (0..self.rows.rows.len()).map(|i| self.lists(i, name, of, nested, range));
        let rows = rows.collect();
        self.arrays.push(Array { name: name.to_owned(), of, rows, nested, domain: range });
    }

    /// As [`Binder::array`], for a column of the loss.
    pub(super) fn array_column(&mut self, c: &Column, of: Loop) {
        let nested = of != Loop::Candidates && self.loss.shape.family().is_some();
        self.array(&c.name(), of, nested, c.range);
    }

    fn lists(
        &mut self,
        i: usize,
        name: &str,
        of: Loop,
        nested: bool,
        range: Interval,
    ) -> Vec<Vec<f64>> {
        let Some(v) = self.rows.rows[i].get(name) else {
            self.missing(i, name);
            return Vec::new();
        };
        let wanted = match (of, nested) {
            (Loop::Candidates, _) => "a list with one number a response",
            (Loop::Tokens(_), true) => {
                "a list with one list a response, each with one number a token"
            }
            (Loop::Tokens(_), false) => "a list with one number a token",
        };
        let lists = match v {
            Value::Array(outer) if nested => {
                outer.iter().map(Value::as_array).collect::<Option<Vec<_>>>()
            }
            Value::Array(list) => Some(vec![list]),
            _ => None,
        };
        let Some(lists) = lists else {
            self.mistyped(i, name, wanted, v);
            return Vec::new();
        };
        if of == Loop::Candidates && lists.iter().any(|l| l.is_empty()) || lists.is_empty() {
            let row = &self.rows.rows[i];
            let d = format!("{}: `{name}` lists no response", place(self.rows, row, i));
            self.found.push(
                Diagnostic::error("E0404", d)
                    .at(self.rows.place(row, name), "an empty list")
                    .help("leave the row out"),
            );
            return Vec::new();
        }
        let lists: Vec<Vec<Value>> = lists.into_iter().cloned().collect();
        let mut out = Vec::with_capacity(lists.len());
        for (r, list) in lists.iter().enumerate() {
            let mut numbers = Vec::with_capacity(list.len());
            for (k, v) in list.iter().enumerate() {
                let at = if nested { format!("{name}[{r}][{k}]") } else { format!("{name}[{k}]") };
                match number::from_json(v) {
                    Some(x) => numbers.push(self.inside(i, name, &at, Kind::Real, range, x)),
                    None => {
                        self.mistyped(i, name, wanted, v);
                        return Vec::new();
                    }
                }
            }
            out.push(numbers);
        }
        out
    }

    /// Reports rows whose lists do not line up.
    pub(super) fn line_up(&mut self) {
        for i in 0..self.rows.rows.len() {
            // A list that could not be read has been reported.
            let read: Vec<&Array> = self.arrays.iter().filter(|a| !a.rows[i].is_empty()).collect();
            let mut wrong: Vec<(String, String)> = Vec::new();
            for (k, a) in read.iter().enumerate() {
                let counts = |b: &Array| (b.responses(i), a.responses(i));
                let same_loop = read[..k].iter().find(|b| b.of == a.of);
                let first = match same_loop {
                    Some(b) if b.shape(i) != a.shape(i) => Some(*b),
                    _ => read[..k]
                        .iter()
                        .copied()
                        .find(|b| matches!(counts(b), (Some(x), Some(y)) if x != y)),
                };
                if let Some(b) = first {
                    let text = |x: &Array| match (x.nested, x.shape(i)) {
                        (true, s) => format!("lists of {} numbers", words(&s)),
                        (false, s) => format!("{} numbers", words(&s)),
                    };
                    let what =
                        format!("`{}` has {}, `{}` has {}", a.name, text(a), b.name, text(b));
                    wrong.push((a.name.clone(), what));
                }
            }
            for (name, what) in wrong {
                let row = &self.rows.rows[i];
                let d = format!("{}: {what}", place(self.rows, row, i));
                self.found.push(
                    Diagnostic::error("E0402", d)
                        .at(self.rows.place(row, &name), "the lengths do not match")
                        .help("all lists over one loop have one length"),
                );
            }
        }
    }
}

fn words(lengths: &[usize]) -> String {
    lengths.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
