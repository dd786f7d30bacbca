//! The loss from logits by the tensor library's primitives: log-softmax, gather, sums, then the loss graph.
//!
//! In: what [`super::fused`] takes, with the loss as a graph. Out: the loss as a differentiable scalar.
//! It stores several copies of the logits; it exists as the check of the fused operation and for devices
//! without one. The graph can be differentiated in two ways, which check each other.

use candle_core::{D, DType, Tensor};
use ponens_compiler::mir::{Graph, Level};

use super::emit::emit;
use super::fused::TokenRows;
use super::{Column, Columns, RuntimeError};

/// Who differentiates the example-level part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gradient {
    /// The tape of the tensor library, through every emitted operation.
    Tape,
    /// The graph's own gradient roots (`d/logp(pi,w)`, ...), which are total by construction.
    Adjoint,
}

/// The per-example loss `[E]` of a graph from its inputs, each a tensor `[E]` of one float type.
///
/// # Errors
/// If the graph has no root `loss`, an operation needs the candidate or token level, or a gradient root
/// is missing under [`Gradient::Adjoint`].
pub fn graph_loss(
    graph: &Graph,
    params: &[f64],
    inputs: &[Tensor],
    gradient: Gradient,
) -> Result<Tensor, RuntimeError> {
    let missing = |what: &str| RuntimeError::Loss {
        loss: graph.name.clone(),
        reason: format!("the graph has no root `{what}`"),
    };
    let examples = inputs.first().map_or(1, Tensor::elem_count);
    let loss = graph.root("loss").ok_or_else(|| missing("loss"))?;
    if gradient == Gradient::Tape {
        let out = emit(graph, params, inputs, &[loss])?.remove(0);
        return Ok(if out.elem_count() == examples { out } else { out.broadcast_as(examples)? });
    }
    let mut roots = vec![loss];
    let mut sources = Vec::new();
    for (input, tensor) in graph.inputs.iter().zip(inputs) {
        if input.differentiable {
            let name = format!("d/{}", input.name);
            roots.push(graph.root(&name).ok_or_else(|| missing(&name))?);
            sources.push(tensor);
        }
    }
    let detached: Vec<Tensor> = inputs.iter().map(Tensor::detach).collect();
    let mut values = emit(graph, params, &detached, &roots)?.into_iter();
    let value = values.next().ok_or_else(|| missing("loss"))?;
    let mut out =
        if value.elem_count() == examples { value } else { value.broadcast_as(examples)? };
    // A loss of the whole batch stands at every example, so its sum over them has E times the gradient.
    let copies = if graph.node(loss).level < Level::Example { examples as f64 } else { 1.0 };
    for (x, d) in sources.into_iter().zip(values) {
        let d = if d.elem_count() == examples { d } else { d.broadcast_as(examples)? };
        let d = if copies == 1.0 { d } else { d.affine(copies, 0.0)? };
        out = (out + (d * (x - x.detach())?)?)?;
    }
    Ok(out)
}

/// The sum of the target log-probabilities of each sequence, `[S]`, from logits `[N, V]`.
///
/// Log-probabilities are taken in f32 whatever the logits' type, and added in `dtype`.
///
/// # Errors
/// If sizes disagree or a target is outside the vocabulary.
pub fn sequence_log_probs(
    logits: &Tensor,
    rows: &TokenRows,
    dtype: DType,
) -> Result<Tensor, RuntimeError> {
    let (n, v) = logits.dims2()?;
    rows.check(n, v)?;
    let device = logits.device();
    let zeros = Tensor::zeros(rows.lengths().len(), dtype, device)?;
    let kept: Vec<u32> = (0..n as u32).filter(|&r| rows.sequence()[r as usize].is_some()).collect();
    if kept.is_empty() {
        return Ok(zeros);
    }
    let targets: Vec<u32> = kept.iter().map(|&r| rows.targets()[r as usize]).collect();
    let sequence: Vec<u32> = kept.iter().filter_map(|&r| rows.sequence()[r as usize]).collect();
    let count = kept.len();
    let x = if count == n {
        logits.clone()
    } else {
        logits.index_select(&Tensor::from_vec(kept, count, device)?, 0)?
    };
    let x = if x.dtype() == DType::F64 { x } else { x.to_dtype(DType::F32)? };
    let shifted = x.broadcast_sub(&x.detach().max_keepdim(D::Minus1)?)?;
    let log_probs = shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(D::Minus1)?.log()?)?;
    let picked = log_probs
        .gather(&Tensor::from_vec(targets, (count, 1), device)?, 1)?
        .squeeze(1)?
        .to_dtype(dtype)?;
    Ok(zeros.index_add(&Tensor::from_vec(sequence, count, device)?, &picked, 0)?)
}

/// The columns as tensors `[E]`, connected to the sums `[S]`.
///
/// # Errors
/// If there is not one sum a sequence.
pub fn column_tensors(columns: &Columns, sums: &Tensor) -> Result<Vec<Tensor>, RuntimeError> {
    if sums.elem_count() != columns.lengths().len() {
        return Err(RuntimeError::Shape(format!(
            "{} sums for {} sequences",
            sums.elem_count(),
            columns.lengths().len()
        )));
    }
    let (device, examples) = (sums.device(), columns.examples());
    let given = |v: Vec<f64>| -> Result<Tensor, RuntimeError> {
        Ok(Tensor::from_vec(v, examples, device)?.to_dtype(sums.dtype())?)
    };
    let pick = |s: &[usize]| -> Result<Tensor, RuntimeError> {
        let index: Vec<u32> = s.iter().map(|&s| s as u32).collect();
        Ok(sums.index_select(&Tensor::from_vec(index, examples, device)?, 0)?)
    };
    let lengths = |s: &[usize], least: usize| {
        given(s.iter().map(|&s| columns.lengths()[s].max(least) as f64).collect())
    };
    let one = |c: &Column| match c {
        Column::Sum(s) => pick(s),
        Column::Mean(s) => Ok((pick(s)? / lengths(s, 1)?)?),
        Column::Length(s) => lengths(s, 0),
        Column::Given(v) => given(v.clone()),
    };
    columns.columns().iter().map(one).collect()
}

/// The loss of a batch (mean over its examples) from logits `[N, V]`, as a differentiable scalar of
/// type `dtype`.
///
/// # Errors
/// As [`graph_loss`] and [`sequence_log_probs`].
pub fn composed_loss(
    logits: &Tensor,
    rows: &TokenRows,
    columns: &Columns,
    graph: &Graph,
    params: &[f64],
    (dtype, gradient): (DType, Gradient),
) -> Result<Tensor, RuntimeError> {
    let sums = sequence_log_probs(logits, rows, dtype)?;
    let inputs = column_tensors(columns, &sums)?;
    Ok(graph_loss(graph, params, &inputs, gradient)?.mean_all()?)
}
