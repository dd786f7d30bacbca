//! What a run minimises: the losses, what they read of the policy, and the figures of a batch.
//!
//! In: the numbers of every token of a batch. Out: the loss of each term, d loss / d each number, and which
//! quantity went wrong first.

use crate::data::{EncodedExample, Sequence};
use crate::logprob::{Each, Statistic};
use crate::model::{Asked, CausalLm, Error, Rows, TokenNumbers};
use crate::op::{LossKernel, RuntimeError};

use super::bind::Binding;
use super::nested::TokenSlopes;
use super::running_mean::{self, Running};

/// The policy's numbers, example by example and sequence by sequence.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sums {
    /// Log-probabilities, summed over tokens.
    pub(super) logp: Vec<f64>,
    /// What the scalar head says of the response as a whole; empty without one.
    pub(super) head: Vec<f64>,
}

impl Sums {
    fn of(numbers: &TokenNumbers, reads_end: bool) -> Self {
        let sum = |row: &Vec<f32>| row.iter().map(|v| f64::from(*v)).sum::<f64>();
        let last = |row: &Vec<f32>| row.last().map_or(0.0, |v| f64::from(*v));
        let head = |row: &Vec<f32>| if reads_end { last(row) } else { sum(row) };
        Self {
            logp: numbers.logps.iter().map(sum).collect(),
            head: numbers.values.iter().map(head).collect(),
        }
    }

    pub(super) fn append(&mut self, mut more: Self) {
        self.logp.append(&mut more.logp);
        self.head.append(&mut more.head);
    }
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

/// Sequences as the model takes them: neighbours that share their prompt share its computation. With `end`
/// each has one token more, whatever it is: the position before it is the one after the last token.
pub(super) fn as_rows<'a>(sequences: impl Iterator<Item = &'a Sequence>, end: bool) -> Rows {
    let mut rows = Rows::default();
    for sequence in sequences {
        let mut ids = sequence.ids.clone();
        ids.extend(ids.last().copied().filter(|_| end));
        rows.ids.push(ids);
        rows.start.push(sequence.start);
    }
    rows
}

/// All sequences of a batch.
pub(super) fn rows(examples: &[&EncodedExample]) -> Rows {
    as_rows(examples.iter().flat_map(|e| e.sequences()), false)
}

/// The losses that a run minimises, with what they read.
#[derive(Clone, Copy)]
pub(super) struct Problem<'a> {
    pub(super) kernel: &'a dyn LossKernel,
    pub(super) binding: &'a Binding,
    /// The scalar head's own loss, where it has one.
    pub(super) head: Option<(&'a dyn LossKernel, &'a Binding)>,
    /// The reference, where a loss reads divergences from it.
    pub(super) live: Option<&'a dyn CausalLm>,
    /// The loss's running means before the batch.
    pub(super) past: &'a [Running],
}

/// The loss of a batch and d loss / d each number of each token, over the number of terms of the whole batch.
pub(super) struct Valued {
    pub(super) loss: Vec<f64>,
    pub(super) head_loss: Vec<f64>,
    pub(super) slopes: TokenSlopes,
    /// The loss's running means, the batch included.
    pub(super) running: Vec<Running>,
}

impl<'a> Problem<'a> {
    /// A loss without a head's.
    pub(super) fn plain(kernel: &'a dyn LossKernel, binding: &'a Binding) -> Self {
        Self { kernel, binding, head: None, live: None, past: &[] }
    }

