//! Why an expression has no logic, and what comes nearest.

use super::expr::number;
use crate::logic::{Core, Rational, Structure, StructureError};
use std::fmt;

/// Why an expression is not log(T/B) for two weighted counts.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    /// The expression, or a polynomial on the way, outgrew the bounds.
    TooLarge,
    /// More different atoms than a truth table holds.
    TooManyAtoms(usize),
    /// This has no counterpart in logic.
    Outside(String),
    /// A log-probability and a probability are added.
    MixedLevels,
    /// Two logarithms are multiplied, or one is raised to a power.
    ProductOfLogs,
    /// Something is divided by a logarithm.
    DivisionByLog,
    /// e to the power of a probability.
    ExpOfProbability,
    /// The logarithm of a logarithm.
    LogOfLog,
    /// The logarithm of what is 0 or below wherever it is defined.
    LogOfNonPositive,
    /// A divisor is 0.
    DivisionByZero,
    /// An exponent that holds a probability or a logarithm.
    VariableExponent,
    /// rho is a ratio of weights: its logarithm was meant.
    NotALogarithm,
    /// No weight is left: rho is constant.
    Constant,
    /// A weight is raised to a power that is no whole number.
    FractionalPower(String),
    /// A weight is raised to a higher power than is read.
    HighPower(String),
    /// rho is a multiple of a logarithm of weights.
    Scaled {
        /// The factor.
        by: String,
    },
    /// A weight stands twice in one product.
    Squared,
    /// A sum counts the same row more than once, or negatively.
    NotAnIndicator {
        /// The row, as the atoms that are true in it.
        row: Vec<String>,
        /// What it counts.
        value: Rational,
    },
    /// A sum is a multiple of a weighted count.
    Coefficient(String),
    /// A constant whose sign the ranges of its parameters leave open.
    UnknownSign {
        /// The constant.
        constant: String,
        /// The values that it can take.
        range: String,
    },
    /// The sum and the mean of one response's log-probabilities are different atoms.
    MixedAggregates {
        /// The model.
        model: String,
        /// The response.
        response: String,
    },
    /// The clauses are not a structure.
    Structure(StructureError),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => f.write_str("the expression is too large to normalise"),
            Self::TooManyAtoms(n) => {
                write!(f, "{n} different weights are more than a truth table holds (6)")
            }
            Self::Outside(text) => {
                write!(f, "`{text}` is arithmetic that the logic has no word for")
            }
            Self::MixedLevels => f.write_str("a log-probability and a probability are added"),
            Self::ProductOfLogs => f.write_str("log-probabilities are multiplied with each other"),
            Self::DivisionByLog => f.write_str("a log-probability is a divisor"),
            Self::ExpOfProbability => f.write_str("e is raised to a probability"),
            Self::LogOfLog => f.write_str("the logarithm of a log-probability is taken"),
            Self::LogOfNonPositive => {
                f.write_str("the logarithm of what is never positive is taken")
            }
            Self::DivisionByZero => f.write_str("a divisor is 0"),
            Self::VariableExponent => f.write_str("an exponent depends on a weight"),
            Self::NotALogarithm => {
                f.write_str("this is a ratio of weights; rho is the logarithm of one")
            }
            Self::Constant => {
                f.write_str("rho is constant: no weight is left once common factors cancel")
            }
            Self::FractionalPower(e) => {
                write!(f, "a weight is raised to the power {e}, which is no whole number")
            }
            Self::HighPower(e) => {
                write!(
                    f,
                    "a weight is raised to the power {e}; powers up to 255 are multiplied out"
                )
            }
            Self::Scaled { by } => write!(f, "rho is {by} times a logarithm of weights"),
            Self::Squared => f.write_str("a weight stands more than once in one product"),
            Self::NotAnIndicator { row, value } => {
                let row = if row.is_empty() { "no atom true".into() } else { row.join(" & ") };
                let value = number(*value);
                write!(f, "the sum counts the row with {row} {value} times, not 0 or 1 times")
            }
            Self::Coefficient(c) => write!(f, "the sum is {c} times a weighted count"),
            Self::UnknownSign { constant, range } => write!(
                f,
                "the constant {constant} lies in {range}: its sign, and so its side, is not known"
            ),
            Self::MixedAggregates { model, response } => write!(
                f,
                "the sum and the mean of the log-probabilities that {model} gives {response} are \
                 different atoms, and both occur"
            ),
            Self::Structure(error) => error.fmt(f),
        }
    }
}

/// A structure close to an expression that has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nearest {
    /// What was read differently.
    pub reading: String,
    /// The structure under that reading.
    pub structure: Structure,
    /// Its clauses.
    pub core: Core,
}

/// An expression that is no preference structure.
#[derive(Clone, Debug, PartialEq)]
pub struct NotLogic {
    /// Why.
    pub reason: Reason,
    /// The tag of the sub-expression to blame.
    pub tag: usize,
    /// The monomials to blame, where a polynomial is: `pi(w)^2`, `2 * pi(l)`.
    pub monomials: Vec<String>,
    /// The nearest reading that is one.
    pub nearest: Option<Box<Nearest>>,
    /// Of a constant rho the structure before everything cancelled, where it has one: W and L are the same.
    pub written: Option<Box<Structure>>,
}

impl fmt::Display for NotLogic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)?;
        if !self.monomials.is_empty() {
            write!(f, " ({})", self.monomials.join(", "))?;
        }
        if let Some(nearest) = &self.nearest {
            write!(f, "; nearest reading: {}", nearest.reading)?;
        }
        Ok(())
    }
}

impl std::error::Error for NotLogic {}

/// A failure on the way, before there is a polynomial to show.
pub(super) struct Failure {
    pub(super) reason: Reason,
    pub(super) tag: usize,
}

impl Failure {
    pub(super) fn new(reason: Reason, tag: usize) -> Self {
        Self { reason, tag }
    }

    pub(super) fn too_large(tag: usize) -> Self {
        Self::new(Reason::TooLarge, tag)
    }
}

impl From<Failure> for NotLogic {
    fn from(failure: Failure) -> Self {
        Self {
            reason: failure.reason,
            tag: failure.tag,
            monomials: Vec::new(),
            nearest: None,
            written: None,
        }
    }
}
