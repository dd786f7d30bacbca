//! Token to sequence: which column sums which statistic over which tokens.
//!
//! In: the canonical name of a column. Out: its [`Source`]. Invariant: a name that is no quantity of a
//! model is a column of the data.

use std::fmt;

/// What the pass over the vocabulary produces for one token.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Statistic {
    /// Log-probability of the token that stands there.
    TargetLogp,
    /// log sum_v p_v^2
    LogSumP2,
    /// -sum_v p_v log p_v
    Entropy,
    /// KL divergence from this model to another: the expectation is under this one.
    KlTo(String),
    /// KL divergence from another model to this one: the expectation is under the other.
    KlFrom(String),
}

impl Statistic {
    /// The other model, for divergences.
    pub fn other(&self) -> Option<&str> {
        match self {
            Statistic::KlTo(other) | Statistic::KlFrom(other) => Some(other),
            _ => None,
        }
    }
}

impl fmt::Display for Statistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Statistic::TargetLogp => f.write_str("target_logp"),
            Statistic::LogSumP2 => f.write_str("log_sum_p2"),
            Statistic::Entropy => f.write_str("entropy"),
            Statistic::KlTo(other) => write!(f, "kl_to {other}"),
            Statistic::KlFrom(other) => write!(f, "kl_from {other}"),
        }
    }
}

/// Which tokens of a response count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// All.
    All,
    /// The first min(len, len of the other response).
    Shared,
    /// The rest.
    Tail,
    /// Those of a response that belongs to another prompt of the batch.
    Mismatched,
}

/// A sum of a statistic over the tokens of one response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequenceSum {
    /// The model whose stream produces the statistic.
    pub model: String,
    /// The response; empty for a mismatched one.
    pub response: String,
    /// What is summed.
    pub statistic: Statistic,
    /// Over which tokens.
    pub part: Part,
    /// Divided by the number of tokens; 0 for an empty response.
    pub mean: bool,
}

/// Where a column comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The data: lengths, labels, declared columns.
    Data,
    /// The streams.
    Tokens(SequenceSum),
}

impl Source {
    /// Reads the canonical name of a column; `policy` names the trained models.
    pub fn of(name: &str, policy: impl Fn(&str) -> bool) -> Source {
        Self::quantity(name, policy).map_or(Source::Data, Source::Tokens)
    }

    fn quantity(name: &str, policy: impl Fn(&str) -> bool) -> Option<SequenceSum> {
        let (kind, arguments) = name.strip_suffix(')')?.split_once('(')?;
        let arguments: Vec<&str> = arguments.split(',').collect();
        let sum = |model: &str, response: &str, statistic, part, mean| {
            let (model, response) = (model.to_owned(), response.to_owned());
            Some(SequenceSum { model, response, statistic, part, mean })
        };
        match (kind, arguments.as_slice()) {
            ("logp", [m, y]) => sum(m, y, Statistic::TargetLogp, Part::All, false),
            ("mean_logp", [m, y]) => sum(m, y, Statistic::TargetLogp, Part::All, true),
            ("shared_logp", [m, y]) => sum(m, y, Statistic::TargetLogp, Part::Shared, false),
            ("tail_logp", [m, y]) => sum(m, y, Statistic::TargetLogp, Part::Tail, false),
            ("mismatched_logp", [m]) => sum(m, "", Statistic::TargetLogp, Part::Mismatched, false),
            ("log_sum_p2", [m, y]) => sum(m, y, Statistic::LogSumP2, Part::All, false),
            ("entropy", [m, y]) => sum(m, y, Statistic::Entropy, Part::All, false),
            // The trained model's pass carries the divergence: its logits get the gradient.
            ("kl", [a, b, y]) if policy(a) => {
                sum(a, y, Statistic::KlTo((*b).to_owned()), Part::All, false)
            }
            ("kl", [a, b, y]) => sum(b, y, Statistic::KlFrom((*a).to_owned()), Part::All, false),
            _ => None,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Source::Tokens(s) = self else { return f.write_str("data") };
        let part = match s.part {
            Part::All => "all",
            Part::Shared => "shared",
            Part::Tail => "tail",
            Part::Mismatched => "mismatched",
        };
        let reduce = if s.mean { "mean" } else { "sum" };
        write!(f, "{reduce} {} of {} over {part}", s.statistic, s.model)?;
        if s.response.is_empty() { Ok(()) } else { write!(f, " {}", s.response) }
    }
}
