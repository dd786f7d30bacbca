//! Kernels of a graphics processor: compiled when they are needed, kept on disk, launched.
//!
//! Why: one loss text gives the fused kernels that libraries write by hand, once a loss; they are
//! compiled for the card at hand. In: the text of [`ponens_compiler::codegen::cuda`] and a plan. Out:
//! PTX or a CUBIN, from NVRTC or from the [`Cache`]; and the losses and gradients of a batch, from any
//! [`Machine`] that runs them. Invariants: nothing here needs CUDA to build; a missing library is an
//! error that says what was looked for, never a panic; a kernel that does not compile brings the
//! compiler's log and the text; nothing is launched before all arguments are checked.

mod arch;
mod cache;
mod compile;
mod error;
mod launch;
mod library;
mod resources;
mod rows;
mod step;

pub use arch::Arch;
pub use cache::Cache;
#[cfg(feature = "cuda")]
pub(crate) use cache::key;
pub use compile::{Compiled, Compiler, Form};
pub use error::KernelError;
pub use launch::{Argument, Machine, Outputs, evaluate};
pub use library::NVRTC_VARIABLE;
pub(crate) use library::driver;
pub use resources::{Resources, resources};
pub(crate) use rows::row_of;
pub use rows::{Logits, Rows};
pub use step::{Step, step};
