//! Rows of a file, whatever its format.
//!
//! In: a file of JSON lines, CSV or Parquet. Out: one JSON object a row, with the line (Parquet: the row)
//! that it stands on. Invariant: memory is bounded by a row (Parquet: a page of each column read), never
//! by the file.

mod csv;
mod jsonl;
mod parquet;

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use ponens_dsl::Diagnostic;
use serde_json::{Map, Value};

use super::error::DataError;

pub(super) use csv::CsvRows;
pub(super) use jsonl::JsonRows;
pub(super) use parquet::ParquetRows;

/// The columns of a row by name.
pub(super) type Fields = Map<String, Value>;

/// One row, or what is wrong with it.
pub(super) struct Row {
    /// Its line in the file, counted from 1; in a Parquet file its row.
    pub(super) line: usize,
    pub(super) fields: Result<Fields, Diagnostic>,
}

/// The formats that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    JsonLines,
    /// A header line, then comma-separated (or, as `.tsv`, tab-separated) cells.
    Csv,
    /// Apache Parquet, uncompressed or with Snappy.
    Parquet,
}

impl Format {
    /// The name for people.
    pub fn name(self) -> &'static str {
        match self {
            Format::JsonLines => "JSON lines",
            Format::Csv => "CSV",
            Format::Parquet => "Parquet",
        }
    }

    /// What a position in the file counts.
    pub fn unit(self) -> &'static str {
        if self == Format::Parquet { "row" } else { "line" }
    }
}

/// The rows of a file.
pub(super) struct Rows {
    pub(super) format: Format,
    pub(super) rows: Box<dyn Iterator<Item = Row>>,
    /// All columns of the file, where it names them.
    pub(super) columns: Option<Vec<String>>,
}

fn unreadable(path: &Path, e: &std::io::Error) -> DataError {
    DataError::whole(path, Diagnostic::error("E0003", format!("cannot read the file: {e}")))
}

/// The magic bytes that a Parquet file begins with.
const PARQUET: [u8; 4] = *b"PAR1";

/// Opens a file; `wanted` names the columns that will be looked at, which spares reading the others.
pub(super) fn open(path: &Path, wanted: Option<&[&str]>) -> Result<Rows, DataError> {
    open_as(path, wanted, false)
}

/// Opens a file to copy rows of it: what has no type in the file is text.
pub(super) fn open_to_copy(path: &Path) -> Result<Rows, DataError> {
    open_as(path, None, true)
}

fn open_as(path: &Path, wanted: Option<&[&str]>, as_text: bool) -> Result<Rows, DataError> {
    let mut file = File::open(path).map_err(|e| unreadable(path, &e))?;
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("").to_lowercase();
    let mut magic = [0; 4];
    let begins = file.read_exact(&mut magic).is_ok() && magic == PARQUET;
    if begins || extension == "parquet" {
        return ParquetRows::open(file, path, wanted);
    }
    file.rewind().map_err(|e| unreadable(path, &e))?;
    let input = BufReader::new(file);
    match extension.as_str() {
        "csv" => CsvRows::open(input, path, b',', as_text),
        "tsv" => CsvRows::open(input, path, b'\t', as_text),
        _ => Ok(Rows {
            format: Format::JsonLines,
            rows: Box::new(JsonRows::new(input)),
            columns: None,
        }),
    }
}
