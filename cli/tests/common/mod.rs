//! Runs the built command.

// Every test binary has its own copy and uses a part of it.
#![allow(dead_code)]

use serde_json::Value;
use std::fmt;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// What a run of the command left.
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status {}", self.status)?;
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                write!(f, "\n-- {name}\n{}", text.trim_end())?;
            }
        }
        Ok(())
    }
}

impl Ran {
    /// The one JSON document on standard output.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self}"))
    }

    /// The JSON lines on standard output.
    pub(crate) fn json_lines(&self) -> Vec<Value> {
        lines(&self.stdout)
    }

    /// The diagnostics on standard error, for `--format json`.
    pub(crate) fn diagnostics(&self) -> Vec<Value> {
        lines(&self.stderr)
    }

    /// The codes of the diagnostics, for `--format json`.
    pub(crate) fn codes(&self) -> Vec<String> {
        let code = |d: &Value| d["code"].as_str().expect("a code").to_owned();
        self.diagnostics().iter().map(code).collect()
    }

    /// Panics unless the exit status is 0.
    pub(crate) fn done(self) -> Self {
        assert_eq!(self.status, 0, "{self}");
        self
    }
}

fn lines(text: &str) -> Vec<Value> {
    let parse = |l: &str| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"));
    text.lines().map(parse).collect()
}

/// A folder of its own for a test.
pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { folder: TempDir::new().expect("a folder") }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file in the folder.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> &Self {
        std::fs::write(self.folder.path().join(name), text).expect("written");
        self
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).expect("read")
    }

    /// The names in the folder, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).expect("a folder");
        let mut names: Vec<String> = entries
            .map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// Runs the command in the folder.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.run_with(args, "")
    }

    /// Runs the command in the folder with text on standard input.
    pub(crate) fn run_with(&self, args: &[&str], stdin: &str) -> Ran {
        self.start(args, &[], stdin)
    }

    /// Runs the command in the folder with environment variables.
    pub(crate) fn run_where(&self, args: &[&str], variables: &[(&str, &str)]) -> Ran {
        self.start(args, variables, "")
    }

    fn start(&self, args: &[&str], variables: &[(&str, &str)], stdin: &str) -> Ran {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ponens"))
            .args(args)
            .current_dir(self.folder.path())
            .env_remove("RUST_BACKTRACE")
            .env_remove("NO_COLOR")
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command starts");
        // It may end without reading its input.
        let _ = child.stdin.take().expect("a pipe").write_all(stdin.as_bytes());
        let out = child.wait_with_output().expect("the command ends");
        Ran {
            status: out.status.code().unwrap_or(-1),
            stdout: String::from_utf8(out.stdout).expect("UTF-8"),
            stderr: String::from_utf8(out.stderr).expect("UTF-8"),
        }
    }
}

/// Runs the command in an empty folder.
pub(crate) fn ponens(args: &[&str]) -> Ran {
    Place::new().run(args)
}

/// A row for losses over policy and reference.
pub(crate) const DPO_ROW: &str =
    r#"{"logp(pi,w)": -10, "logp(pi,l)": -12.5, "logp(ref,w)": -11, "logp(ref,l)": -11.5}"#;
