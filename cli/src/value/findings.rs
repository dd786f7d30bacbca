//! Findings about rows: so many, and the rest counted.

use super::read::MAX_FINDINGS;
use ponens_dsl::Diagnostic;

/// What is wrong with rows.
#[derive(Default)]
pub(super) struct Findings {
    list: Vec<Diagnostic>,
    dropped: usize,
    repeated: Vec<(String, usize, usize)>,
}

impl Findings {
    pub(super) fn push(&mut self, d: Diagnostic) {
        if self.list.len() < MAX_FINDINGS { self.list.push(d) } else { self.dropped += 1 }
    }

    /// Keeps the first finding about a column and counts the others.
    pub(super) fn once(&mut self, column: &str, d: Diagnostic) {
        match self.repeated.iter_mut().find(|(c, ..)| c == column) {
            Some((.., more)) => *more += 1,
            None => {
                self.repeated.push((column.to_owned(), self.list.len(), 0));
                self.list.push(d);
            }
        }
    }

    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        for (_, at, more) in self.repeated.iter().filter(|r| r.2 > 0) {
            self.list[*at].notes.push(format!("so it is in {more} more rows"));
        }
        if let (Some(last), true) = (self.list.last_mut(), self.dropped > 0) {
            last.notes.push(format!("{} more findings are not shown", self.dropped));
        }
        self.list
    }
}
