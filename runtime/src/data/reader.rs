//! The examples of a file, in its order.

use std::io::BufRead;
use std::path::Path;

use ponens_dsl::Diagnostic;

use super::error::DataError;
use super::lists::ListSpec;
use super::record::{ColumnSpec, Shape, TextExample, Wanted, parse};
use super::rows::{self, JsonRows, Row};

/// What to read, and what to forgive.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// What one example of the loss is.
    pub shape: Shape,
    /// Also take rows with a list of responses, whatever the shape: no loss is meant.
    pub any: bool,
    /// The numeric columns that each row must have.
    pub columns: Vec<ColumnSpec>,
    /// The columns with one number a response of a list, or one a token, that each row must have.
    pub lists: Vec<ListSpec>,
    /// Columns with further responses to the prompt of a pair, such as a rationale.
    pub further: Vec<String>,
    /// Read the reference's log-probabilities too.
    pub reference: bool,
    /// Drop rows with an empty response; otherwise they are errors.
    pub drop_empty: bool,
}

impl ReadOptions {
    pub(super) fn wanted(&self) -> Wanted<'_> {
        Wanted {
            shape: self.shape,
            columns: &self.columns,
            lists: &self.lists,
            further: &self.further,
            reference: self.reference,
        }
    }
}

/// What happened while reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadReport {
    /// Rows in the file, blank lines not counted.
    pub rows: usize,
    /// Rows dropped for an empty response.
    pub dropped_empty: usize,
}

/// A line that cannot be used: its number and what is wrong with it.
pub(super) type Refused = (usize, Vec<Diagnostic>);

/// Examples in the order of the file, each with what is wrong with it.
pub(super) struct ExampleReader<'a, I> {
    rows: I,
    options: &'a ReadOptions,
    report: ReadReport,
}

impl<'a, I: Iterator<Item = Row>> ExampleReader<'a, I> {
    pub(super) fn new(rows: I, options: &'a ReadOptions) -> Self {
        Self { rows, options, report: ReadReport::default() }
    }

    /// What has been read so far.
    pub(super) fn report(&self) -> ReadReport {
        self.report
    }

    /// One row; nothing if it is dropped.
    fn example(&mut self, row: Row) -> Result<Option<TextExample>, Refused> {
        let number = self.report.rows;
        self.report.rows += 1;
        let refuse = |wrong| (row.line, wrong);
        let fields = row.fields.map_err(|d| refuse(vec![d]))?;
        let example = parse(&fields, &self.options.wanted(), (number, row.line)).map_err(refuse)?;
        let named = example.named_responses();
        let empty: Vec<&str> = named.filter(|(_, t)| t.is_empty()).map(|(name, _)| name).collect();
        if empty.is_empty() {
            return Ok(Some(example));
        }
        if self.options.drop_empty {
            self.report.dropped_empty += 1;
            return Ok(None);
        }
        let wrong = empty.into_iter().map(|name| {
            Diagnostic::error("E0404", format!("the response `{name}` is empty"))
                .help("remove the row, or ask for such rows to be dropped (--drop-empty)")
        });
        Err(refuse(wrong.collect()))
    }
}

impl<I: Iterator<Item = Row>> Iterator for ExampleReader<'_, I> {
    type Item = Result<TextExample, Refused>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let row = self.rows.next()?;
            if let Some(item) = self.example(row).transpose() {
                return Some(item);
            }
        }
    }
}

/// All examples of a file of JSON lines, CSV or Parquet.
///
/// # Errors
/// If the file cannot be read, holds no usable row, or any row is wrong: the first ten different
/// findings, each with its first line.
pub fn load_examples(
    path: &Path,
    options: &ReadOptions,
) -> Result<(Vec<TextExample>, ReadReport), DataError> {
    let opened = rows::open(path, Some(&options.wanted().names()))?;
    collect(opened.rows, path, options)
}

/// As [`load_examples`], from JSON lines of any source; `name` stands in the errors.
///
/// # Errors
/// As [`load_examples`].
pub fn load_examples_from(
    input: impl BufRead,
    name: &Path,
    options: &ReadOptions,
) -> Result<(Vec<TextExample>, ReadReport), DataError> {
    collect(JsonRows::new(input), name, options)
}

fn collect(
    rows: impl Iterator<Item = Row>,
    name: &Path,
    options: &ReadOptions,
) -> Result<(Vec<TextExample>, ReadReport), DataError> {
    let mut reader = ExampleReader::new(rows, options);
    let mut error = DataError::new(name);
    let mut records = Vec::new();
    for item in &mut reader {
        match item {
            Ok(record) => records.push(record),
            Err((line, wrong)) => wrong.into_iter().for_each(|d| error.add(line, d)),
        }
    }
    if !error.findings.is_empty() {
        return Err(error);
    }
    let report = reader.report();
    if records.is_empty() {
        let reason = match report.dropped_empty {
            0 => "the file holds no rows".to_owned(),
            n => format!("all {n} rows have an empty response and were dropped"),
        };
        let needed = match options.shape {
            Shape::Pair => "prompt, chosen, rejected",
            Shape::Labelled => "prompt, completion, label",
            Shape::List => "prompt, responses",
            Shape::Trajectory => "prompt, completion",
        };
        let needed = std::iter::once(needed.to_owned())
            .chain(options.columns.iter().map(|c| c.name.clone()))
            .chain(options.lists.iter().map(|c| c.name.clone()));
        let help = format!("needed: rows with {}", needed.collect::<Vec<_>>().join(", "));
        return Err(DataError::whole(name, Diagnostic::error("E0406", reason).help(help)));
    }
    Ok((records, report))
}
