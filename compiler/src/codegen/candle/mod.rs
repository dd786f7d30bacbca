//! candle: value and gradients of a batch as operations on tensors, one file a loss.
//!
//! Why: a program that trains with candle can take a loss along as code that people read, on any device,
//! with no dependency but candle. In: a graph of stage total, with the root `loss` and roots `d/COLUMN`.
//! Out: the text of a Rust file. Invariants: the operations are those of the stable form; gradients are the
//! graph's own, attached to the tape, and not what the tape would make of the value (which differs at kinks
//! and is NaN where a branch that was not taken overflows); values that are the same for a whole run are
//! computed in f64.
//!
//! A loss with a value per candidate or token is refused: [`Refused`] names the operation.

mod body;
mod helper;
#[cfg(test)]
mod tests;

pub use super::head::Header;

use crate::mir::{Graph, Level, NodeId, Op};
use std::fmt;

/// A generated file, and the names in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// The fields of `Params`, in the order of the graph.
    pub params: Vec<String>,
    /// The fields of `Columns`, in the order of the graph; `Evaluated` has `loss` and `d_COLUMN`.
    pub columns: Vec<String>,
    /// The source text.
    pub text: String,
}

/// Why a graph has no tensor code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A scan along a loop that this back end has no operation for.
    Scan(NodeId),
    /// A value per candidate or token.
    Inner {
        /// Its level.
        level: Level,
        /// The column or operation that lives there.
        what: String,
    },
    /// A node refers to one that does not precede it, or to a parameter or column that is not declared.
    Malformed(NodeId),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Inner { level, what } => {
                write!(f, "{what} has one value a {level}, and the tensors have one an example")
            }
            Refused::Scan(id) => write!(f, "{id} is a scan, which has no tensor operation"),
            Refused::Malformed(id) => {
                write!(f, "{id} refers to something that does not precede it")
            }
        }
    }
}

impl std::error::Error for Refused {}

/// The file of a loss.
///
/// # Errors
/// [`Refused`] when a value lives below the example level, or the graph is not well formed.
pub fn emit(graph: &Graph, header: &Header) -> Result<Module, Refused> {
    for input in &graph.inputs {
        if input.level != Level::Example {
            let what = format!("the column {}", input.name);
            return Err(Refused::Inner { level: input.level, what });
        }
    }
    for (i, node) in graph.nodes.iter().enumerate() {
        let malformed = match node.op {
            Op::Param(p) => usize::from(p) >= graph.params.len(),
            Op::Input(c) => usize::from(c) >= graph.inputs.len(),
            op => op.operands().any(|o| o.0 as usize >= i),
        };
        if malformed {
            return Err(Refused::Malformed(NodeId(i as u32)));
        }
        if node.op.is_scan() {
            return Err(Refused::Scan(NodeId(i as u32)));
        }
        if node.level > Level::Example {
            return Err(Refused::Inner { level: node.level, what: format!("{:?}", node.op) });
        }
    }
    match graph.roots.iter().find(|r| r.node.0 as usize >= graph.nodes.len()) {
        Some(root) => Err(Refused::Malformed(root.node)),
        None => Ok(body::module(graph, header)),
    }
}
