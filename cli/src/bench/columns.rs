//! The columns of any loss of the catalogue on the responses of a shape.
//!
//! The responses of a pair, best first, take equal parts of the batch in order; a third response is the
//! first again. All responses have one length, so that no tail exists past the shorter one.

use super::Result;
use super::work::Shape;
use ponens_compiler::hir::{Quantity, Role};
use ponens_compiler::mir::Interval;
use ponens_compiler::session::Compiled;
use ponens_runtime::logprob::Statistic;
use ponens_runtime::op::{Column, Columns, GraphKernel, LossKernel as _, TokenRows};

pub(super) fn columns(
    compiled: &Compiled,
    kernel: &GraphKernel,
    shape: Shape,
    rows: &TokenRows,
) -> Result<Columns> {
    let loss = &compiled.loss;
    let policy = |name: &str| loss.models.iter().any(|m| m.name == name && m.role == Role::Policy);
    let mut responses: Vec<&str> = Vec::new();
    for column in &loss.columns {
        if let Some(r) = response(&column.quantity)
            && !responses.contains(&r)
        {
            responses.push(r);
        }
    }
    // A loss of one response has as many examples as there are responses.
    let examples = if responses.len() > 1 { shape.responses / 2 } else { shape.responses };
    let sequences = |r: &str| -> Vec<usize> {
        let place = responses.iter().position(|x| *x == r).unwrap_or(0);
        let first = if place == 1 { examples } else { 0 };
        (first..first + examples).collect()
    };
    let given = |x: f64| Column::Given(vec![x; examples]);
    let mut out = Vec::new();
    for input in kernel.inputs() {
        let column = loss.columns.iter().find(|c| c.name() == input.name);
        let quantity = column.map(|c| &c.quantity).ok_or("an input that is no column")?;
        out.push(match quantity {
            Quantity::Logp { model, response } | Quantity::SharedLogp { model, response }
                if policy(model) =>
            {
                Column::Sum(sequences(response))
            }
            Quantity::MeanLogp { model, response } if policy(model) => {
                Column::Mean(sequences(response))
            }
            Quantity::LogSumP2 { model, response } if policy(model) => {
                Column::Statistic(Statistic::LogSumP2, sequences(response))
            }
            Quantity::Kl { first, second, response } if policy(second) && !policy(first) => {
                Column::Statistic(Statistic::KlFromReference, sequences(response))
            }
            Quantity::Kl { first, second, response } if policy(first) && !policy(second) => {
                Column::Statistic(Statistic::KlToReference, sequences(response))
            }
            Quantity::Len { response } => Column::Length(sequences(response)),
            Quantity::TailLogp { .. } => given(0.0),
            Quantity::Label { .. } => {
                Column::Given((0..examples).map(|e| (e % 2) as f64).collect())
            }
            Quantity::MeanLogp { .. } => given(-10.0),
            Quantity::Data { .. } => given(inside(input.range)),
            _ => given(-10.0 * shape.tokens as f64),
        });
    }
    Ok(Columns::new(out, rows.lengths().to_vec())?)
}

fn response(quantity: &Quantity) -> Option<&str> {
    match quantity {
        Quantity::Logp { response, .. }
        | Quantity::MeanLogp { response, .. }
        | Quantity::SharedLogp { response, .. }
        | Quantity::TailLogp { response, .. }
        | Quantity::LogSumP2 { response, .. }
        | Quantity::Kl { response, .. }
        | Quantity::Len { response } => Some(response),
        _ => None,
    }
}

fn inside(range: Interval) -> f64 {
    match (range.lo.is_finite(), range.hi.is_finite()) {
        (true, true) => 0.75 * range.lo + 0.25 * range.hi,
        (true, false) => range.lo + 1.0,
        (false, true) => range.hi - 1.0,
        (false, false) => 1.0,
    }
}
