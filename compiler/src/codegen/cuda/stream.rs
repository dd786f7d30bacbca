//! The streaming kernels: the same for every loss.

/// Row statistics and the backward pass over logits `[rows, vocabulary]` in f32, row-major.
pub(super) const KERNELS: &str = include_str!("stream.cu");
