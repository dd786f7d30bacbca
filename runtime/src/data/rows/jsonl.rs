//! JSON lines.
//!
//! Invariant: memory is bounded by the longest line, which has a limit itself.

use std::io::{BufRead, Read};

use ponens_dsl::Diagnostic;
use serde_json::Value;

use super::super::record::type_name;
use super::{Fields, Row};

/// The longest line that is read, in bytes.
const LONGEST_LINE: u64 = 64 << 20;

/// The rows of JSON lines; blank lines are none.
pub(in super::super) struct JsonRows<R> {
    input: R,
    line: usize,
    done: bool,
}

impl<R: BufRead> JsonRows<R> {
    pub(in super::super) fn new(input: R) -> Self {
        Self { input, line: 0, done: false }
    }

    fn wrong(&mut self, code: &'static str, reason: String, last: bool) -> Option<Row> {
        self.done = last;
        Some(Row { line: self.line, fields: Err(Diagnostic::error(code, reason)) })
    }
}

impl<R: BufRead> Iterator for JsonRows<R> {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        while !self.done {
            self.line += 1;
            let mut bytes = Vec::new();
            let mut limited = (&mut self.input).take(LONGEST_LINE);
            match limited.read_until(b'\n', &mut bytes) {
                Err(e) => return self.wrong("E0003", format!("cannot read on: {e}"), true),
                Ok(0) => break,
                Ok(n) if n as u64 == LONGEST_LINE && bytes.last() != Some(&b'\n') => {
                    let limit = LONGEST_LINE >> 20;
                    let reason = format!("the line is longer than {limit} MiB");
                    return self.wrong("E0403", reason, true);
                }
                Ok(_) => {}
            }
            let text = match std::str::from_utf8(&bytes) {
                Ok(text) => text,
                Err(e) => {
                    let d = format!("byte {} is not UTF-8", e.valid_up_to() + 1);
                    let d = Diagnostic::error("E0002", d).help("convert the file to UTF-8");
                    return Some(Row { line: self.line, fields: Err(d) });
                }
            };
            let text = if self.line == 1 { text.trim_start_matches('\u{feff}') } else { text };
            if !text.trim().is_empty() {
                return Some(Row { line: self.line, fields: object(text) });
            }
        }
        self.done = true;
        None
    }
}

fn object(text: &str) -> Result<Fields, Diagnostic> {
    const WANTED: &str = "wanted: one JSON object a line";
    match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(other) => {
            let reason = format!("the line is {}", type_name(&other));
            Err(Diagnostic::error("E0403", reason).help(WANTED))
        }
        Err(e) => {
            let reason = format!("the line is not JSON: {}", json_reason(&e));
            Err(Diagnostic::error("E0403", reason).help(WANTED))
        }
    }
}

/// The reason without "at line 1", for the line of the file is stated beside it.
fn json_reason(e: &serde_json::Error) -> String {
    let text = e.to_string();
    match text.rfind(" at line ") {
        Some(at) => format!("{} (column {})", &text[..at], e.column()),
        None => text,
    }
}
