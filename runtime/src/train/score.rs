//! What a policy makes of examples that it does not train on.

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use crate::data::EncodedExample;
use crate::model::{CausalLm, TokenNumbers};
use crate::op::{LossKernel, RuntimeError};

use super::bind::Binding;
use super::problem::{Problem, Sums, append};
use super::reward::{Grain, Reward};
use super::run::Beside;

/// The figures of one example. Those of the chosen response are there for a pair and for a single good
/// response, those of the rejected one for a pair and for a single bad response.
#[derive(Clone, Debug, PartialEq)]
pub struct ExampleScore {
    /// Its row in the data, counted from 0.
    pub row: usize,
    /// Its loss: the mean of its terms.
    pub loss: f64,
    /// How many terms of the loss it is.
    pub(super) terms: usize,
    /// Of a pair: reward of chosen less reward of rejected.
    pub margin: Option<f64>,
    /// Of a pair: 1 if the chosen response has the higher reward, 0 if the rejected one has, 1/2 if they
    /// differ by no more than the rounding of log-probabilities, as they do where policy and reference
    /// are the same. Of a list: the mean of that over all couples of which one is better.
    pub correct: Option<f64>,
    /// The chosen, or good, response; of a list the best.
    pub chosen: Option<ResponseScore>,
    /// The rejected, or bad, response; of a list the worst.
    pub rejected: Option<ResponseScore>,
}

impl Serialize for ExampleScore {
    /// One flat record: `chosen_logp`, `rejected_tokens` and so on, without what is not there.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("row", &self.row)?;
        map.serialize_entry("loss", &self.loss)?;
        if let (Some(margin), Some(correct)) = (self.margin, self.correct) {
            map.serialize_entry("margin", &margin)?;
            map.serialize_entry("correct", &correct)?;
        }
        for (side, response) in [("chosen", &self.chosen), ("rejected", &self.rejected)] {
            let Some(r) = response else { continue };
            map.serialize_entry(&format!("{side}_logp"), &r.logp)?;
            if let Some(logp) = r.reference_logp {
                map.serialize_entry(&format!("{side}_reference_logp"), &logp)?;
            }
            map.serialize_entry(&format!("{side}_tokens"), &r.tokens)?;
            map.serialize_entry(&format!("{side}_reward"), &r.reward)?;
        }
        map.end()
    }
}

/// The figures of one response.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ResponseScore {
    /// The policy's log-probability, summed over tokens.
    pub logp: f64,
    /// The reference's, where the loss reads one.
    pub reference_logp: Option<f64>,
    /// Its number of tokens.
    pub tokens: usize,
    /// Its reward.
    pub reward: f64,
    /// What the reward may be off by.
    noise: f64,
}

impl ResponseScore {
    /// 1 where this response has the higher reward, 0 where the other has, 1/2 where they tie.
    fn above(&self, other: &Self) -> f64 {
        let gap = self.reward - other.reward;
        if gap.abs() <= self.noise + other.noise { 0.5 } else { f64::from(u8::from(gap > 0.0)) }
    }
}

/// Means over examples. A figure that no example has is NaN, and absent from files.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// How many examples.
    pub examples: usize,
    /// Mean loss over terms.
    pub loss: f64,
    /// Of pairs: the share whose chosen response has the higher reward. Of single responses: the share of
    /// all (good, bad) couples that are in this order. Ties count half.
    #[serde(skip_serializing_if = "super::metrics::is_absent")]
    pub accuracy: f64,
    /// Mean reward of chosen (good) less mean reward of rejected (bad) responses.
    #[serde(skip_serializing_if = "super::metrics::is_absent")]
    pub margin: f64,
    /// Mean log-probability of the chosen (good) responses.
    #[serde(skip_serializing_if = "super::metrics::is_absent")]
    pub chosen_logp: f64,
    /// Mean log-probability of the rejected (bad) responses.
    #[serde(skip_serializing_if = "super::metrics::is_absent")]
    pub rejected_logp: f64,
    /// Log-probability of all chosen tokens over their number.
    #[serde(skip_serializing_if = "super::metrics::is_absent")]
    pub chosen_logp_per_token: f64,
    /// The same of the rejected tokens.
    #[serde(skip_serializing_if = "super::metrics::is_absent")]
    pub rejected_logp_per_token: f64,
    /// What always choosing the shorter response of a pair would score, ties counted half.
    #[serde(skip_serializing_if = "super::metrics::is_absent")]
    pub shorter_accuracy: f64,
    /// What always choosing the longer response of a pair would score, ties counted half.
    #[serde(skip_serializing_if = "super::metrics::is_absent")]
    pub longer_accuracy: f64,
}

/// What a log-probability loses to rounding in f32, relative: how a matrix product adds up depends on the
/// rows beside.
const ROUNDING: f64 = 1e-6;

