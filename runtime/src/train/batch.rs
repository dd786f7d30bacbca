//! One batch: log-probabilities, loss, gradient, in as many passes as the memory wants.

use std::ops::Range;

use crate::data::{EncodedExample, Sequence};
use crate::logprob::{Each, RowStatistics, Statistic};
use crate::model::{CausalLm, Error, Gradients, Rows};
use crate::op::{LossKernel, RuntimeError};

use super::bind::Binding;
use super::policy::Policy;
use super::running_mean::{self, Running};

/// What one batch gave.
pub(super) struct BatchResult {
    /// The loss of each term.
    pub(super) loss: Vec<f64>,
    /// The policy's sums, example by example and sequence by sequence.
    pub(super) sums: Vec<f64>,
    /// The gradient of the mean loss.
    pub(super) gradients: Gradients,
    /// The loss's running means, this batch included.
    pub(super) running: Vec<Running>,
}

/// A batch whose loss is not a number, or whose evaluation failed.
pub(super) enum BatchError {
    /// A quantity is infinite or NaN, and none that it depends on is.
    NotFinite {
        what: String,
        value: f64,
    },
    Other(RuntimeError),
}

impl From<RuntimeError> for BatchError {
    fn from(e: RuntimeError) -> Self {
        Self::Other(e)
    }
}

/// Sequences as the model takes them: neighbours that share their prompt share its computation.
fn as_rows<'a>(sequences: impl Iterator<Item = &'a Sequence>) -> Rows {
    let mut rows = Rows::default();
    for sequence in sequences {
        rows.ids.push(sequence.ids.clone());
        rows.start.push(sequence.start);
    }
    rows
}

/// All sequences of a batch.
pub(super) fn rows(examples: &[&EncodedExample]) -> Rows {
    as_rows(examples.iter().flat_map(|e| e.sequences()))
}

/// The loss of a batch, its gradient with respect to each sum included.
struct Valued {
    loss: Vec<f64>,
    /// d(sum of `loss`) / d sum, over the number of terms of the whole batch.
    weights: Vec<f64>,
    running: Vec<Running>,
}

struct Problem<'a> {
    kernel: &'a dyn LossKernel,
    binding: &'a Binding,
    /// The loss's running means before the batch.
    past: &'a [Running],
    /// Terms of the whole batch, by which the loss is averaged.
    terms: usize,
}

impl Problem<'_> {
    fn value(
        &self,
        examples: &[&EncodedExample],
        reference: Option<&[Vec<f64>]>,
        sums: &[f64],
        mut statistics: Each<Vec<f64>>,
    ) -> Result<Valued, RuntimeError> {
        let columns = self.binding.columns(examples, reference)?;
        statistics[Statistic::LogProb] = sums.to_vec();
        let mut resolved = columns.resolve_all(&statistics)?;
        let running = running_mean::advance(self.kernel, self.past, &mut resolved)?;
        let value = self.kernel.evaluate(&resolved)?;
        let n = self.terms as f64;
        let mut slopes = columns.pull_back_all(&value.grads)?;
        let lost = |s: &Statistic| *s != Statistic::LogProb && slopes[*s].iter().any(|g| *g != 0.0);
        if let Some(s) = Statistic::ALL.iter().find(|s| lost(s)) {
            return Err(RuntimeError::Unsupported(format!(
                "loss `{}` has a gradient by the policy's {s:?}; training has none but those by \
                 log-probabilities (stop_gradient takes it away)",
                self.kernel.name()
            )));
        }
        let weights = std::mem::take(&mut slopes[Statistic::LogProb]);
        let weights = weights.into_iter().map(|w| w / n).collect();
        Ok(Valued { loss: value.loss, weights, running })
    }

    /// Names the first quantity that is not finite: a log-probability before the loss that it spoils, the
    /// loss before its gradient.
    fn check(
        &self,
        examples: &[&EncodedExample],
        sums: &[f64],
        valued: &Valued,
    ) -> Result<(), BatchError> {
        let bad = |example: usize, what: String, value: f64| {
            let what = format!("{what} of row {}", examples[example].row);
            Err(BatchError::NotFinite { what, value })
        };
        let owner = |sequence: usize| {
            let mut left = sequence;
            for (e, example) in examples.iter().enumerate() {
                if left < example.sequence_count() {
                    return (e, sequence_name(example, left));
                }
                left -= example.sequence_count();
            }
            (0, "a response")
        };
        if let Some(s) = sums.iter().position(|v| !v.is_finite()) {
            let (e, name) = owner(s);
            return bad(e, format!("the policy's log-probability of {name}"), sums[s]);
        }
        if let Some(t) = valued.loss.iter().position(|v| !v.is_finite()) {
            let mut left = t;
            let e = examples.iter().position(|e| {
                let mine = self.binding.terms(e);
                let here = left < mine;
                left = left.saturating_sub(mine);
                here
            });
            return bad(e.unwrap_or(0), "the loss".into(), valued.loss[t]);
        }
        if let Some(s) = valued.weights.iter().position(|v| !v.is_finite()) {
            let (e, name) = owner(s);
            let what = format!("the gradient of the loss by the log-probability of {name}");
            return bad(e, what, valued.weights[s]);
        }
        Ok(())
    }
}

