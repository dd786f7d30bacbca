//! Cards of the tensor library as machines: its storage is lent, its stream does the work.
//!
//! Why: tensors on a card are read and written where they are. In: tensors, or the storage that a custom
//! operation is given. Out: what [`super::logits`] and [`super::hidden`] compute, as storage and tensors.
//! Invariants: everything is launched on the tensor library's own stream; what is lent outlives the
//! launches that use it in the stream's order, because memory is given back on that stream too; events
//! of the lent storage are waited for before the first launch and recorded after the last.

use super::hidden::{DeviceHead, HeadPass};
use super::logits::{DeviceLogits, LogitsPass};
use super::{hidden, logits};
use crate::kernel::{Arch, Argument, Cache, Compiler, Form, KernelError, Machine};
use crate::logprob::HeadGradients;
use crate::op::{Columns, LossKernel, RuntimeError, TokenRows};
use candle_core::cuda_backend::{CudaDType, CudaDevice, CudaStorage};
use candle_core::op::BackpropOp;
use candle_core::{DType, Layout, Shape, Storage, Tensor, WithDType};
use cudarc::driver::{
    CudaSlice, CudaStream, CudaView, DevicePtr, DevicePtrMut, DeviceRepr, DriverError,
    LaunchConfig, PushKernelArg, ValidAsZeroBits, result,
};
use half::{bf16, f16};
use ponens_compiler::codegen::cuda::{Element, THREADS};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

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

/// Memory of a card: lent by a tensor, or its own.
#[derive(Debug)]
pub(in crate::op) struct Memory {
    address: u64,
    length: usize,
    /// Given back when this is dropped.
    _own: Option<CudaSlice<u8>>,
}

/// A card with a program.
struct Card {
    device: CudaDevice,
    stream: Arc<CudaStream>,
    module: String,
    ptx: Arc<str>,
}

fn failed(call: &'static str) -> impl Fn(DriverError) -> KernelError {
    move |e| KernelError::Cuda { call, reason: format!("{:?}", e.0) }
}

/// PTX by text and architecture.
type Programs = HashMap<(u128, Arch), Arc<str>>;

/// The program as PTX: compiled once a process and once a disk.
fn compiled(source: &str, arch: Arch) -> Result<(u128, Arc<str>), KernelError> {
    static DONE: Mutex<Option<Programs>> = Mutex::new(None);
    let key = crate::kernel::key(source);
    let mut done = DONE.lock().unwrap_or_else(PoisonError::into_inner);
    let done = done.get_or_insert_default();
    if let Some(ptx) = done.get(&(key, arch)) {
        return Ok((key, ptx.clone()));
    }
    let compiler = Compiler::find()?;
    let stored = Cache::of_user().map(|c| c.compile(&compiler, source, arch, Form::Ptx));
    let compiled = match stored {
        // A cache that cannot be written is no reason not to compile.
        None | Some(Err(KernelError::Io { .. })) => compiler.compile(source, arch, Form::Ptx)?,
        Some(result) => result?,
    };
    let ptx: Arc<str> = compiled.text().into();
    done.insert((key, arch), ptx.clone());
    Ok((key, ptx))
}

impl Card {
    fn new(device: &CudaDevice, source: &str) -> Result<Self, RuntimeError> {
        let stream = device.cuda_stream();
        let capability = stream.context().compute_capability();
        let (major, minor) = capability.map_err(failed("reading the compute capability"))?;
        let arch = Arch::of(major.unsigned_abs(), minor.unsigned_abs())?;
        let (key, ptx) = compiled(source, arch)?;
        Ok(Self { device: device.clone(), stream, module: format!("ponens-{key:032x}"), ptx })
    }

    fn own(&self, slice: CudaSlice<u8>, length: usize) -> Memory {
        // Allocated on this stream: nothing to wait for.
        let address = slice.device_ptr(&self.stream).0;
        Memory { address, length, _own: Some(slice) }
    }
}

impl Memory {
    /// What somebody else owns, and keeps until the launches that use it are queued.
    fn lent(address: u64, length: usize) -> Self {
        Self { address, length, _own: None }
    }
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

#[allow(unsafe_code)]
impl Machine for Card {
    type Buffer = Memory;

    fn upload(&mut self, bytes: &[u8]) -> Result<Memory, KernelError> {
        let padded = if bytes.is_empty() { &[0][..] } else { bytes };
        let slice = self.stream.clone_htod(padded).map_err(failed("copying to the card"))?;
        Ok(self.own(slice, bytes.len()))
    }

    fn reserve(&mut self, bytes: usize) -> Result<Memory, KernelError> {
        // SAFETY: the contents are undefined until a kernel has written them; every kernel writes what
        // it is given as a result before anything reads it: the interpreter of the tests checks that.
        let slice = unsafe { self.stream.alloc::<u8>(bytes.max(1)) };
        Ok(self.own(slice.map_err(failed("reserving memory on the card"))?, bytes))
    }

