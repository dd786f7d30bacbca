//! What is printed, and where.

use crate::args::{Color, Format, Global};
use crate::bar::Bar;
use crate::failure::{Failure, Outcome, Status};
use crate::style::Style;
use ponens::dsl::diagnostic::{to_json, to_text};
use ponens::dsl::{Diagnostic, SourceMap};
use serde_json::Value;
use std::io::{self, BufWriter, IsTerminal as _, Stdout, Write as _};
use std::process::ExitCode;

/// The two streams and how to write on them.
pub(crate) struct Ui {
    /// The form of results.
    pub(crate) format: Format,
    /// Colours of standard output.
    pub(crate) style: Style,
    errors: Style,
    out: BufWriter<Stdout>,
}

impl Ui {
    /// From the global options and the environment.
    pub(crate) fn new(global: &Global) -> Self {
        let wanted = |terminal: bool| Style {
            on: match global.color {
                Color::Always => true,
                Color::Never => false,
                Color::Auto => {
                    terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
                }
            },
        };
        Self {
            format: global.format,
            style: wanted(io::stdout().is_terminal()),
            errors: wanted(io::stderr().is_terminal()),
            out: BufWriter::new(io::stdout()),
        }
    }

    /// True when results are JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Prints a line of text.
    pub(crate) fn line(&mut self, text: impl AsRef<str>) -> Result<(), Failure> {
        Ok(writeln!(self.out, "{}", text.as_ref())?)
    }

    /// Prints text as it is.
    pub(crate) fn text(&mut self, text: impl AsRef<str>) -> Result<(), Failure> {
        Ok(self.out.write_all(text.as_ref().as_bytes())?)
    }

    /// Prints lines of text.
    pub(crate) fn lines(&mut self, lines: impl IntoIterator<Item = String>) -> Result<(), Failure> {
        lines.into_iter().try_for_each(|l| self.line(l))
    }

    /// Prints the one JSON document of a command.
    pub(crate) fn json(&mut self, value: &Value) -> Result<(), Failure> {
        serde_json::to_writer_pretty(&mut self.out, value).map_err(io::Error::from)?;
        self.line("")
    }

    /// Prints one of the JSON lines of a command, at once.
    pub(crate) fn json_line(&mut self, value: &Value) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.out, value).map_err(io::Error::from)?;
        self.line("")?;
        Ok(self.out.flush()?)
    }

    /// Hands on what is buffered.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.out.flush()?)
    }

    /// Prints a remark for people on standard error; nothing when results are JSON.
    pub(crate) fn remark(&mut self, text: impl AsRef<str>) {
        if !self.is_json() {
            let _ = self.out.flush();
            let _ = writeln!(io::stderr(), "{}", self.errors.faint(text.as_ref()));
        }
    }

    /// A bar on standard error while something is counted; nothing where that is no terminal.
    pub(crate) fn progress(&self, what: &'static str) -> Bar {
        let shown = !self.is_json() && io::stderr().is_terminal();
        Bar::new(what, shown)
    }

    /// The same while results are printed; nothing where these go to a terminal too.
    pub(crate) fn search_progress(&self, what: &'static str) -> Bar {
        let shown = io::stderr().is_terminal() && !io::stdout().is_terminal();
        Bar::new(what, shown)
    }

    /// Prints diagnostics on standard error: text with carets, or JSON lines.
    pub(crate) fn report(&mut self, sources: &SourceMap, diagnostics: &[Diagnostic]) {
        let _ = self.out.flush();
        let text = if self.is_json() {
            let list = to_json(diagnostics, sources);
            list.as_array().into_iter().flatten().map(|d| format!("{d}\n")).collect()
        } else {
            to_text(diagnostics, sources, self.errors.on)
        };
        let _ = io::stderr().write_all(text.as_bytes());
    }

    /// Says why a command failed, if it did, and gives the exit status.
    pub(crate) fn finish(mut self, outcome: Outcome) -> ExitCode {
        let outcome = outcome.and_then(|status| self.flush().map(|()| status));
        match outcome {
            Ok(Status::Done) => ExitCode::SUCCESS,
            Ok(Status::Wrong) => ExitCode::from(1),
            Err(Failure::Refused(r)) => {
                self.report(&r.sources, &r.diagnostics);
                ExitCode::from(1)
            }
            Err(Failure::Usage(text)) => {
                let _ =
                    writeln!(io::stderr(), "error: {text}\n\nFor more information, try '--help'.");
                ExitCode::from(2)
            }
            Err(Failure::Interrupted(text)) => {
                let _ = self.flush();
                let _ = writeln!(io::stderr(), "{text}");
                ExitCode::from(130)
            }
            // Whoever closed the pipe has seen enough.
            Err(Failure::Output(e)) if e.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Err(Failure::Output(e)) => {
                let _ = writeln!(io::stderr(), "error: standard output cannot be written: {e}");
                ExitCode::from(1)
            }
        }
    }
}
