//! (in the making)

pub mod op;
pub mod optim;
