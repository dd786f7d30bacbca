//! The fused loss from logits as an operation on the tensor library's tape.
//!
//! In: logits `[N, V]` as a tensor, and what [`super::fused`] takes. Out: a differentiable scalar. The
//! library's backward pass fills a gradient with zeros and adds to it, which costs as much as the
//! operation; where that counts, call [`super::fused`] and drive the rest of the backward pass by hand.

use std::sync::{Arc, Mutex};

use candle_core::{
    CpuStorage, CustomOp1, DType, Device, Layout, Shape, Storage, Tensor, WithDType,
};
use half::{bf16, f16};

#[cfg(feature = "cuda")]
use super::device::card::{self, OnCard, Reads};
#[cfg(feature = "cuda")]
use super::device::logits::{self, LogitsPass};
use super::fused::{Residue, Task};
use super::memory::zeros;
use super::{Columns, Evaluated, LossKernel, RuntimeError, TokenRows};
#[cfg(feature = "cuda")]
use crate::device::Memory;
use crate::logprob::{Each, Logit};
#[cfg(feature = "cuda")]
use candle_core::{CudaStorage, backend::BackendStorage};

/// Where this build runs the operation.
const DEVICES: &str = if cfg!(feature = "cuda") { "the CPU or a card" } else { "the CPU" };

/// The loss of a batch from logits `[N, V]`, as a differentiable scalar tensor (f32).
///
/// `reference` holds the reference's logits, for losses that read a divergence; it gets no gradient.
///
/// # Errors
/// As [`super::fused::loss_and_gradient_in_place`]; also if the logits are not f32, bf16 or f16 on the CPU,
/// or on a card with the feature `cuda`.
pub fn fused_loss(
    logits: &Tensor,
    reference: Option<&Tensor>,
    rows: Arc<TokenRows>,
    columns: Columns,
    kernel: Arc<dyn LossKernel>,
) -> Result<Tensor, RuntimeError> {
    let (n, v) = matrix(logits)?;
    let reference = other(logits, reference)?;
    let op =
        FusedLoss { vocabulary: v, rows, columns, kernel, reference, residue: Mutex::new(None) };
    op.task().check(n * v, op.reference.as_ref().map(Tensor::elem_count))?;
    logits.contiguous()?.apply_op1(op).map_err(RuntimeError::from)
}

/// By statistic, the sum over the tokens of each sequence, from logits `[N, V]`: what a frozen model's
/// columns are made of, with the bits that [`fused_loss`] itself sees. Statistics that are not wanted are 0.
///
/// # Errors
/// As [`super::fused::sequence_statistics`]; also if the logits are not f32, bf16 or f16 on the CPU, or on a
/// card with the feature `cuda`.
pub fn sequence_statistics(
    logits: &Tensor,
    reference: Option<&Tensor>,
    rows: &TokenRows,
    wanted: Each<bool>,
) -> Result<Each<Vec<f64>>, RuntimeError> {
    matrix(logits)?;
    let (reference, logits) = (other(logits, reference)?, logits.detach().contiguous()?);
    match logits.dtype() {
        DType::BF16 => statistics::<bf16>(&logits, reference.as_ref(), rows, wanted),
        DType::F16 => statistics::<f16>(&logits, reference.as_ref(), rows, wanted),
        _ => statistics::<f32>(&logits, reference.as_ref(), rows, wanted),
    }
}

fn statistics<L: OnDevice>(
    logits: &Tensor,
    reference: Option<&Tensor>,
    rows: &TokenRows,
    wanted: Each<bool>,
) -> Result<Each<Vec<f64>>, RuntimeError> {
    let (_, vocabulary) = logits.dims2()?;
    let (storage, layout) = logits.storage_and_layout();
    match &*storage {
        #[cfg(feature = "cuda")]
        Storage::Cuda(storage) => {
            let reads = Reads { vocabulary, wanted, reference };
            reads.lend::<L, _>(storage, layout, |program, all| {
                logits::sequence_statistics(program, all, rows, wanted)
            })
        }
        Storage::Cpu(cpu) => {
            let own = slice::<L>(cpu, layout)?;
            with_slice(reference, |other| {
                Ok(super::fused::sequence_statistics(own, other, vocabulary, rows, wanted))
            })?
        }
        _ => Err(RuntimeError::argument("logits", format!("are not on {DEVICES}"))),
    }
}

