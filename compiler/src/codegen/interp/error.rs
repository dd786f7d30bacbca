//! Why a graph cannot be evaluated on a batch.

use crate::mir::{Level, NodeId};
use std::fmt;

/// A mismatch between a graph, its parameters and a batch, or a graph that the verifier refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EvalError {
    /// An input has no column.
    MissingInput(String),
    /// An index of an input that the graph does not have.
    UnknownInput(u16),
    /// The number of parameter values differs from the number of parameters.
    Params {
        /// How many the graph has.
        expected: usize,
        /// How many were given.
        given: usize,
    },
    /// A column, or the counts that shape it, has the wrong length.
    Length {
        /// The input's name.
        input: String,
        /// The length that the batch's shape asks for.
        expected: usize,
        /// The length given.
        given: usize,
    },
    /// Values at this level need counts that the batch has not: candidates, or tokens of a response.
    NoLoop(Level),
    /// A node combines tokens of different responses, or reduces over a loop that its level does not contain.
    Levels(NodeId),
    /// A node refers to a node, parameter or input that does not come before it, or does not exist.
    Malformed(NodeId),
}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EvalError::MissingInput(name) => write!(f, "the batch has no column `{name}`"),
            EvalError::UnknownInput(i) => write!(f, "the graph has no input {i}"),
            EvalError::Params { expected, given } => {
                write!(f, "{given} parameter values for {expected} parameters")
            }
            EvalError::Length { input, expected, given } => {
                write!(f, "`{input}` has {given} entries where the batch has {expected}")
            }
            EvalError::NoLoop(level) => {
                write!(f, "the batch does not say how many {level}s there are")
            }
            EvalError::Levels(node) => {
                write!(f, "the levels of node {node} and its operands do not fit")
            }
            EvalError::Malformed(node) => {
                write!(f, "node {node} refers to something that does not exist")
            }
        }
    }
}

impl std::error::Error for EvalError {}
