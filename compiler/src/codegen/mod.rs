//! Back ends, one folder a target. A verified graph never makes one of them panic.

pub mod candle;
pub mod cuda;
mod fingerprint;
mod head;
pub mod interp;
pub mod latex;
pub mod rust;
pub mod torch;

pub use fingerprint::fingerprint;
pub use head::Header;
