//! Rows of JSON lines.
//!
//! In: a text with one JSON object a line; blank lines count for nothing. Out: the rows with their place
//! in the text. Column names are compared without spaces, so `logp(pi, w)` is `logp(pi,w)`.

use crate::refusal::{Refusal, Result};
use ponens_dsl::{Diagnostic, FileId, SourceMap, Span};
use serde_json::Value;
use std::collections::HashMap;
use std::io::Read as _;
use std::path::Path;

/// Longest data text, in bytes: positions in it are 32 bits wide.
const MAX_BYTES: usize = 1 << 30;

/// Most findings that one file gets.
pub(crate) const MAX_FINDINGS: usize = 20;

/// One row.
#[derive(Clone, Debug)]
pub struct Row {
    /// Number of the line in the text, from 1.
    pub line: usize,
    span: Span,
    columns: HashMap<String, (String, Value)>,
}

impl Row {
    /// The value of a column, by its canonical name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.columns.get(name).map(|(_, v)| v)
    }

    /// The canonical names of its columns, in order.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.columns.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    /// Where the row stands.
    pub fn span(&self) -> Span {
        self.span
    }
}

/// The rows of one text.
#[derive(Clone, Debug)]
pub struct Rows {
    /// The text, for diagnostics.
    pub sources: SourceMap,
    /// The rows in order; never empty.
    pub rows: Vec<Row>,
}

impl Rows {
    /// Reads a file; `-` is standard input.
    ///
    /// # Errors
    /// `E0003`, `E0002`: the file cannot be read, or is not UTF-8. The errors of [`Rows::from_text`].
    pub fn from_file(path: &Path) -> Result<Self> {
        let (name, bytes) = if path == Path::new("-") {
            let mut bytes = Vec::new();
            let read = std::io::stdin().lock().read_to_end(&mut bytes);
            ("<stdin>".to_owned(), read.map(|_| bytes))
        } else {
            (path.display().to_string(), std::fs::read(path))
        };
        let bytes = bytes.map_err(|e| {
            Diagnostic::error("E0003", format!("{name} cannot be read: {e}"))
                .help("give the path of a file of JSON lines, one example a line")
        })?;
        if bytes.len() > MAX_BYTES {
            let d = Diagnostic::error("E0003", format!("{name} has {} bytes", bytes.len()))
                .note(format!("at most {MAX_BYTES} bytes are read"))
                .help("split it into several files");
            return Err(d.into());
        }
        match String::from_utf8(bytes) {
            Ok(text) => Self::from_text(&name, text),
            Err(e) => {
                let good = e.utf8_error().valid_up_to();
                let line = e.as_bytes()[..good].iter().filter(|b| **b == b'\n').count() + 1;
                let d = Diagnostic::error("E0002", format!("{name} is not UTF-8"))
                    .note(format!("byte {good}, in line {line}, starts no character"))
                    .help("save the file as UTF-8");
                Err(d.into())
            }
        }
    }

    /// Reads a text; `name` is how diagnostics call it.
    ///
    /// # Errors
    /// `E0403`: a line is not a JSON object, or names a column twice. `E0406`: there are no rows.
    pub fn from_text(name: &str, text: impl Into<String>) -> Result<Self> {
        let mut sources = SourceMap::default();
        let file = sources.add(name, text);
        let (rows, found) = rows(&sources, file);
        if found.is_empty() {
            Ok(Self { sources, rows })
        } else {
            Err(Refusal::new(sources, found))
        }
    }

    /// The place of a column in a row, or of the whole row where it does not show.
    pub fn place(&self, row: &Row, column: &str) -> Span {
        let key = match row.columns.get(column) {
            Some((written, _)) => Value::from(written.as_str()).to_string(),
            None => return row.span,
        };
        match self.sources.slice(row.span).find(&key) {
            Some(at) => {
                let start = row.span.start as usize + at;
                Span::new(row.span.file, start, start + key.len())
            }
            None => row.span,
        }
    }
}

fn rows(sources: &SourceMap, file: FileId) -> (Vec<Row>, Vec<Diagnostic>) {
    let source = sources.get(file);
    let (mut rows, mut found, mut start) = (Vec::new(), Vec::new(), 0);
    for (i, line) in source.text.split_inclusive('\n').enumerate() {
        let content = line.trim();
        let begin = start + (line.len() - line.trim_start().len());
        let span = Span::new(file, begin, begin + content.len());
        start += line.len();
        if content.is_empty() {
            continue;
        }
        match columns(content) {
            Ok(columns) => rows.push(Row { line: i + 1, span, columns }),
            Err(reason) => found.push(
                Diagnostic::error("E0403", format!("line {} of {} {reason}", i + 1, source.name))
                    .at(span, "this line")
                    .help("a line is one JSON object, such as {\"logp(pi,w)\": -1.5}"),
            ),
        }
        if found.len() == MAX_FINDINGS {
            break;
        }
    }
    if rows.is_empty() && found.is_empty() {
        found.push(
            Diagnostic::error("E0406", format!("{} holds no rows", source.name))
                .help("give one JSON object a line"),
        );
    }
    (rows, found)
}

fn columns(line: &str) -> std::result::Result<HashMap<String, (String, Value)>, String> {
    let object = match serde_json::from_str(line) {
        Ok(Value::Object(o)) => o,
        Ok(_) => return Err("is JSON, but no object".to_owned()),
        Err(e) => return Err(format!("is not JSON: {}", reason(&e))),
    };
    let mut columns = HashMap::new();
    for (key, value) in object {
        let name: String = key.chars().filter(|c| !c.is_whitespace()).collect();
        if columns.insert(name.clone(), (key, value)).is_some() {
            return Err(format!("has the column `{name}` twice"));
        }
    }
    Ok(columns)
}

/// The reason alone: the line number that the parser gives is always 1 here.
fn reason(e: &serde_json::Error) -> String {
    let text = e.to_string();
    match text.rsplit_once(" at line 1 column ") {
        Some((what, column)) => format!("{what} at column {column}"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(text: &str) -> Vec<&'static str> {
        match Rows::from_text("t", text) {
            Ok(_) => vec![],
            Err(e) => e.diagnostics.iter().map(|d| d.code).collect(),
        }
    }

    #[test]
    fn spaces_in_names_and_blank_lines_count_for_nothing() {
        let rows = Rows::from_text("t", "\n  {\"logp(pi, w)\": -1}\r\n\n{\"a\":2}").unwrap();
        assert_eq!(rows.rows.iter().map(|r| r.line).collect::<Vec<_>>(), [2, 4]);
        assert_eq!(rows.rows[0].get("logp(pi,w)"), Some(&Value::from(-1)));
        let place = rows.place(&rows.rows[0], "logp(pi,w)");
        assert_eq!(rows.sources.slice(place), "\"logp(pi, w)\"");
        assert_eq!(rows.sources.slice(rows.rows[1].span()), "{\"a\":2}");
    }

    #[test]
    fn what_is_no_row_is_refused() {
        assert_eq!(codes(""), ["E0406"]);
        assert_eq!(codes("[1]\n{\n{\"a\":1}"), ["E0403", "E0403"]);
        assert_eq!(codes("{\"a b\":1,\"ab\":2}"), ["E0403"]);
        assert_eq!(codes(&"x\n".repeat(100)).len(), MAX_FINDINGS);
    }
}
