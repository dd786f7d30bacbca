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

use super::fused::{Residue, Task};
use super::memory::zeros;
use super::{Columns, LossKernel, RuntimeError, TokenRows};
use crate::logprob::Logit;

/// The loss of a batch from logits `[N, V]`, as a differentiable scalar tensor (f32).
///
/// `reference` holds the reference's logits, for losses that read a divergence; it gets no gradient.
///
/// # Errors
/// As [`super::fused::loss_and_gradient_in_place`]; also if the logits are not f32, bf16 or f16 on the CPU.
pub fn fused_loss(
    logits: &Tensor,
    reference: Option<&Tensor>,
    rows: Arc<TokenRows>,
    columns: Columns,
    kernel: Arc<dyn LossKernel>,
) -> Result<Tensor, RuntimeError> {
    let (n, v) = logits.dims2()?;
    if !logits.device().is_cpu() || !matches!(logits.dtype(), DType::F32 | DType::BF16 | DType::F16)
    {
        let reason = format!("{:?} on {:?}", logits.dtype(), logits.device().location());
        let reason = format!("the fused loss takes f32, bf16 and f16 on the CPU, not {reason}");
        return Err(RuntimeError::argument("logits", reason));
    }
    let reference = match reference {
        None => None,
        Some(r) if r.dims() == logits.dims() && r.dtype() == logits.dtype() => {
            Some(r.detach().contiguous()?)
        }
        Some(r) => {
            let reason = format!(
                "{:?} of {:?} where the policy has {:?} of {:?}",
                r.dims(),
                r.dtype(),
                logits.dims(),
                logits.dtype()
            );
            return Err(RuntimeError::argument("reference", reason));
        }
    };
    let op =
        FusedLoss { vocabulary: v, rows, columns, kernel, reference, residue: Mutex::new(None) };
    op.task().check(n * v, op.reference.as_ref().map(Tensor::elem_count))?;
    logits.contiguous()?.apply_op1(op).map_err(RuntimeError::from)
}

struct FusedLoss {
    vocabulary: usize,
    rows: Arc<TokenRows>,
    columns: Columns,
    kernel: Arc<dyn LossKernel>,
    reference: Option<Tensor>,
    residue: Mutex<Option<Residue>>,
}

/// A type of logits that tensors hold.
trait Stored: Logit + WithDType + Default {}
impl<L: Logit + WithDType + Default> Stored for L {}

fn slice<'a, L: Stored>(storage: &'a CpuStorage, layout: &Layout) -> candle_core::Result<&'a [L]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<L>()?[start..end]),
        None => candle_core::bail!("fused-loss: logits not contiguous"),
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

    /// Calls `f` with the reference's logits.
    fn with_reference<L: Stored, R>(
        &self,
        f: impl FnOnce(Option<&[L]>) -> candle_core::Result<R>,
    ) -> candle_core::Result<R> {
        let Some(reference) = &self.reference else { return f(None) };
        let (storage, layout) = reference.storage_and_layout();
        match &*storage {
            Storage::Cpu(cpu) => f(Some(slice(cpu, layout)?)),
            _ => candle_core::bail!("fused-loss: CPU only"),
        }
    }

    fn forward<L: Stored>(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let logits = slice::<L>(storage, layout)?;
        let (value, residue) = self.with_reference(|reference| {
            self.task().forward(logits, reference).map_err(candle_core::Error::wrap)
        })?;
        let mean = value.loss.iter().sum::<f64>() / self.columns.examples() as f64;
        match self.residue.lock() {
            Ok(mut slot) => *slot = Some(residue),
            Err(_) => candle_core::bail!("fused-loss: an earlier pass panicked"),
        }
        Ok((CpuStorage::F32(vec![mean as f32]), Shape::from(())))
    }

    fn backward<L: Stored>(&self, logits: &Tensor, scale: f64) -> candle_core::Result<Tensor> {
        let Ok(slot) = self.residue.lock() else {
            candle_core::bail!("fused-loss: an earlier pass panicked")
        };
        let Some(residue) = slot.as_ref() else {
            candle_core::bail!("fused-loss: backward before forward")
        };
        let (n, v) = logits.dims2()?;
        let mut gradient = zeros::<L>("logits", n, v).map_err(candle_core::Error::wrap)?;
        let (storage, layout) = logits.storage_and_layout();
        let Storage::Cpu(cpu) = &*storage else { candle_core::bail!("fused-loss: CPU only") };
        let logits = slice::<L>(cpu, layout)?;
        self.with_reference(|reference| {
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
