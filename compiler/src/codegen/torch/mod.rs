//! PyTorch: a loss as one readable Python file that needs nothing but torch.
//!
//! Why: most preference training happens in Python. A team takes the file into its own training code, or
//! with [`Options::trl`] into TRL, and gets the stable form with the exact gradient. In: a compiled loss
//! with the gradient of every real column. Out: the text of a module:
//!
//! * a function of the loss's columns, tensors of any floating type and device, with the parameters as
//!   keyword arguments that are checked against their ranges;
//! * `from_tokens`, the same from padded token log-probabilities and masks;
//! * a `torch.autograd.Function` between them, whose backward is the compiled adjoint.
//!
//! The gradient is not left to autograd because autograd differentiates the untaken side of `torch.where`
//! as well and multiplies by zero: at log-probability 0 that is 0 times infinity. A nest of `where`s around
//! every operation would mend that, at twice the operations and still without the cancellations that the
//! adjoint's own rewriting removes. So values and derivatives are the same graph that every other back end
//! runs. A second derivative is refused by PyTorch and not silently zero.

mod body;
mod expr;
mod header;
mod helper;
mod name;
mod plan;
mod public;
#[cfg(test)]
mod tests;
mod tokens;
mod trl;

use crate::mir::{Graph, Level, NodeId};
use crate::session::Compiled;
use std::fmt;

/// What the file is to hold beside the loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// A trainer for TRL.
    pub trl: bool,
}

/// Why there is no such file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A node combines tokens of different responses, or a column without a response is read where there
    /// are several.
    Loops(NodeId),
    /// Values are sorted inside an example.
    InnerSort(NodeId),
    /// The node refers to something that does not exist.
    Malformed(NodeId),
    /// The TRL trainer does not know this column, or the data shape.
    Trl(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Loops(n) => write!(f, "node {n} combines tokens of different responses"),
            Refused::InnerSort(n) => write!(f, "node {n} sorts values inside an example"),
            Refused::Malformed(n) => write!(f, "node {n} refers to something that does not exist"),
            Refused::Trl(what) => write!(f, "{what}"),
        }
    }
}

impl std::error::Error for Refused {}

/// How the generated function is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Its name.
    pub function: String,
    /// The columns in order: canonical name and argument.
    pub columns: Vec<(String, String)>,
    /// The masks of tokens and candidates, behind the columns.
    pub masks: Vec<String>,
    /// The parameters: name in the loss and keyword.
    pub params: Vec<(String, String)>,
    /// True when the result is one number a batch, with no `reduction="none"`.
    pub coupled: bool,
}

/// How the function that [`emit`] writes for this graph is called.
///
/// # Errors
/// As [`emit`].
pub fn signature(graph: &Graph) -> Result<Signature, Refused> {
    let plan = plan::Plan::new(graph)?;
    let pairs = |names: Vec<&String>, identifiers: &[String]| {
        names.into_iter().cloned().zip(identifiers.iter().cloned()).collect()
    };
    Ok(Signature {
        function: name::function(&graph.name),
        columns: pairs(graph.inputs.iter().map(|i| &i.name).collect(), &plan.columns),
        masks: plan.masks.iter().map(|m| m.name.clone()).collect(),
        params: pairs(graph.params.iter().map(|p| &p.name).collect(), &plan.params),
        coupled: plan.coupled || body::loss_level(&plan) < Level::Example,
    })
}

/// The text of a Python module for a loss.
///
/// # Errors
/// [`Refused`] for a graph with loops that rectangles of tensors do not hold.
pub fn emit(compiled: &Compiled, options: &Options) -> Result<String, Refused> {
    let graph = compiled.graph();
    let mut plan = plan::Plan::new(graph)?;
    let name = name::function(&graph.name);
    let core = body::core(&mut plan)?;
    let mut text = header::header(compiled, &plan, &name, options.trl);
    text.push_str(&core.helpers);
    text.push_str(&core.function);
    text.push_str(&public::function_class(&plan, &name));
    text.push_str(&public::function(compiled, &plan, &name));
    text.push_str(&tokens::function(compiled, &plan, &name));
    if options.trl {
        text.push_str(&trl::class(compiled, &plan, &name)?);
    }
    Ok(text)
}
