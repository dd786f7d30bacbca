//! The loss from logits by the tensor library's primitives: log-softmax, gather, sums, then the loss graph.
//!
//! In: what [`super::fused`] takes, with the loss as a graph. Out: the loss as a differentiable scalar.
//! It stores several copies of the logits; it exists as the check of the fused operation and for devices
//! without one. The graph can be differentiated in two ways, which check each other.

use candle_core::{D, DType, Tensor};
use ponens_compiler::mir::{Graph, Level};

use super::emit::emit;
use super::{Column, Columns, RuntimeError, TokenRows, elementwise as el};
use crate::logprob::{Each, Statistic};

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
        out = attach(&out, x, &d)?;
    }
    Ok(out)
}

/// `out` with the gradient `d` with respect to `x`, which the tape does not know: out + d (x - x).
///
/// An infinite `d` is carried in two finite factors, for inf 0 is NaN; an infinite `x` carries no gradient, for
/// inf - inf is.
fn attach(out: &Tensor, x: &Tensor, d: &Tensor) -> Result<Tensor, RuntimeError> {
    let largest = match d.dtype() {
        DType::F64 => f64::MAX,
        DType::BF16 => f64::from(half::bf16::MAX),
        DType::F16 => f64::from(half::f16::MAX),
        _ => f64::from(f32::MAX),
    };
    let finite = x.detach().abs()?.lt(f64::INFINITY)?;
    let x = finite.where_cond(x, &x.zeros_like()?)?;
    let still = (&x - x.detach())?;
    let infinite = d.abs()?.eq(f64::INFINITY)?;
    let near = infinite.where_cond(&el::sign(d)?.affine(largest, 0.0)?, d)?;
    let far = infinite.where_cond(&el::full(d, largest)?, &el::full(d, 1.0)?)?;
    Ok((out + ((still * near)? * far)?)?)
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
    let wanted = Each::new(|s| s == Statistic::LogProb);
    let [sums, ..] = sequence_statistics(logits, None, rows, dtype, wanted)?.into_array();
    sums.ok_or_else(|| RuntimeError::argument("logits", "no rows"))
}

/// log-softmax over the vocabulary, in f32 or f64.
fn log_probs(logits: &Tensor, kept: Option<&Tensor>) -> Result<Tensor, RuntimeError> {
    let x = match kept {
        None => logits.clone(),
        Some(kept) => logits.index_select(kept, 0)?,
    };
    let x = if x.dtype() == DType::F64 { x } else { x.to_dtype(DType::F32)? };
    let shifted = x.broadcast_sub(&x.detach().max_keepdim(D::Minus1)?)?;
    Ok(shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(D::Minus1)?.log()?)?)
}