    pub(super) fn asked(&self) -> Asked<'a> {
        let of_head = self.head.map(|(_, b)| b.statistics()).unwrap_or_default();
        let own = self.binding.statistics();
        Asked { statistics: Each::new(|s| own[s] || of_head[s]), reference: self.live }
    }

    pub(super) fn reads_end(&self) -> bool {
        self.binding.reads_end()
    }

    pub(super) fn rows(&self, examples: &[&EncodedExample]) -> Rows {
        as_rows(examples.iter().flat_map(|e| e.sequences()), self.reads_end())
    }

    pub(super) fn couples(&self) -> bool {
        self.kernel.couples_examples() || self.head.is_some_and(|(k, _)| k.couples_examples())
    }

    /// Takes away what the token that stands for the end has brought.
    pub(super) fn without_end(&self, mut numbers: TokenNumbers) -> TokenNumbers {
        if self.reads_end() {
            let cut = |rows: &mut Vec<Vec<f32>>| {
                rows.iter_mut().for_each(|r| r.truncate(r.len().saturating_sub(1)))
            };
            cut(&mut numbers.logps);
            Statistic::ALL.iter().for_each(|s| cut(&mut numbers.statistics[*s]));
        }
        numbers
    }

    /// And gives it a gradient of 0.
    pub(super) fn with_end(&self, mut weights: TokenNumbers) -> TokenNumbers {
        if self.reads_end() {
            let add = |rows: &mut Vec<Vec<f32>>| rows.iter_mut().for_each(|r| r.push(0.0));
            add(&mut weights.logps);
            Statistic::ALL.iter().for_each(|s| add(&mut weights.statistics[*s]));
        }
        weights
    }

    /// The numbers of a few examples, without a gradient.
    pub(super) fn numbers(
        &self,
        policy: &dyn CausalLm,
        examples: &[&EncodedExample],
    ) -> Result<TokenNumbers, RuntimeError> {
        Ok(self.without_end(policy.token_numbers(&self.rows(examples), self.asked())?))
    }

    /// What figures are made of.
    pub(super) fn sums(&self, numbers: &TokenNumbers) -> Sums {
        Sums::of(numbers, self.reads_end())
    }

    /// The losses by term, of numbers in any parts.
    pub(super) fn losses(
        &self,
        examples: &[&EncodedExample],
        reference: Option<&[Vec<f64>]>,
        numbers: &TokenNumbers,
    ) -> Result<Vec<f64>, RuntimeError> {
        let inputs = self.binding.columns(examples, reference)?;
        let mut resolved = inputs.resolve(numbers)?;
        running_mean::hold(self.kernel, self.past, &mut resolved);
        Ok(self.kernel.evaluate_nested(&resolved, &inputs.loops)?.loss)
    }

    pub(super) fn value(
        &self,
        examples: &[&EncodedExample],
        reference: Option<&[Vec<f64>]>,
        numbers: &TokenNumbers,
        terms: usize,
    ) -> Result<Valued, RuntimeError> {
        let one = |kernel: &dyn LossKernel, binding: &Binding, past: &[Running]| {
            let inputs = binding.columns(examples, reference)?;
            let mut resolved = inputs.resolve(numbers)?;
            let running = running_mean::advance(kernel, past, &mut resolved)?;
            let value = kernel.evaluate_nested(&resolved, &inputs.loops)?;
            let slopes = inputs.pull_back(&value.grads, numbers, terms)?;
            Ok::<_, RuntimeError>((value.loss, slopes, running))
        };
        let (loss, mut slopes, running) = one(self.kernel, self.binding, self.past)?;
        let mut head_loss = Vec::new();
        if let Some((kernel, binding)) = self.head {
            let (own, of_head, _) = one(kernel, binding, &[])?;
            if of_head.logps.iter().flatten().any(|g| *g != 0.0) {
                return Err(RuntimeError::Unsupported(format!(
                    "loss `{}` of the head has a gradient by the policy's log-probabilities \
                     (stop_gradient takes it away)",
                    kernel.name()
                )));
            }
            slopes.add_values(&of_head);
            head_loss = own;
        }
        Ok(Valued { loss, head_loss, slopes, running })
    }

    /// Names the first quantity that is not finite: a log-probability before the loss that it spoils, the
    /// loss before its gradient.
    pub(super) fn check(
        &self,
        examples: &[&EncodedExample],
        sums: &Sums,
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
        for (what, values) in
            [("the policy's log-probability", &sums.logp), ("what the head says", &sums.head)]
        {
            if let Some(s) = values.iter().position(|v| !v.is_finite()) {
                let (e, name) = owner(s);
                return bad(e, format!("{what} of {name}"), values[s]);
            }
        }
        for (what, values) in [("the loss", &valued.loss), ("the head's loss", &valued.head_loss)] {
            let Some(t) = values.iter().position(|v| !v.is_finite()) else { continue };
            let mut left = t;
            let e = examples.iter().position(|e| {
                let mine = self.binding.terms(e);
                let here = left < mine;
                left = left.saturating_sub(mine);
                here
            });
            return bad(e.unwrap_or(0), what.into(), values[t]);
        }
        if let Some((s, value)) = valued.slopes.not_finite() {
            let (e, name) = owner(s);
            let what = format!("the gradient of the loss by the log-probability of {name}");
            return bad(e, what, value);
        }
        Ok(())
    }
}

/// What a sequence of an example is called in messages.
fn sequence_name(example: &EncodedExample, sequence: usize) -> &'static str {
    match (example.is_pair(), sequence) {
        (_, s) if s >= example.responses.len() => "a response to another prompt",
        (true, 0) => "the chosen response",
        (true, 1) => "the rejected response",
        (true, _) => "a further response",
        (false, _) if example.is_list() => "a response",
        (false, _) => "the response",
    }
}

/// The loss's own error comes back through the model as what it was.
pub(super) fn own_error(e: Error) -> RuntimeError {
    match e {
        Error::Loss(inner) => match inner.downcast::<RuntimeError>() {
            Ok(own) => *own,
            Err(other) => Error::Loss(other).into(),
        },
        other => other.into(),
    }
}

/// Appends the numbers of further sequences.
pub(super) fn append(all: &mut TokenNumbers, mut more: TokenNumbers) {
    all.logps.append(&mut more.logps);
    all.values.append(&mut more.values);
    Statistic::ALL.iter().for_each(|s| all.statistics[*s].append(&mut more.statistics[*s]));
}
