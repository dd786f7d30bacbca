//! The reference's log-probabilities on disk, under the content that they follow from.
//!
//! A file is named by a digest of the model's weights and one of the tokens, so that it is found by every
//! run that would compute the same numbers, and by none that would not.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use sha2::{Digest as _, Sha256};

use crate::data::Examples;
use crate::model::Llama;
use crate::op::RuntimeError;

use super::checkpoint::digest;
use super::output::write_whole;
use super::reference::{counts, reference_numbers, unreadable};
use super::reward::Grain;
use super::score::by_sequence;

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

    fn path(&self, examples: &dyn Examples, grain: Grain) -> Result<PathBuf, RuntimeError> {
        let data = digest(&[examples])?;
        let tokens = if grain == Grain::Token { "-tokens" } else { "" };
        Ok(self.folder.join(format!("reference-{}-{data}{tokens}.safetensors", self.model)))
    }

    /// The sums kept for these examples. A file that does not fit is as good as none.
    fn find(path: &Path, counts: &[usize]) -> Option<Vec<Vec<f64>>> {
        let tensors = candle_core::safetensors::load(path, &Device::Cpu).ok()?;
        let mut flat = tensors.get("sums")?.to_vec1::<f64>().ok()?.into_iter();
        let sums: Vec<Vec<f64>> = counts.iter().map(|n| flat.by_ref().take(*n).collect()).collect();
        let whole = sums.iter().zip(counts).all(|(s, n)| s.len() == *n);
        (whole && flat.next().is_none()).then_some(sums)
    }

    /// The numbers of all examples: those kept, or computed by `model` and kept. Also says whether they were
    /// there already.
    ///
    /// # Errors
    /// As [`reference_numbers`]; if the folder cannot be written.
    pub fn sums(
        &self,
        model: &Llama,
        examples: &dyn Examples,
        micro: usize,
        grain: Grain,
    ) -> Result<(Vec<Vec<f64>>, bool), RuntimeError> {
        let path = self.path(examples, grain)?;
        if let Some(sums) = Self::find(&path, &counts(examples, grain)?) {
            return Ok((sums, true));
        }
        if grain == Grain::Sequence {
            let tokens = self.path(examples, Grain::Token)?;
            if let Some(tokens) = Self::find(&tokens, &counts(examples, Grain::Token)?) {
                let sum = |(i, t): (usize, &Vec<f64>)| {
                    let example = examples.get(i).map_err(unreadable)?;
                    Ok::<_, RuntimeError>(by_sequence(&example, t, Grain::Token))
                };
                let sums = tokens.iter().enumerate().map(sum).collect::<Result<_, _>>()?;
                return Ok((sums, true));
            }
        }
        let sums = reference_numbers(model, examples, micro, grain, |_| {})?;
        let flat: Vec<f64> = sums.iter().flatten().copied().collect();
        if flat.is_empty() {
            return Ok((sums, false));
        }
        std::fs::create_dir_all(&self.folder)
            .map_err(RuntimeError::io("cannot create", &self.folder))?;
        let tensor = Tensor::new(flat, &Device::Cpu)?;
        let bytes = safetensors::serialize([("sums", &tensor)], None)
            .map_err(|e| RuntimeError::format(&path, e.to_string()))?;
        write_whole(&path, &bytes)?;
        Ok((sums, false))
    }
}