/// By statistic, the sum over the tokens of each sequence, `[S]`; `None` for those not wanted. The
/// reference's logits get no gradient.
///
/// # Errors
/// If sizes disagree, a target is outside the vocabulary, or a divergence is wanted without a reference.
pub fn sequence_statistics(
    logits: &Tensor,
    reference: Option<&Tensor>,
    rows: &TokenRows,
    dtype: DType,
    wanted: Each<bool>,
) -> Result<Each<Option<Tensor>>, RuntimeError> {
    let (n, v) = logits.dims2()?;
    rows.check(n, v)?;
    let device = logits.device();
    let zeros = Tensor::zeros(rows.lengths().len(), dtype, device)?;
    let kept: Vec<u32> = rows.kept().map(|(r, _, _)| r as u32).collect();
    let count = kept.len();
    if count == 0 {
        return Ok(Each::new(|s| wanted[s].then(|| zeros.clone())));
    }
    let targets: Vec<u32> = rows.kept().map(|(_, t, _)| t).collect();
    let sequence: Vec<u32> = rows.kept().map(|(_, _, s)| s as u32).collect();
    let sequence = Tensor::from_vec(sequence, count, device)?;
    let kept = if count == n { None } else { Some(Tensor::from_vec(kept, count, device)?) };
    let log_p = log_probs(logits, kept.as_ref())?;
    let log_q = reference.map(|r| log_probs(&r.detach(), kept.as_ref())).transpose()?;
    let log_q = || {
        let missing = || RuntimeError::argument("reference", "a divergence needs its logits");
        log_q.as_ref().ok_or_else(missing)
    };
    let over = |x: Tensor| x.sum_keepdim(D::Minus1);
    let of_rows = |s: Statistic| -> Result<Tensor, RuntimeError> {
        Ok(match s {
            Statistic::LogProb => {
                log_p.gather(&Tensor::from_slice(&targets, (count, 1), device)?, 1)?
            }
            Statistic::Entropy => over((log_p.exp()? * &log_p)?)?.neg()?,
            Statistic::LogSumP2 => over(log_p.affine(2.0, 0.0)?.exp()?)?.log()?,
            Statistic::KlFromReference => {
                let q = log_q()?;
                over((q.exp()? * (q - &log_p)?)?)?
            }
            Statistic::KlToReference => over((log_p.exp()? * (&log_p - log_q()?)?)?)?,
        })
    };
    let mut out = Each::default();
    for s in Statistic::ALL.into_iter().filter(|s| wanted[*s]) {
        let values = of_rows(s)?.squeeze(1)?.to_dtype(dtype)?;
        out[s] = Some(zeros.index_add(&sequence, &values, 0)?);
    }
    Ok(out)
}

/// The columns as tensors `[E]`, connected to the sums `[S]`.
///
/// # Errors
/// If a statistic that is read has not one sum a sequence.
pub fn column_tensors(
    columns: &Columns,
    sums: &Each<Option<Tensor>>,
) -> Result<Vec<Tensor>, RuntimeError> {
    let of = |s: Statistic| {
        let found = sums[s].as_ref().filter(|t| t.elem_count() == columns.lengths().len());
        let what = || format!("no sums of {s:?} for {} sequences", columns.lengths().len());
        found.ok_or_else(|| RuntimeError::Shape(what()))
    };
    let logp = of(Statistic::LogProb)?;
    let (device, examples) = (logp.device(), columns.examples());
    let given = |v: Vec<f64>| -> Result<Tensor, RuntimeError> {
        Ok(Tensor::from_vec(v, examples, device)?.to_dtype(logp.dtype())?)
    };
    let pick = |sums: &Tensor, s: &[usize]| -> Result<Tensor, RuntimeError> {
        let index: Vec<u32> = s.iter().map(|&s| s as u32).collect();
        Ok(sums.index_select(&Tensor::from_vec(index, examples, device)?, 0)?)
    };
    let lengths = |s: &[usize], least: usize| {
        given(s.iter().map(|&s| columns.lengths()[s].max(least) as f64).collect())
    };
    let one = |c: &Column| match c {
        Column::Sum(s) => pick(logp, s),
        Column::Mean(s) => Ok((pick(logp, s)? / lengths(s, 1)?)?),
        Column::Statistic(statistic, s) => pick(of(*statistic)?, s),
        Column::Length(s) => lengths(s, 0),
        Column::Given(v) => given(v.clone()),
    };
    columns.columns().iter().map(one).collect()
}

/// The loss of a batch (mean over its examples) from logits `[N, V]`, as a differentiable scalar of
/// type `dtype`; `reference` holds the reference's logits, for losses that read a divergence.
///
/// # Errors
/// As [`graph_loss`] and [`sequence_statistics`].
pub fn composed_loss(
    logits: &Tensor,
    reference: Option<&Tensor>,
    rows: &TokenRows,
    columns: &Columns,
    graph: &Graph,
    params: &[f64],
    (dtype, gradient): (DType, Gradient),
) -> Result<Tensor, RuntimeError> {
    let sums = sequence_statistics(logits, reference, rows, dtype, columns.wanted())?;
    let inputs = column_tensors(columns, &sums)?;
    Ok(graph_loss(graph, params, &inputs, gradient)?.mean_all()?)
}
