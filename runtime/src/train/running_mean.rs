//! Means over all examples of a run so far: the state of losses such as BCO.
//!
//! In: the columns of a batch, and the state before it. Out: the same columns with the means filled in, and
//! the state after it. A batch counts in the mean that its own loss reads, as in the losses' first
//! implementations; the mean of nothing is 0. Invariant: the state is a sum and a count, so a run that
//! resumes from both goes on bit for bit.

use serde::{Deserialize, Serialize};

use crate::op::{LossKernel, RuntimeError};

/// A mean and how much it rests on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Running {
    sum: f64,
    count: u64,
}

impl Running {
    pub(super) fn mean(self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum / self.count as f64 }
    }
}

/// Takes a batch into the means and fills their columns with them; the state after the batch.
///
/// # Errors
/// If the kernel cannot be evaluated on the columns.
pub(super) fn advance(
    kernel: &dyn LossKernel,
    past: &[Running],
    columns: &mut [Vec<f64>],
) -> Result<Vec<Running>, RuntimeError> {
    let mut after = Vec::with_capacity(kernel.running().len());
    for (i, mean) in kernel.running().iter().enumerate() {
        let values = mean.values(columns)?;
        let old = past.get(i).copied().unwrap_or_default();
        let sum = values.iter().fold(old.sum, |sum, x| sum + x);
        after.push(Running { sum, count: old.count + values.len() as u64 });
    }
    hold(kernel, &after, columns);
    Ok(after)
}

/// Fills the columns of the means as they stand.
pub(super) fn hold(kernel: &dyn LossKernel, state: &[Running], columns: &mut [Vec<f64>]) {
    for (i, mean) in kernel.running().iter().enumerate() {
        if let Some(column) = columns.get_mut(mean.input()) {
            column.fill(state.get(i).copied().unwrap_or_default().mean());
        }
    }
}
