//! The kernels of one program on a card, and the card's memory.
//!
//! Why: a card of our own and a card of the tensor library differ in who made the stream and in who owns
//! some of the memory, and in nothing else. In: a loaded module. Out: launches and copies in order.
//! Invariants: everything goes through one stream, so that nothing has to be waited for but downloads;
//! memory that is lent outlives the launches that use it in the stream's order.

use super::{Device, failed};
use crate::kernel::{Argument, KernelError, Machine};
use cudarc::driver::{
    CudaFunction, CudaModule, CudaSlice, DevicePtr, LaunchConfig, PushKernelArg, result,
};
use ponens_compiler::codegen::cuda::THREADS;
use std::collections::HashMap;
use std::sync::Arc;

/// The kernels of one program on a card.
#[derive(Clone, Debug)]
pub struct Program {
    device: Device,
    module: Arc<CudaModule>,
    functions: HashMap<String, CudaFunction>,
}

impl Program {
    pub(super) fn new(device: Device, module: Arc<CudaModule>) -> Self {
        Self { device, module, functions: HashMap::new() }
    }

    /// The same program launched on another stream of the same card.
    #[cfg(feature = "cuda")]
    pub(crate) fn on(&self, device: Device) -> Self {
        Self { device, ..self.clone() }
    }

    fn own(&self, slice: CudaSlice<u8>, length: usize) -> Memory {
        // Allocated on this stream: nothing to wait for.
        let address = slice.device_ptr(&self.device.stream).0;
        Memory { address, length, _own: Some(slice) }
    }
}

/// Memory of a card: its own, or lent.
#[derive(Debug)]
pub struct Memory {
    address: u64,
    length: usize,
    /// Given back when this is dropped; at least one byte, so that there is an address.
    _own: Option<CudaSlice<u8>>,
}

impl Memory {
    /// What somebody else owns, and keeps until the launches that use it are queued.
    #[cfg(feature = "cuda")]
    pub(crate) fn lent(address: u64, length: usize) -> Self {
        Self { address, length, _own: None }
    }
}

#[allow(unsafe_code)]
impl Machine for Program {
    type Buffer = Memory;

    fn upload(&mut self, bytes: &[u8]) -> Result<Memory, KernelError> {
        let padded = if bytes.is_empty() { &[0][..] } else { bytes };
        let slice = self.device.stream.clone_htod(padded).map_err(failed("copying to the card"))?;
        Ok(self.own(slice, bytes.len()))
    }

    fn reserve(&mut self, bytes: usize) -> Result<Memory, KernelError> {
        // SAFETY: the contents are undefined until a kernel has written them; every kernel writes what
        // it is given as a result before anything reads it: the interpreter of the tests checks that.
        let slice = unsafe { self.device.stream.alloc::<u8>(bytes.max(1)) };
        Ok(self.own(slice.map_err(failed("reserving memory on the card"))?, bytes))
    }

    fn zeros(&mut self, bytes: usize) -> Result<Memory, KernelError> {
        let slice = self.device.stream.alloc_zeros::<u8>(bytes.max(1));
        Ok(self.own(slice.map_err(failed("reserving memory on the card"))?, bytes))
    }

    fn download(&mut self, buffer: &Memory) -> Result<Vec<u8>, KernelError> {
        let (call, stream) = ("copying from the card", &self.device.stream);
        let mut bytes = vec![0u8; buffer.length];
        stream.context().bind_to_thread().map_err(failed(call))?;
        // SAFETY: the buffer has `length` bytes and lives through the copy, as does `bytes`: the stream
        // is waited for below, whatever the copy returns.
        let copied =
            unsafe { result::memcpy_dtoh_async(&mut bytes, buffer.address, stream.cu_stream()) };
        let waited = stream.synchronize();
        copied.and(waited).map_err(failed(call))?;
        Ok(bytes)
    }

    fn launch(
        &mut self,
        kernel: &str,
        blocks: u32,
        arguments: &[Argument<'_, Memory>],
    ) -> Result<(), KernelError> {
        if !self.functions.contains_key(kernel) {
            let function = self.module.load_function(kernel).map_err(|e| KernelError::Launch {
                kernel: kernel.to_owned(),
                reason: format!("is not in the program: {:?}", e.0),
            })?;
            self.functions.insert(kernel.to_owned(), function);
        }
        let mut builder = self.device.stream.launch_builder(&self.functions[kernel]);
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
        // generated from; the buffers have the lengths that it states. All launches and copies are on
        // one stream, so that buffers written through a shared reference are never read meanwhile.
        unsafe { builder.launch(config) }.map(|_| ()).map_err(|e| KernelError::Launch {
            kernel: kernel.to_owned(),
            reason: format!("{:?}", e.0),
        })
    }
}
