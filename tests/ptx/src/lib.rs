//! An interpreter of PTX, for tests: what NVRTC made of a kernel runs here without a GPU.
//!
//! Why: text that compiles may still read past a row, load 16 bytes from an unaligned address, miss a
//! barrier, or shuffle with lanes that have left. A GPU runs much of that silently. In: PTX text and
//! buffers. Out: the buffers as a GPU would leave them, or a [`Fault`] that names the kernel, the block,
//! the thread and the instruction. What is checked: bounds and alignment of every access; reads of
//! shared or global memory that nothing has written; data races in shared and global memory between
//! barriers; shuffle masks; barriers that not all threads reach.
//!
//! Invariant: a run is deterministic. The approximate instructions of the hardware (`ex2.approx`,
//! `lg2.approx`) are computed to the nearest f32 instead.

mod arithmetic;
mod convert;
mod fault;
mod instruction;
mod machine;
mod matrix;
mod memory;
mod parse;
mod schedule;

pub use fault::{Fault, ParseError};
pub use machine::{Argument, Launch, Statistics, launch};
pub use memory::{Buffer, Memory};
pub use parse::{Kernel, Module, parse};
