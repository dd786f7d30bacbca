//! The fused operations on a graphics processor.
//!
//! Why: logits that live on a card are never copied to the host; what crosses over is a few numbers a
//! row. In: logits, or hidden states and the head, in the memory of a [`Machine`] whose program is
//! [`logits::program`] or [`hidden::program`]; and what the fused operations on the CPU take. Out: the
//! same loss and gradients. The sums over tokens and the loss with its derivatives are evaluated on the
//! host in f64, by the code that the operations on the CPU use: any loss and any assignment of rows to
//! sequences works, and one definition serves both.
//!
//! Invariants: nothing is launched before all shapes and labels are checked; nothing of the vocabulary's
//! size is overwritten before all rows that count were found finite. The same code runs on a card
//! (through the tensor library's storage, with the feature `cuda`) and on the interpreter of the tests.

#[cfg(feature = "cuda")]
pub(super) mod card;
pub mod hidden;
pub mod logits;

use super::{RuntimeError, TokenRows};
use crate::kernel::Machine;

/// Blocks of a kernel at most: enough to fill any card several times over.
const MOST: u32 = 1 << 16;

fn blocks(items: usize, per_block: usize) -> u32 {
    u32::try_from(items.div_ceil(per_block.max(1))).unwrap_or(u32::MAX).clamp(1, MOST)
}

/// The targets as the kernels take them: -1 where a row does not count.
fn targets<M: Machine>(machine: &mut M, rows: &TokenRows) -> Result<M::Buffer, RuntimeError> {
    let all = rows.targets().iter().zip(rows.sequence());
    // Checked against a vocabulary that fits in 31 bits.
    let bytes: Vec<u8> = all.flat_map(|(t, s)| s.map_or(-1, |_| *t as i32).to_le_bytes()).collect();
    Ok(machine.upload(&bytes)?)
}

/// Targets are 32 bits with a sign on a card.
fn check_vocabulary(vocabulary: usize) -> Result<(), RuntimeError> {
    if i32::try_from(vocabulary).is_ok() {
        return Ok(());
    }
    let reason = format!("a vocabulary of {vocabulary} does not fit in 31 bits");
    Err(RuntimeError::argument("logits", reason))
}

fn floats<M: Machine>(machine: &mut M, buffer: &M::Buffer) -> Result<Vec<f32>, RuntimeError> {
    let bytes = machine.download(buffer)?;
    let word = |c: &[u8]| f32::from_le_bytes([c[0], c[1], c[2], c[3]]);
    Ok(bytes.chunks_exact(4).map(word).collect())
}

fn upload<M: Machine>(machine: &mut M, values: &[f32]) -> Result<M::Buffer, RuntimeError> {
    let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    Ok(machine.upload(&bytes)?)
}
