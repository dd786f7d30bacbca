//! The reference's log-probabilities, computed once.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor};

use crate::data::EncodedExample;
use crate::model::CausalLm;
use crate::op::RuntimeError;

use super::batch::rows;

/// The reference's sums for every sequence of every example.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReferenceLogProbs {
    /// By training example.
    pub train: Vec<Vec<f64>>,
    /// By held-out example.
    pub held_out: Vec<Vec<f64>>,
}

/// The sums of a model for all examples, `micro` at a time; `progress` is told how many are done.
///
/// # Errors
/// If a row does not fit the model, or its log-probability is not finite.
pub fn reference_log_probs(
    model: &dyn CausalLm,
    examples: &[EncodedExample],
    micro: usize,
    mut progress: impl FnMut(usize),
) -> Result<Vec<Vec<f64>>, RuntimeError> {
    let mut out = Vec::with_capacity(examples.len());
    for part in examples.chunks(micro.max(1)) {
        let part: Vec<&EncodedExample> = part.iter().collect();
        let sums = model.completion_logps(&rows(&part))?;
        let mut sums = sums.into_iter();
        for example in &part {
            let mine: Vec<f64> = sums.by_ref().take(example.sequence_count()).collect();
            if let Some(bad) = mine.iter().find(|s| !s.is_finite()) {
                return Err(RuntimeError::Unsupported(format!(
                    "the reference gives a response of row {} of the data the log-probability {bad}",
                    example.row
                )));
            }
            out.push(mine);
        }
        progress(out.len());
    }
    Ok(out)
}

/// The sums that the data give.
///
/// # Errors
/// If an example has none, or the loss reads responses of other prompts, which no data give.
pub fn given_log_probs(examples: &[EncodedExample]) -> Result<Vec<Vec<f64>>, RuntimeError> {
    examples
        .iter()
        .map(|e| {
            match &e.reference {
            Some(sums) if sums.len() == e.sequence_count() => Ok(sums.clone()),
            Some(_) => Err(RuntimeError::Setting(
                "the loss reads further responses or those of other prompts, where the data give no \
                 reference: name a reference model"
                    .into(),
            )),
            None => Err(RuntimeError::Setting(format!(
                "row {} of the data gives no log-probabilities of a reference",
                e.row
            ))),
        }
        })
        .collect()
}

impl ReferenceLogProbs {
    /// Whether there is a sum for every sequence.
    pub(super) fn check(
        &self,
        train: &[EncodedExample],
        held_out: &[EncodedExample],
    ) -> Result<(), RuntimeError> {
        let fits = |sums: &[Vec<f64>], examples: &[EncodedExample]| {
            sums.len() == examples.len()
                && sums.iter().zip(examples).all(|(s, e)| s.len() == e.sequence_count())
        };
        if fits(&self.train, train) && fits(&self.held_out, held_out) {
            return Ok(());
        }
        Err(RuntimeError::Shape("the reference's log-probabilities are of other data".into()))
    }

    pub(super) fn tensors(&self) -> Result<HashMap<String, Tensor>, RuntimeError> {
        let mut out = HashMap::new();
        for (name, values) in [("train", &self.train), ("held_out", &self.held_out)] {
            // An empty tensor has no place in the file format of every reader.
            let flat: Vec<f64> = values.iter().flatten().copied().collect();
            if !flat.is_empty() {
                out.insert(name.to_owned(), Tensor::new(flat, &Device::Cpu)?);
            }
        }
        Ok(out)
    }

    pub(super) fn from_tensors(
        tensors: &HashMap<String, Tensor>,
        path: &Path,
        (train, held_out): (&[EncodedExample], &[EncodedExample]),
    ) -> Result<Self, RuntimeError> {
        let get = |name: &str,
                   examples: &[EncodedExample]|
         -> Result<Vec<Vec<f64>>, RuntimeError> {
            let Some(tensor) = tensors.get(name) else { return Ok(Vec::new()) };
            let wanted: usize = examples.iter().map(EncodedExample::sequence_count).sum();
            if tensor.dims() != [wanted] {
                return Err(RuntimeError::format(
                    path,
                    format!(
                        "reference log-probabilities {:?} for {wanted} responses",
                        tensor.dims()
                    ),
                ));
            }
            let mut flat = tensor.to_vec1::<f64>()?.into_iter();
            Ok(examples.iter().map(|e| flat.by_ref().take(e.sequence_count()).collect()).collect())
        };
        Ok(Self { train: get("train", train)?, held_out: get("held_out", held_out)? })
    }
}