/// By statistic that the loss may read beside log-probabilities, the sums over each sequence, from a forward
/// pass of its own; nothing where it reads none.
pub(super) fn sums_of(
    policy: &dyn CausalLm,
    binding: &Binding,
    examples: &[&EncodedExample],
) -> Result<Each<Vec<f64>>, RuntimeError> {
    let mut out = Each::default();
    if binding.needs_statistics() {
        let tokens = policy.token_statistics(&rows(examples))?;
        let sum = |f: &dyn Fn(&RowStatistics) -> f32| -> Vec<f64> {
            tokens.iter().map(|own| own.iter().map(|t| f64::from(f(t))).sum()).collect()
        };
        out[Statistic::Entropy] = sum(&|t| t.entropy);
        out[Statistic::LogSumP2] = sum(&|t| t.log_sum_p2);
    }
    Ok(out)
}

/// Appends the sums of further sequences.
pub(super) fn append(all: &mut Each<Vec<f64>>, mut more: Each<Vec<f64>>) {
    for s in Statistic::ALL {
        all[s].append(&mut more[s]);
    }
}

/// What a sequence of an example is called in messages.
fn sequence_name(example: &EncodedExample, sequence: usize) -> &'static str {
    match (example.is_pair(), sequence) {
        (_, s) if s >= example.responses.len() => "a response to another prompt",
        (true, 0) => "the chosen response",
        (true, 1) => "the rejected response",
        (true, _) => "a further response",
        (false, _) => "the response",
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

/// Value and gradient of the mean loss over `examples`, at most `micro` examples in memory at once.
///
/// A loss that couples its examples is evaluated on the sums of the whole batch, which costs a forward
/// pass over each micro-batch first. Responses of other prompts have a gradient in few losses; where it
/// is 0 throughout they are left out of the backward pass.
pub(super) fn gradient(
    policy: &dyn Policy,
    kernel: &dyn LossKernel,
    binding: &Binding,
    examples: &[&EncodedExample],
    reference: Option<&[Vec<f64>]>,
    past: &[Running],
    micro: usize,
) -> Result<BatchResult, BatchError> {
    let terms = examples.iter().map(|e| binding.terms(e)).sum();
    let problem = Problem { kernel, binding, past, terms };
    let parts: Vec<_> =
        (0..examples.len()).step_by(micro).map(|i| i..(i + micro).min(examples.len())).collect();
    let two_passes = kernel.couples_examples() && (parts.len() > 1 || binding.needs_mismatched());
    let mut out = BatchResult {
        loss: Vec::new(),
        sums: Vec::new(),
        gradients: Gradients::default(),
        running: Vec::new(),
    };
    if two_passes {
        for part in &parts {
            let sums = policy.completion_logps(&rows(&examples[part.clone()]));
            out.sums.extend(sums.map_err(RuntimeError::from)?);
        }
        let mut statistics = Each::default();
        for part in &parts {
            append(&mut statistics, sums_of(policy, binding, &examples[part.clone()])?);
        }
        let valued = problem.value(examples, reference, &out.sums, statistics)?;
        problem.check(examples, &out.sums, &valued)?;
        out.loss = valued.loss;
        out.running = valued.running;
        for (sequences, weights) in passes(examples, &parts, &valued.weights) {
            let (_, gradients) = policy
                .backward(&as_rows(sequences.into_iter()), &mut |_| Ok(weights.clone()))
                .map_err(RuntimeError::from)?;
            out.gradients.add_assign(&gradients).map_err(RuntimeError::from)?;
        }
        return Ok(out);
    }
    for part in parts {
        let mine = &examples[part.clone()];
        let reference = reference.map(|r| &r[part.clone()]);
        let mut statistics = sums_of(policy, binding, mine)?;
        let mut wrong = None;
        let mut loss = Vec::new();
        // A loss with a running mean couples its examples: then there is one part.
        let mut running = Vec::new();
        let result = policy.backward(&rows(mine), &mut |sums| {
            let v = problem
                .value(mine, reference, sums, std::mem::take(&mut statistics))
                .map_err(|e| Error::Loss(Box::new(e)))?;
            let weights = single_precision(&v.weights);
            if let Err(e) = problem.check(mine, sums, &v) {
                // Weights that are not finite would only poison the pass.
                wrong = Some(e);
                return Ok(vec![0.0; weights.len()]);
            }
            loss = v.loss;
            running = v.running;
            Ok(weights)
        });
        let (sums, gradients) = result.map_err(own_error)?;
        if let Some(wrong) = wrong {
            return Err(wrong);
        }
        out.loss.extend(loss);
        out.running = running;
        out.sums.extend(sums);
        out.gradients.add_assign(&gradients).map_err(RuntimeError::from)?;
    }
    Ok(out)
}

/// The sequences and weights of each backward pass.
fn passes<'a>(
    examples: &[&'a EncodedExample],
    parts: &[Range<usize>],
    weights: &[f64],
) -> Vec<(Vec<&'a Sequence>, Vec<f32>)> {
    let mut each: Vec<(&Sequence, bool)> = Vec::new();
    for example in examples {
        let own = example.responses.len();
        each.extend(example.sequences().enumerate().map(|(i, s)| (s, i >= own)));
    }
    let idle = each.iter().zip(weights).all(|((_, mismatched), w)| !mismatched || *w == 0.0);
    let mut each = each.into_iter();
    let mut weights = weights.iter();
    let mut out = Vec::with_capacity(parts.len());
    for part in parts {
        let count: usize = examples[part.clone()].iter().map(|e| e.sequence_count()).sum();
        let mine = each.by_ref().take(count).zip(weights.by_ref());
        let kept = mine.filter(|((_, mismatched), _)| !(idle && *mismatched));
        out.push(kept.map(|((s, _), w)| (s, *w as f32)).unzip());
    }
    out
}
