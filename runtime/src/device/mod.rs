//! A graphics processor.
//!
//! Why: the machine that the kernels are written for. In: a plan; its kernels are compiled for the card and
//! kept in the [`Cache`]. Out: a [`Program`], which launches in order on one stream. Invariants: opening a
//! card where there is none is an error that says what is missing; every launch names a kernel of the
//! loaded program.

mod program;

pub use program::{Memory, Program};

use crate::kernel::{Arch, Cache, Compiler, Form, KernelError, driver};
use cudarc::driver::{CudaContext, CudaStream, DriverError};
use cudarc::nvrtc::Ptx;
use ponens_compiler::codegen::cuda::{self, Element};
use ponens_compiler::lir::Plan;
use std::sync::Arc;

pub(crate) fn failed(call: &'static str) -> impl Fn(DriverError) -> KernelError {
    move |e| KernelError::Cuda { call, reason: format!("{:?}", e.0) }
}

/// A card, opened.
#[derive(Clone, Debug)]
pub struct Device {
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
        Self::of(context.default_stream())
    }

    /// The card of a stream.
    ///
    /// # Errors
    /// [`KernelError::Arch`] for one that is too old, or the driver failed.
    pub(crate) fn of(stream: Arc<CudaStream>) -> Result<Self, KernelError> {
        let (major, minor) = stream
            .context()
            .compute_capability()
            .map_err(failed("reading the card's compute capability"))?;
        let arch = Arch::of(major.unsigned_abs(), minor.unsigned_abs())?;
        Ok(Self { stream, arch })
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
        self.stream.context().name().map_err(failed("reading the card's name"))
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
        let module = self.stream.context().load_module(Ptx::from_binary(code.code));
        Ok(Program::new(self.clone(), module.map_err(failed("loading the kernels"))?))
    }
}
