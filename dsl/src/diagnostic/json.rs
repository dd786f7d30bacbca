//! JSON renderer: for programs that read diagnostics.

use serde_json::{Map, Value, json};

use super::{Diagnostic, Label, Severity};
use crate::span::SourceMap;

/// An array with one object for each diagnostic: `code`, `severity` (`"error"` or `"warning"`),
/// `message`, `file`, `line`, `column`, `end_line`, `end_column`, `help`, `notes`, `labels`.
///
/// Lines and columns count from 1, columns in characters; the end is the place behind the last
/// character. The place is that of the first label; without one its keys are null. `labels` holds
/// every label with its `message` and place, `help` is null when there is no remedy.
pub fn to_json(diagnostics: &[Diagnostic], sources: &SourceMap) -> Value {
    diagnostics.iter().map(|d| object(d, sources)).collect()
}

fn object(diagnostic: &Diagnostic, sources: &SourceMap) -> Value {
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let mut object = Map::new();
    object.insert("code".into(), json!(diagnostic.code));
    object.insert("severity".into(), json!(severity));
    object.insert("message".into(), json!(diagnostic.message));
    object.extend(place(diagnostic.labels.first(), sources));
    object.insert("help".into(), json!(diagnostic.help));
    object.insert("notes".into(), json!(diagnostic.notes));
    let labels: Value = diagnostic
        .labels
        .iter()
        .map(|label| {
            let mut entry = Map::new();
            entry.insert("message".into(), json!(label.text));
            entry.extend(place(Some(label), sources));
            Value::Object(entry)
        })
        .collect();
    object.insert("labels".into(), labels);
    Value::Object(object)
}

/// The keys of a place; null when there is none.
fn place(label: Option<&Label>, sources: &SourceMap) -> Map<String, Value> {
    let known = label.and_then(|l| sources.find(l.span.file).map(|source| (l.span, source)));
    let values = match known {
        Some((span, source)) => {
            let (line, column) = sources.line_column(span.file, span.start);
            let (end_line, end_column) = sources.line_column(span.file, span.end);
            [json!(source.name), json!(line), json!(column), json!(end_line), json!(end_column)]
        }
        None => [const { Value::Null }; 5],
    };
    let keys = ["file", "line", "column", "end_line", "end_column"];
    keys.into_iter().map(str::to_owned).zip(values).collect()
}
