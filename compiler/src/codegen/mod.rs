//! (see the crate documentation)
pub mod interp;
