//! Why a command did not do its work.

use ponens::Refusal;
use ponens::dsl::Diagnostic;
use std::io;

/// The ways to fail.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The input was refused: exit status 1.
    Refused(Box<Refusal>),
    /// The command line makes no sense: exit status 2.
    Usage(String),
    /// Ctrl-C ended it; what was found until then is printed: exit status 130.
    Interrupted(String),
    /// Standard output cannot be written; a closed pipe is no failure of ours.
    Output(io::Error),
}

/// How a command that ran to its end found things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// Exit status 0.
    Done,
    /// The input is wrong, and everything is said about it: exit status 1.
    Wrong,
}

/// What a command returns.
pub(crate) type Outcome = Result<Status, Failure>;

impl From<Box<Refusal>> for Failure {
    fn from(r: Box<Refusal>) -> Self {
        Failure::Refused(r)
    }
}

impl From<Diagnostic> for Failure {
    fn from(d: Diagnostic) -> Self {
        Failure::Refused(Refusal::plain(d))
    }
}

impl From<Vec<Diagnostic>> for Failure {
    fn from(d: Vec<Diagnostic>) -> Self {
        Failure::Refused(Refusal::new(Default::default(), d))
    }
}

impl From<io::Error> for Failure {
    fn from(e: io::Error) -> Self {
        Failure::Output(e)
    }
}
