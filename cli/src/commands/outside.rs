//! The parts of a loss that its logic does not say, with their places.

use crate::failure::Failure;
use crate::output::Ui;
use ponens::compiler::explain::Outside;
use ponens::dsl::{SourceMap, Span};
use serde_json::{Value, json};

/// What `explain` and `decompile` list behind the core.
pub(super) struct Parts<'a> {
    pub(super) list: &'a [Outside],
    pub(super) sources: &'a SourceMap,
}

impl Parts<'_> {
    pub(super) fn json(&self) -> Value {
        let one = |o: &Outside| {
            let mut part = json!({ "text": o.text, "why": o.why });
            if let Some(place) = self.place(o.span) {
                part["place"] = place;
            }
            part
        };
        self.list.iter().map(one).collect()
    }

    pub(super) fn show(&self, ui: &mut Ui) -> Result<(), Failure> {
        if self.list.is_empty() {
            return Ok(());
        }
        let style = ui.style;
        ui.line("")?;
        ui.line(style.strong("outside the logic"))?;
        let line = |o: &Outside| {
            let why = match self.sources.find(o.span.file) {
                Some(_) => {
                    let (line, column) = self.sources.line_column(o.span.file, o.span.start);
                    format!("({}; {line}:{column})", o.why)
                }
                None => format!("({})", o.why),
            };
            format!("  {}  {}", o.text, style.faint(&why))
        };
        ui.lines(self.list.iter().map(line))
    }

    fn place(&self, span: Span) -> Option<Value> {
        let file = &self.sources.find(span.file)?.name;
        let (line, column) = self.sources.line_column(span.file, span.start);
        let (end_line, end_column) = self.sources.line_column(span.file, span.end);
        Some(json!({
            "file": file, "line": line, "column": column,
            "end_line": end_line, "end_column": end_column,
        }))
    }
}
