//! One diagnostic type with several renderers.
//!
//! In: every stage that can refuse its input. Out: text with carets for people, JSON for programs.
//! Invariant: a diagnostic states the place, the reason and, where there is one, the remedy.

mod json;
mod text;

pub use json::to_json;
pub use text::to_text;

use crate::span::Span;

/// Most diagnostics that one text gets; later ones are dropped and the last one kept says so.
pub const MAX_DIAGNOSTICS: usize = 50;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The input is accepted; something about it deserves attention.
    Warning,
    /// The input is refused.
    Error,
}

/// A place with a remark.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// The remark.
    pub text: String,
}

/// One finding about the input.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// A stable code: `E0101`, `W0301`. The registry is [`crate::codes`].
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// One sentence that can stand alone.
    pub message: String,
    /// The place first, then related places. Empty when the finding has no source text.
    pub labels: Vec<Label>,
    /// Facts that explain the reason.
    pub notes: Vec<String>,
    /// The remedy.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error without a place yet.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            labels: Vec::new(),
            notes: Vec::new(),
            help: None,
        }
    }

    /// A warning without a place yet.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// Adds a place; the first one added is the main one.
    #[must_use]
    pub fn at(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    /// Adds a fact that explains the reason.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    /// States the remedy.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// True for errors.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// No more than a person will read, in their order. What refuses the input is kept before what does not; the
/// last one kept says that more follow.
pub fn limited(mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    if diagnostics.len() <= MAX_DIAGNOSTICS {
        return diagnostics;
    }
    let errors = diagnostics.iter().filter(|d| d.is_error()).count().min(MAX_DIAGNOSTICS);
    let (mut errors, mut warnings) = (errors, MAX_DIAGNOSTICS - errors);
    diagnostics.retain(|d| {
        let left = if d.is_error() { &mut errors } else { &mut warnings };
        let kept = *left > 0;
        *left -= usize::from(kept);
        kept
    });
    if let Some(last) = diagnostics.last_mut()
        && !last.notes.iter().any(|n| n == MORE)
    {
        last.notes.push(MORE.to_owned());
    }
    diagnostics
}

const MORE: &str = "more findings follow; mend these first";
