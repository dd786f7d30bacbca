//! From a file to examples on disk, a few rows in memory at a time.

use std::path::Path;

use ponens_dsl::Diagnostic;

use super::divergence::after_divergence;
use super::encode::{EncodeOptions, EncodeReport, Encoder, encode_examples};
use super::error::DataError;
use super::prompt::PromptFormat;
use super::reader::{ExampleReader, ReadOptions};
use super::record::TextExample;
use super::rows;
use super::store::{Store, StoreWriter};

/// Rows that are text in memory at a time.
const ROWS: usize = 64;

/// How rows become tokens.
pub struct Encoding<'a> {
    /// What stands around a prompt.
    pub format: &'a PromptFormat,
    /// The tokenizer.
    pub encoder: &'a dyn Encoder,
    /// Limits of length.
    pub lengths: EncodeOptions,
    /// Whether responses begin at their divergence point.
    pub diverged: bool,
}

/// Reads a file and keeps its examples in a nameless file in `folder`.
///
/// # Errors
/// As reading and encoding all rows in memory: the first ten different findings; if the folder cannot be
/// written.
pub fn store_examples(
    path: &Path,
    options: &ReadOptions,
    encoding: &Encoding<'_>,
    folder: &Path,
) -> Result<(Store, EncodeReport), DataError> {
    let unwritable = |e: std::io::Error| {
        let d = Diagnostic::error("E0703", format!("the encoded rows cannot be stored: {e}"));
        DataError::whole(path, d.help(format!("is there room in {}?", folder.display())))
    };
    let opened = rows::open(path, Some(&options.wanted().names()))?;
    let mut reader = ExampleReader::new(opened.rows, options);
    let mut writer = StoreWriter::create(folder).map_err(unwritable)?;
    let mut error = DataError::new(path);
    let mut report = EncodeReport::default();
    let mut few: Vec<TextExample> = Vec::with_capacity(ROWS);
    loop {
        let next = reader.next();
        let end = next.is_none();
        match next {
            Some(Ok(record)) => few.push(record),
            Some(Err((line, wrong))) => wrong.into_iter().for_each(|d| error.add(line, d)),
            None => {}
        }
        if few.len() < ROWS && !end {
            continue;
        }
        let Encoding { format, encoder, lengths, diverged } = *encoding;
        match encode_examples(&few, path, format, encoder, lengths) {
            Ok((mut examples, part)) => {
                report.add(&part);
                if diverged {
                    after_divergence(&mut examples);
                }
                // After a wrong row the rest is only looked at.
                if error.findings.is_empty() {
                    examples.iter().try_for_each(|e| writer.push(e)).map_err(unwritable)?;
                }
            }
            Err(e) => {
                e.findings.into_iter().for_each(|f| error.add(f.line.unwrap_or(0), f.diagnostic))
            }
        }
        few.clear();
        if end {
            break;
        }
    }
    if !error.findings.is_empty() {
        return Err(error);
    }
    if report.examples == 0 {
        return Err(DataError::whole(path, Diagnostic::error("E0406", "the file holds no rows")));
    }
    Ok((writer.finish(path).map_err(unwritable)?, report))
}
