//! Rust: value and gradients of one example, or of a coupled batch, as a pure function over f64 or f32.
//!
//! Why: a program that is written in Rust carries its loss as code that its own compiler optimises, with
//! no interpreter and no allocation at run time. In: a graph of stage total, with the root `loss` and
//! roots `d/COLUMN`. Out: a [`Module`]: items that name nothing but `core` and the methods of the float
//! type. Invariant: every operation is that of [`super::interp`], in the same order, so that f64 and f32
//! results equal the interpreter's to the last bit; what depends on parameters alone is computed once a
//! call and not once an example.
//!
//! A loss that couples the examples of a batch becomes a function of the batch, which works in scratch
//! that its caller gives. A value below the example level is refused: [`Refused`] names it.

mod batch;
mod body;
mod file;
mod fold;
pub(super) mod helper;
mod name;
mod schedule;
mod share;
#[cfg(test)]
mod tests;
mod zero;

pub use file::file;
pub use name::{Names, snake_case, upper_camel_case};
pub use schedule::Plan;

use crate::mir::{Graph, Level, NodeId, Op};
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
/// or, where examples depend on each other, in the place of the second function
///
/// ```text
/// pub fn batch(uniform: &Uniform, columns: [&[T]; c], out: [&mut [T]; n], scratch: &mut [T], order: &mut [usize])
/// ```
///
/// and the private helper functions that these use. In a batch a loss that the examples have in common
/// stands at every example; `d/COLUMN` is the derivative of the sum of the losses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// The parameters in the order of `uniform`, by their names in the loss.
    pub params: Vec<String>,
    /// The columns in the order of `example`, by their canonical names.
    pub columns: Vec<String>,
    /// The results in the order of the array: `loss`, then `d/COLUMN`.
    pub roots: Vec<String>,
    /// One example at a time, or the batch.
    pub form: Form,
    /// The source text.
    pub text: String,
}

/// What the generated function sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// One example.
    Example,
    /// All examples of the batch, with scratch as the plan says.
    Batch(Plan),
}

/// Why there is no function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The operation goes along the batch over something that the batch has once.
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
                "{operation} is not one value an example, and the Rust code reads nothing else"
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
/// [`Refused`] when a value lives below the example level, or the graph is not well formed.
pub fn emit(graph: &Graph, float: Float) -> Result<Module, Refused> {
    let needed = needed(graph)?;
    for (i, node) in graph.nodes.iter().enumerate().filter(|(i, _)| needed[*i]) {
        fits(graph, NodeId(i as u32), node.op, node.level)?;
    }
    let along = |(i, n): (usize, &crate::mir::Node)| needed[i] && couples(&n.op);
    let form = match graph.nodes.iter().enumerate().any(along) {
        true => Form::Batch(schedule::plan(graph, &needed)?),
        false => Form::Example,
    };
    Ok(Module {
        params: graph.params.iter().map(|p| p.name.clone()).collect(),
        columns: graph.inputs.iter().map(|i| i.name.clone()).collect(),
        roots: graph.roots.iter().map(|r| r.name.clone()).collect(),
        text: body::text(graph, float, &needed, &form),
        form,
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
    match op {
        Op::Param(p) if usize::from(p) >= graph.params.len() => Err(Refused::Malformed(id)),
        Op::Input(i) => match graph.inputs.get(usize::from(i)) {
            None => Err(Refused::Malformed(id)),
            Some(c) if c.level > Level::Example => {
                Err(Refused::Inner { level: c.level, what: format!("the column {}", c.name) })
            }
            Some(c) if c.level < Level::Example => {
                Err(Refused::Batch { operation: "a column of the whole batch" })
            }
            Some(_) => Ok(()),
        },
        _ if op.is_scan() => Err(Refused::Batch { operation: "a scan" }),
        _ if level > Level::Example => {
            Err(Refused::Inner { level, what: "an intermediate value".to_owned() })
        }
        _ => Ok(()),
    }
}

/// True for operations along the examples of a batch.
fn couples(op: &Op) -> bool {
    matches!(
        op,
        Op::Reduce(..)
            | Op::Count(_)
            | Op::Sort(_)
            | Op::Unsort(..)
            | Op::SuffixSum(_)
            | Op::PrefixSum(_)
            | Op::Shift(..)
    )
}
