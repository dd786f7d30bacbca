//! What a policy makes of pairs that it does not train on.

use serde::Serialize;

use crate::data::EncodedPair;
use crate::model::CausalLm;
use crate::op::{LossKernel, RuntimeError};

use super::batch::rows;
use super::bind::{Binding, Reward};

/// The figures of one pair.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PairScore {
    /// Its row in the data, counted from 0.
    pub row: usize,
    /// Its loss.
    pub loss: f64,
    /// Reward of chosen less reward of rejected.
    pub margin: f64,
    /// 1 if the chosen response has the higher reward, 0 if the rejected one has, 1/2 if they differ by
    /// no more than the rounding of log-probabilities, as they do where policy and reference are the same.
    pub correct: f64,
    /// The policy's log-probability of the chosen response, summed over its tokens.
    pub chosen_logp: f64,
    /// The same of the rejected response.
    pub rejected_logp: f64,
    /// The reference's log-probability of the chosen response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chosen_reference_logp: Option<f64>,
    /// The same of the rejected response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejected_reference_logp: Option<f64>,
    /// Tokens of the chosen response.
    pub chosen_tokens: usize,
    /// Tokens of the rejected response.
    pub rejected_tokens: usize,
}

/// Means over pairs.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// How many pairs.
    pub pairs: usize,
    /// Mean loss.
    pub loss: f64,
    /// Share of pairs whose chosen response has the higher reward, ties counted half.
    pub accuracy: f64,
    /// Mean reward of chosen less rejected.
    pub margin: f64,
    /// Mean log-probability of the chosen responses.
    pub chosen_logp: f64,
    /// Mean log-probability of the rejected responses.
    pub rejected_logp: f64,
    /// Log-probability of all chosen tokens over their number.
    pub chosen_logp_per_token: f64,
    /// The same of the rejected tokens.
    pub rejected_logp_per_token: f64,
    /// What always choosing the shorter response would score, ties counted half.
    pub shorter_accuracy: f64,
    /// What always choosing the longer response would score, ties counted half.
    pub longer_accuracy: f64,
}

/// What a log-probability loses to rounding in f32, relative: how a matrix product adds up depends on the
/// rows beside.
const ROUNDING: f64 = 1e-6;

/// The figures of a batch from its sums.
pub(super) fn figures(
    pairs: &[&EncodedPair],
    reference: Option<&[[f64; 2]]>,
    loss: &[f64],
    sums: &[f64],
    reward: Reward,
) -> Vec<PairScore> {
    let one = |(e, pair): (usize, &&EncodedPair)| {
        let reference = reference.map(|r| r[e]);
        let tokens = [pair.chosen.response_len(), pair.rejected.response_len()];
        let value =
            |side: usize| reward.of(sums[2 * e + side], reference.map(|r| r[side]), tokens[side]);
        let margin = value(0) - value(1);
        let size = |side: usize| {
            let sum = sums[2 * e + side].abs();
            if reward.mean { sum / tokens[side].max(1) as f64 } else { sum }
        };
        let noise = ROUNDING * (size(0) + size(1));
        PairScore {
            row: pair.row,
            loss: loss[e],
            margin,
            correct: if margin.abs() <= noise { 0.5 } else { f64::from(u8::from(margin > 0.0)) },
            chosen_logp: sums[2 * e],
            rejected_logp: sums[2 * e + 1],
            chosen_reference_logp: reference.map(|r| r[0]),
            rejected_reference_logp: reference.map(|r| r[1]),
            chosen_tokens: tokens[0],
            rejected_tokens: tokens[1],
        }
    };
    pairs.iter().enumerate().map(one).collect()
}

/// Scores all pairs, `micro` at a time; a loss that couples its examples sees batches of `batch` pairs.
///
/// `reference` holds the reference's sums by pair, where the loss reads one.
///
/// # Errors
/// If a row does not fit the model or the loss cannot be evaluated.
pub fn score(
    policy: &dyn CausalLm,
    kernel: &dyn LossKernel,
    binding: &Binding,
    pairs: &[EncodedPair],
    reference: Option<&[[f64; 2]]>,
    (batch, micro): (usize, usize),
) -> Result<Vec<PairScore>, RuntimeError> {
    let mut out = Vec::with_capacity(pairs.len());
    for (b, part) in pairs.chunks(batch.max(1)).enumerate() {
        let part: Vec<&EncodedPair> = part.iter().collect();
        let first = b * batch.max(1);
        let reference = match reference {
            Some(r) => Some(r.get(first..first + part.len()).ok_or_else(|| {
                RuntimeError::Shape(format!("{} reference sums for {} pairs", r.len(), pairs.len()))
            })?),
            None => None,
        };
        let mut sums = Vec::with_capacity(2 * part.len());
        for few in part.chunks(micro.max(1)) {
            sums.extend(policy.completion_logps(&rows(few))?);
        }
        let columns = binding.columns(&part, reference)?;
        let value = kernel.evaluate(&columns.resolve(&sums)?)?;
        out.extend(figures(&part, reference, &value.loss, &sums, binding.reward()));
    }
    Ok(out)
}

/// 1 where the chosen response has more tokens, 0 where it has fewer, else 1/2.
fn longer(s: &PairScore) -> f64 {
    match s.chosen_tokens.cmp(&s.rejected_tokens) {
        std::cmp::Ordering::Greater => 1.0,
        std::cmp::Ordering::Equal => 0.5,
        std::cmp::Ordering::Less => 0.0,
    }
}

/// Means over pairs; all zero for none.
pub fn summarise(scores: &[PairScore]) -> Summary {
    if scores.is_empty() {
        return Summary::default();
    }
    let n = scores.len() as f64;
    let mean = |f: &dyn Fn(&PairScore) -> f64| scores.iter().map(f).sum::<f64>() / n;
    let per_token = |logp: &dyn Fn(&PairScore) -> f64, tokens: &dyn Fn(&PairScore) -> usize| {
        let tokens: usize = scores.iter().map(tokens).sum();
        scores.iter().map(logp).sum::<f64>() / tokens.max(1) as f64
    };
    let longer = mean(&longer);
    Summary {
        pairs: scores.len(),
        loss: mean(&|s| s.loss),
        accuracy: mean(&|s| s.correct),
        margin: mean(&|s| s.margin),
        chosen_logp: mean(&|s| s.chosen_logp),
        rejected_logp: mean(&|s| s.rejected_logp),
        chosen_logp_per_token: per_token(&|s| s.chosen_logp, &|s| s.chosen_tokens),
        rejected_logp_per_token: per_token(&|s| s.rejected_logp, &|s| s.rejected_tokens),
        shorter_accuracy: 1.0 - longer,
        longer_accuracy: longer,
    }
}
