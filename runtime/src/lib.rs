//! Runs compiled losses and trains language models with them.

pub mod generate;
pub mod logprob;
pub mod model;
pub mod tokenizer;
