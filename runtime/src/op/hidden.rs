//! The loss from hidden states and the head: logits exist for one tile at a time.
//!
//! In: hidden states `[N, H]` of the positions that predict a token, the head `[V, H]`, and what
//! [`super::fused`] takes. Out: the loss and its gradients with respect to hidden states and, if it is
//! trained, the head. A frozen head costs two head products in all (the forward pass already makes
//! d logp / d hidden), a trained one four (the backward pass makes the logits again). Invariants: beside
//! inputs and results at most 64 MiB; masked rows are not projected.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, CustomOp2, DType, Layout, Shape, Tensor};

#[cfg(feature = "cuda")]
use super::device::card;
#[cfg(feature = "cuda")]
use super::device::hidden::HeadPass;
use super::memory::room;
use super::{Columns, Evaluated, LossKernel, RuntimeError, TokenRows, finite};
#[cfg(feature = "cuda")]
use crate::device::Memory;
use crate::logprob::{self, Each, FrozenForward, Head, HeadGradients, RowStats, Statistic};
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;

/// What the forward pass leaves: for the rows that count, in order.
enum Kept {
    Frozen(FrozenForward),
    Trained(Vec<RowStats>),
    #[cfg(feature = "cuda")]
    Card(Box<HeadPass<Memory>>),
}

impl Kept {
    /// The log-probability of each row; none where its logits are not finite.
    fn logp(&self) -> Vec<Option<f32>> {
        let of = |r: &RowStats| (r.finite && r.lse.is_finite()).then_some(r.logp);
        match self {
            Kept::Frozen(f) => f.rows.iter().map(of).collect(),
            Kept::Trained(rows) => rows.iter().map(of).collect(),
            #[cfg(feature = "cuda")]
            Kept::Card(pass) => {
                let both = pass.logp.iter().zip(&pass.normaliser);
                both.map(|(l, z)| (l.is_finite() && z.is_finite()).then_some(*l)).collect()
            }
        }
    }
}

/// True where the kernels of a card serve: plain logits of a type that they know.
fn is_on_card(hidden: &Tensor, head: &Head) -> bool {
    cfg!(feature = "cuda")
        && hidden.device().is_cuda()
        && head.bias.is_none()
        && head.transform.is_identity()
}

struct Pass {
    value: Evaluated,
    /// d(mean loss) / d logp of each kept row.
    grad: Vec<f32>,
    kept: Kept,
    #[cfg(feature = "cuda")]
    train_head: bool,
    /// Indices of the rows that count; `None` if all do.
    index: Option<Tensor>,
    targets: Vec<u32>,
}

fn check(hidden: &Tensor, head: &Head, rows: &TokenRows) -> Result<(), RuntimeError> {
    let wanted = match hidden.dtype() {
        half @ (DType::BF16 | DType::F16) if is_on_card(hidden, head) => half,
        _ => DType::F32,
    };
    let matrix = |argument, t: &Tensor| match (t.dims(), t.dtype()) {
        (&[n, m], dtype) if dtype == wanted => Ok((n, m)),
        (dims, dtype) => Err(RuntimeError::argument(
            argument,
            format!("an {} matrix is wanted, not {dims:?} of {}", wanted.as_str(), dtype.as_str()),
        )),
    };
    let (n, width) = matrix("hidden", hidden)?;
    let (vocabulary, wanted) = matrix("head", &head.weight)?;
    if width != wanted {
        let reason = format!("{width} columns where the head takes {wanted}");
        return Err(RuntimeError::argument("hidden", reason));
    }
    if let Some(bias) = head.bias.as_ref().filter(|b| b.dims() != [vocabulary]) {
        let reason = format!("a bias of shape {:?} for {vocabulary} words", bias.dims());
        return Err(RuntimeError::argument("head", reason));
    }
    rows.check(n, vocabulary)
}

/// The statistics of the tokens that the loss reads, by sequence; those that need a gradient of their own
/// are refused by the caller.
fn sums(
    hidden: &Tensor,
    head: &Head,
    targets: &[u32],
    rows: &TokenRows,
    logp: &[f32],
    wanted: Each<bool>,
) -> Result<Each<Vec<f64>>, RuntimeError> {
    let mut sums = Each::new(|_| vec![0.0; rows.lengths().len()]);
    for ((_, _, s), logp) in rows.kept().zip(logp) {
        sums[Statistic::LogProb][s] += f64::from(*logp);
    }
    if wanted[Statistic::Entropy] || wanted[Statistic::LogSumP2] {
        let all = logprob::statistics(hidden, head, targets)?;
        for ((_, _, s), row) in rows.kept().zip(all) {
            sums[Statistic::Entropy][s] += f64::from(row.entropy);
            sums[Statistic::LogSumP2][s] += f64::from(row.log_sum_p2);
        }
    }
    Ok(sums)
}

