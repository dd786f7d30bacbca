//! Runs compiled losses and trains language models with them.

pub mod data;
pub mod logprob;
pub mod model;
pub mod op;
pub mod optim;
pub mod train;
