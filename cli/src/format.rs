//! The canonical form of loss files.
//!
//! In: a path. Out: its text and the canonical one. Invariant: a file is replaced whole or not at all,
//! and one with errors is not touched.

use crate::refusal::{Refusal, Result};
use ponens_dsl::{Diagnostic, SourceMap, parse};
use std::io::{Read as _, Write as _};
use std::path::Path;

/// A text and its canonical form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Formatted {
    /// As it was.
    pub original: String,
    /// As it should be.
    pub canonical: String,
}

/// Reads a file (`-` is standard input) and prints its syntax tree canonically.
///
/// # Errors
/// `E0002`, `E0003` and the errors of the grammar.
pub fn format(path: &Path) -> Result<Formatted> {
    let mut sources = SourceMap::default();
    let file = if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin()
            .lock()
            .read_to_string(&mut text)
            .map_err(|e| Diagnostic::error("E0003", format!("<stdin> cannot be read: {e}")))?;
        sources.add("<stdin>", text)
    } else {
        match parse::load(&mut sources, path) {
            Ok(file) => file,
            Err(d) => return Err(Refusal::new(sources, vec![d])),
        }
    };
    let (tree, found) = parse::parse(&sources, file);
    if found.iter().any(Diagnostic::is_error) {
        return Err(Refusal::new(sources, found));
    }
    let original = sources.get(file).text.clone();
    Ok(Formatted { canonical: ponens_dsl::print::file(&tree), original })
}

impl Formatted {
    /// True when the text is not canonical.
    pub fn is_changed(&self) -> bool {
        self.original != self.canonical
    }

    /// Replaces a file by the canonical text: a new file beside it takes its name.
    ///
    /// # Errors
    /// `E0003`: it cannot be written; the file is as it was.
    pub fn write(&self, path: &Path) -> Result<()> {
        let replace = || -> std::io::Result<()> {
            // A link keeps pointing to the file that is rewritten.
            let target = path.canonicalize()?;
            let folder = target.parent().unwrap_or(Path::new("."));
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(self.canonical.as_bytes())?;
            file.as_file().sync_all()?;
            std::fs::set_permissions(file.path(), std::fs::metadata(&target)?.permissions())?;
            file.persist(&target)?;
            Ok(())
        };
        replace().map_err(|e| {
            Diagnostic::error("E0003", format!("{} cannot be written: {e}", path.display()))
                .help("the file is as it was; check its permissions and those of its folder")
                .into()
        })
    }
}
