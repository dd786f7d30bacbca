//! The norm of all gradients together.

use candle_core::{DType, Storage, Tensor};
use rayon::prelude::*;

use crate::op::RuntimeError;

// Fixed, so that the order of additions, and with it the last bit, does not depend on the thread count.
const BLOCK: usize = 1 << 16;

fn square_sum(gradient: &Tensor) -> Result<f64, RuntimeError> {
    let gradient = gradient.contiguous()?;
    let (storage, layout) = gradient.storage_and_layout();
    if let (Storage::Cpu(cpu), DType::F32, Some((start, end))) =
        (&*storage, gradient.dtype(), layout.contiguous_offsets())
    {
        let values = &cpu.as_slice::<f32>()?[start..end];
        let blocks: Vec<f64> = values
            .par_chunks(BLOCK)
            .map(|c| c.iter().map(|&x| f64::from(x) * f64::from(x)).sum())
            .collect();
        return Ok(blocks.into_iter().sum());
    }
    drop(storage);
    let squares = gradient.to_dtype(DType::F64)?.sqr()?.sum_all()?;
    Ok(squares.to_scalar::<f64>()?)
}

/// The Euclidean norm of all gradients taken as one vector; NaN or infinite if any entry is.
///
/// # Errors
/// If a tensor cannot be read.
pub fn global_norm(gradients: &[Tensor]) -> Result<f64, RuntimeError> {
    let squares = gradients.iter().map(square_sum).collect::<Result<Vec<f64>, _>>()?;
    Ok(squares.into_iter().sum::<f64>().sqrt())
}

/// The factor that brings a gradient of this norm down to `limit`; 1 below it, and 1 without a limit.
pub fn clip_factor(norm: f64, limit: Option<f64>) -> f64 {
    match limit {
        Some(limit) if norm > limit => limit / norm,
        _ => 1.0,
    }
}
