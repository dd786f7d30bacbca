//! Language models that can be trained: where they come from, what they compute, how gradients come
//! back, and how they are kept.
//!
//! In: a checkpoint (GGUF file, Hugging Face folder) or a configuration and a seed; rows of token ids.
//! Out: log-probabilities of completion tokens and gradients of trainable variables
//! ([`CausalLm`]).
//!
//! Why not a model of a library: the usual ones return the logits of the last position only, and their
//! fast operations cut the backward pass silently. Here every operation has an analytic backward pass
//! that is tested, and [`Gradients::assert_all_reached`] says when a variable was not reached.
//!
//! Invariants: weights and activations are f32; a row's numbers do not depend on the rows beside it;
//! a pass that keeps no gradient builds no graph.

mod backward;
mod body;
mod causal_lm;
mod config;
mod config_json;
mod decode;
mod error;
pub mod fetch;
mod gradients;
#[cfg(feature = "hub")]
mod hub;
mod init;
mod llama;
pub mod load;
mod lora;
pub mod ops;
mod passes;
mod rows;
pub mod save;
mod scalar;

pub use body::{PackedWeights, Weights};
pub use causal_lm::{Asked, Backward, CausalLm, NumberWeights, TokenNumbers, TokenWeights};
pub use config::{Architecture, Config, Parameter, RopeScaling};
pub use decode::Decoder;
pub use error::{Error, Result};
pub use fetch::Source;
pub use gradients::Gradients;
pub use init::random_weights;
pub use llama::Llama;
pub use lora::LoraConfig;
pub use rows::Rows;
pub use save::SaveType;
pub use scalar::ScalarHead;

/// The processor, the device that models run on unless another is named.
#[must_use]
pub fn cpu() -> candle_core::Device {
    candle_core::Device::Cpu
}
