//! Runs compiled losses and trains language models with them.

pub mod data;
pub mod demo;
pub mod device;
pub mod files;
pub mod generate;
pub mod kernel;
pub mod logprob;
pub mod model;
pub mod op;
pub mod optim;
pub mod report;
pub mod tokenizer;
pub mod train;
pub mod yardstick;
