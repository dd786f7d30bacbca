//! Rust: value and gradients of one example as a pure function over f64 or f32.
//!
//! Why: a program that is written in Rust carries its loss as code that its own compiler optimises, with
//! no interpreter and no allocation at run time. In: a graph of stage total, with the root `loss` and
//! roots `d/COLUMN`. Out: a [`Module`]: items that name nothing but `core` and the methods of the float
//! type. Invariant: every operation is that of [`super::interp`], in the same order, so that f64 and f32
//! results equal the interpreter's to the last bit; what depends on parameters alone is computed once a
//! call and not once an example.
//!
//! A loss that couples the examples of a batch is refused: [`Refused`] names the operation.

mod body;
pub(super) mod helper;
mod name;
#[cfg(test)]
mod tests;

pub use name::{Names, snake_case, upper_camel_case};

use crate::mir::{Graph, Level, NodeId, Op, Reduce};
use std::fmt;

/// The float type of the generated code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Float {
    /// `f32`
    F32,
    /// `f64`
    F64,
}

impl Float {
    /// The type's name in Rust.
    pub fn keyword(self) -> &'static str {
        match self {
            Float::F32 => "f32",
            Float::F64 => "f64",
        }
    }
}

/// Generated items.
///
/// With the parameters p1, p2, .. (f64), the columns c1, c2, .. (of the float type) and n roots they are
///
/// ```text
/// pub struct Uniform { .. }
/// pub fn uniform(p1: f64, p2: f64, ..) -> Uniform
/// pub fn example(uniform: &Uniform, c1: T, c2: T, ..) -> [T; n]
/// ```
///
/// and the private helper functions that these use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// The parameters in the order of `uniform`, by their names in the loss.
    pub params: Vec<String>,
    /// The columns in the order of `example`, by their canonical names.
    pub columns: Vec<String>,
    /// The results in the order of the array: `loss`, then `d/COLUMN`.
    pub roots: Vec<String>,
    /// The source text.
    pub text: String,
}

/// Why there is no function of one example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The operation needs all examples of the batch.
    Batch {
        /// What it is called in the language or the graph.
        operation: &'static str,
    },
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
            Refused::Batch { operation } => write!(
                f,
                "{operation} needs all examples of the batch, and the Rust code sees one at a time"
            ),
            Refused::Inner { level, what } => {
                write!(f, "{what} has one value a {level}, and the Rust code sees whole examples")
            }
            Refused::Malformed(id) => {
                write!(f, "{id} refers to something that does not precede it")
            }
        }
    }
}

impl std::error::Error for Refused {}

/// The Rust code of a graph.
///
/// # Errors
/// [`Refused`] when a value needs more than one example, or the graph is not well formed.
pub fn emit(graph: &Graph, float: Float) -> Result<Module, Refused> {
    let needed = needed(graph)?;
    for (i, node) in graph.nodes.iter().enumerate().filter(|(i, _)| needed[*i]) {
        fits(graph, NodeId(i as u32), node.op, node.level)?;
    }
    Ok(Module {
        params: graph.params.iter().map(|p| p.name.clone()).collect(),
        columns: graph.inputs.iter().map(|i| i.name.clone()).collect(),
        roots: graph.roots.iter().map(|r| r.name.clone()).collect(),
        text: body::text(graph, float, &needed),
    })
}

/// Which nodes the roots depend on.
fn needed(graph: &Graph) -> Result<Vec<bool>, Refused> {
    let mut needed = vec![false; graph.nodes.len()];
    for root in &graph.roots {
        let i = root.node.0 as usize;
        *needed.get_mut(i).ok_or(Refused::Malformed(root.node))? = true;
    }
    for (i, node) in graph.nodes.iter().enumerate().rev() {
        if !needed[i] {
            continue;
        }
        for operand in node.op.operands() {
            if operand.0 as usize >= i {
                return Err(Refused::Malformed(NodeId(i as u32)));
            }
            needed[operand.0 as usize] = true;
        }
    }
    Ok(needed)
}

fn fits(graph: &Graph, id: NodeId, op: Op, level: Level) -> Result<(), Refused> {
    let batch = |operation| Err(Refused::Batch { operation });
    match op {
        Op::Param(p) if usize::from(p) >= graph.params.len() => Err(Refused::Malformed(id)),
        Op::Input(i) => match graph.inputs.get(usize::from(i)) {
            None => Err(Refused::Malformed(id)),
            Some(c) if c.level > Level::Example => {
                Err(Refused::Inner { level: c.level, what: format!("the column {}", c.name) })
            }
            Some(c) if c.level < Level::Example => batch("a column of the whole batch"),
            Some(_) => Ok(()),
        },
        _ if level > Level::Example => {
            Err(Refused::Inner { level, what: "an intermediate value".to_owned() })
        }
        Op::Reduce(Reduce::Sum, _) => batch("batch_sum"),
        Op::Reduce(Reduce::Mean, _) => batch("batch_mean"),
        Op::Reduce(Reduce::Max, _) => batch("the batch's maximum"),
        Op::Reduce(Reduce::LogSumExp, _) => batch("the batch's logsumexp"),
        Op::Count(_) => batch("the size of the batch"),
        Op::Sort(_) | Op::Unsort(..) => batch("batch_sort"),
        Op::SuffixSum(_) | Op::PrefixSum(_) => batch("a running sum"),
        Op::LogSumExps(..) | Op::Recurrence(..) => batch("a scan"),
        Op::Shift(..) | Op::Position(_) => batch("a shift"),
        _ => Ok(()),
    }
}
