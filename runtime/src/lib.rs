//! (in the making)

pub mod data;
pub mod op;
pub mod optim;