/// The figures of a batch from its sums; `loss` has one value a term.
pub(super) fn figures(
    examples: &[&EncodedExample],
    reference: Option<&[Vec<f64>]>,
    loss: &[f64],
    sums: &Sums,
    binding: &Binding,
) -> Vec<ExampleScore> {
    let mut loss = loss;
    let mut first = 0;
    let one = |(e, example): (usize, &&EncodedExample)| {
        let terms = binding.terms(example);
        let (mine, rest) = loss.split_at(terms.min(loss.len()));
        loss = rest;
        let reference = reference.and_then(|r| r.get(e));
        let reference = reference.map(|r| by_sequence(example, r, binding.grain()));
        let at = |side: usize| {
            let reference = reference.as_ref().and_then(|r| r.get(side).copied());
            let tokens = example.responses.get(side)?.response_len();
            let head = sums.head.get(first + side).copied();
            Some(scored(*sums.logp.get(first + side)?, reference, head, tokens, binding.reward()))
        };
        let (chosen, rejected, correct);
        if example.is_list() {
            let all: Vec<Option<ResponseScore>> = (0..example.responses.len()).map(at).collect();
            let quality = &example.quality;
            let extreme = |sign: f64| {
                let better =
                    |a: &usize, b: &usize| (sign * quality[*a]).total_cmp(&(sign * quality[*b]));
                (0..all.len()).max_by(better).and_then(|i| all[i])
            };
            (chosen, rejected) = (extreme(1.0), extreme(-1.0));
            correct = couples_in_order(&all, quality);
        } else {
            let place = |wanted: bool| example.good.iter().position(|g| *g == wanted);
            chosen = place(true).and_then(at);
            rejected = place(false).and_then(at);
            correct = chosen.zip(rejected).map(|(c, r): (ResponseScore, _)| c.above(&r));
        }
        first += example.sequence_count();
        ExampleScore {
            row: example.row,
            loss: mine.iter().sum::<f64>() / terms.max(1) as f64,
            terms,
            margin: chosen.zip(rejected).map(|(c, r)| c.reward - r.reward),
            correct,
            chosen,
            rejected,
        }
    };
    examples.iter().enumerate().map(one).collect()
}

/// The share of a list's couples, of which one is better, that the rewards put in order.
fn couples_in_order(all: &[Option<ResponseScore>], quality: &[f64]) -> Option<f64> {
    let mut shares = Vec::new();
    for (a, better) in all.iter().zip(quality) {
        for (b, _) in all.iter().zip(quality).filter(|(_, worse)| *worse < better) {
            shares.push(a.zip(*b).map_or(0.5, |(a, b)| a.above(&b)));
        }
    }
    (!shares.is_empty()).then(|| mean(shares.into_iter()))
}

/// The log-probabilities of each sequence, from those of all of an example.
fn by_token(examples: &[&EncodedExample], known: &[Vec<f64>]) -> Vec<Vec<f32>> {
    let of = |(example, all): (&&EncodedExample, &Vec<f64>)| {
        let mut all = all.iter().map(|v| *v as f32);
        let lengths = example.sequences().map(|s| s.response_len());
        lengths.map(|n| all.by_ref().take(n).collect()).collect::<Vec<Vec<f32>>>()
    };
    examples.iter().zip(known).flat_map(of).collect()
}

/// The reference's sum over each sequence.
pub(super) fn by_sequence(example: &EncodedExample, numbers: &[f64], grain: Grain) -> Vec<f64> {
    match grain {
        Grain::Sequence => numbers.to_vec(),
        Grain::Token => {
            let mut numbers = numbers.iter();
            let lengths = example.sequences().map(|s| s.response_len());
            lengths.map(|n| numbers.by_ref().take(n).sum()).collect()
        }
    }
}

fn scored(
    logp: f64,
    reference: Option<f64>,
    head: Option<f64>,
    tokens: usize,
    reward: Reward,
) -> ResponseScore {
    let reward_of = reward.of(logp, reference, head, tokens);
    let size = match (reward.head, reward.mean) {
        (true, _) => reward_of.abs(),
        (_, true) => logp.abs() / tokens.max(1) as f64,
        (_, false) => logp.abs(),
    };
    let noise = ROUNDING * size;
    ResponseScore { logp, reference_logp: reference, tokens, reward: reward_of, noise }
}

/// Scores all examples, `micro` at a time; a loss that couples its examples sees batches of `batch`.
///
/// `reference` holds the reference's numbers by example, where the loss reads one; `beside.running` the loss's
/// running means as the run left them, which scoring does not move (0 where there are none).
///
/// # Errors
/// If an example does not fit the model or the loss cannot be evaluated.
pub fn score(
    policy: &dyn CausalLm,
    kernel: &dyn LossKernel,
    binding: &Binding,
    beside: Beside<'_>,
    examples: &[EncodedExample],
    reference: Option<&[Vec<f64>]>,
    sizes: (usize, usize),
) -> Result<Vec<ExampleScore>, RuntimeError> {
    let plain = Problem::plain(kernel, binding);
    let problem = Problem { live: beside.reference, past: beside.running, ..plain };
    score_problem(policy, problem, examples, reference, None, sizes)
}

