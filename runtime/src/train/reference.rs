//! The reference's log-probabilities, computed once.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor};

use crate::data::{EncodedExample, Examples};
use crate::model::CausalLm;
use crate::op::RuntimeError;

use super::problem::rows;
use super::reward::Grain;

/// The reference's numbers for every example: one a sequence, or one a token where the loss reads those.
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
    examples: &dyn Examples,
    micro: usize,
    progress: impl FnMut(usize),
) -> Result<Vec<Vec<f64>>, RuntimeError> {
    reference_numbers(model, examples, micro, Grain::Sequence, progress)
}

/// [`reference_log_probs`], by sequence or by token.
///
/// # Errors
/// As [`reference_log_probs`].
pub fn reference_numbers(
    model: &dyn CausalLm,
    examples: &dyn Examples,
    micro: usize,
    grain: Grain,
    mut progress: impl FnMut(usize),
) -> Result<Vec<Vec<f64>>, RuntimeError> {
    let mut out = Vec::with_capacity(examples.len());
    let (all, micro) = (examples.len(), micro.max(1));
    for start in (0..all).step_by(micro) {
        let part: Vec<Cow<'_, EncodedExample>> = (start..(start + micro).min(all))
            .map(|i| examples.get(i).map_err(unreadable))
            .collect::<Result<_, RuntimeError>>()?;
        let part: Vec<&EncodedExample> = part.iter().map(Cow::as_ref).collect();
        let tokens = model.token_logps(&rows(&part))?;
        let mut tokens = tokens.into_iter();
        for example in &part {
            let own = tokens.by_ref().take(example.sequence_count());
            let own = own.map(|row| row.into_iter().map(f64::from).collect::<Vec<f64>>());
            let mine: Vec<f64> = match grain {
                Grain::Sequence => own.map(|row| row.iter().sum()).collect(),
                Grain::Token => own.flatten().collect(),
            };
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

/// The error of examples on disk that cannot be read any more.
pub(super) fn unreadable(e: std::io::Error) -> RuntimeError {
    RuntimeError::io("cannot read back the examples of", Path::new("the training data"))(e)
}

/// The sums that the data give.
///
/// # Errors
/// If an example has none, or the loss reads responses of other prompts, which no data give.
pub fn given_log_probs(examples: &dyn Examples) -> Result<Vec<Vec<f64>>, RuntimeError> {
    (0..examples.len())
        .map(|i| {
            let e = examples.get(i).map_err(unreadable)?;
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

/// How many numbers of the reference each example has.
pub(super) fn counts(examples: &dyn Examples, grain: Grain) -> Result<Vec<usize>, RuntimeError> {
    let one = |i: usize| Ok(grain.count(&*examples.get(i).map_err(unreadable)?));
    (0..examples.len()).map(one).collect()
}

impl ReferenceLogProbs {
    /// Whether there is a sum for every sequence.
    pub(super) fn check(
        &self,
        train: &dyn Examples,
        held_out: &dyn Examples,
        grain: Grain,
    ) -> Result<(), RuntimeError> {
        let fits = |sums: &[Vec<f64>], examples: &dyn Examples| -> Result<bool, RuntimeError> {
            let counts = counts(examples, grain)?;
            Ok(sums.len() == counts.len() && sums.iter().zip(counts).all(|(s, n)| s.len() == n))
        };
        if fits(&self.train, train)? && fits(&self.held_out, held_out)? {
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
        [train, held_out]: [&dyn Examples; 2],
        grain: Grain,
    ) -> Result<Self, RuntimeError> {
        let get = |name: &str, examples: &dyn Examples| -> Result<Vec<Vec<f64>>, RuntimeError> {
            let Some(tensor) = tensors.get(name) else { return Ok(Vec::new()) };
            let counts = counts(examples, grain)?;
            let wanted: usize = counts.iter().sum();
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
            Ok(counts.into_iter().map(|n| flat.by_ref().take(n).collect()).collect())
        };
        Ok(Self { train: get("train", train)?, held_out: get("held_out", held_out)? })
    }
}
