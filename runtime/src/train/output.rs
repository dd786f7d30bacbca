//! The folder of a run: `metrics.jsonl`, and whole files or none.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::op::RuntimeError;

use super::metrics::Record;

/// Name of the metrics file in a run's folder.
const METRICS: &str = "metrics.jsonl";

/// Makes the renames in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> Result<(), RuntimeError> {
    // Not every system lets a folder be opened; where it does not, there is nothing to flush.
    match File::open(folder) {
        Ok(f) => f.sync_all().or_else(|e| match e.kind() {
            io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported => Ok(()),
            _ => Err(e),
        }),
        Err(_) => Ok(()),
    }
    .map_err(RuntimeError::io("cannot write", folder))
}

/// Writes a file that appears complete or not at all.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), RuntimeError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let write = || -> io::Result<()> {
        let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
        temporary.write_all(bytes)?;
        temporary.as_file().sync_all()?;
        // On failure the temporary file goes with its handle.
        temporary.persist(path).map_err(|e| e.error)?;
        Ok(())
    };
    write().map_err(RuntimeError::io("cannot write", path))?;
    sync_folder(folder)
}

/// The metrics of a run, line by line.
pub(super) struct MetricsFile {
    file: File,
    path: PathBuf,
}

impl MetricsFile {
    /// A new file in a folder that holds no run.
    pub(super) fn create(folder: &Path) -> Result<Self, RuntimeError> {
        fs::create_dir_all(folder).map_err(RuntimeError::io("cannot create", folder))?;
        let path = folder.join(METRICS);
        let file = OpenOptions::new().append(true).create_new(true).open(&path);
        let file = file.map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => RuntimeError::Setting(format!(
                "{} holds a run already: resume it or choose another folder",
                folder.display()
            )),
            _ => RuntimeError::io("cannot write", &path)(e),
        })?;
        Ok(Self { file, path })
    }

    /// The file of an earlier sitting, cut back to what happened up to `step`.
    pub(super) fn reopen(folder: &Path, step: usize) -> Result<Self, RuntimeError> {
        let path = folder.join(METRICS);
        let old = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(RuntimeError::io("cannot read", &path)(e)),
        };
        let mut kept = String::with_capacity(old.len());
        for line in old.lines() {
            // A line that the crash cut short does not parse.
            let value: Option<serde_json::Value> = serde_json::from_str(line).ok();
            let at = |v: &serde_json::Value| v.get("step").and_then(serde_json::Value::as_u64);
            if value.is_some_and(|v| at(&v).unwrap_or(0) <= step as u64) {
                kept.push_str(line);
                kept.push('\n');
            }
        }
        write_whole(&path, kept.as_bytes())?;
        let file = OpenOptions::new().append(true).open(&path);
        Ok(Self { file: file.map_err(RuntimeError::io("cannot write", &path))?, path })
    }

    /// Appends a record; after an error the file ends with the record before.
    pub(super) fn write(&mut self, record: &Record) -> Result<(), RuntimeError> {
        let mut line = serde_json::to_vec(record)
            .map_err(|e| RuntimeError::format(&self.path, e.to_string()))?;
        line.push(b'\n');
        let before = self.file.metadata().map(|m| m.len());
        self.file.write_all(&line).map_err(|e| {
            if let Ok(len) = before {
                // Best effort: the first error is the one to report.
                let _ = self.file.set_len(len);
            }
            RuntimeError::io("cannot write", &self.path)(e)
        })
    }
}
