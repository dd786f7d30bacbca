//! A file line by line.
//!
//! Invariant: memory is bounded by the longest line, which has a limit itself.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use ponens_dsl::Diagnostic;

use super::error::DataError;
use super::record::{ColumnSpec, PairRecord, parse};

/// What to read, and what to forgive.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// The numeric columns that each row must have.
    pub columns: Vec<ColumnSpec>,
    /// Drop rows with an empty response; otherwise they are errors.
    pub drop_empty: bool,
}

/// What happened while reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadReport {
    /// Rows in the file, blank lines not counted.
    pub rows: usize,
    /// Rows dropped for an empty response.
    pub dropped_empty: usize,
}

/// The longest line that is read, in bytes.
const LONGEST_LINE: u64 = 64 << 20;

/// Rows in the order of the file, each with what is wrong with it.
pub struct PairReader<R> {
    input: R,
    options: ReadOptions,
    report: ReadReport,
    line: usize,
    done: bool,
}

/// A line that cannot be used: its number and what is wrong with it.
type Refused = (usize, Vec<Diagnostic>);

impl<R: BufRead> PairReader<R> {
    /// Reads rows from JSON lines.
    pub fn new(input: R, options: ReadOptions) -> Self {
        Self { input, options, report: ReadReport::default(), line: 0, done: false }
    }

    /// What has been read so far.
    pub fn report(&self) -> ReadReport {
        self.report
    }

    fn stop(&mut self, code: &'static str, reason: String) -> Option<Result<PairRecord, Refused>> {
        self.done = true;
        Some(Err((self.line, vec![Diagnostic::error(code, reason)])))
    }

    fn row(&mut self, text: &str) -> Option<Result<PairRecord, Refused>> {
        let row = self.report.rows;
        self.report.rows += 1;
        let record = match parse(text, &self.options.columns, (row, self.line)) {
            Ok(record) => record,
            Err(wrong) => return Some(Err((self.line, wrong))),
        };
        let empty: Vec<&str> = [("chosen", &record.chosen), ("rejected", &record.rejected)]
            .into_iter()
            .filter(|(_, t)| t.is_empty())
            .map(|(name, _)| name)
            .collect();
        if empty.is_empty() {
            return Some(Ok(record));
        }
        if self.options.drop_empty {
            self.report.dropped_empty += 1;
            return None;
        }
        let wrong = empty.into_iter().map(|name| {
            Diagnostic::error("E0404", format!("the response `{name}` is empty"))
                .help("remove the row, or ask for such rows to be dropped (--drop-empty)")
        });
        Some(Err((self.line, wrong.collect())))
    }
}

impl<R: BufRead> Iterator for PairReader<R> {
    type Item = Result<PairRecord, Refused>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.done {
            self.line += 1;
            let mut bytes = Vec::new();
            let mut limited = (&mut self.input).take(LONGEST_LINE);
            match limited.read_until(b'\n', &mut bytes) {
                Err(e) => return self.stop("E0003", format!("cannot read on: {e}")),
                Ok(0) => break,
                Ok(n) if n as u64 == LONGEST_LINE && bytes.last() != Some(&b'\n') => {
                    let limit = LONGEST_LINE >> 20;
                    return self.stop("E0403", format!("the line is longer than {limit} MiB"));
                }
                Ok(_) => {}
            }
            let text = match std::str::from_utf8(&bytes) {
                Ok(text) => text,
                Err(e) => {
                    let at = e.valid_up_to() + 1;
                    self.report.rows += 1;
                    let d = Diagnostic::error("E0002", format!("byte {at} is not UTF-8"))
                        .help("convert the file to UTF-8");
                    return Some(Err((self.line, vec![d])));
                }
            };
            let text = if self.line == 1 { text.trim_start_matches('\u{feff}') } else { text };
            if text.trim().is_empty() {
                continue;
            }
            let item = self.row(text);
            if item.is_some() {
                return item;
            }
        }
        self.done = true;
        None
    }
}

/// All rows of a file.
///
/// # Errors
/// If the file cannot be read, holds no usable row, or any row is wrong: the first ten different
/// findings, each with its first line.
pub fn load_pairs(
    path: &Path,
    options: &ReadOptions,
) -> Result<(Vec<PairRecord>, ReadReport), DataError> {
    let file = File::open(path).map_err(|e| {
        let d = Diagnostic::error("E0003", format!("cannot read the file: {e}"));
        DataError::whole(path, d)
    })?;
    load_pairs_from(BufReader::new(file), path, options)
}

/// As [`load_pairs`], from any source; `name` stands in the errors.
///
/// # Errors
/// As [`load_pairs`].
pub fn load_pairs_from(
    input: impl BufRead,
    name: &Path,
    options: &ReadOptions,
) -> Result<(Vec<PairRecord>, ReadReport), DataError> {
    let mut reader = PairReader::new(input, options.clone());
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
        let needed = std::iter::once("prompt, chosen, rejected".to_owned())
            .chain(options.columns.iter().map(|c| c.name.clone()));
        let help = format!("needed: rows with {}", needed.collect::<Vec<_>>().join(", "));
        return Err(DataError::whole(name, Diagnostic::error("E0406", reason).help(help)));
    }
    Ok((records, report))
}