/// Checks type and place of logits; their rows and words.
fn matrix(logits: &Tensor) -> Result<(usize, usize), RuntimeError> {
    let device = logits.device();
    let taken = device.is_cpu() || (cfg!(feature = "cuda") && device.is_cuda());
    if !taken || !matches!(logits.dtype(), DType::F32 | DType::BF16 | DType::F16) {
        let reason = format!("{:?} on {:?}", logits.dtype(), device.location());
        let reason = format!("the fused loss takes f32, bf16 and f16 on {DEVICES}, not {reason}");
        return Err(RuntimeError::argument("logits", reason));
    }
    let &[n, v] = logits.dims() else {
        let reason = format!("a matrix is wanted, not {:?}", logits.dims());
        return Err(RuntimeError::argument("logits", reason));
    };
    Ok((n, v))
}

/// The reference's logits, of the policy's shape and type.
fn other(logits: &Tensor, reference: Option<&Tensor>) -> Result<Option<Tensor>, RuntimeError> {
    let Some(r) = reference else { return Ok(None) };
    if r.dims() == logits.dims() && r.dtype() == logits.dtype() {
        return Ok(Some(r.detach().contiguous()?));
    }
    let reason = format!(
        "{:?} of {:?} where the policy has {:?} of {:?}",
        r.dims(),
        r.dtype(),
        logits.dims(),
        logits.dtype()
    );
    Err(RuntimeError::argument("reference", reason))
}

/// What the forward pass leaves, where it ran.
enum Kept {
    Host(Residue),
    #[cfg(feature = "cuda")]
    Card(LogitsPass<Memory>),
}

struct FusedLoss {
    vocabulary: usize,
    rows: Arc<TokenRows>,
    columns: Columns,
    kernel: Arc<dyn LossKernel>,
    reference: Option<Tensor>,
    residue: Mutex<Option<Kept>>,
}

/// A type of logits that tensors hold.
trait Stored: Logit + WithDType + Default {}
impl<L: Logit + WithDType + Default> Stored for L {}

#[cfg(feature = "cuda")]
trait OnDevice: Stored + OnCard {}
#[cfg(feature = "cuda")]
impl<L: Stored + OnCard> OnDevice for L {}
#[cfg(not(feature = "cuda"))]
use Stored as OnDevice;

fn slice<'a, L: Stored>(storage: &'a CpuStorage, layout: &Layout) -> candle_core::Result<&'a [L]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<L>()?[start..end]),
        None => candle_core::bail!("fused-loss: logits not contiguous"),
    }
}

/// Calls `f` with the reference's logits, if there are any.
fn with_slice<L: Stored, R>(
    reference: Option<&Tensor>,
    f: impl FnOnce(Option<&[L]>) -> candle_core::Result<R>,
) -> candle_core::Result<R> {
    let Some(reference) = reference else { return f(None) };
    let (storage, layout) = reference.storage_and_layout();
    match &*storage {
        Storage::Cpu(cpu) => f(Some(slice(cpu, layout)?)),
        _ => candle_core::bail!("fused-loss: CPU only"),
    }
}

