//! A PyTorch function read as a loss.
//!
//! Why: a loss that somebody trains with has a logic, whether or not it was ever written as one. In: the
//! text of a Python file and the name of a function. Out: a loss in the language, as a syntax tree whose
//! places are those of the Python text, so that every later finding points at the line to blame.
//!
//! The stages: [`source`] parses the file and finds the function, [`globals`] and [`scope`] know what
//! names stand for, [`statement`], [`expression`] and [`invoke`] run the function on symbols ([`symbol`];
//! [`call`] has the functions of PyTorch), [`assemble`] makes a loss of the
//! result ([`finish`] has the value of one example, [`links`] finds rho in it). Invariants: nothing of the
//! file is executed; a construct that is not understood is named with its place, never skipped; work and
//! size are bounded.

mod assemble;
mod call;
mod expression;
mod finish;
mod globals;
mod invoke;
mod links;
mod names;
mod scope;
mod source;
mod statement;
mod symbol;

use crate::refusal::{Refusal, Result};
use crate::verify::Subject;
use ponens_compiler::hir::{self, Program};
use ponens_dsl::{Diagnostic, SourceMap};
use serde_json::Value;

/// The parser of Python and what follows recurse as deep as expressions nest, at most the length of the
/// longest file that is read.
const STACK: usize = 512 << 20;

/// A function read as a loss.
#[derive(Debug)]
pub struct Read {
    /// The loss, resolved.
    pub loss: hir::Loss,
    /// The loss as text.
    pub text: String,
    /// The Python text, which the places point into.
    pub sources: SourceMap,
    /// Remarks on what was taken for granted.
    pub remarks: Vec<String>,
    /// Warnings of the resolver.
    pub warnings: Vec<Diagnostic>,
}

/// What the user says by hand.
#[derive(Clone, Debug, Default)]
pub struct Hints {
    /// Arguments and the quantity, parameter or column that each is.
    pub map: Vec<(String, String)>,
    /// Arguments and the value that each has.
    pub set: Vec<(String, Value)>,
    /// Where the function returns several things: the key, or the place, of the loss.
    pub output: Option<Value>,
    /// Log-probabilities whose names do not say so are means.
    pub mean: bool,
}

/// Reads a function of a file.
///
/// # Errors
/// `E0003`, `E0002`: the file cannot be read. `E0802`: it is not Python, or has no such function.
/// `E0803`: a construct is not understood. `E0804`: an argument is not known. The errors of the resolver.
pub fn read(subject: &Subject, hints: &Hints) -> Result<Read> {
    let mut sources = SourceMap::default();
    let text = source::text(&subject.file)?;
    let file = sources.add(subject.file.display().to_string(), text);
    let refuse = |sources: &SourceMap, d| Refusal::new(sources.clone(), vec![d]);
    let tree = std::thread::scope(|scope| {
        let work = || -> std::result::Result<assemble::Assembled, Diagnostic> {
            let module = source::Module::parse(&sources, file)?;
            assemble::loss(&module, &subject.function, hints)
        };
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        match thread.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(read)) => read,
            _ => Err(Diagnostic::error("E0803", "the file could not be read")),
        }
    });
    let assemble::Assembled { tree, remarks } = tree.map_err(|d| refuse(&sources, d))?;
    let text = ponens_dsl::print::loss(&tree);
    let name = tree.name.text.clone();
    let mut program = Program::new();
    program.sources = sources;
    program.add_tree(ponens_dsl::ast::File {
        items: vec![ponens_dsl::ast::Item::Loss(tree)],
        ..Default::default()
    });
    let (loss, found) = program.resolve(&name, &hir::NoLibrary);
    match loss {
        Some(loss) => Ok(Read { loss, text, sources: program.sources, remarks, warnings: found }),
        None => Err(Refusal::new(program.sources, found)),
    }
}
