//! What can be wrong with a text or with a run.

use std::fmt;

/// Why a text is not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Line, from 1.
    pub line: usize,
    /// The statement.
    pub statement: String,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}: `{}`", self.line, self.reason, self.statement)
    }
}

impl std::error::Error for ParseError {}

/// Why a run was stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The kernel.
    pub kernel: String,
    /// Index of the block.
    pub block: u32,
    /// Index of the thread in its block.
    pub thread: u32,
    /// Line of the instruction in the PTX text; 0 where there is none.
    pub line: usize,
    /// What happened.
    pub reason: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault { kernel, block, thread, line, reason } = self;
        write!(f, "{kernel}, block {block}, thread {thread}, line {line}: {reason}")
    }
}

impl std::error::Error for Fault {}
