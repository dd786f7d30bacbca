//! What one example of the data is.

use super::Loop;
use crate::mir::Level;
use std::fmt;

/// The shape of one example.
#[derive(Clone, Debug, PartialEq)]
pub enum DataShape {
    /// Two responses to one prompt.
    Pair {
        /// The preferred one.
        winner: String,
        /// The other.
        loser: String,
        /// Further responses, such as a rationale.
        others: Vec<String>,
    },
    /// One response with a label.
    Labelled {
        /// The response.
        response: String,
        /// The boolean that says whether it is good.
        label: String,
    },
    /// Any number of responses to one prompt, best first.
    Ranked(Family),
    /// Any number of sampled responses to one prompt, in no order.
    Group(Family),
    /// One response, token by token.
    Trajectory {
        /// The response.
        response: String,
        /// The name of its number of tokens.
        size: Option<String>,
        /// Columns with one number an example.
        numbers: Vec<String>,
        /// Columns with one number a token.
        tokens: Vec<String>,
    },
}

/// Responses of one prompt under one name.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// The name.
    pub response: String,
    /// The name of how many there are.
    pub size: String,
    /// Columns with one number a response.
    pub columns: Vec<String>,
    /// Columns with one number an example.
    pub numbers: Vec<String>,
}

impl DataShape {
    /// The responses by name, the preferred one first.
    pub fn responses(&self) -> Vec<&str> {
        match self {
            DataShape::Pair { winner, loser, others } => {
                [winner, loser].into_iter().chain(others).map(String::as_str).collect()
            }
            DataShape::Labelled { response, .. } | DataShape::Trajectory { response, .. } => {
                vec![response]
            }
            DataShape::Ranked(f) | DataShape::Group(f) => vec![&f.response],
        }
    }

    /// The responses that share a name, if the shape has them.
    pub fn family(&self) -> Option<&Family> {
        match self {
            DataShape::Ranked(f) | DataShape::Group(f) => Some(f),
            _ => None,
        }
    }

    /// The level of a quantity of a response.
    pub fn response_level(&self) -> Level {
        if self.family().is_some() { Level::Candidate } else { Level::Example }
    }

    /// The level that holds a loop.
    pub fn outside(&self, inner: Loop) -> Level {
        match inner {
            Loop::Candidates => Level::Example,
            Loop::Tokens(_) => self.response_level(),
        }
    }

    /// The name of the shape.
    pub fn name(&self) -> &'static str {
        match self {
            DataShape::Pair { .. } => "pair",
            DataShape::Labelled { .. } => "labelled",
            DataShape::Ranked(_) => "ranked",
            DataShape::Group(_) => "group",
            DataShape::Trajectory { .. } => "trajectory",
        }
    }
}

impl fmt::Display for DataShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DataShape::Pair { winner, loser, others } => {
                write!(f, "pair({winner} > {loser}")?;
                others.iter().try_for_each(|o| write!(f, ", {o}"))?;
                f.write_str(")")
            }
            DataShape::Labelled { response, label } => write!(f, "labelled({response}, {label})"),
            DataShape::Ranked(y) | DataShape::Group(y) => {
                write!(f, "{}({}[{}]", self.name(), y.response, y.size)?;
                y.columns.iter().try_for_each(|c| write!(f, ", {c}[{}]", y.size))?;
                y.numbers.iter().try_for_each(|c| write!(f, ", {c}"))?;
                f.write_str(")")
            }
            DataShape::Trajectory { response, size, numbers, tokens } => {
                let index = size.as_ref().map(|t| format!("[{t}]")).unwrap_or_default();
                write!(f, "trajectory({response}{index}")?;
                numbers.iter().try_for_each(|c| write!(f, ", {c}"))?;
                tokens.iter().try_for_each(|c| write!(f, ", {c}{index}"))?;
                f.write_str(")")
            }
        }
    }
}
