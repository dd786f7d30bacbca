//! The folder of a run: `metrics.jsonl`, and whole files or none.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::files;
use crate::op::RuntimeError;

use super::metrics::Record;
use super::score::ExampleScore;

/// Name of the metrics file in a run's folder.
const METRICS: &str = "metrics.jsonl";
/// Scores of the held-out examples before the first step.
const SCORES_FIRST: &str = "scores-first.jsonl";
/// And of the last evaluation so far.
const SCORES_LAST: &str = "scores-last.jsonl";

pub(super) use crate::files::UNFINISHED;

/// Removes what processes that were killed have left half-written or half-removed in a run's folder.
pub(super) fn sweep(folder: &Path) -> Result<(), RuntimeError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(RuntimeError::io("cannot read", folder)(e)),
    };
    for entry in entries {
        let path = entry.map_err(RuntimeError::io("cannot read", folder))?.path();
        if path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(UNFINISHED)) {
            let removed =
                if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(RuntimeError::io("cannot remove", &path))?;
        }
    }
    Ok(())
}

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
    files::write_whole(path, bytes).map_err(RuntimeError::io("cannot write", path))?;
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// Writes the scores of an evaluation, one line an example: those before the first step stay, the others
/// are replaced by the next.
pub(super) fn write_scores(
    folder: &Path,
    step: usize,
    scores: &[ExampleScore],
) -> Result<(), RuntimeError> {
    let mut text = Vec::new();
    for score in scores {
        serde_json::to_writer(&mut text, score)
            .map_err(|e| RuntimeError::format(folder, e.to_string()))?;
        text.push(b'\n');
    }
    if step == 0 {
        write_whole(&folder.join(SCORES_FIRST), &text)?;
    }
    write_whole(&folder.join(SCORES_LAST), &text)
}

/// Clears the way for a run in a folder whose earlier run ended before its first checkpoint.
///
/// # Errors
/// If the folder holds a checkpoint, or cannot be written.
pub fn discard_unsaved(folder: &Path) -> Result<(), RuntimeError> {
    if let Some(checkpoint) = super::checkpoint::latest(folder)? {
        let reason = "a run that can be resumed is not discarded";
        return Err(RuntimeError::format(checkpoint, reason));
    }
    for name in [METRICS, SCORES_FIRST, SCORES_LAST] {
        let path = folder.join(name);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(RuntimeError::io("cannot remove", &path)(e));
            }
            _ => {}
        }
    }
    Ok(())
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
        let holds_a_run = || {
            RuntimeError::Setting(format!(
                "{} holds a run already: resume it or choose another folder",
                folder.display()
            ))
        };
        if super::checkpoint::latest(folder)?.is_some() {
            return Err(holds_a_run());
        }
        sweep(folder)?;
        let file = OpenOptions::new().append(true).create_new(true).open(&path);
        let file = file.map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => holds_a_run(),
            _ => RuntimeError::io("cannot write", &path)(e),
        })?;
        Ok(Self { file, path })
    }

    /// The file of an earlier sitting, cut back to what happened up to `step`.
    pub(super) fn reopen(folder: &Path, step: usize) -> Result<Self, RuntimeError> {
        sweep(folder)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::metrics::SavedRecord;

    fn record(step: usize) -> Record {
        Record::Saved(SavedRecord { step, path: "x".into() })
    }

    #[test]
    fn a_file_is_there_whole_or_not_at_all() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("a");
        write_whole(&path, b"one").expect("writes");
        write_whole(&path, b"two").expect("replaces");
        assert_eq!(fs::read(&path).expect("reads"), b"two");
        assert!(write_whole(&dir.path().join("no/where"), b"x").is_err());
        // A folder in the way: the rename fails after the temporary file was written.
        fs::create_dir_all(dir.path().join("b/c")).expect("creates");
        let error = write_whole(&dir.path().join("b"), b"x").expect_err("in the way");
        assert!(error.to_string().starts_with("cannot write"), "{error}");
        let names = fs::read_dir(dir.path()).expect("reads").count();
        assert_eq!(names, 2, "no temporary file is left");
    }

    #[test]
    fn reopening_drops_later_and_broken_lines() {
        let dir = tempfile::tempdir().expect("folder");
        let mut file = MetricsFile::create(dir.path()).expect("creates");
        (1..=4).for_each(|s| file.write(&record(s)).expect("writes"));
        let path = dir.path().join(METRICS);
        let whole = fs::read_to_string(&path).expect("reads");
        fs::write(&path, format!("{whole}{{\"step\": 2, \"lo")).expect("writes");
        let mut file = MetricsFile::reopen(dir.path(), 2).expect("reopens");
        file.write(&record(3)).expect("writes");
        let text = fs::read_to_string(&path).expect("reads");
        let first_three: String = whole.lines().take(3).map(|l| format!("{l}\n")).collect();
        assert_eq!(text, first_three);
    }

    /// `/dev/full` refuses every write as a full disk does.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_is_an_error_that_names_the_file() {
        let path = PathBuf::from("/dev/full");
        let file = OpenOptions::new().append(true).open(&path).expect("the device");
        let error = MetricsFile { file, path }.write(&record(1)).expect_err("full");
        assert!(error.to_string().starts_with("cannot write /dev/full: "), "{error}");
    }
}
