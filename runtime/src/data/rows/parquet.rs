//! Parquet files, as data set hubs serve them.
//!
//! Only the columns that are asked for are decoded.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row as Record};
use parquet::schema::types::Type;
use ponens_dsl::Diagnostic;
use serde_json::Value;

use super::super::error::DataError;
use super::{Fields, Format, Row, Rows};

/// The rows of a Parquet file.
pub(in super::super) struct ParquetRows {
    rows: RowIter<'static>,
    row: usize,
    done: bool,
}

/// The record reader of the library asserts some things about a file that a damaged one can break.
fn guarded<T>(read: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(e)) => Err(e.to_string()),
        Err(_) => Err("its contents contradict its schema".to_owned()),
    }
}

fn damaged(reason: &str) -> Diagnostic {
    let d = Diagnostic::error("E0403", format!("the Parquet file cannot be read: {reason}"));
    if reason.contains("ompress") || reason.contains("feature") {
        d.help("write it uncompressed or with Snappy, the default of most writers")
    } else {
        d.help("is the file complete?")
    }
}

impl ParquetRows {
    /// Reads the schema.
    pub(in super::super) fn open(
        file: File,
        path: &Path,
        wanted: Option<&[&str]>,
    ) -> Result<Rows, DataError> {
        let fail = |reason: String| DataError::whole(path, damaged(&reason));
        let reader = guarded(|| SerializedFileReader::new(file)).map_err(fail)?;
        let schema = reader.metadata().file_metadata().schema().clone();
        let columns: Vec<String> =
            schema.get_fields().iter().map(|f| f.name().to_owned()).collect();
        let asked = |f: &&Arc<Type>| wanted.is_none_or(|w| w.contains(&f.name()));
        let read: Vec<Arc<Type>> = schema.get_fields().iter().filter(asked).cloned().collect();
        if read.is_empty() {
            let d = Diagnostic::error("E0401", "no column that could be preference data")
                .note(format!("the file has: {}", columns.join(", ")))
                .help(format!("looked for: {}", wanted.unwrap_or(&[]).join(", ")));
            return Err(DataError::whole(path, d));
        }
        let rows = guarded(|| {
            let projection = Type::group_type_builder(schema.name()).with_fields(read).build()?;
            RowIter::from_file_into(Box::new(reader)).project(Some(projection))
        });
        let rows = Self { rows: rows.map_err(fail)?, row: 0, done: false };
        Ok(Rows { format: Format::Parquet, rows: Box::new(rows), columns: Some(columns) })
    }
}

impl Iterator for ParquetRows {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        if self.done {
            return None;
        }
        self.row += 1;
        match guarded(|| self.rows.next().transpose()) {
            Ok(Some(record)) => Some(Row { line: self.row, fields: Ok(fields(&record)) }),
            Ok(None) => {
                self.done = true;
                None
            }
            Err(reason) => {
                // What follows a damaged page cannot be found again.
                self.done = true;
                Some(Row { line: self.row, fields: Err(damaged(&reason)) })
            }
        }
    }
}

fn fields(record: &Record) -> Fields {
    record.get_column_iter().map(|(name, field)| (name.clone(), value(field))).collect()
}

fn value(field: &Field) -> Value {
    let number = |x: f64| serde_json::Number::from_f64(x).map_or(Value::Null, Value::Number);
    match field {
        Field::Null => Value::Null,
        Field::Bool(b) => Value::Bool(*b),
        Field::Byte(n) => Value::from(*n),
        Field::Short(n) => Value::from(*n),
        Field::Int(n) => Value::from(*n),
        Field::Long(n) => Value::from(*n),
        Field::UByte(n) => Value::from(*n),
        Field::UShort(n) => Value::from(*n),
        Field::UInt(n) => Value::from(*n),
        Field::ULong(n) => Value::from(*n),
        Field::Float16(x) => number(f64::from(*x)),
        Field::Float(x) => number(f64::from(*x)),
        Field::Double(x) => number(*x),
        Field::Str(s) => Value::String(s.clone()),
        // Older writers do not mark text as text.
        Field::Bytes(b) => match std::str::from_utf8(b.data()) {
            Ok(text) => Value::String(text.to_owned()),
            Err(_) => Value::Null,
        },
        Field::Group(group) => Value::Object(fields(group)),
        Field::ListInternal(list) => Value::Array(list.elements().iter().map(value).collect()),
        Field::MapInternal(map) => Value::Object(
            map.entries()
                .iter()
                .map(|(k, v)| {
                    let key = match k {
                        Field::Str(s) => s.clone(),
                        other => other.to_string(),
                    };
                    (key, value(v))
                })
                .collect(),
        ),
        other => Value::String(other.to_string()),
    }
}
