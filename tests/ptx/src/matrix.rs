//! The tensor cores: `mma.sync.m16n8k16`, a product of small matrices by a whole warp.
//!
//! The parts of the lanes, with g = lane / 4 and t = lane % 4: A [16, 16] holds in its four registers the
//! rows g, g + 8, g, g + 8 at columns 2t, 2t, 2t + 8, 2t + 8 and the ones after them; B [16, 8] holds
//! column g at rows 2t and 2t + 8 and the ones after them; C and D [16, 8] hold rows g, g, g + 8,
//! g + 8 at columns 2t, 2t + 1, 2t, 2t + 1. Products are exact, sums are in f64 and rounded once.

use crate::arithmetic::Word;
use crate::fault::Fault;
use crate::instruction::{Operation, Source};
use crate::machine::{Block, State};
use half::{bf16, f16};

/// Carries out a warp's product if all its lanes have reached it.
///
/// # Errors
/// A lane has ended, or never existed.
pub(crate) fn multiply(block: &mut Block<'_>, first: usize) -> Result<bool, Fault> {
    let end = (first + 32).min(block.states.len());
    let at = |thread: usize| {
        let instruction = block.kernel.code.get(block.next[thread]);
        let waits = block.states[thread] == State::AtShuffle;
        instruction.filter(|i| waits && matches!(i.operation, Operation::Multiply { .. }))
    };
    let Some(leader) = (first..end).find(|t| at(*t).is_some()) else { return Ok(false) };
    if end - first < 32 || block.states[first..end].contains(&State::Done) {
        return Err(
            block.fault(leader, "multiplies matrices in a warp whose lanes have not all come")
        );
    }
    let here = block.next[leader];
    if (first..end).any(|t| at(t).is_none() || block.next[t] != here) {
        return Ok(false);
    }
    let kernel = block.kernel;
    let Operation::Multiply { bf16, to, a, b, c } = &kernel.code[here].operation else {
        return Ok(false);
    };
    let half = |bits: u64| {
        let bits = bits as u16;
        if *bf16 { bf16::from_bits(bits).to_f64() } else { f16::from_bits(bits).to_f64() }
    };
    let (mut left, mut right) = ([[0.0; 16]; 16], [[0.0; 8]; 16]);
    for lane in 0..32 {
        let (g, t) = (lane / 4, lane % 4 * 2);
        let read = |s: &Source| block.value(first + lane, *s);
        for (i, source) in a.iter().enumerate() {
            let (row, column) = (g + i % 2 * 8, t + i / 2 * 8);
            let bits = read(source);
            (left[row][column], left[row][column + 1]) = (half(bits), half(bits >> 16));
        }
        for (i, source) in b.iter().enumerate() {
            let bits = read(source);
            (right[t + i * 8][g], right[t + i * 8 + 1][g]) = (half(bits), half(bits >> 16));
        }
    }
    for lane in 0..32 {
        let thread = first + lane;
        let addends = c.map(|s| f64::from(f32::get(block.value(thread, s))));
        for (i, (to, addend)) in to.iter().zip(addends).enumerate() {
            let (row, column) = (lane / 4 + i / 2 * 8, lane % 4 * 2 + i % 2);
            let sum: f64 = (0..16).map(|k| left[row][k] * right[k][column]).sum();
            block.set(thread, *to, ((addend + sum) as f32).put());
        }
        block.states[thread] = State::Running;
        block.next[thread] += 1;
    }
    Ok(true)
}
