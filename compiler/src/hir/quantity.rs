//! What a loss reads: quantities of an example, with canonical column names.

use super::model::{Head, Loop};
use crate::mir::{Interval, Level};
use std::fmt;

/// A number per example that comes from a model or from the data.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Quantity {
    /// Sum of the token log-probabilities of a response under a model.
    Logp {
        /// The model.
        model: String,
        /// The response.
        response: String,
    },
    /// Mean of the token log-probabilities; 0 for an empty response.
    MeanLogp {
        /// The model.
        model: String,
        /// The response.
        response: String,
    },
    /// The part of [`Quantity::Logp`] on the first min(len, len of the other) tokens (LD-DPO).
    SharedLogp {
        /// The model.
        model: String,
        /// The response.
        response: String,
    },
    /// The part of [`Quantity::Logp`] after the first token in which the two responses differ.
    DivergedLogp {
        /// The model.
        model: String,
        /// The response.
        response: String,
    },
    /// Sum over the response's positions of the entropy of the model's distribution.
    Entropy {
        /// The model.
        model: String,
        /// The response.
        response: String,
    },
    /// What a head gives for a whole response.
    Head {
        /// Which head.
        head: Head,
        /// The model.
        model: String,
        /// The response.
        response: String,
    },
    /// A quantity of each token of a response, of which the one inside is the sum (of a head: the
    /// head's output at the token).
    Token(Box<Quantity>),
    /// The rest of [`Quantity::Logp`].
    TailLogp {
        /// The model.
        model: String,
        /// The response.
        response: String,
    },
    /// Log-probability of a response that belongs to another prompt of the batch (KTO).
    MismatchedLogp {
        /// The model.
        model: String,
    },
    /// Sum over the response's tokens of log sum_v p_v^2 (WPO).
    LogSumP2 {
        /// The model.
        model: String,
        /// The response.
        response: String,
    },
    /// Sum over the response's positions of KL(first || second) over the vocabulary (TDPO).
    Kl {
        /// The distribution that the expectation is taken under.
        first: String,
        /// The other distribution.
        second: String,
        /// The response.
        response: String,
    },
    /// Number of tokens of a response.
    Len {
        /// The response.
        response: String,
    },
    /// Whether an unpaired response is good; 1 or 0.
    Label {
        /// The name in the loss.
        name: String,
    },
    /// A column of the data set.
    Data {
        /// Its name.
        name: String,
    },
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Quantity::Logp { model, response } => write!(f, "logp({model},{response})"),
            Quantity::MeanLogp { model, response } => write!(f, "mean_logp({model},{response})"),
            Quantity::SharedLogp { model, response } => {
                write!(f, "shared_logp({model},{response})")
            }
            Quantity::TailLogp { model, response } => write!(f, "tail_logp({model},{response})"),
            Quantity::DivergedLogp { model, response } => {
                write!(f, "diverged_logp({model},{response})")
            }
            Quantity::Entropy { model, response } => write!(f, "entropy({model},{response})"),
            Quantity::Head { head, model, response } => write!(f, "{head}({model},{response})"),
            Quantity::Token(inner) => match **inner {
                // These heads have no value of a whole response to be told from.
                Quantity::Head { head: Head::Value | Head::Advantage, .. } => write!(f, "{inner}"),
                _ => write!(f, "token_{inner}"),
            },
            Quantity::MismatchedLogp { model } => write!(f, "mismatched_logp({model})"),
            Quantity::LogSumP2 { model, response } => write!(f, "log_sum_p2({model},{response})"),
            Quantity::Kl { first, second, response } => {
                write!(f, "kl({first},{second},{response})")
            }
            Quantity::Len { response } => write!(f, "len({response})"),
            Quantity::Label { .. } => f.write_str("label"),
            Quantity::Data { name } => f.write_str(name),
        }
    }
}

impl Quantity {
    /// The interval that every value lies in, unless the loss narrows it.
    pub fn domain(&self) -> Interval {
        match self {
            Quantity::Logp { .. }
            | Quantity::MeanLogp { .. }
            | Quantity::SharedLogp { .. }
            | Quantity::TailLogp { .. }
            | Quantity::DivergedLogp { .. }
            | Quantity::MismatchedLogp { .. }
            | Quantity::LogSumP2 { .. } => Interval::LOG_PROB,
            Quantity::Head { .. } => Interval::REAL,
            Quantity::Token(inner) => inner.domain(),
            Quantity::Kl { .. } | Quantity::Entropy { .. } | Quantity::Len { .. } => {
                Interval { lo: 0.0, lo_open: false, ..Interval::REAL }
            }
            Quantity::Label { .. } => Interval::closed(0.0, 1.0),
            Quantity::Data { .. } => Interval::REAL,
        }
    }

    /// The response that it speaks of.
    pub fn response(&self) -> Option<&str> {
        match self {
            Quantity::Logp { response, .. }
            | Quantity::MeanLogp { response, .. }
            | Quantity::SharedLogp { response, .. }
            | Quantity::TailLogp { response, .. }
            | Quantity::DivergedLogp { response, .. }
            | Quantity::LogSumP2 { response, .. }
            | Quantity::Kl { response, .. }
            | Quantity::Entropy { response, .. }
            | Quantity::Head { response, .. }
            | Quantity::Len { response } => Some(response),
            Quantity::Token(inner) => inner.response(),
            Quantity::MismatchedLogp { .. } | Quantity::Label { .. } | Quantity::Data { .. } => {
                None
            }
        }
    }

    /// The models that have to be run to know the value.
    pub fn models(&self) -> Vec<&str> {
        match self {
            Quantity::Logp { model, .. }
            | Quantity::MeanLogp { model, .. }
            | Quantity::SharedLogp { model, .. }
            | Quantity::TailLogp { model, .. }
            | Quantity::DivergedLogp { model, .. }
            | Quantity::Entropy { model, .. }
            | Quantity::Head { model, .. }
            | Quantity::MismatchedLogp { model }
            | Quantity::LogSumP2 { model, .. } => vec![model],
            Quantity::Token(inner) => inner.models(),
            Quantity::Kl { first, second, .. } => vec![first, second],
            Quantity::Len { .. } | Quantity::Label { .. } | Quantity::Data { .. } => vec![],
        }
    }
}

/// A column that the loss reads.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// What it holds.
    pub quantity: Quantity,
    /// Its level.
    pub level: Level,
    /// The loop inside an example that it has one value a turn of.
    pub of: Option<Loop>,
    /// The values allowed.
    pub range: Interval,
    /// True when the policy determines it, so that the loss has a gradient with respect to it.
    pub differentiable: bool,
}

impl Column {
    /// The canonical column name.
    pub fn name(&self) -> String {
        self.quantity.to_string()
    }
}
