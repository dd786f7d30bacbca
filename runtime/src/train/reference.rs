//! The reference's log-probabilities, computed once.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor};

use crate::data::EncodedPair;
use crate::model::CausalLm;
use crate::op::RuntimeError;

use super::batch::rows;

/// The reference's sums for every pair: chosen, rejected.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReferenceLogProbs {
    /// By training pair.
    pub train: Vec<[f64; 2]>,
    /// By held-out pair.
    pub held_out: Vec<[f64; 2]>,
}

/// The sums of a model for all pairs, `micro` pairs at a time; `progress` is told how many are done.
///
/// # Errors
/// If a row does not fit the model, or its log-probability is not finite.
pub fn reference_log_probs(
    model: &dyn CausalLm,
    pairs: &[EncodedPair],
    micro: usize,
    mut progress: impl FnMut(usize),
) -> Result<Vec<[f64; 2]>, RuntimeError> {
    let mut out = Vec::with_capacity(pairs.len());
    for part in pairs.chunks(micro.max(1)) {
        let part: Vec<&EncodedPair> = part.iter().collect();
        let sums = model.completion_logps(&rows(&part))?;
        for (pair, s) in part.iter().zip(sums.chunks_exact(2)) {
            if !(s[0].is_finite() && s[1].is_finite()) {
                return Err(RuntimeError::Unsupported(format!(
                    "the model gives row {} of the data the log-probabilities {} and {}",
                    pair.row, s[0], s[1]
                )));
            }
            out.push([s[0], s[1]]);
        }
        progress(out.len());
    }
    Ok(out)
}

impl ReferenceLogProbs {
    pub(super) fn tensors(&self) -> Result<HashMap<String, Tensor>, RuntimeError> {
        let mut out = HashMap::new();
        for (name, values) in [("train", &self.train), ("held_out", &self.held_out)] {
            // An empty tensor has no place in the file format of every reader.
            if !values.is_empty() {
                let flat = values.as_flattened();
                let tensor = Tensor::from_slice(flat, (values.len(), 2), &Device::Cpu)?;
                out.insert(name.to_owned(), tensor);
            }
        }
        Ok(out)
    }

    pub(super) fn from_tensors(
        tensors: &HashMap<String, Tensor>,
        path: &Path,
        pairs: (usize, usize),
    ) -> Result<Self, RuntimeError> {
        let get = |name: &str, pairs: usize| -> Result<Vec<[f64; 2]>, RuntimeError> {
            let Some(tensor) = tensors.get(name) else { return Ok(Vec::new()) };
            if tensor.dims() != [pairs, 2] {
                return Err(RuntimeError::format(
                    path,
                    format!("reference log-probabilities {:?} for {pairs} pairs", tensor.dims()),
                ));
            }
            let rows = tensor.to_vec2::<f64>()?;
            Ok(rows.into_iter().filter_map(|r| r.try_into().ok()).collect())
        };
        Ok(Self { train: get("train", pairs.0)?, held_out: get("held_out", pairs.1)? })
    }
}
