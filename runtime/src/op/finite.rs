//! Which number of an argument is NaN or infinite: row, sequence and token.
//!
//! Why: a training run that meets one needs the place, not the fact. In: an argument in which a pass has
//! found such a row. Out: the error that names it. Looked for only after the fact, one row at a time.

use super::{RuntimeError, TokenRows};
use crate::logprob::{self, Head, Logit};
use candle_core::{DType, Device, Tensor};

/// The first number that is not finite, and its place.
fn first(values: impl IntoIterator<Item = f32>) -> Option<(usize, f32)> {
    values.into_iter().enumerate().find(|(_, x)| !x.is_finite())
}

/// Names the token of a row of logits; none if all are finite.
pub(super) fn of_logits<L: Logit>(
    argument: &'static str,
    row: usize,
    rows: &TokenRows,
    logits: &[L],
) -> Option<RuntimeError> {
    let (token, value) = first(logits.iter().map(|x| x.to_f32()))?;
    let sequence = rows.sequence()[row]?;
    let reason = format!("row {row} (sequence {sequence}), token {token} is {value}");
    Some(RuntimeError::argument(argument, reason))
}

/// Row `i` of a matrix, on the host.
fn numbers(matrix: &Tensor, i: usize) -> Result<Vec<f32>, RuntimeError> {
    let row = matrix.narrow(0, i, 1)?.flatten_all()?.to_dtype(DType::F32)?;
    Ok(row.to_device(&Device::Cpu)?.to_vec1()?)
}

/// Names what makes the logits of row `row`, whose hidden state is row `at` of `hidden`, not finite: a number
/// of the hidden state, of the head, or their product.
///
/// # Errors
/// A tensor cannot be read.
pub(super) fn of_hidden(
    hidden: &Tensor,
    at: usize,
    head: &Head,
    row: usize,
    rows: &TokenRows,
) -> Result<RuntimeError, RuntimeError> {
    let sequence = rows.sequence()[row].map_or(String::new(), |s| format!(" (sequence {s})"));
    let state = numbers(hidden, at)?;
    if let Some((i, value)) = first(state.iter().copied()) {
        let reason = format!("row {row}{sequence}, element {i} is {value}");
        return Ok(RuntimeError::argument("hidden", reason));
    }
    let state = Tensor::from_vec(state, (1, hidden.dims2()?.1), &Device::Cpu)?;
    let Some((token, value)) = logprob::first_not_finite(&state, head)? else {
        let reason = format!("row {row}{sequence} gives logits that are not finite");
        return Ok(RuntimeError::argument("hidden", reason));
    };
    if let Some((i, value)) = first(numbers(&head.weight, token)?) {
        let reason = format!("token {token}, element {i} is {value}");
        return Ok(RuntimeError::argument("head", reason));
    }
    if let Some(bias) = &head.bias
        && let Some((_, value)) = first(numbers(bias, token)?)
    {
        return Ok(RuntimeError::argument("head", format!("the bias of token {token} is {value}")));
    }
    let reason = format!("row {row}{sequence} gives token {token} the logit {value}");
    Ok(RuntimeError::argument("hidden", reason))
}
