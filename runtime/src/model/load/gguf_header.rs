//! The header of a GGUF file: metadata and the list of tensors.
//!
//! Layout (little-endian): magic `GGUF`, version, number of tensors, number of metadata entries; the
//! entries; for each tensor its name, dimensions (innermost first), type and offset; then, aligned, the
//! tensors.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use crate::model::error::{Error, Result};

/// Bounds that no real file reaches; without them a corrupt length could ask for any amount of memory.
const MAX_ENTRIES: u64 = 1 << 20;
const MAX_ARRAY: u64 = 1 << 24;
const MAX_STRING: u64 = 1 << 26;
const MAX_DIMENSIONS: u32 = 4;
const MAX_NESTING: usize = 4;

/// A metadata value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
    String(String),
    Array(Vec<Value>),
}

/// Where a tensor lies.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TensorInfo {
    /// Outermost dimension first.
    pub(crate) shape: Vec<usize>,
    /// GGML's number of the element type.
    pub(crate) kind: u32,
    /// From the start of the file.
    pub(crate) offset: u64,
}

/// A GGUF file whose header has been read.
#[derive(Debug)]
pub struct GgufFile {
    pub(crate) path: PathBuf,
    pub(crate) metadata: BTreeMap<String, Value>,
    pub(crate) tensors: BTreeMap<String, TensorInfo>,
    file: BufReader<File>,
    length: u64,
}

impl GgufFile {
    /// Reads the header of a file.
    ///
    /// # Errors
    /// If the file cannot be read, is no GGUF file of version 2 or 3, or is truncated or corrupt.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io(path))?;
        let length = file.metadata().map_err(Error::io(path))?.len();
        let mut reader = HeaderReader {
            file: BufReader::new(file),
            remaining: length,
            path: path.to_path_buf(),
        };
        let (metadata, mut tensors) = reader.header()?;
        let start = length - reader.remaining;
        let alignment = match metadata.get("general.alignment") {
            None => 32,
            Some(value) => match value.as_u64() {
                Some(a) if a.is_power_of_two() && a <= 1 << 20 => a,
                _ => return Err(Error::format(path, "general.alignment is no power of two")),
            },
        };
        let data = start.next_multiple_of(alignment);
        for (name, info) in &mut tensors {
            info.offset =
                info.offset.checked_add(data).filter(|&offset| offset <= length).ok_or_else(
                    || Error::format(path, format!("tensor `{name}` lies past the end")),
                )?;
        }
        Ok(Self { path: path.to_path_buf(), metadata, tensors, file: reader.file, length })
    }

    /// `bytes` bytes from `offset`.
    pub(crate) fn bytes(&mut self, name: &str, offset: u64, bytes: usize) -> Result<Vec<u8>> {
        let left = self.length.saturating_sub(offset);
        if bytes as u64 > left {
            let message =
                format!("truncated: tensor `{name}` takes {bytes} bytes, {left} are left");
            return Err(Error::format(&self.path, message));
        }
        let mut data = vec![0u8; bytes];
        self.file
            .seek(SeekFrom::Start(offset))
            .and_then(|_| self.file.read_exact(&mut data))
            .map_err(Error::io(&self.path))?;
        Ok(data)
    }

    pub(crate) fn string(&self, key: &str) -> Option<&str> {
        match self.metadata.get(key)? {
            Value::String(s) => Some(s),
            _ => None,
        }
    }

    pub(crate) fn unsigned(&self, key: &str) -> Option<u64> {
        self.metadata.get(key)?.as_u64()
    }

    pub(crate) fn flag(&self, key: &str) -> Option<bool> {
        match self.metadata.get(key)? {
            Value::Bool(b) => Some(*b),
            _ => None,
        }
    }

    pub(crate) fn array(&self, key: &str) -> Option<&[Value]> {
        match self.metadata.get(key)? {
            Value::Array(values) => Some(values),
            _ => None,
        }
    }
}

impl Value {
    pub(crate) fn as_u64(&self) -> Option<u64> {
        match *self {
            Self::Unsigned(v) => Some(v),
            Self::Signed(v) => u64::try_from(v).ok(),
            _ => None,
        }
    }

    pub(crate) fn as_f64(&self) -> Option<f64> {
        match *self {
            Self::Float(v) => Some(v),
            Self::Unsigned(v) => Some(v as f64),
            Self::Signed(v) => Some(v as f64),
            _ => None,
        }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(s) => Some(s),
            _ => None,
        }
    }
}

