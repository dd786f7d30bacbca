//! A graphics processor.
//!
//! Why: the [`Machine`] that the kernels are written for. In: a plan; its kernels are compiled for the
//! card and kept in the [`Cache`]. Out: launches in order on one stream. Invariants: opening a card where
//! there is none is an error that says what is missing; every launch names a kernel of the loaded program.

use crate::kernel::{Arch, Argument, Cache, Compiler, Form, KernelError, Machine, driver};
use cudarc::driver::{
    CudaContext, CudaFunction, CudaModule, CudaSlice, CudaStream, DriverError, LaunchConfig,
    PushKernelArg,
};
use cudarc::nvrtc::Ptx;
use ponens_compiler::codegen::cuda::{self, Element, THREADS};
use ponens_compiler::lir::Plan;
use std::collections::HashMap;
use std::sync::Arc;

fn failed(call: &'static str) -> impl Fn(DriverError) -> KernelError {
    move |e| KernelError::Cuda { call, reason: format!("{:?}", e.0) }
}

/// A card, opened.
#[derive(Clone, Debug)]
pub struct Device {
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    arch: Arch,
}

impl Device {
    /// Opens the card of that index.
    ///
    /// # Errors
    /// [`KernelError::Missing`] without a driver, [`KernelError::NoDevice`] without a card;
    /// [`KernelError::Arch`] for one that is too old.
    pub fn open(index: usize) -> Result<Self, KernelError> {
        driver()?;
        let context = CudaContext::new(index)
            .map_err(|e| KernelError::NoDevice { index, reason: format!("{:?}", e.0) })?;
        let (major, minor) = context
            .compute_capability()
            .map_err(failed("reading the card's compute capability"))?;
        let arch = Arch::of(major.unsigned_abs(), minor.unsigned_abs())?;
        let stream = context.default_stream();
        Ok(Self { context, stream, arch })
    }

    /// The card's architecture.
    pub fn arch(&self) -> Arch {
        self.arch
    }

    /// The card's name.
    ///
    /// # Errors
    /// The driver failed.
    pub fn name(&self) -> Result<String, KernelError> {
        self.context.name().map_err(failed("reading the card's name"))
    }

    /// Compiles the kernels of a loss for this card, or takes them from the cache, and loads them.
    ///
    /// # Errors
    /// NVRTC is missing, or the card refuses the program.
    pub fn load(
        &self,
        plan: &Plan,
        elements: &[Element],
        cache: Option<&Cache>,
    ) -> Result<Program, KernelError> {
        self.load_text(&cuda::emit(plan, elements), cache)
    }

    /// Compiles and loads any program.
    ///
    /// # Errors
    /// As for [`Device::load`].
    pub fn load_text(&self, source: &str, cache: Option<&Cache>) -> Result<Program, KernelError> {
        let compiler = Compiler::find()?;
        let code = match cache {
            Some(cache) => cache.compile(&compiler, source, self.arch, Form::Cubin)?,
            None => compiler.compile(source, self.arch, Form::Cubin)?,
        };
        let module = self.context.load_module(Ptx::from_binary(code.code));
        let module = module.map_err(failed("loading the kernels"))?;
        Ok(Program { device: self.clone(), module, functions: HashMap::new() })
    }
}

/// The kernels of one program on a card.
#[derive(Debug)]
pub struct Program {
    device: Device,
    module: Arc<CudaModule>,
    functions: HashMap<String, CudaFunction>,
}

/// Memory of a card.
#[derive(Debug)]
pub struct Memory {
    /// At least one byte, so that there is an address.
    slice: CudaSlice<u8>,
    length: usize,
}

#[allow(unsafe_code)]
impl Machine for Program {
    type Buffer = Memory;

    fn upload(&mut self, bytes: &[u8]) -> Result<Memory, KernelError> {
        let length = bytes.len();
        let padded = if bytes.is_empty() { &[0][..] } else { bytes };
        let slice = self.device.stream.clone_htod(padded).map_err(failed("copying to the card"))?;
        Ok(Memory { slice, length })
    }

    fn reserve(&mut self, bytes: usize) -> Result<Memory, KernelError> {
        // SAFETY: the contents are undefined until a kernel has written them; every kernel writes what
        // it is given as a result before anything reads it: the interpreter of the tests checks that.
        let slice = unsafe { self.device.stream.alloc::<u8>(bytes.max(1)) };
        Ok(Memory { slice: slice.map_err(failed("reserving memory on the card"))?, length: bytes })
    }

    fn zeros(&mut self, bytes: usize) -> Result<Memory, KernelError> {
        let slice = self.device.stream.alloc_zeros::<u8>(bytes.max(1));
        Ok(Memory { slice: slice.map_err(failed("reserving memory on the card"))?, length: bytes })
    }

    fn download(&mut self, buffer: &Memory) -> Result<Vec<u8>, KernelError> {
        let bytes = self.device.stream.clone_dtoh(&buffer.slice);
        let mut bytes = bytes.map_err(failed("copying from the card"))?;
        bytes.truncate(buffer.length);
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
                Argument::Buffer(b) => builder.arg(&b.slice),
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
