//! What figures are made of: rewards, and what is kept of the reference.

use crate::data::EncodedExample;

/// What reward accuracy and margin compare: a number for each response, larger is better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reward {
    /// Less the reference's log-probability.
    pub reference: bool,
    /// By token instead of by response.
    pub mean: bool,
    /// What the scalar head says, and no log-probability.
    pub head: bool,
}

impl Reward {
    /// The definition in words, for reports.
    pub fn definition(&self) -> &'static str {
        match (self.head, self.reference, self.mean) {
            (true, ..) => "what the reward head says of the response",
            (_, true, false) => "logp(policy) - logp(reference), summed over tokens",
            (_, true, true) => "logp(policy) - logp(reference), mean over tokens",
            (_, false, false) => "logp(policy), summed over tokens (the loss reads no reference)",
            (_, false, true) => "logp(policy), mean over tokens (the loss reads no reference)",
        }
    }

    /// The reward of a response from its sums and its number of tokens.
    pub(super) fn of(
        &self,
        policy: f64,
        reference: Option<f64>,
        head: Option<f64>,
        tokens: usize,
    ) -> f64 {
        if let (true, Some(head)) = (self.head, head) {
            return head;
        }
        let ratio = match reference {
            Some(reference) if self.reference => policy - reference,
            _ => policy,
        };
        if self.mean { ratio / tokens.max(1) as f64 } else { ratio }
    }
}

/// What is kept of the reference for each sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Grain {
    /// The sum over its response's tokens.
    #[default]
    Sequence,
    /// One number a token of its response.
    Token,
}

impl Grain {
    /// How many numbers an example has.
    pub(super) fn count(self, example: &EncodedExample) -> usize {
        match self {
            Self::Sequence => example.sequence_count(),
            Self::Token => example.sequences().map(|s| s.response_len()).sum(),
        }
    }
}

/// Which scalar head a loss reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadKind {
    /// A value at each token: a reading of the policy with a loss of its own.
    Value,
    /// A reward: the model is trained to give it.
    Reward,
}
