//! Cards of the tensor library: its storage is lent, its stream does the work.
//!
//! Why: tensors on a card are read and written where they are. In: tensors, or the storage that a custom
//! operation is given. Out: what [`super::logits`] and [`super::hidden`] compute, as storage and tensors.
//! Invariants: everything is launched on the tensor library's own stream; what is lent outlives the
//! launches that use it in the stream's order, because memory is given back on that stream too; events
//! of the lent storage are waited for before the first launch and recorded after the last.

use super::hidden::{DeviceHead, HeadPass};
use super::logits::DeviceLogits;
use super::{hidden, logits};
use crate::device::{Device, Memory, Program, failed};
use crate::kernel::{Cache, KernelError};
use crate::logprob::{Each, HeadGradients};
use crate::op::{RuntimeError, TokenRows};
use candle_core::cuda_backend::{CudaDType, CudaDevice, CudaStorage};
use candle_core::op::BackpropOp;
use candle_core::{DType, Layout, Shape, Storage, Tensor, WithDType};
use cudarc::driver::{CudaSlice, CudaView, DevicePtr, DevicePtrMut, DeviceRepr, ValidAsZeroBits};
use half::{bf16, f16};
use ponens_compiler::codegen::cuda::Element;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// A type of logits or hidden states that kernels take.
pub(in crate::op) trait OnCard:
    CudaDType + DeviceRepr + ValidAsZeroBits + WithDType
{
    const ELEMENT: Element;
}

impl OnCard for f32 {
    const ELEMENT: Element = Element::F32;
}

impl OnCard for bf16 {
    const ELEMENT: Element = Element::Bf16;
}

impl OnCard for f16 {
    const ELEMENT: Element = Element::F16;
}

/// Programs by text and card.
type Loaded = HashMap<(u128, usize), Program>;

/// A program on the tensor library's stream: compiled once a disk and loaded once a process.
fn program(device: &CudaDevice, source: &str) -> Result<Program, RuntimeError> {
    static LOADED: Mutex<Option<Loaded>> = Mutex::new(None);
    let stream = device.cuda_stream();
    let key = (crate::kernel::key(source), stream.context().ordinal());
    let device = Device::of(stream)?;
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    let loaded = loaded.get_or_insert_default();
    if let Some(program) = loaded.get(&key) {
        return Ok(program.on(device));
    }
    let stored = Cache::of_user().map(|cache| device.load_text(source, Some(&cache)));
    let program = match stored {
        // A cache that cannot be written is no reason not to compile.
        None | Some(Err(KernelError::Io { .. })) => device.load_text(source, None)?,
        Some(result) => result?,
    };
    loaded.insert(key, program.clone());
    Ok(program)
}

/// The numbers of a contiguous storage.
fn view<'s, L: OnCard>(
    storage: &'s CudaStorage,
    layout: &Layout,
    argument: &'static str,
) -> Result<CudaView<'s, L>, RuntimeError> {
    let Some((start, end)) = layout.contiguous_offsets() else {
        return Err(RuntimeError::argument(argument, "not contiguous"));
    };
    Ok(storage.as_cuda_slice::<L>()?.slice(start..end))
}

fn on_card<'s>(
    storage: &'s Storage,
    argument: &'static str,
) -> Result<&'s CudaStorage, RuntimeError> {
    match storage {
        Storage::Cuda(storage) => Ok(storage),
        _ => Err(RuntimeError::argument(argument, "is not on the card of the others")),
    }
}

fn tensor(storage: CudaStorage, shape: &Shape) -> Tensor {
    Tensor::from_storage(Storage::Cuda(storage), shape.clone(), BackpropOp::none(), false)
}

/// What is read of logits, and the reference's.
pub(in crate::op) struct Reads<'a> {
    pub(in crate::op) vocabulary: usize,
    pub(in crate::op) wanted: Each<bool>,
    pub(in crate::op) reference: Option<&'a Tensor>,
}

