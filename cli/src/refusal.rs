//! Why something was not done.

use ponens_dsl::diagnostic::to_text;
use ponens_dsl::{Diagnostic, SourceMap};
use std::fmt;

/// Input that was refused: what was found, and the texts that the findings point into.
#[derive(Clone, Debug, Default)]
pub struct Refusal {
    /// The texts.
    pub sources: SourceMap,
    /// The findings; at least one is an error.
    pub diagnostics: Vec<Diagnostic>,
}

/// The result of a step that may refuse its input.
pub type Result<T> = std::result::Result<T, Box<Refusal>>;

impl Refusal {
    /// A refusal with findings about texts.
    pub fn new(sources: SourceMap, diagnostics: Vec<Diagnostic>) -> Box<Self> {
        Box::new(Self { sources, diagnostics })
    }

    /// A refusal that has no text to point into.
    pub fn plain(diagnostic: Diagnostic) -> Box<Self> {
        Self::new(SourceMap::default(), vec![diagnostic])
    }

    /// The codes of the errors, in order; warnings are left out.
    pub fn codes(&self) -> Vec<&'static str> {
        self.diagnostics.iter().filter(|d| d.is_error()).map(|d| d.code).collect()
    }

    /// All findings for people, with the source lines and a caret under each place.
    pub fn text(&self) -> String {
        to_text(&self.diagnostics, &self.sources, false)
    }
}

impl From<Diagnostic> for Box<Refusal> {
    fn from(d: Diagnostic) -> Self {
        Refusal::plain(d)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, d) in self.diagnostics.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{}: {}", d.code, d.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusal {}
