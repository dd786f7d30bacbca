//! Where threads wait for each other: shuffles within a warp, barriers within a block.

use crate::fault::Fault;
use crate::instruction::{Operation, Shuffle};
use crate::machine::{Block, State};
use crate::matrix;

/// Lets the threads go on that no longer have to wait; true when all have ended.
///
/// # Errors
/// No thread can go on, or threads wait where they must not.
pub(crate) fn release(block: &mut Block<'_>) -> Result<bool, Fault> {
    let mut moved = false;
    for first in (0..block.states.len()).step_by(32) {
        moved |= shuffle(block, first)? || matrix::multiply(block, first)?;
    }
    if moved {
        return Ok(false);
    }
    let at = |s: State| block.states.iter().position(|x| *x == s);
    if let Some(thread) = at(State::AtShuffle) {
        return Err(block.fault(thread, "waits for lanes of its warp that do not come"));
    }
    let Some(waiting) = at(State::AtBarrier) else { return Ok(true) };
    if let Some(done) = at(State::Done) {
        let reason = format!("waits at a barrier that thread {done} left out: it has ended");
        return Err(block.fault(waiting, reason));
    }
    if let Some(other) = block.next.iter().position(|pc| *pc != block.next[waiting]) {
        let reason = format!("waits at a barrier while thread {other} waits at another one");
        return Err(block.fault(waiting, reason));
    }
    block.epoch += 1;
    block.states.fill(State::Running);
    block.next.iter_mut().for_each(|pc| *pc += 1);
    Ok(false)
}

/// One lane's part of a shuffle.
struct Lane {
    value: u64,
    by: u32,
    clamp: u32,
    mask: u32,
}

/// Carries out the shuffles of a warp that all their lanes have reached; true when there was one.
fn shuffle(block: &mut Block<'_>, first: usize) -> Result<bool, Fault> {
    let end = (first + 32).min(block.states.len());
    let lanes: Vec<Option<Lane>> = (first..end).map(|thread| lane(block, thread)).collect();
    let mut moved = false;
    for leader in 0..lanes.len() {
        let Some(Lane { mask, .. }) = lanes[leader] else { continue };
        if block.states[first + leader] != State::AtShuffle {
            continue;
        }
        if mask >> leader & 1 == 0 {
            return Err(block.fault(
                first + leader,
                format!("shuffles with mask {mask:#x}, which leaves it out"),
            ));
        }
        let members: Vec<usize> = (0..32).filter(|l| mask >> l & 1 == 1).collect();
        if let Some(missing) =
            members.iter().find(|l| first + **l >= end || block.states[first + **l] == State::Done)
        {
            let reason = format!("shuffles with lane {missing}, which has ended or does not exist");
            return Err(block.fault(first + leader, reason));
        }
        let here = block.next[first + leader];
        let there = |l: &usize| {
            let thread = first + *l;
            block.next[thread] == here && lanes[*l].as_ref().is_some_and(|x| x.mask == mask)
        };
        if members.iter().all(there) {
            exchange(block, first, &lanes, &members)?;
            moved = true;
        }
    }
    Ok(moved)
}

fn lane(block: &Block<'_>, thread: usize) -> Option<Lane> {
    if block.states[thread] != State::AtShuffle {
        return None;
    }
    let instruction = block.kernel.code.get(block.next[thread])?;
    let Operation::Shuffle { from, by, clamp, mask, .. } = instruction.operation else {
        return None;
    };
    let v = |s| block.value(thread, s);
    Some(Lane { value: v(from), by: v(by) as u32, clamp: v(clamp) as u32, mask: v(mask) as u32 })
}

fn exchange(
    block: &mut Block<'_>,
    first: usize,
    lanes: &[Option<Lane>],
    members: &[usize],
) -> Result<(), Fault> {
    for &own in members {
        let thread = first + own;
        let instruction = &block.kernel.code[block.next[thread]];
        let Operation::Shuffle { mode, to, valid, .. } = instruction.operation else { continue };
        let Some(Lane { by, clamp, .. }) = lanes[own] else { continue };
        let (segment, clamp) = (clamp >> 8 & 31, clamp & 31);
        let lane = own as u32;
        let high = (lane & segment) | (clamp & !segment);
        let low = lane & segment;
        let (source, inside) = match mode {
            Shuffle::Up => (lane.wrapping_sub(by), lane >= by && lane.wrapping_sub(by) >= high),
            Shuffle::Down => (lane + by, lane + by <= high),
            Shuffle::Butterfly => (lane ^ by, lane ^ by <= high),
            Shuffle::Index => (low | (by & !segment), low | (by & !segment) <= high),
        };
        let source = if inside { source as usize } else { own };
        let value = match lanes.get(source) {
            Some(Some(l)) if members.contains(&source) => l.value,
            _ => {
                return Err(block
                    .fault(thread, format!("shuffles from lane {source}, which takes no part")));
            }
        };
        block.set(thread, to, value);
        if let Some(valid) = valid {
            block.set(thread, valid, u64::from(inside));
        }
    }
    for own in members {
        block.states[first + own] = State::Running;
        block.next[first + own] += 1;
    }
    Ok(())
}
