//! The canonical names of a loss's inputs, taken apart: which quantity each one is.

use ponens_compiler::mir::{Input, Level};

use super::names::{Names, ResponseNames};
use crate::data::{ColumnSpec, ListSpec, Shape};
use crate::logprob::Statistic;
use crate::op::{LossKernel, RuntimeError};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aggregate {
    Sum,
    Mean,
}

/// A quantity. At token level it has one number for each token of a response; in a loss of lists a quantity
/// of a response has one number for each response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Policy(Aggregate, usize),
    Reference(Aggregate, usize),
    Length(usize),
    /// Of the policy's distributions; above token level summed over a response.
    Statistic(Statistic, usize),
    Mismatched(Model),
    Label,
    /// Filled by the run: the mean over it so far.
    Running,
    /// A numeric column.
    Data(usize),
    /// A column with one number a response of a list, or one a token.
    List(usize),
    /// What the scalar head says, token by token.
    Head(Head, usize),
    /// What the scalar head says after the last token.
    End(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Model {
    Policy,
    Reference,
}

/// What the scalar head means to the loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// What a state is worth: a reading of the policy.
    Value,
    /// What a token gains: what the model is trained to say.
    Reward,
}

/// The columns of the data that a loss reads.
#[derive(Clone, Debug, Default)]
pub(super) struct DataColumns {
    pub(super) numbers: Vec<ColumnSpec>,
    pub(super) lists: Vec<ListSpec>,
}

/// Whether the loss reads responses from their divergence point on.
///
/// # Errors
/// If it reads whole responses as well: an example is one or the other.
pub(super) fn diverged(kernel: &dyn LossKernel) -> Result<bool, RuntimeError> {
    let named = |f: &[&str]| kernel.inputs().iter().find(|i| f.contains(&call(&i.name).0));
    let diverged = named(&["diverged_logp"]);
    let whole = named(&["logp", "mean_logp", "len"]);
    if let (Some(d), Some(w)) = (diverged, whole) {
        return Err(RuntimeError::Unsupported(format!(
            "loss `{}` reads `{}` and `{}`; training supplies whole responses or what follows their \
             divergence point, not both",
            kernel.name(),
            d.name,
            w.name
        )));
    }
    Ok(diverged.is_some())
}

/// `f(a,b)` into `f` and its arguments; a plain name has none.
fn call(name: &str) -> (&str, Vec<&str>) {
    match name.strip_suffix(')').and_then(|n| n.split_once('(')) {
        Some((f, arguments)) => (f.trim(), arguments.split(',').map(str::trim).collect()),
        None => (name, Vec::new()),
    }
}

fn refusal(input: &Input, names: &Names, loss: &str) -> RuntimeError {
    let responses = match &names.responses {
        ResponseNames::Pair { chosen, rejected, .. } => format!("len of {chosen} and {rejected}"),
        ResponseNames::Labelled { response } => {
            format!("mismatched_logp, len of {response}, label")
        }
        ResponseNames::List { responses } => format!("len of each {responses}"),
        ResponseNames::Trajectory { response } => format!("len of {response}"),
    };
    RuntimeError::Unsupported(format!(
        "loss `{loss}` reads `{}` ({} level); training supplies logp, mean_logp, diverged_logp and token_logp of {} \
         and {}, entropy, log_sum_p2 and kl of the former, heads, {responses}, and data columns",
        input.name, input.level, names.policy, names.reference,
    ))
}

/// The source of an input; a data column is appended to `columns`.
///
/// # Errors
/// If it is none that the data and the models can supply.
pub(super) fn source(
    input: &Input,
    names: &Names,
    columns: &mut DataColumns,
    loss: &str,
) -> Result<Source, RuntimeError> {
    let refuse = || refusal(input, names, loss);
    let side = |r: &str| names.side(r).ok_or_else(refuse);
    let labelled = names.shape() == Shape::Labelled;
    let (function, arguments) = call(&input.name);
    if arguments.is_empty() && !(labelled && function == "label") {
        return Ok(column(input, columns));
    }
    let per_token = input.level == Level::Token;
    // A quantity of tokens has the name of the whole response's, with this in front.
    let function = match function.strip_prefix("token_") {
        Some(inner) if per_token => inner,
        _ => function,
    };
    let policy = |m: &str| m == names.policy;
    match (function, arguments.as_slice()) {
        ("logp" | "diverged_logp", [model, response]) if policy(model) => {
            Ok(Source::Policy(Aggregate::Sum, side(response)?))
        }
        // What lies before the divergence point is no part of the example any more.
        ("logp" | "diverged_logp", [model, response]) if names.is_frozen(model) => {
            Ok(Source::Reference(Aggregate::Sum, side(response)?))
        }
        ("mean_logp", [model, response]) if policy(model) && !per_token => {
            Ok(Source::Policy(Aggregate::Mean, side(response)?))
        }
        ("mean_logp", [model, response]) if names.is_frozen(model) && !per_token => {
            Ok(Source::Reference(Aggregate::Mean, side(response)?))
        }
        ("log_sum_p2", [model, response]) if policy(model) => {
            Ok(Source::Statistic(Statistic::LogSumP2, side(response)?))
        }
        ("entropy", [model, response]) if policy(model) => {
            Ok(Source::Statistic(Statistic::Entropy, side(response)?))
        }
        ("kl", [first, second, response]) if policy(first) && *second == names.reference => {
            Ok(Source::Statistic(Statistic::KlToReference, side(response)?))
        }
        ("kl", [first, second, response]) if policy(second) && *first == names.reference => {
            Ok(Source::Statistic(Statistic::KlFromReference, side(response)?))
        }
        ("value", [model, response]) if policy(model) && per_token => {
            Ok(Source::Head(Head::Value, side(response)?))
        }
        ("reward" | "advantage", [model, response]) if policy(model) && per_token => {
            Ok(Source::Head(Head::Reward, side(response)?))
        }
        ("reward", [model, response]) if policy(model) => Ok(Source::End(side(response)?)),
        ("mismatched_logp", [model]) if labelled && policy(model) => {
            Ok(Source::Mismatched(Model::Policy))
        }
        ("mismatched_logp", [model]) if labelled && *model == names.reference => {
            Ok(Source::Mismatched(Model::Reference))
        }
        ("label", []) if labelled => Ok(Source::Label),
        ("len", [response]) if !per_token => Ok(Source::Length(side(response)?)),
        _ => Err(refuse()),
    }
}

fn column(input: &Input, columns: &mut DataColumns) -> Source {
    let (name, range) = (input.name.clone(), input.range);
    if input.level > Level::Example {
        columns.lists.push(ListSpec { name, range });
        Source::List(columns.lists.len() - 1)
    } else {
        columns.numbers.push(ColumnSpec { name, range });
        Source::Data(columns.numbers.len() - 1)
    }
}
