//! A user's PyTorch function against a loss: the same value and gradient, or the inputs where not.
//!
//! Why: teams train with copies of a loss, and copies drift. In: a loss, its parameters, and a function
//! in a Python file. Out: a [`Report`]: what was compared, and the first inputs on which the two differ.
//!
//! The stages: [`worker`] runs the function in a Python of the user's, [`matching`] finds out which
//! argument is which column ([`words`] reads the names, [`masks`] tells masks apart), [`inputs`] makes rows (ordinary ones, and the
//! edges at which hand-written losses break), [`expect`] evaluates the loss on them in 256 bits, and how
//! far rounding of the inputs moves it, [`judge`] compares. Invariants: what is expected never comes from
//! floating point of the type under test; a function that differs by no more than its inputs' rounding
//! explains is never blamed.

mod expect;
mod inputs;
mod judge;
mod masks;
mod matching;
mod report;
pub(crate) mod words;
mod worker;

pub use report::{Case, Counts, Difference, Dtype, Report, Verdict};

use crate::refusal::{Refusal, Result};
use ponens_compiler::session::Compiled;
use ponens_dsl::Diagnostic;
use serde_json::Value;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// A function in a Python file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The file.
    pub file: PathBuf,
    /// The function, or `Class.method`.
    pub function: String,
}

impl Subject {
    /// Reads `FILE.py:function`.
    ///
    /// # Errors
    /// `E0802`: the text has no such form.
    pub fn parse(text: &str) -> std::result::Result<Self, Diagnostic> {
        match text.rsplit_once(':') {
            Some((file, function)) if file.ends_with(".py") && !function.is_empty() => {
                Ok(Self { file: PathBuf::from(file), function: function.to_owned() })
            }
            _ => {
                let d = Diagnostic::error("E0802", format!("`{text}` names no Python function"));
                Err(d.help("write FILE.py:function, or FILE.py:Class.method"))
            }
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.function)
    }
}

/// What to compare, and how.
#[derive(Clone, Debug)]
pub struct Request {
    /// The function.
    pub subject: Subject,
    /// The Python that runs it; the active environment's where none is named.
    pub python: Option<PathBuf>,
    /// Arguments and the column or parameter that each is.
    pub map: Vec<(String, String)>,
    /// Arguments and the value that each gets.
    pub set: Vec<(String, Value)>,
    /// Parameters of the loss that stay at a value.
    pub params: Vec<(String, f64)>,
    /// Where the function returns several things: the key, or the place, of the loss.
    pub output: Option<Value>,
    /// The types to compare in.
    pub dtypes: Vec<Dtype>,
    /// Random rows, beside the edges.
    pub rows: usize,
    /// Where the random numbers begin.
    pub seed: u64,
    /// The longest that one call may take.
    pub limit: Duration,
}

/// Compares a function with a loss.
///
/// # Errors
/// `E0801` to `E0805`: Python, the file, its arguments or a call are not as they have to be; `E0301` to
/// `E0303`: the parameters.
pub fn verify(compiled: &Compiled, request: &Request) -> Result<Report> {
    let refuse = |found| Refusal::new(Default::default(), found);
    let base = compiled.bind(&request.params).map_err(refuse)?;
    if let Err(e) = std::fs::metadata(&request.subject.file) {
        let d = format!("{} cannot be read: {e}", request.subject.file.display());
        return Err(Diagnostic::error("E0003", d).into());
    }
    let python = request.python.clone().unwrap_or_else(worker::default_python);
    let (mut worker, signature) = worker::Worker::start(&python, &request.subject, request.limit)?;
    let matched =
        matching::matched(&compiled.loss, compiled.graph(), &signature, request).map_err(refuse)?;
    let inputs = inputs::Inputs::new(compiled, &matched, request);
    let settings =
        inputs::settings(&compiled.loss.params, &base, &matched, request, signature.method);
    let mut judge = judge::Judge::new(compiled, &matched, &signature, request);
    for params in &settings {
        for dtype in &request.dtypes {
            for chunk in &inputs.chunks {
                judge.compare(&mut worker, chunk, params, *dtype)?;
            }
        }
    }
    judge.attributes()?;
    Ok(judge.report(&settings, &signature.torch))
}
