//! The reference's log-probabilities on disk, under the content that they follow from.
//!
//! A file is named by a digest of the model's weights and one of the tokens, so that it is found by every
//! run that would compute the same numbers, and by none that would not.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use sha2::{Digest as _, Sha256};

use crate::data::EncodedExample;
use crate::model::Llama;
use crate::op::RuntimeError;

use super::checkpoint::digest;
use super::output::write_whole;
use super::reference::reference_log_probs;

/// A digest (SHA-256) of a model's weights and hyperparameters. The adapter does not
/// count: ask for the model without it, or merged.
///
/// # Errors
/// If the device fails.
pub fn model_digest(model: &Llama) -> Result<String, RuntimeError> {
    let mut hash = Sha256::new();
    hash.update(format!("{:?}", model.config()));
    model.each_weight(|name, tensor| {
        // Lengths keep a name from running into numbers, and one weight into the next.
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update((tensor.elem_count() as u64).to_le_bytes());
        let values = tensor.flatten_all()?.to_vec1::<f32>()?;
        for few in values.chunks(BLOCK) {
            let bytes: Vec<u8> = few.iter().flat_map(|v| v.to_le_bytes()).collect();
            hash.update(&bytes);
        }
        Ok(())
    })?;
    // The name of a file: half of the digits keep two models apart as surely.
    Ok(hash.finalize().iter().take(16).map(|b| format!("{b:02x}")).collect())
}

/// Numbers that are hashed at a time.
const BLOCK: usize = 1 << 14;

/// Where reference log-probabilities are kept.
#[derive(Clone, Debug)]
pub struct ReferenceCache {
    folder: PathBuf,
    model: String,
}

impl ReferenceCache {
    /// The cache of a model in a folder; `model` is its [`model_digest`].
    pub fn new(folder: &Path, model: String) -> Self {
        Self { folder: folder.to_owned(), model }
    }

    fn path(&self, examples: &[EncodedExample]) -> PathBuf {
        let data = digest(&[examples]);
        self.folder.join(format!("reference-{}-{data}.safetensors", self.model))
    }

    /// The sums kept for these examples. A file that does not fit is as good as none.
    fn find(&self, examples: &[EncodedExample]) -> Option<Vec<Vec<f64>>> {
        let tensors = candle_core::safetensors::load(self.path(examples), &Device::Cpu).ok()?;
        let mut flat = tensors.get("sums")?.to_vec1::<f64>().ok()?.into_iter();
        let sums: Vec<Vec<f64>> =
            examples.iter().map(|e| flat.by_ref().take(e.sequence_count()).collect()).collect();
        let whole = sums.iter().zip(examples).all(|(s, e)| s.len() == e.sequence_count());
        (whole && flat.next().is_none()).then_some(sums)
    }

    /// The sums of all examples: those kept, or computed by `model` and kept. Also says whether they were
    /// there already.
    ///
    /// # Errors
    /// As [`reference_log_probs`]; if the folder cannot be written.
    pub fn sums(
        &self,
        model: &Llama,
        examples: &[EncodedExample],
        micro: usize,
    ) -> Result<(Vec<Vec<f64>>, bool), RuntimeError> {
        if let Some(sums) = self.find(examples) {
            return Ok((sums, true));
        }
        let sums = reference_log_probs(model, examples, micro, |_| {})?;
        let flat: Vec<f64> = sums.iter().flatten().copied().collect();
        if flat.is_empty() {
            return Ok((sums, false));
        }
        std::fs::create_dir_all(&self.folder)
            .map_err(RuntimeError::io("cannot create", &self.folder))?;
        let tensor = Tensor::new(flat, &Device::Cpu)?;
        let path = self.path(examples);
        let bytes = safetensors::serialize([("sums", &tensor)], None)
            .map_err(|e| RuntimeError::format(&path, e.to_string()))?;
        write_whole(&path, &bytes)?;
        Ok((sums, false))
    }
}
