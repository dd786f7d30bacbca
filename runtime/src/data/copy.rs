//! A part of a data file, as JSON lines with all its columns.

use std::collections::HashSet;
use std::io::Write;
use std::path::Path;

use ponens_dsl::Diagnostic;
use serde_json::Value;

use super::error::DataError;
use super::rows;

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
    for (number, row) in rows::open(path, None)?.rows.enumerate() {
        if !kept.contains(&number) {
            continue;
        }
        let fields = row.fields.map_err(|d| DataError::whole(path, d))?;
        serde_json::to_writer(&mut *out, &Value::Object(fields))
            .map_err(|e| fail(format!("the rows cannot be written: {e}")))?;
        out.write_all(b"\n").map_err(|e| fail(format!("the rows cannot be written: {e}")))?;
        written += 1;
    }
    Ok(written)
}
