//! CSV with a header line (RFC 4180): quoted cells may hold line breaks.
//!
//! A cell has no type. Text columns stay text, unless they hold a JSON list of messages; elsewhere
//! numbers, `true`, `false` and empty cells become what they look like. Of a table with both pairs and single
//! responses the empty text cells of a row are those of the other kind, and hold nothing.

use std::io::Read;
use std::path::Path;

use csv::{ErrorKind, Reader, ReaderBuilder, StringRecord};
use ponens_dsl::Diagnostic;
use serde_json::Value;

use super::super::error::DataError;
use super::super::record::TEXT_COLUMNS;
use super::{Fields, Format, Row, Rows};

/// The rows of a CSV file.
pub(in super::super) struct CsvRows<R> {
    reader: Reader<R>,
    header: Vec<String>,
    /// 1 where lines end in CR LF: the parser counts the LF with the next line.
    behind: usize,
    /// Cells of other columns than text ones stay text too.
    as_text: bool,
    done: bool,
}

impl<R: Read + 'static> CsvRows<R> {
    /// Reads the header.
    pub(in super::super) fn open(
        input: R,
        path: &Path,
        delimiter: u8,
        as_text: bool,
    ) -> Result<Rows, DataError> {
        let mut reader = ReaderBuilder::new().delimiter(delimiter).from_reader(input);
        let header = reader.headers().map_err(|e| DataError::whole(path, finding(&e)))?.clone();
        let header: Vec<String> =
            header.iter().map(|c| c.trim_start_matches('\u{feff}').trim().to_owned()).collect();
        if let Some(twice) = header.iter().enumerate().find(|(i, c)| header[..*i].contains(c)) {
            let d = Diagnostic::error("E0402", format!("the header names `{}` twice", twice.1));
            return Err(DataError::whole(path, d));
        }
        let columns = Some(header.clone());
        let behind = usize::from(reader.position().line() == 1);
        let rows = Self { reader, header, behind, as_text, done: false };
        Ok(Rows { format: Format::Csv, rows: Box::new(rows), columns })
    }
}

fn finding(e: &csv::Error) -> Diagnostic {
    match e.kind() {
        ErrorKind::Utf8 { .. } => {
            Diagnostic::error("E0002", "a cell is not UTF-8").help("convert the file to UTF-8")
        }
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            let reason = format!("the row has {len} cells, the header {expected_len}");
            Diagnostic::error("E0403", reason).help("quote cells that hold commas or line breaks")
        }
        ErrorKind::Io(e) => Diagnostic::error("E0003", format!("cannot read on: {e}")),
        _ => Diagnostic::error("E0403", format!("the row is not CSV: {e}")),
    }
}

/// The value of a cell of the named column.
fn value(column: &str, cell: &str) -> Value {
    if TEXT_COLUMNS.contains(&column) {
        let messages = cell
            .trim_start()
            .starts_with("[{")
            .then(|| serde_json::from_str(cell).ok())
            .flatten()
            .filter(|v: &Value| v[0].get("role").is_some());
        return messages.unwrap_or_else(|| Value::String(cell.to_owned()));
    }
    match cell.trim() {
        "" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        other => {
            let number = other.parse::<f64>().ok().and_then(serde_json::Number::from_f64);
            number.map_or_else(|| Value::String(cell.to_owned()), Value::Number)
        }
    }
}

/// Empties the text cells of the kind that a row is not: of a pair the single response, and the reverse.
fn tell_apart(fields: &mut Fields) {
    let empty = |v: &Value| v.is_null() || v.as_str().is_some_and(str::is_empty);
    let given = |names: &[&str]| names.iter().any(|n| fields.get(*n).is_some_and(|v| !empty(v)));
    let single = fields.contains_key("completion") && given(&["completion", "label"]);
    let none: &[&str] = match (given(&["chosen", "rejected"]), single) {
        (true, _) => &["completion"],
        (false, true) => &["chosen", "rejected"],
        (false, false) => &[],
    };
    for name in none {
        if let Some(v) = fields.get_mut(*name).filter(|v| empty(v)) {
            *v = Value::Null;
        }
    }
}

impl<R: Read> Iterator for CsvRows<R> {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        if self.done {
            return None;
        }
        let mut record = StringRecord::new();
        let before = self.reader.position().line() as usize + self.behind;
        match self.reader.read_record(&mut record) {
            Ok(false) => {
                self.done = true;
                None
            }
            Ok(true) => {
                let line = record.position().map_or(before, |p| p.line() as usize + self.behind);
                let cells = self.header.iter().zip(&record);
                let of = |column: &str, cell: &str| match self.as_text && !cell.is_empty() {
                    true if !TEXT_COLUMNS.contains(&column) => Value::String(cell.to_owned()),
                    _ => value(column, cell),
                };
                let mut fields: Fields = cells.map(|(c, v)| (c.clone(), of(c, v))).collect();
                tell_apart(&mut fields);
                Some(Row { line, fields: Ok(fields) })
            }
            Err(e) => {
                self.done = matches!(e.kind(), ErrorKind::Io(_));
                let line = e.position().map_or(before, |p| p.line() as usize + self.behind);
                Some(Row { line, fields: Err(finding(&e)) })
            }
        }
    }
}