impl FusedLoss {
    fn task(&self) -> Task<'_> {
        Task {
            vocabulary: self.vocabulary,
            rows: &self.rows,
            columns: &self.columns,
            kernel: self.kernel.as_ref(),
        }
    }

    fn forward<L: Stored>(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let logits = slice::<L>(storage, layout)?;
        let (value, residue) = with_slice(self.reference.as_ref(), |reference| {
            self.task().forward(logits, reference).map_err(candle_core::Error::wrap)
        })?;
        self.keep(Kept::Host(residue))?;
        Ok((CpuStorage::F32(vec![self.mean(&value)]), Shape::from(())))
    }

    fn mean(&self, value: &Evaluated) -> f32 {
        (value.loss.iter().sum::<f64>() / self.columns.examples() as f64) as f32
    }

    fn keep(&self, kept: Kept) -> candle_core::Result<()> {
        match self.residue.lock() {
            Ok(mut slot) => *slot = Some(kept),
            Err(_) => candle_core::bail!("fused-loss: an earlier pass panicked"),
        }
        Ok(())
    }

    #[cfg(feature = "cuda")]
    fn reads(&self) -> Reads<'_> {
        let (vocabulary, wanted) = (self.vocabulary, self.columns.wanted());
        Reads { vocabulary, wanted, reference: self.reference.as_ref() }
    }

    #[cfg(feature = "cuda")]
    fn forward_on_card<L: OnCard>(
        &self,
        storage: &CudaStorage,
        layout: &Layout,
    ) -> Result<LogitsPass<Memory>, RuntimeError> {
        let Self { rows, columns, kernel, .. } = self;
        self.reads().lend::<L, _>(storage, layout, |program, all| {
            logits::forward(program, all, rows, columns, kernel.as_ref())
        })
    }

    fn backward<L: OnDevice>(&self, logits: &Tensor, scale: f64) -> candle_core::Result<Tensor> {
        let Ok(slot) = self.residue.lock() else {
            candle_core::bail!("fused-loss: an earlier pass panicked")
        };
        let residue = match slot.as_ref() {
            Some(Kept::Host(residue)) => residue,
            #[cfg(feature = "cuda")]
            Some(Kept::Card(pass)) => {
                let gradient = self.reads().rewritten::<L>(logits, |program, all| {
                    pass.backward(program, all, &self.rows, scale)
                });
                return gradient.map_err(candle_core::Error::wrap);
            }
            None => candle_core::bail!("fused-loss: backward before forward"),
        };
        let (n, v) = logits.dims2()?;
        let mut gradient = zeros::<L>("logits", n, v).map_err(candle_core::Error::wrap)?;
        let (storage, layout) = logits.storage_and_layout();
        let Storage::Cpu(cpu) = &*storage else { candle_core::bail!("fused-loss: CPU only") };
        let logits = slice::<L>(cpu, layout)?;
        with_slice(self.reference.as_ref(), |reference| {
            self.task().gradient(logits, reference, residue, scale, &mut gradient);
            Ok(())
        })?;
        Tensor::from_vec(gradient, (n, v), &Device::Cpu)
    }
}

impl CustomOp1 for FusedLoss {
    fn name(&self) -> &'static str {
        "fused-loss"
    }

    fn cpu_fwd(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        match storage {
            CpuStorage::BF16(_) => self.forward::<bf16>(storage, layout),
            CpuStorage::F16(_) => self.forward::<f16>(storage, layout),
            _ => self.forward::<f32>(storage, layout),
        }
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        storage: &CudaStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CudaStorage, Shape)> {
        let pass = match storage.dtype() {
            DType::BF16 => self.forward_on_card::<bf16>(storage, layout),
            DType::F16 => self.forward_on_card::<f16>(storage, layout),
            _ => self.forward_on_card::<f32>(storage, layout),
        };
        let pass = pass.map_err(candle_core::Error::wrap)?;
        let loss = card::scalar(&storage.device, self.mean(&pass.value))?;
        self.keep(Kept::Card(pass))?;
        Ok((loss, Shape::from(())))
    }

    fn bwd(
        &self,
        logits: &Tensor,
        _loss: &Tensor,
        incoming: &Tensor,
    ) -> candle_core::Result<Option<Tensor>> {
        let scale = f64::from(incoming.to_scalar::<f32>()?);
        // The op's own argument was made contiguous before it was recorded.
        Ok(Some(match logits.dtype() {
            DType::BF16 => self.backward::<bf16>(logits, scale)?,
            DType::F16 => self.backward::<f16>(logits, scale)?,
            _ => self.backward::<f32>(logits, scale)?,
        }))
    }
}
