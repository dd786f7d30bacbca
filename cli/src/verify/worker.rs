//! The Python process that runs the function.
//!
//! In: a Python, the file and the name of the function. Out: its arguments, then an answer a call.
//! Invariants: no answer is waited for longer than the limit; the process and what it started end with
//! the [`Worker`]; what the function prints is never taken for an answer.

use super::Subject;
use ponens_dsl::{Diagnostic, suggest};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const HARNESS: &str = include_str!("harness.py");

/// A process that has closed its answers is given so long to end.
const LAST: Duration = Duration::from_secs(2);

/// As much of what the process writes on standard error is kept.
const KEPT: usize = 1 << 16;

/// An argument of the function.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Argument {
    /// Its name.
    pub(super) name: String,
    /// True when it has a default.
    pub(super) optional: bool,
    /// The default, where that is a number.
    pub(super) default: Option<f64>,
    /// True when it cannot be given by name.
    pub(super) positional: bool,
}

/// What the function wants.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Signature {
    /// Its arguments in order, without `self`.
    pub(super) arguments: Vec<Argument>,
    /// True for a method, which gets the parameters as attributes of `self`.
    pub(super) method: bool,
    /// The version of PyTorch.
    pub(super) torch: String,
}

/// A running Python.
pub(super) struct Worker {
    child: Child,
    ask: ChildStdin,
    answers: Receiver<String>,
    errors: Arc<Mutex<Vec<u8>>>,
    limit: Duration,
    subject: Subject,
}

/// The Python to use where none is named: that of the active environment, else the one on the path.
pub(super) fn default_python() -> PathBuf {
    let environment = std::env::var_os("VIRTUAL_ENV").map(PathBuf::from);
    let inside = environment.map(|e| {
        if cfg!(windows) { e.join("Scripts").join("python.exe") } else { e.join("bin/python") }
    });
    match inside {
        Some(python) if python.is_file() => python,
        _ => PathBuf::from(if cfg!(windows) { "python" } else { "python3" }),
    }
}

