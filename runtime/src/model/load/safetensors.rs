//! Tensors of a safetensors file, one at a time.
//!
//! Layout: the length of a JSON header as a little-endian u64, the header (name to element type, shape
//! and byte range), the bytes.

use std::{
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
    path::Path,
};

use candle_core::{Device, Tensor};
use half::{bf16, f16};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::model::error::{Error, Result};

/// The format's own bound.
const MAX_HEADER: u64 = 100_000_000;

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (u64, u64),
}

/// Calls `visit` with each tensor of the file, as f32, in the order of the file.
///
/// # Errors
/// If the file is truncated or corrupt, or holds elements that are no floats of 16, 32 or 64 bits.
pub(crate) fn read_safetensors(
    path: &Path,
    device: &Device,
    mut visit: impl FnMut(String, Tensor) -> Result<()>,
) -> Result<()> {
    let file = File::open(path).map_err(Error::io(path))?;
    let length = file.metadata().map_err(Error::io(path))?.len();
    let mut file = BufReader::new(file);
    if length < 8 {
        return Err(Error::format(path, "truncated: no safetensors header"));
    }
    let mut size = [0u8; 8];
    file.read_exact(&mut size).map_err(Error::io(path))?;
    let header_size = u64::from_le_bytes(size);
    if header_size > MAX_HEADER || header_size > length - 8 {
        let message = format!("truncated or no safetensors file: a header of {header_size} bytes");
        return Err(Error::format(path, message));
    }
    let mut header = vec![0u8; header_size as usize];
    file.read_exact(&mut header).map_err(Error::io(path))?;
    let header: Map<String, Value> = serde_json::from_slice(&header)
        .map_err(|e| Error::format(path, format!("corrupt safetensors header: {e}")))?;
    let start = 8 + header_size;
    let mut entries = Vec::new();
    for (name, value) in header.into_iter().filter(|(name, _)| name != "__metadata__") {
        let entry: Entry = serde_json::from_value(value)
            .map_err(|e| Error::format(path, format!("corrupt entry `{name}`: {e}")))?;
        entries.push((name, entry));
    }
    entries.sort_by_key(|(_, entry)| entry.data_offsets.0);
    for (name, entry) in entries {
        let decode = decoder(&entry.dtype).ok_or_else(|| {
            Error::format(path, format!("tensor `{name}` has elements of type {}", entry.dtype))
        })?;
        let elements = entry.shape.iter().try_fold(1u64, |n, &d| n.checked_mul(d as u64));
        let bytes = elements.and_then(|n| n.checked_mul(decode.width as u64));
        let (from, to) = entry.data_offsets;
        if bytes.is_none() || to.checked_sub(from) != bytes {
            let message = format!(
                "corrupt: tensor `{name}` of shape {:?} in {:?} bytes",
                entry.shape, entry.data_offsets
            );
            return Err(Error::format(path, message));
        }
        if to > length - start {
            let message = format!(
                "truncated: tensor `{name}` ends {} bytes past the file",
                to - (length - start)
            );
            return Err(Error::format(path, message));
        }
        let mut data = vec![0u8; (to - from) as usize];
        file.seek(SeekFrom::Start(start + from))
            .and_then(|_| file.read_exact(&mut data))
            .map_err(Error::io(path))?;
        let values: Vec<f32> = data.chunks_exact(decode.width).map(decode.element).collect();
        visit(name, Tensor::from_vec(values, entry.shape, device)?)?;
    }
    Ok(())
}

struct Decoder {
    width: usize,
    element: fn(&[u8]) -> f32,
}

fn decoder(dtype: &str) -> Option<Decoder> {
    let (width, element): (usize, fn(&[u8]) -> f32) = match dtype {
        "F32" => (4, |b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])),
        "BF16" => (2, |b| bf16::from_le_bytes([b[0], b[1]]).to_f32()),
        "F16" => (2, |b| f16::from_le_bytes([b[0], b[1]]).to_f32()),
        "F64" => {
            (8, |b| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32)
        }
        _ => return None,
    };
    Some(Decoder { width, element })
}