/// The forward pass over rows that all count.
fn pass(
    hidden: &Tensor,
    head: &Head,
    train_head: bool,
    targets: &[u32],
) -> Result<Kept, RuntimeError> {
    #[cfg(feature = "cuda")]
    if is_on_card(hidden, head) {
        let (hidden, weight) = (hidden.contiguous()?, head.weight.contiguous()?);
        return Ok(Kept::Card(Box::new(card::head_forward(&hidden, &weight, targets)?)));
    }
    Ok(if train_head {
        Kept::Trained(logprob::forward(hidden, head, targets)?)
    } else {
        Kept::Frozen(logprob::forward_frozen(hidden, head, targets)?)
    })
}

fn forward(
    hidden: &Tensor,
    head: &Head,
    train_head: bool,
    rows: &TokenRows,
    columns: &Columns,
    kernel: &dyn LossKernel,
) -> Result<Pass, RuntimeError> {
    check(hidden, head, rows)?;
    if columns.lengths() != rows.lengths() {
        return Err(RuntimeError::argument("columns", "they count other tokens than the rows"));
    }
    let unsupported = |what: &str| {
        let name = kernel.name();
        Err(RuntimeError::Unsupported(format!("loss `{name}` {what}; evaluate it from logits")))
    };
    let wanted = columns.wanted();
    if wanted[Statistic::KlFromReference] || wanted[Statistic::KlToReference] {
        return unsupported("reads a divergence, which needs the logits of both models");
    }
    let (n, width) = hidden.dims2()?;
    room::<f32>("hidden", n, width)?;
    if train_head {
        let (vocabulary, width) = head.dims()?;
        room::<f32>("head", vocabulary, width)?;
    }
    let kept: Vec<u32> = rows.kept().map(|(r, _, _)| r as u32).collect();
    let targets: Vec<u32> = rows.kept().map(|(_, t, _)| t).collect();
    let index = match kept.len() == n {
        true => None,
        false => Some(Tensor::from_slice(&kept, kept.len(), hidden.device())?),
    };
    let hidden = select(hidden, index.as_ref())?;
    let head = &detached(head);
    let kept_pass = pass(&hidden, head, train_head, &targets)?;
    let mut logp = Vec::with_capacity(kept.len());
    for (at, (row, of_row)) in kept.iter().zip(kept_pass.logp()).enumerate() {
        match of_row {
            Some(of_row) => logp.push(of_row),
            None => return Err(finite::of_hidden(&hidden, at, head, *row as usize, rows)?),
        }
    }
    let sums = sums(&hidden, head, &targets, rows, &logp, wanted)?;
    let value = kernel.evaluate(&columns.resolve_all(&sums)?)?;
    let examples = columns.examples() as f64;
    let weights = columns.pull_back_all(&value.grads)?;
    let other = [Statistic::Entropy, Statistic::LogSumP2];
    if other.iter().any(|s| weights[*s].iter().any(|w| *w != 0.0)) {
        return unsupported("has a gradient through the entropy or the sum of squares");
    }
    let weight = |s: usize| (weights[Statistic::LogProb][s] / examples) as f32;
    let grad = rows.kept().map(|(_, _, s)| weight(s)).collect();
    Ok(Pass {
        value,
        grad,
        kept: kept_pass,
        #[cfg(feature = "cuda")]
        train_head,
        index,
        targets,
    })
}

fn detached(head: &Head) -> Head {
    Head {
        weight: head.weight.detach(),
        bias: head.bias.as_ref().map(Tensor::detach),
        transform: head.transform,
    }
}

fn select(hidden: &Tensor, index: Option<&Tensor>) -> Result<Tensor, RuntimeError> {
    let hidden = hidden.detach();
    Ok(match index {
        None => hidden,
        Some(index) => hidden.index_select(index, 0)?,
    })
}