impl Reads<'_> {
    fn program<L: OnCard>(&self, device: &CudaDevice) -> Result<Program, RuntimeError> {
        program(device, &logits::program(L::ELEMENT, self.vocabulary, self.wanted))
    }

    /// Calls `f` with the logits in `own` and the reference's, where there are any.
    fn with<L: OnCard, R>(
        &self,
        program: &mut Program,
        own: &Memory,
        f: impl FnOnce(&mut Program, DeviceLogits<'_, Memory>) -> Result<R, RuntimeError>,
    ) -> Result<R, RuntimeError> {
        let (element, vocabulary) = (L::ELEMENT, self.vocabulary);
        let Some(reference) = self.reference else {
            return f(program, DeviceLogits { element, vocabulary, own, reference: None });
        };
        let (storage, layout) = reference.storage_and_layout();
        let storage = on_card(&storage, "reference")?;
        let view = view::<L>(storage, layout, "reference")?;
        let stream = storage.device.cuda_stream();
        // This guard and its like record the reads when they are dropped, after the launches.
        let (address, _reads) = view.device_ptr(&stream);
        let lent = Memory::lent(address, view.len() * size_of::<L>());
        f(program, DeviceLogits { element, vocabulary, own, reference: Some(&lent) })
    }

    /// Calls `f` with the logits in a storage.
    pub(in crate::op) fn lend<L: OnCard, R>(
        &self,
        storage: &CudaStorage,
        layout: &Layout,
        f: impl FnOnce(&mut Program, DeviceLogits<'_, Memory>) -> Result<R, RuntimeError>,
    ) -> Result<R, RuntimeError> {
        let mut program = self.program::<L>(&storage.device)?;
        let view = view::<L>(storage, layout, "logits")?;
        let stream = storage.device.cuda_stream();
        let (address, _reads) = view.device_ptr(&stream);
        let own = Memory::lent(address, view.len() * size_of::<L>());
        self.with::<L, _>(&mut program, &own, f)
    }

    /// A copy of the logits that `f` has written over.
    pub(in crate::op) fn rewritten<L: OnCard>(
        &self,
        logits: &Tensor,
        f: impl FnOnce(&mut Program, DeviceLogits<'_, Memory>) -> Result<(), RuntimeError>,
    ) -> Result<Tensor, RuntimeError> {
        let (storage, layout) = logits.storage_and_layout();
        let storage = on_card(&storage, "logits")?;
        let mut program = self.program::<L>(&storage.device)?;
        let stream = storage.device.cuda_stream();
        let copied = stream.clone_dtod(&view::<L>(storage, layout, "logits")?);
        let mut slice: CudaSlice<L> = copied.map_err(failed("copying logits"))?;
        {
            let bytes = slice.len() * size_of::<L>();
            let (address, _writes) = slice.device_ptr_mut(&stream);
            self.with::<L, _>(&mut program, &Memory::lent(address, bytes), f)?;
        }
        let storage = CudaStorage::wrap_cuda_slice(slice, storage.device.clone());
        Ok(tensor(storage, logits.shape()))
    }
}

/// The mean loss as the storage of a scalar.
pub(in crate::op) fn scalar(device: &CudaDevice, x: f32) -> candle_core::Result<CudaStorage> {
    Ok(CudaStorage::wrap_cuda_slice(device.clone_htod(&[x])?, device.clone()))
}

/// The log-probabilities of `targets` and their directions from hidden states `[N, H]` and a head `[V, H]`
/// of one type, both contiguous.
pub(in crate::op) fn head_forward(
    hidden: &Tensor,
    weight: &Tensor,
    targets: &[u32],
) -> Result<HeadPass<Memory>, RuntimeError> {
    let rows = TokenRows::new(targets.to_vec(), vec![Some(0); targets.len()], 1)?;
    let f = |program: &mut Program, inputs: DeviceHead<'_, Memory>| {
        hidden::forward(program, inputs, &rows, true)
    };
    match hidden.dtype() {
        DType::BF16 => with_head::<bf16, _>(hidden, weight, f),
        DType::F16 => with_head::<f16, _>(hidden, weight, f),
        _ => with_head::<f32, _>(hidden, weight, f),
    }
}

/// The gradients for `slopes`, d loss / d log-probability by row; the head's has its type.
pub(in crate::op) fn head_backward(
    hidden: &Tensor,
    weight: &Tensor,
    pass: &HeadPass<Memory>,
    slopes: &[f32],
    train_head: bool,
) -> Result<HeadGradients, RuntimeError> {
    match hidden.dtype() {
        DType::BF16 => backward::<bf16>(hidden, weight, pass, slopes, train_head),
        DType::F16 => backward::<f16>(hidden, weight, pass, slopes, train_head),
        _ => backward::<f32>(hidden, weight, pass, slopes, train_head),
    }
}

fn with_head<L: OnCard, R>(
    hidden: &Tensor,
    weight: &Tensor,
    f: impl FnOnce(&mut Program, DeviceHead<'_, Memory>) -> Result<R, RuntimeError>,
) -> Result<R, RuntimeError> {
    let ((_, width), (vocabulary, _)) = (hidden.dims2()?, weight.dims2()?);
    let (of_hidden, layout) = hidden.storage_and_layout();
    let (of_weight, weight_layout) = weight.storage_and_layout();
    let storage = on_card(&of_hidden, "hidden")?;
    let mut program = program(&storage.device, &hidden::program(L::ELEMENT))?;
    let stream = storage.device.cuda_stream();
    let hidden = view::<L>(storage, layout, "hidden")?;
    let weight = view::<L>(on_card(&of_weight, "head")?, weight_layout, "head")?;
    let (address, _reads) = hidden.device_ptr(&stream);
    let hidden = Memory::lent(address, hidden.len() * size_of::<L>());
    let (address, _reads_too) = weight.device_ptr(&stream);
    let head = Memory::lent(address, weight.len() * size_of::<L>());
    let element = L::ELEMENT;
    f(&mut program, DeviceHead { element, vocabulary, width, hidden: &hidden, head: &head })
}

fn backward<L: OnCard>(
    hidden: &Tensor,
    weight: &Tensor,
    pass: &HeadPass<Memory>,
    slopes: &[f32],
    train_head: bool,
) -> Result<HeadGradients, RuntimeError> {
    let device = hidden.device().as_cuda_device()?;
    with_head::<L, _>(hidden, weight, |program, inputs| {
        let into_hidden = made::<L>(device, hidden.shape(), |to| {
            pass.backward_hidden(program, inputs, slopes, to)
        })?;
        let mut out = HeadGradients { hidden: into_hidden, weight: None, bias: None };
        if train_head {
            let of_weight = made::<f32>(device, weight.shape(), |to| {
                pass.backward_head(program, inputs, slopes, to)
            })?;
            out.weight = Some(of_weight.to_dtype(weight.dtype())?);
        }
        Ok(out)
    })
}

/// A tensor of zeros that `f` writes to or adds to.
fn made<L: OnCard>(
    device: &CudaDevice,
    shape: &Shape,
    f: impl FnOnce(&Memory) -> Result<(), RuntimeError>,
) -> Result<Tensor, RuntimeError> {
    let stream = device.cuda_stream();
    let room = stream.alloc_zeros::<L>(shape.elem_count());
    let mut slice = room.map_err(failed("reserving memory on the card"))?;
    {
        let bytes = slice.len() * size_of::<L>();
        let (address, _writes) = slice.device_ptr_mut(&stream);
        f(&Memory::lent(address, bytes))?;
    }
    Ok(tensor(CudaStorage::wrap_cuda_slice(slice, device.clone()), shape))
}
