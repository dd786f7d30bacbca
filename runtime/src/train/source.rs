//! The canonical names of a loss's inputs, taken apart: which quantity each one is.

use ponens_compiler::mir::{Input, Level};

use super::bind::{Names, ResponseNames};
use crate::data::{ColumnSpec, Shape};
use crate::logprob::Statistic;
use crate::op::{LossKernel, RuntimeError};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aggregate {
    Sum,
    Mean,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Policy(Aggregate, usize),
    Reference(Aggregate, usize),
    Length(usize),
    /// Of the policy's distributions, summed over a response.
    Statistic(Statistic, usize),
    Mismatched(Model),
    Label,
    /// Filled by the run: the mean over it so far.
    Running,
    Data(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Model {
    Policy,
    Reference,
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

/// The source of an input; a data column is appended to `columns`.
///
/// # Errors
/// If it is none that the data and sequence log-probabilities can supply.
pub(super) fn source(
    input: &Input,
    names: &Names,
    columns: &mut Vec<ColumnSpec>,
    loss: &str,
) -> Result<Source, RuntimeError> {
    let refuse = || {
        let supplied = match &names.responses {
            ResponseNames::Pair { chosen, rejected, .. } => {
                format!("len of {chosen} and {rejected}")
            }
            ResponseNames::Labelled { response } => {
                format!("mismatched_logp, len of {response}, label")
            }
        };
        RuntimeError::Unsupported(format!(
            "loss `{loss}` reads `{}` ({} level); training supplies logp, mean_logp, diverged_logp of {} and {}, entropy and log_sum_p2 of the \
             former without a gradient, \
             {supplied}, and numeric data columns",
            input.name, input.level, names.policy, names.reference,
        ))
    };
    if input.level > Level::Example {
        return Err(refuse());
    }
    let side = |r: &str| match &names.responses {
        ResponseNames::Pair { chosen, .. } if r == chosen => Ok(0),
        ResponseNames::Pair { rejected, .. } if r == rejected => Ok(1),
        ResponseNames::Pair { further, .. } => {
            further.iter().position(|f| f == r).map(|i| 2 + i).ok_or_else(refuse)
        }
        ResponseNames::Labelled { response } if r == response => Ok(0),
        _ => Err(refuse()),
    };
    let labelled = names.shape() == Shape::Labelled;
    let (function, arguments) = call(&input.name);
    match (function, arguments.as_slice()) {
        (f @ ("logp" | "mean_logp" | "diverged_logp"), [model, response]) => {
            // What lies before the divergence point is no part of the example any more.
            let aggregate = if f == "mean_logp" { Aggregate::Mean } else { Aggregate::Sum };
            match *model {
                m if m == names.policy => Ok(Source::Policy(aggregate, side(response)?)),
                m if m == names.reference => Ok(Source::Reference(aggregate, side(response)?)),
                _ => Err(refuse()),
            }
        }
        ("log_sum_p2", [model, response]) if *model == names.policy => {
            Ok(Source::Statistic(Statistic::LogSumP2, side(response)?))
        }
        ("entropy", [model, response]) if *model == names.policy => {
            Ok(Source::Statistic(Statistic::Entropy, side(response)?))
        }
        ("mismatched_logp", [model]) if labelled => match *model {
            m if m == names.policy => Ok(Source::Mismatched(Model::Policy)),
            m if m == names.reference => Ok(Source::Mismatched(Model::Reference)),
            _ => Err(refuse()),
        },
        ("label", []) if labelled => Ok(Source::Label),
        ("len", [response]) => Ok(Source::Length(side(response)?)),
        (name, []) => {
            columns.push(ColumnSpec { name: name.to_owned(), range: input.range });
            Ok(Source::Data(columns.len() - 1))
        }
        _ => Err(refuse()),
    }
}
