//! PyTorch as a contender: a Python that runs the same loss whenever it is told to.

use super::Result;
use super::measure::Contender;
use super::work::{Settings, Shape};
use std::cell::RefCell;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::rc::Rc;

const SCRIPT: &str = include_str!("torch.py");

/// A running script.
struct Worker {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    fn start(python: &Path, mode: &str, shape: Shape) -> Result<Self> {
        let mut child = Command::new(python)
            .args(["-c", SCRIPT, mode])
            .args([shape.responses, shape.tokens, shape.vocabulary].map(|n| n.to_string()))
            .arg(rayon::current_num_threads().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| format!("{} does not start: {e}", python.display()))?;
        let (Some(ask), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("no pipe to Python".into());
        };
        let mut worker = Self { child, ask, answers: BufReader::new(answers) };
        match worker.line() {
            Ok(line) if line.starts_with("ready") => Ok(worker),
            _ => Err(worker.last_words().into()),
        }
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    fn ask<T: std::str::FromStr>(&mut self, what: &str) -> Result<T> {
        writeln!(self.ask, "{what}")?;
        self.ask.flush()?;
        let line = self.line()?;
        line.parse().map_err(|_| self.last_words().into())
    }

    /// The last line that Python wrote on its way out.
    fn last_words(&mut self) -> String {
        let _ = self.child.kill();
        let mut text = String::new();
        if let Some(mut errors) = self.child.stderr.take() {
            let _ = errors.read_to_string(&mut text);
        }
        let last = text.lines().rev().find(|l| !l.trim().is_empty());
        format!("Python: {}", last.unwrap_or("it ended without a word"))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One contender a mode; each is skipped, with the reason, where there is no PyTorch.
pub(super) fn contenders(
    shape: Shape,
    settings: &Settings,
    modes: &[(&str, &'static str)],
) -> Vec<Contender> {
    let mut out = Vec::new();
    for (name, mode) in modes {
        let Some(python) = &settings.python else {
            let why = "no --python with PyTorch given".to_owned();
            out.push(Contender::skipped(name, why));
            continue;
        };
        if settings.only.as_ref().is_some_and(|only| only != name) {
            out.push(Contender::skipped(name, "not asked for".to_owned()));
            continue;
        }
        match Worker::start(python, mode, shape) {
            Err(e) => out.push(Contender::skipped(name, e.to_string())),
            Ok(worker) => {
                let worker = Rc::new(RefCell::new(worker));
                let other = worker.clone();
                out.push(Contender::foreign(
                    name,
                    move || worker.borrow_mut().ask("run"),
                    move || other.borrow_mut().ask("peak"),
                ));
            }
        }
    }
    out
}