type Header = (BTreeMap<String, Value>, BTreeMap<String, TensorInfo>);

struct HeaderReader {
    file: BufReader<File>,
    /// Bytes that the file still holds.
    remaining: u64,
    path: PathBuf,
}

impl HeaderReader {
    fn error<T>(&self, message: impl std::fmt::Display) -> Result<T> {
        Err(Error::format(&self.path, message))
    }

    fn header(&mut self) -> Result<Header> {
        if self.remaining < 24 || self.array::<4>()? != *b"GGUF" {
            return self.error("not a GGUF file");
        }
        let version = self.u32()?;
        if !(2..=3).contains(&version) {
            return self.error(format!("GGUF version {version}; versions 2 and 3 are read"));
        }
        let (tensors, entries) = (self.u64()?, self.u64()?);
        if tensors > MAX_ENTRIES || entries > MAX_ENTRIES {
            return self.error(format!("corrupt: {tensors} tensors, {entries} metadata entries"));
        }
        let mut metadata = BTreeMap::new();
        for _ in 0..entries {
            let key = self.string()?;
            let kind = self.u32()?;
            let value = self.value(kind, 0)?;
            metadata.insert(key, value);
        }
        let mut infos = BTreeMap::new();
        for _ in 0..tensors {
            let name = self.string()?;
            let dimensions = self.u32()?;
            if dimensions > MAX_DIMENSIONS {
                return self.error(format!("tensor `{name}` has {dimensions} dimensions"));
            }
            let mut shape = Vec::new();
            for _ in 0..dimensions {
                match usize::try_from(self.u64()?) {
                    Ok(size) => shape.insert(0, size),
                    Err(_) => return self.error(format!("tensor `{name}` is too large")),
                }
            }
            let (kind, offset) = (self.u32()?, self.u64()?);
            infos.insert(name, TensorInfo { shape, kind, offset });
        }
        Ok((metadata, infos))
    }

    fn value(&mut self, kind: u32, depth: usize) -> Result<Value> {
        Ok(match kind {
            0 => Value::Unsigned(u64::from(u8::from_le_bytes(self.array()?))),
            1 => Value::Signed(i64::from(i8::from_le_bytes(self.array()?))),
            2 => Value::Unsigned(u64::from(u16::from_le_bytes(self.array()?))),
            3 => Value::Signed(i64::from(i16::from_le_bytes(self.array()?))),
            4 => Value::Unsigned(u64::from(self.u32()?)),
            5 => Value::Signed(i64::from(i32::from_le_bytes(self.array()?))),
            6 => Value::Float(f64::from(f32::from_le_bytes(self.array()?))),
            7 => Value::Bool(self.array::<1>()?[0] != 0),
            8 => Value::String(self.string()?),
            9 => {
                if depth >= MAX_NESTING {
                    return self.error("corrupt: metadata arrays are nested too deeply");
                }
                let kind = self.u32()?;
                let n = self.u64()?;
                // Every element takes at least one byte.
                if n > MAX_ARRAY || n > self.remaining {
                    return self.error(format!("truncated or corrupt: an array of {n} values"));
                }
                let values: Result<Vec<Value>> =
                    (0..n).map(|_| self.value(kind, depth + 1)).collect();
                Value::Array(values?)
            }
            10 => Value::Unsigned(self.u64()?),
            11 => Value::Signed(i64::from_le_bytes(self.array()?)),
            12 => Value::Float(f64::from_le_bytes(self.array()?)),
            other => return self.error(format!("corrupt: metadata of unknown type {other}")),
        })
    }

    fn string(&mut self) -> Result<String> {
        let n = self.u64()?;
        if n > MAX_STRING || n > self.remaining {
            return self.error(format!("truncated or corrupt: a string of {n} bytes"));
        }
        let mut bytes = vec![0u8; n as usize];
        self.read(&mut bytes)?;
        String::from_utf8(bytes).or_else(|_| self.error("corrupt: a string that is no UTF-8"))
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0u8; N];
        self.read(&mut bytes)?;
        Ok(bytes)
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<()> {
        match self.remaining.checked_sub(bytes.len() as u64) {
            None => return self.error("truncated: the header is cut off"),
            Some(remaining) => self.remaining = remaining,
        }
        self.file.read_exact(bytes).map_err(Error::io(&self.path))
    }
}
