//! One batch: log-probabilities, loss, gradient, in as many passes as the memory wants.

use crate::data::EncodedPair;
use crate::model::{Error, Gradients, Rows};
use crate::op::{LossKernel, RuntimeError};

use super::bind::Binding;
use super::policy::Policy;

/// What one batch gave.
pub(super) struct BatchResult {
    /// The loss of each pair.
    pub(super) loss: Vec<f64>,
    /// The policy's sums: chosen and rejected by turns.
    pub(super) sums: Vec<f64>,
    /// The gradient of the mean loss.
    pub(super) gradients: Gradients,
}

/// A batch whose loss is not a number, or whose evaluation failed.
pub(super) enum BatchError {
    /// The loss of pair `pair` of the batch is infinite or NaN.
    NotFinite {
        pair: usize,
        value: f64,
    },
    Other(RuntimeError),
}

impl From<RuntimeError> for BatchError {
    fn from(e: RuntimeError) -> Self {
        Self::Other(e)
    }
}

/// The rows of a batch: chosen and rejected by turns, so that neighbours share their prompt.
pub(super) fn rows(pairs: &[&EncodedPair]) -> Rows {
    let mut rows = Rows::default();
    for side in pairs.iter().flat_map(|p| [&p.chosen, &p.rejected]) {
        rows.ids.push(side.ids.clone());
        rows.start.push(side.start);
    }
    rows
}

/// The loss of a batch, its gradient with respect to each sum included.
struct Valued {
    loss: Vec<f64>,
    /// d(sum of `loss`) / d sum, over the number of pairs of the whole batch.
    weights: Vec<f64>,
}

struct Problem<'a> {
    kernel: &'a dyn LossKernel,
    binding: &'a Binding,
    /// Pairs of the whole batch, by which the loss is averaged.
    batch: usize,
}

impl Problem<'_> {
    fn value(
        &self,
        pairs: &[&EncodedPair],
        reference: Option<&[[f64; 2]]>,
        sums: &[f64],
    ) -> Result<Valued, RuntimeError> {
        let columns = self.binding.columns(pairs, reference)?;
        let value = self.kernel.evaluate(&columns.resolve(sums)?)?;
        let n = self.batch as f64;
        let weights = columns.pull_back(&value.grads)?.into_iter().map(|w| w / n).collect();
        Ok(Valued { loss: value.loss, weights })
    }
}

fn single_precision(weights: &[f64]) -> Vec<f32> {
    weights.iter().map(|&w| w as f32).collect()
}

/// The loss's own error comes back through the model as what it was.
fn own_error(e: Error) -> RuntimeError {
    match e {
        Error::Loss(inner) => match inner.downcast::<RuntimeError>() {
            Ok(own) => *own,
            Err(other) => Error::Loss(other).into(),
        },
        other => other.into(),
    }
}

fn check(loss: &[f64], first: usize) -> Result<(), BatchError> {
    match loss.iter().position(|l| !l.is_finite()) {
        Some(i) => Err(BatchError::NotFinite { pair: first + i, value: loss[i] }),
        None => Ok(()),
    }
}

/// Value and gradient of the mean loss over `pairs`, at most `micro` pairs in memory at once.
///
/// A loss that couples its examples is evaluated on the sums of the whole batch, which costs a forward
/// pass over each micro-batch first.
pub(super) fn gradient(
    policy: &dyn Policy,
    kernel: &dyn LossKernel,
    binding: &Binding,
    pairs: &[&EncodedPair],
    reference: Option<&[[f64; 2]]>,
    micro: usize,
) -> Result<BatchResult, BatchError> {
    let problem = Problem { kernel, binding, batch: pairs.len() };
    let parts: Vec<_> =
        (0..pairs.len()).step_by(micro).map(|i| i..(i + micro).min(pairs.len())).collect();
    let coupled = kernel.couples_examples() && parts.len() > 1;
    let mut out =
        BatchResult { loss: Vec::new(), sums: Vec::new(), gradients: Gradients::default() };
    let mut weights = Vec::new();
    if coupled {
        for part in &parts {
            let sums = policy.completion_logps(&rows(&pairs[part.clone()]));
            out.sums.extend(sums.map_err(RuntimeError::from)?);
        }
        let valued = problem.value(pairs, reference, &out.sums)?;
        check(&valued.loss, 0)?;
        (out.loss, weights) = (valued.loss, valued.weights);
    }
    for part in parts {
        let mine = &pairs[part.clone()];
        let reference = reference.map(|r| &r[part.clone()]);
        let mut valued = None;
        let result = policy.backward(&rows(mine), &mut |sums| {
            if coupled {
                return Ok(single_precision(&weights[2 * part.start..2 * part.end]));
            }
            let v = problem.value(mine, reference, sums).map_err(|e| Error::Loss(Box::new(e)))?;
            let weights = single_precision(&v.weights);
            // Weights of a loss that is not finite would only poison the pass: the check follows.
            let stop = v.loss.iter().any(|l| !l.is_finite());
            valued = Some(v.loss);
            Ok(if stop { vec![0.0; weights.len()] } else { weights })
        });
        let (sums, gradients) = result.map_err(own_error)?;
        if let Some(loss) = valued {
            check(&loss, part.start)?;
            out.loss.extend(loss);
            out.sums.extend(sums);
        }
        out.gradients.add_assign(&gradients).map_err(RuntimeError::from)?;
    }
    Ok(out)
}