impl Worker {
    /// Starts Python on a function, and asks for its arguments.
    ///
    /// # Errors
    /// `E0801`: no Python, no PyTorch in it, or it stopped. `E0802`: the file is not Python, or has no
    /// such function. `E0805`: the file raised an exception.
    pub(super) fn start(
        python: &Path,
        subject: &Subject,
        limit: Duration,
    ) -> Result<(Self, Signature), Diagnostic> {
        let mut command = Command::new(python);
        command.arg("-c").arg(HARNESS).arg(&subject.file).arg(&subject.function);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().map_err(|e| {
            Diagnostic::error("E0801", format!("{} does not start: {e}", python.display()))
                .help("name a Python that has PyTorch: --python venv/bin/python")
        })?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(ask), Some(out), Some(mut err)) = pipes else {
            let _ = child.kill();
            return Err(Diagnostic::error("E0801", "there is no pipe to Python"));
        };
        let (send, answers) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        let errors = Arc::new(Mutex::new(Vec::new()));
        let kept = errors.clone();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(n @ 1..) = err.read(&mut piece) {
                if let Ok(mut kept) = kept.lock() {
                    kept.extend_from_slice(&piece[..n]);
                    let over = kept.len().saturating_sub(KEPT);
                    kept.drain(..over);
                }
            }
        });
        let subject = subject.clone();
        let mut worker = Self { child, ask, answers, errors, limit, subject };
        let signature = worker.answer("before it had read the file")?;
        Ok((worker, read(&signature)))
    }

    /// Has the function called.
    ///
    /// # Errors
    /// `E0805`: it raised an exception, returned something else than a tensor, or took too long.
    pub(super) fn call(&mut self, call: &Value) -> Result<Value, Diagnostic> {
        // A process that ended says so below.
        let _ = writeln!(self.ask, "{call}").and_then(|()| self.ask.flush());
        self.answer("in a call")
    }

    fn answer(&mut self, when: &str) -> Result<Value, Diagnostic> {
        let Subject { file, function, .. } = &self.subject;
        let shown = file.display();
        let line = match self.answers.recv_timeout(self.limit) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => {
                let seconds = self.limit.as_secs_f64();
                let d = format!("{shown}:{function} gave no answer for {seconds} seconds");
                return Err(Diagnostic::error("E0805", d)
                    .note(format!("it was stopped {when}"))
                    .help("give it longer: --timeout SECONDS"));
            }
            Err(RecvTimeoutError::Disconnected) => {
                if !has_ended(&mut self.child, self.limit.min(LAST)) {
                    let d = format!("{shown}:{function} closed the answers {when} and goes on");
                    return Err(Diagnostic::error("E0801", d).note("it was stopped"));
                }
                let d = format!("Python ended {when} of {shown}:{function}");
                return Err(match self.last_words() {
                    Some(words) => Diagnostic::error("E0801", d).note(words),
                    None => Diagnostic::error("E0801", d),
                });
            }
        };
        let answer: Value = serde_json::from_str(&line)
            .map_err(|e| Diagnostic::error("E0801", format!("Python answered no JSON: {e}")))?;
        match answer.get("error") {
            Some(error) => Err(self.refused(error)),
            None => Ok(answer),
        }
    }

    fn refused(&self, error: &Value) -> Diagnostic {
        let Subject { file, function, .. } = &self.subject;
        let shown = file.display();
        let message = error["message"].as_str().unwrap_or_default();
        let place = match error["line"].as_u64() {
            Some(line) => format!("{shown}, line {line}"),
            None => shown.to_string(),
        };
        match error["kind"].as_str().unwrap_or_default() {
            "torch" => Diagnostic::error("E0801", format!("Python has no PyTorch: {message}"))
                .help("install it there, or name another Python: --python venv/bin/python"),
            "syntax" => Diagnostic::error("E0802", format!("{place} is not Python: {message}")),
            "missing" => {
                let names = error["names"].as_array().map(Vec::as_slice).unwrap_or_default();
                let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
                let d = Diagnostic::error("E0802", format!("{shown}:{function}: {message}"));
                match suggest::closest(function, names.iter().copied()) {
                    Some(s) => d.help(format!("did you mean {shown}:{s}?")),
                    None if names.is_empty() => d.help("name a function of the file"),
                    None => d.help(format!("it has {}", names.join(", "))),
                }
            }
            "signature" => {
                let d = format!("the arguments of {shown}:{function} are not known: {message}");
                Diagnostic::error("E0802", d).help("name a function that is written in Python")
            }
            "import" => Diagnostic::error("E0805", format!("{place} cannot be run: {message}"))
                .help("the file is imported as a module: it has to run by itself"),
            "result" => {
                let d = format!("{shown}:{function} has no loss to compare: {message}");
                Diagnostic::error("E0805", d)
                    .help("where it returns several things, say which is the loss: --output NAME")
            }
            _ => Diagnostic::error("E0805", format!("{place}: {function} raised {message}")),
        }
    }

    /// The last line that Python wrote on standard error.
    fn last_words(&self) -> Option<String> {
        // The thread that reads may still hold the end.
        std::thread::sleep(Duration::from_millis(50));
        let kept = self.errors.lock().ok()?;
        let text = String::from_utf8_lossy(&kept);
        text.lines().rev().find(|l| !l.trim().is_empty()).map(|l| l.trim().to_owned())
    }
}

/// Whether the process ends within this time.
fn has_ended(child: &mut Child, within: Duration) -> bool {
    let until = Instant::now() + within;
    while let Ok(None) = child.try_wait() {
        if Instant::now() >= until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Whatever the function started belongs to the same group.
        #[cfg(unix)]
        {
            let group = format!("-{}", self.child.id());
            let mut kill = Command::new("kill");
            kill.args(["-KILL", "--", &group]).stdout(Stdio::null()).stderr(Stdio::null());
            let _ = kill.status();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(answer: &Value) -> Signature {
    let arguments = answer["arguments"].as_array().map(Vec::as_slice).unwrap_or_default();
    let arguments = arguments.iter().map(|a| Argument {
        name: a["name"].as_str().unwrap_or_default().to_owned(),
        optional: a["optional"] == true,
        default: crate::number::from_json(&a["default"]),
        positional: a["positional"] == true,
    });
    Signature {
        arguments: arguments.collect(),
        method: answer["method"] == true,
        torch: answer["torch"].as_str().unwrap_or_default().to_owned(),
    }
}
