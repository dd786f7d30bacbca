//! Runs compiled losses and trains language models with them.

pub mod logprob;
pub mod model;
