//! A part of a data file, as JSON lines with all its columns.
//!
//! A cell of a CSV file keeps its text: as a number or a truth value where JSON writes that alike, else as a
//! string, so that an identifier such as `00123` stays what it is.

use std::collections::HashSet;
use std::io::Write;
use std::path::Path;

use ponens_dsl::Diagnostic;
use serde_json::Value;

use super::error::DataError;
use super::record::TEXT_COLUMNS;
use super::rows::{self, Fields, Format};

/// Whether a cell, as it stands, is a number or a truth value in JSON that can be read back.
fn is_json(cell: &str) -> bool {
    cell == cell.trim()
        && matches!(serde_json::from_str(cell), Ok(Value::Number(_) | Value::Bool(_)))
}

/// A row on one line.
fn line(fields: &Fields, from_csv: bool) -> serde_json::Result<String> {
    let cell = |(name, value): (&String, &Value)| {
        let written = match value {
            Value::String(s)
                if from_csv && !TEXT_COLUMNS.contains(&name.as_str()) && is_json(s) =>
            {
                s.clone()
            }
            value => serde_json::to_string(value)?,
        };
        Ok(format!("{}:{written}", serde_json::to_string(name)?))
    };
    let cells: serde_json::Result<Vec<String>> = fields.iter().map(cell).collect();
    Ok(format!("{{{}}}\n", cells?.join(",")))
}

/// Writes the rows of `path` whose number (from 0, blank lines not counted) is in `kept`, in their order.
///
/// # Errors
/// If the file cannot be read, a kept row is broken, or the output cannot be written.
pub fn copy_rows(
    path: &Path,
    kept: &HashSet<usize>,
    out: &mut impl Write,
) -> Result<usize, DataError> {
    let mut written = 0;
    let fail = |reason: String| DataError::whole(path, Diagnostic::error("E0703", reason));
    let opened = rows::open_to_copy(path)?;
    let from_csv = opened.format == Format::Csv;
    for (number, row) in opened.rows.enumerate() {
        if !kept.contains(&number) {
            continue;
        }
        let fields = row.fields.map_err(|d| DataError::whole(path, d))?;
        let text = line(&fields, from_csv)
            .map_err(|e| fail(format!("the rows cannot be written: {e}")))?;
        out.write_all(text.as_bytes())
            .map_err(|e| fail(format!("the rows cannot be written: {e}")))?;
        written += 1;
    }
    Ok(written)
}
