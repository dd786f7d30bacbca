//! Reading a file into a source map.

use std::fs;
use std::io::Read;
use std::path::Path;

use super::MAX_BYTES;
use crate::diagnostic::Diagnostic;
use crate::span::{FileId, SourceMap};

/// Reads the file at `path` and adds its text under that name.
///
/// # Errors
///
/// `E0003` when the file cannot be read or is longer than [`MAX_BYTES`], `E0002` when it is not
/// UTF-8 (with the offset of the first byte that is not).
pub fn load(sources: &mut SourceMap, path: &Path) -> Result<FileId, Diagnostic> {
    let name = path.display().to_string();
    let unreadable = |reason: &dyn std::fmt::Display| {
        Diagnostic::error("E0003", format!("`{name}` cannot be read: {reason}"))
    };
    let mut bytes = Vec::new();
    // One byte more than allowed tells a file that is too long from one that just fits, and bounds
    // what an endless device can deliver.
    fs::File::open(path)
        .and_then(|file| file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes))
        .map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => {
            unreadable(&"there is no such file").help("check the spelling of the path")
        }
        _ => unreadable(&e),
    })?;
    if bytes.len() > MAX_BYTES {
        return Err(unreadable(&"it is too long")
            .note(format!("at most {MAX_BYTES} bytes are read"))
            .help("split it into several files and `import` them"));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(sources.add(name, text)),
        Err(e) => {
            let offset = e.utf8_error().valid_up_to();
            let byte = e.as_bytes()[offset];
            let message = format!("`{name}` is not UTF-8");
            Err(Diagnostic::error("E0002", message)
                .note(format!("the byte at offset {offset} is 0x{byte:02X}, which does not continue UTF-8 text"))
                .help("save the file as UTF-8"))
        }
    }
}
