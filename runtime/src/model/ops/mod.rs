//! The model's differentiable operations.
//!
//! Each is one function on tensors. On the CPU it is a custom operation with an analytic backward pass
//! that writes what is needed and nothing else; on other devices it is composed of tensor operations,
//! which is also the second opinion that the tests hold the custom one against.
//!
//! Activations are `[tokens, features]`, with the tokens of all sequences one after another: there is
//! no padding anywhere, and only rotary embedding and attention know where a sequence begins.

pub mod attention;
pub mod linear;
pub mod lora_linear;
pub(crate) mod matmul;
pub mod rms_norm;
pub mod rope;
pub(crate) mod slices;
pub mod swiglu;
pub mod weight;

pub use attention::{Span, attention};
pub use linear::{frozen_linear, linear, map_linear};
pub use lora_linear::lora_linear;
pub use rms_norm::rms_norm;
pub use rope::{RotaryTable, rope};
pub use swiglu::swiglu;
pub use weight::{MapWeight, PackedMatrix};

#[cfg(test)]
pub(crate) mod check;