    fn zeros(&mut self, bytes: usize) -> Result<Memory, KernelError> {
        let slice = self.stream.alloc_zeros::<u8>(bytes.max(1));
        Ok(self.own(slice.map_err(failed("reserving memory on the card"))?, bytes))
    }

    fn download(&mut self, buffer: &Memory) -> Result<Vec<u8>, KernelError> {
        let call = "copying from the card";
        let mut bytes = vec![0u8; buffer.length];
        self.stream.context().bind_to_thread().map_err(failed(call))?;
        // SAFETY: the buffer has `length` bytes and lives through the copy, as does `bytes`: the stream
        // is waited for below, whatever the copy returns.
        let copied = unsafe {
            result::memcpy_dtoh_async(&mut bytes, buffer.address, self.stream.cu_stream())
        };
        let waited = self.stream.synchronize();
        copied.and(waited).map_err(failed(call))?;
        Ok(bytes)
    }

    fn launch(
        &mut self,
        kernel: &str,
        blocks: u32,
        arguments: &[Argument<'_, Memory>],
    ) -> Result<(), KernelError> {
        let refuse = |reason: String| KernelError::Launch { kernel: kernel.to_owned(), reason };
        let function = self.device.get_or_load_custom_func(kernel, &self.module, &self.ptx);
        let function = function.map_err(|e| refuse(e.to_string()))?;
        let mut builder = function.builder();
        for a in arguments {
            match a {
                Argument::I32(x) => builder.arg(x),
                Argument::I64(x) => builder.arg(x),
                Argument::F32(x) => builder.arg(x),
                Argument::Buffer(b) => builder.arg(&b.address),
            };
        }
        let config = LaunchConfig {
            grid_dim: (blocks, 1, 1),
            block_dim: (THREADS, 1, 1),
            shared_mem_bytes: 0,
        };
        // SAFETY: name and arguments come from one description of the kernel, the same that its text is
        // generated from; the buffers have the lengths that it states, and all launches and copies are
        // on one stream.
        unsafe { builder.launch(config) }.map(|_| ()).map_err(|e| refuse(format!("{:?}", e.0)))
    }
}

/// A loss from logits, but for the logits.
pub(in crate::op) struct LossOf<'a> {
    pub(in crate::op) vocabulary: usize,
    pub(in crate::op) rows: &'a TokenRows,
    pub(in crate::op) columns: &'a Columns,
    pub(in crate::op) kernel: &'a dyn LossKernel,
    pub(in crate::op) reference: Option<&'a Tensor>,
}

impl LossOf<'_> {
    fn card<L: OnCard>(&self, device: &CudaDevice) -> Result<Card, RuntimeError> {
        let wanted = self.columns.wanted();
        Card::new(device, &logits::program(L::ELEMENT, self.vocabulary, wanted))
    }

