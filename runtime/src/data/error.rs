//! Findings about a data file: code, line, what is missing, what is needed.

use std::fmt;
use std::path::{Path, PathBuf};

use ponens_dsl::Diagnostic;

/// How many different findings an error carries; further ones are counted.
pub(super) const MOST_FINDINGS: usize = 10;

/// One thing that is wrong, with the first line that has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The line, counted from 1; `None` for the file as a whole.
    pub line: Option<usize>,
    /// How many rows have it.
    pub rows: usize,
    /// Code, reason, remedy.
    pub diagnostic: Diagnostic,
}

/// Why a data file is refused.
#[derive(Clone, Debug, PartialEq)]
pub struct DataError {
    /// The file, or a name in angle brackets for text that is not in a file.
    pub path: PathBuf,
    /// What is wrong, in the order of the lines: at most ten different things.
    pub findings: Vec<Finding>,
    /// How many rows have yet other errors.
    pub omitted: usize,
}

impl DataError {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), findings: Vec::new(), omitted: 0 }
    }

    /// An error about the whole file.
    pub(super) fn whole(path: &Path, diagnostic: Diagnostic) -> Self {
        let finding = Finding { line: None, rows: 0, diagnostic };
        Self { findings: vec![finding], ..Self::new(path) }
    }

    pub(super) fn add(&mut self, line: usize, diagnostic: Diagnostic) {
        if let Some(same) = self.findings.iter_mut().find(|f| f.diagnostic == diagnostic) {
            same.rows += 1;
        } else if self.findings.len() < MOST_FINDINGS {
            self.findings.push(Finding { line: Some(line), rows: 1, diagnostic });
        } else {
            self.omitted += 1;
        }
    }
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, finding) in self.findings.iter().enumerate() {
            let d = &finding.diagnostic;
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{}:", self.path.display())?;
            if let Some(line) = finding.line {
                write!(f, "{line}:")?;
            }
            write!(f, " error[{}]: {}", d.code, d.message)?;
            for note in &d.notes {
                write!(f, "\n  = note: {note}")?;
            }
            if let Some(help) = &d.help {
                write!(f, "\n  = help: {help}")?;
            }
            if finding.rows > 1 {
                write!(f, "\n  = note: {} rows have this error", finding.rows)?;
            }
        }
        if self.omitted > 0 {
            write!(f, "\n{} more rows have other errors", self.omitted)?;
        }
        Ok(())
    }
}

impl std::error::Error for DataError {}