/// As [`score`], of a loss with all that it reads. `known` are the policy's log-probabilities by token, for a
/// loss that reads nothing else of it.
pub(super) fn score_problem(
    policy: &dyn CausalLm,
    problem: Problem<'_>,
    examples: &[EncodedExample],
    reference: Option<&[Vec<f64>]>,
    known: Option<&[Vec<f64>]>,
    (batch, micro): (usize, usize),
) -> Result<Vec<ExampleScore>, RuntimeError> {
    let mut out = Vec::with_capacity(examples.len());
    for (b, part) in examples.chunks(batch.max(1)).enumerate() {
        let part: Vec<&EncodedExample> = part.iter().collect();
        let first = b * batch.max(1);
        let reference = match reference {
            Some(r) => Some(r.get(first..first + part.len()).ok_or_else(|| {
                RuntimeError::Shape(format!(
                    "{} reference sums for {} examples",
                    r.len(),
                    examples.len()
                ))
            })?),
            None => None,
        };
        let mut numbers = TokenNumbers::default();
        match known.and_then(|k| k.get(first..first + part.len())) {
            Some(known) => numbers.logps = by_token(&part, known),
            None => {
                for few in part.chunks(micro.max(1)) {
                    append(&mut numbers, problem.numbers(policy, few)?);
                }
            }
        }
        let loss = problem.losses(&part, reference, &numbers)?;
        let sums = problem.sums(&numbers);
        out.extend(figures(&part, reference, &loss, &sums, problem.binding));
    }
    Ok(out)
}

/// The mean of some numbers; NaN of none.
fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0usize), |(sum, n), v| (sum + v, n + 1));
    sum / n as f64
}

/// The share of couples whose first is above its second, ties half. By sorting: there are as many couples as
/// the product of the two numbers.
fn in_order(good: &[ResponseScore], bad: &[ResponseScore]) -> f64 {
    // Above what a reward may be off by, and below; a reward that is no number is above none.
    let ends = |r: &ResponseScore| (r.reward - r.noise, r.reward + r.noise);
    let numbers = |of: &[ResponseScore]| -> Vec<(f64, f64)> {
        of.iter().map(ends).filter(|(low, high)| !low.is_nan() && !high.is_nan()).collect()
    };
    let (above, below) = (numbers(good), numbers(bad));
    let sorted = |mut ends: Vec<f64>| {
        ends.sort_unstable_by(f64::total_cmp);
        ends
    };
    let lows = sorted(below.iter().map(|b| b.0).collect());
    let highs = sorted(below.iter().map(|b| b.1).collect());
    let one = |(low, high): &(f64, f64)| {
        let won = highs.partition_point(|b| b < low);
        let not_lost = lows.partition_point(|b| b <= high);
        0.5 * (won + not_lost) as f64
    };
    above.iter().map(one).sum::<f64>() / (good.len() as f64 * bad.len() as f64)
}

/// Means over examples.
pub fn summarise(scores: &[ExampleScore]) -> Summary {
    let terms: usize = scores.iter().map(|s| s.terms).sum();
    let loss = scores.iter().map(|s| s.loss * s.terms as f64).sum::<f64>() / terms as f64;
    let chosen: Vec<ResponseScore> = scores.iter().filter_map(|s| s.chosen).collect();
    let rejected: Vec<ResponseScore> = scores.iter().filter_map(|s| s.rejected).collect();
    let pairs = scores.iter().any(|s| s.correct.is_some());
    let per_token = |of: &[ResponseScore]| {
        let tokens: usize = of.iter().map(|r| r.tokens).sum();
        of.iter().map(|r| r.logp).sum::<f64>() / tokens as f64
    };
    let rewards = |of: &[ResponseScore]| mean(of.iter().map(|r| r.reward));
    let longer = mean(scores.iter().filter_map(|s| {
        let (c, r) = (s.chosen?.tokens, s.rejected?.tokens);
        Some(if c == r { 0.5 } else { f64::from(u8::from(c > r)) })
    }));
    Summary {
        examples: scores.len(),
        loss,
        accuracy: match pairs {
            true => mean(scores.iter().filter_map(|s| s.correct)),
            false => in_order(&chosen, &rejected),
        },
        margin: match pairs {
            true => mean(scores.iter().filter_map(|s| s.margin)),
            false => rewards(&chosen) - rewards(&rejected),
        },
        chosen_logp: mean(chosen.iter().map(|r| r.logp)),
        rejected_logp: mean(rejected.iter().map(|r| r.logp)),
        chosen_logp_per_token: per_token(&chosen),
        rejected_logp_per_token: per_token(&rejected),
        shorter_accuracy: 1.0 - longer,
        longer_accuracy: longer,
    }
}
