//! Checking loss files from the grammar to the proof that every operation is defined.
//!
//! In: a path. Out: every diagnostic of the file and of each of its losses. Invariant: a diagnostic is
//! reported once, even when several losses share the text that it is about.

use ponens_compiler::hir::Program;
use ponens_compiler::session::{self, Options};
use ponens_dsl::diagnostic::{MAX_DIAGNOSTICS, limited};
use ponens_dsl::{Diagnostic, FileId, SourceMap, Span};
use ponens_losses::Catalogue;
use std::collections::HashSet;
use std::io::Read as _;
use std::path::Path;

/// What was found in one file.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The name of the file as given; `<stdin>` for `-`.
    pub name: String,
    /// The texts.
    pub sources: SourceMap,
    /// How many losses the file defines.
    pub losses: usize,
    /// All findings, at most [`MAX_DIAGNOSTICS`]; behind that many errors the rest is not looked at.
    pub diagnostics: Vec<Diagnostic>,
}

/// Checks a file; `-` is standard input.
pub fn check(path: &Path) -> Checked {
    let mut program = Program::new();
    let (name, file, diagnostics) = if path == Path::new("-") {
        let name = "<stdin>".to_owned();
        let mut bytes = Vec::new();
        let text =
            std::io::stdin().lock().read_to_end(&mut bytes).map(|_| String::from_utf8(bytes));
        match text {
            Ok(Ok(text)) => {
                let (file, found) = program.add_text(&name, &text);
                (name, Some(file), found)
            }
            Ok(Err(_)) => (name, None, vec![Diagnostic::error("E0002", "<stdin> is not UTF-8")]),
            Err(e) => {
                let d = Diagnostic::error("E0003", format!("<stdin> cannot be read: {e}"));
                (name, None, vec![d])
            }
        }
    } else {
        let (file, found) = program.add_file(path);
        (path.display().to_string(), file, found)
    };
    let (losses, diagnostics) = losses(&mut program, file, diagnostics);
    Checked { name, sources: program.sources, losses, diagnostics }
}

/// A text that an editor holds, checked.
#[derive(Clone, Debug)]
pub struct CheckedText {
    /// The text among the places of the findings.
    pub file: FileId,
    /// All findings.
    pub diagnostics: Vec<Diagnostic>,
}

/// Checks a text whose imports are relative to a folder.
pub fn check_text(name: &str, text: &str, folder: &Path) -> CheckedText {
    let mut program = Program::new();
    let (file, found) = program.add_text_at(name, text, folder);
    let (_, diagnostics) = losses(&mut program, Some(file), found);
    CheckedText { file, diagnostics }
}

/// Checks every loss of a text: how many there are, and all findings.
fn losses(
    program: &mut Program,
    file: Option<FileId>,
    mut diagnostics: Vec<Diagnostic>,
) -> (usize, Vec<Diagnostic>) {
    diagnostics.extend(program.duplicates());
    let mut errors = diagnostics.iter().filter(|d| d.is_error()).count();
    let mut known: HashSet<Identity> = diagnostics.iter().map(identity).collect();
    let losses: Vec<String> = file
        .map(|f| program.losses_of(f).iter().map(|n| n.text.clone()).collect())
        .unwrap_or_default();
    for loss in &losses {
        if errors > MAX_DIAGNOSTICS {
            break;
        }
        let found = match session::compile(program, loss, &Catalogue, &Options::default()) {
            Ok(compiled) => compiled.warnings,
            Err(found) => found,
        };
        for d in found {
            if known.insert(identity(&d)) {
                errors += usize::from(d.is_error());
                diagnostics.push(d);
            }
        }
    }
    (losses.len(), limited(diagnostics))
}

/// What makes two findings one: the code, the sentence, the first place.
type Identity = (&'static str, String, Option<Span>);

fn identity(d: &Diagnostic) -> Identity {
    (d.code, d.message.clone(), d.labels.first().map(|l| l.span))
}