    /// Calls `f` with the logits in `own` and the reference's, where there are any.
    fn with<L: OnCard, R>(
        &self,
        card: &mut Card,
        own: &Memory,
        f: impl FnOnce(&mut Card, DeviceLogits<'_, Memory>) -> Result<R, RuntimeError>,
    ) -> Result<R, RuntimeError> {
        let (element, vocabulary) = (L::ELEMENT, self.vocabulary);
        let Some(reference) = self.reference else {
            return f(card, DeviceLogits { element, vocabulary, own, reference: None });
        };
        let (storage, layout) = reference.storage_and_layout();
        let view = view::<L>(on_card(&storage, "reference")?, layout, "reference")?;
        let stream = card.stream.clone();
        // This guard and its like record the reads when they are dropped, after the launches.
        let (address, _reads) = view.device_ptr(&stream);
        let lent = Memory::lent(address, view.len() * size_of::<L>());
        f(card, DeviceLogits { element, vocabulary, own, reference: Some(&lent) })
    }

    /// The forward pass: the loss, and what the pass back needs.
    pub(in crate::op) fn forward<L: OnCard>(
        &self,
        storage: &CudaStorage,
        layout: &Layout,
    ) -> Result<LogitsPass<Memory>, RuntimeError> {
        let mut card = self.card::<L>(&storage.device)?;
        let view = view::<L>(storage, layout, "logits")?;
        let stream = card.stream.clone();
        let (address, _reads) = view.device_ptr(&stream);
        let own = Memory::lent(address, view.len() * size_of::<L>());
        self.with::<L, _>(&mut card, &own, |card, all| {
            logits::forward(card, all, self.rows, self.columns, self.kernel)
        })
    }

    /// The pass back, over a copy of the logits: `scale` times d(mean loss) / d logits.
    pub(in crate::op) fn gradient<L: OnCard>(
        &self,
        logits: &Tensor,
        pass: &LogitsPass<Memory>,
        scale: f64,
    ) -> Result<Tensor, RuntimeError> {
        let (storage, layout) = logits.storage_and_layout();
        let storage = on_card(&storage, "logits")?;
        let mut card = self.card::<L>(&storage.device)?;
        let stream = card.stream.clone();
        let copied = stream.clone_dtod(&view::<L>(storage, layout, "logits")?);
        let mut slice: CudaSlice<L> = copied.map_err(failed("copying logits"))?;
        {
            let bytes = slice.len() * size_of::<L>();
            let (address, _writes) = slice.device_ptr_mut(&stream);
            self.with::<L, _>(&mut card, &Memory::lent(address, bytes), |card, all| {
                pass.backward(card, all, self.rows, scale)
            })?;
        }
        let storage = CudaStorage::wrap_cuda_slice(slice, card.device.clone());
        Ok(tensor(storage, logits.shape()))
    }
}

/// The mean loss as the storage of a scalar.
pub(in crate::op) fn scalar(device: &CudaDevice, x: f32) -> candle_core::Result<CudaStorage> {
    Ok(CudaStorage::wrap_cuda_slice(device.clone_htod(&[x])?, device.clone()))
}

/// The log-probabilities of `targets` from hidden states `[N, H]` and a head `[V, H]` of one type, both
/// contiguous.
pub(in crate::op) fn head_forward(
    hidden: &Tensor,
    weight: &Tensor,
    targets: &[u32],
) -> Result<HeadPass<Memory>, RuntimeError> {
    let rows = TokenRows::new(targets.to_vec(), vec![Some(0); targets.len()], 1)?;
    match hidden.dtype() {
        DType::BF16 => with_head::<bf16, _>(hidden, weight, |m, h| hidden::forward(m, h, &rows)),
        DType::F16 => with_head::<f16, _>(hidden, weight, |m, h| hidden::forward(m, h, &rows)),
        _ => with_head::<f32, _>(hidden, weight, |m, h| hidden::forward(m, h, &rows)),
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
    f: impl FnOnce(&mut Card, DeviceHead<'_, Memory>) -> Result<R, RuntimeError>,
) -> Result<R, RuntimeError> {
    let ((_, width), (vocabulary, _)) = (hidden.dims2()?, weight.dims2()?);
    let (of_hidden, layout) = hidden.storage_and_layout();
    let (of_weight, weight_layout) = weight.storage_and_layout();
    let storage = on_card(&of_hidden, "hidden")?;
    let mut card = Card::new(&storage.device, &hidden::program(L::ELEMENT))?;
    let stream = card.stream.clone();
    let hidden = view::<L>(storage, layout, "hidden")?;
    let weight = view::<L>(on_card(&of_weight, "head")?, weight_layout, "head")?;
    let (address, _reads) = hidden.device_ptr(&stream);
    let hidden = Memory::lent(address, hidden.len() * size_of::<L>());
    let (address, _reads_too) = weight.device_ptr(&stream);
    let head = Memory::lent(address, weight.len() * size_of::<L>());
    let element = L::ELEMENT;
    f(&mut card, DeviceHead { element, vocabulary, width, hidden: &hidden, head: &head })
}

fn backward<L: OnCard>(
    hidden: &Tensor,
    weight: &Tensor,
    pass: &HeadPass<Memory>,
    slopes: &[f32],
    train_head: bool,
) -> Result<HeadGradients, RuntimeError> {
    with_head::<L, _>(hidden, weight, |card, inputs| {
        let stream = card.stream.clone();
        let room = stream.alloc_zeros::<L>(hidden.elem_count());
        let mut slice = room.map_err(failed("reserving memory on the card"))?;
        {
            let bytes = slice.len() * size_of::<L>();
            let (address, _writes) = slice.device_ptr_mut(&stream);
            pass.backward_hidden(card, inputs, slopes, &Memory::lent(address, bytes))?;
        }
        let storage = CudaStorage::wrap_cuda_slice(slice, card.device.clone());
        let mut out =
            HeadGradients { hidden: tensor(storage, hidden.shape()), weight: None, bias: None };
        if train_head {
            let room = stream.alloc_zeros::<f32>(weight.elem_count());
            let mut slice = room.map_err(failed("reserving memory on the card"))?;
            {
                let bytes = slice.len() * size_of::<f32>();
                let (address, _writes) = slice.device_ptr_mut(&stream);
                pass.backward_head(card, inputs, slopes, &Memory::lent(address, bytes))?;
            }
            let storage = CudaStorage::wrap_cuda_slice(slice, card.device.clone());
            out.weight = Some(tensor(storage, weight.shape()).to_dtype(weight.dtype())?);
        }
        Ok(out)
    })
}