impl Pass {
    /// Gradients of the mean loss times `scale`.
    fn backward(
        &self,
        hidden: &Tensor,
        head: &Head,
        scale: f32,
    ) -> Result<HeadGradients, RuntimeError> {
        let grad: Vec<f32> = self.grad.iter().map(|g| g * scale).collect();
        let mut out = match &self.kept {
            Kept::Frozen(f) => {
                HeadGradients { hidden: f.backward(&grad)?, weight: None, bias: None }
            }
            Kept::Trained(rows) => {
                let kept = select(hidden, self.index.as_ref())?;
                logprob::backward(&kept, &detached(head), &self.targets, rows, &grad, true)?
            }
            #[cfg(feature = "cuda")]
            Kept::Card(pass) => {
                let kept = select(hidden, self.index.as_ref())?.contiguous()?;
                let weight = head.weight.detach().contiguous()?;
                card::head_backward(&kept, &weight, pass, &grad, self.train_head)?
            }
        };
        if let Some(index) = &self.index {
            out.hidden = hidden.zeros_like()?.detach().index_add(index, &out.hidden, 0)?;
        }
        Ok(out)
    }
}

/// Evaluates the loss of a batch, and d(mean loss) / d hidden states, and / d head if `train_head`.
///
/// # Errors
/// If shapes disagree, a target is outside the vocabulary, a row that counts gives logits that are not
/// finite, results do not fit in memory, the loss reads a divergence or has a gradient through another
/// statistic than the log-probability, or the kernel refuses its columns.
pub fn loss_and_gradient(
    hidden: &Tensor,
    head: &Head,
    train_head: bool,
    rows: &TokenRows,
    columns: &Columns,
    kernel: &dyn LossKernel,
) -> Result<(Evaluated, HeadGradients), RuntimeError> {
    let pass = forward(hidden, head, train_head, rows, columns, kernel)?;
    let gradients = pass.backward(hidden, head, 1.0)?;
    Ok((pass.value, gradients))
}

/// The loss of a batch from hidden states, as a differentiable scalar tensor. The head's weight gets a
/// gradient if it takes part in the tape.
///
/// # Errors
/// As [`loss_and_gradient`]; also if a trained head has a bias, which only that function differentiates.
pub fn hidden_loss(
    hidden: &Tensor,
    head: &Head,
    rows: &TokenRows,
    columns: &Columns,
    kernel: &dyn LossKernel,
) -> Result<Tensor, RuntimeError> {
    let train_head = head.weight.track_op();
    if train_head && head.bias.is_some() {
        let reason = "a trained head with a bias has no form on the tape".to_owned();
        return Err(RuntimeError::Unsupported(reason));
    }
    let pass = forward(hidden, head, train_head, rows, columns, kernel)?;
    let mean = pass.value.loss.iter().sum::<f64>() / columns.examples() as f64;
    let op = HiddenLoss { pass: Arc::new(pass), mean: mean as f32, head: detached(head) };
    let hidden = hidden.contiguous()?;
    Ok(if train_head {
        hidden.apply_op2(&head.weight.contiguous()?, op)?
    } else {
        hidden.apply_op1(op)?
    })
}

/// The finished forward pass as an operation.
#[derive(Clone)]
struct HiddenLoss {
    pass: Arc<Pass>,
    mean: f32,
    head: Head,
}

impl HiddenLoss {
    fn value(&self) -> (CpuStorage, Shape) {
        (CpuStorage::F32(vec![self.mean]), Shape::from(()))
    }

    fn gradients(&self, hidden: &Tensor, incoming: &Tensor) -> candle_core::Result<HeadGradients> {
        let scale = incoming.to_scalar::<f32>()?;
        self.pass.backward(hidden, &self.head, scale).map_err(candle_core::Error::wrap)
    }
}

impl CustomOp1 for HiddenLoss {
    fn name(&self) -> &'static str {
        "hidden-loss"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        Ok(self.value())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        hidden: &CudaStorage,
        _: &Layout,
    ) -> candle_core::Result<(CudaStorage, Shape)> {
        Ok((card::scalar(&hidden.device, self.mean)?, Shape::from(())))
    }

    fn bwd(
        &self,
        hidden: &Tensor,
        _: &Tensor,
        incoming: &Tensor,
    ) -> candle_core::Result<Option<Tensor>> {
        Ok(Some(self.gradients(hidden, incoming)?.hidden))
    }
}

impl CustomOp2 for HiddenLoss {
    fn name(&self) -> &'static str {
        "hidden-loss"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        Ok(self.value())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        hidden: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> candle_core::Result<(CudaStorage, Shape)> {
        Ok((card::scalar(&hidden.device, self.mean)?, Shape::from(())))
    }

    fn bwd(
        &self,
        hidden: &Tensor,
        _weight: &Tensor,
        _: &Tensor,
        incoming: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let gradients = self.gradients(hidden, incoming)?;
        Ok((Some(gradients.hidden), gradients.weight))
    }
}
