//! TensorBoard event files: scalars beside `metrics.jsonl`, for who looks at runs there.
//!
//! A file is a sequence of records: length (u64), masked CRC-32C of the length, payload, masked CRC-32C of
//! the payload, all little-endian. A payload is a protocol buffer `tensorflow.Event`, of which four fields
//! are used: wall_time (1, double), step (2, int64), file_version (3, string), summary (5), whose values
//! (1) have a tag (1, string) and a simple_value (2, float).

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::op::RuntimeError;

/// CRC-32C (Castagnoli), bit by bit: records are a hundred bytes.
pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(
            crc ^ u32::from(byte),
            |c, _| {
                if c & 1 == 1 { (c >> 1) ^ 0x82f6_3b78 } else { c >> 1 }
            },
        )
    })
}

/// The checksum as the record format stores it.
fn masked(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn bytes_field(number: u64, bytes: &[u8], out: &mut Vec<u8>) {
    varint(number << 3 | 2, out);
    varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// A payload that says when; its other fields follow.
fn event(seconds: f64) -> Vec<u8> {
    let mut out = vec![1 << 3 | 1];
    out.extend_from_slice(&seconds.to_le_bytes());
    out
}

fn record(payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u64).to_le_bytes();
    let mut out = length.to_vec();
    out.extend_from_slice(&masked(&length).to_le_bytes());
    out.extend_from_slice(payload);
    out.extend_from_slice(&masked(payload).to_le_bytes());
    out
}

/// An event file that is appended to.
#[derive(Debug)]
pub struct EventFile {
    file: File,
    path: PathBuf,
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

impl EventFile {
    /// A new file in a folder, under a name that TensorBoard looks for.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn create(folder: &Path) -> Result<Self, RuntimeError> {
        let seconds = now();
        let name =
            format!("events.out.tfevents.{:010}.{}.ponens", seconds as u64, std::process::id());
        let path = folder.join(name);
        let file = OpenOptions::new().append(true).create(true).open(&path);
        let file = file.map_err(RuntimeError::io("cannot write", &path))?;
        let mut events = Self { file, path };
        let mut payload = event(seconds);
        bytes_field(3, b"brain.Event:2", &mut payload);
        events.append(&payload)?;
        Ok(events)
    }

    fn append(&mut self, payload: &[u8]) -> Result<(), RuntimeError> {
        self.file.write_all(&record(payload)).map_err(RuntimeError::io("cannot write", &self.path))
    }

    /// Appends the finite ones of some figures of a step.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn scalars(&mut self, step: usize, figures: &[(&str, f64)]) -> Result<(), RuntimeError> {
        let mut summary = Vec::new();
        for (tag, value) in figures.iter().filter(|(_, v)| v.is_finite()) {
            let mut one = Vec::new();
            bytes_field(1, tag.as_bytes(), &mut one);
            one.push(2 << 3 | 5);
            one.extend_from_slice(&(*value as f32).to_le_bytes());
            bytes_field(1, &one, &mut summary);
        }
        let mut payload = event(now());
        payload.push(2 << 3);
        varint(step as u64, &mut payload);
        bytes_field(5, &summary, &mut payload);
        self.append(&payload)
    }
}
