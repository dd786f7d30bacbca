//! The order of a batch's work: which loop over the examples computes what.
//!
//! In: a graph whose needed nodes fit the Rust code. Out: a [`Plan`]. Work is cut into phases; within one,
//! batch-level values come first, then one loop over the examples, then what needs all of them (a
//! reduction, a sort). Invariant: a node is computed after its operands, and what a later part of the work
//! reads of every example is kept in a column of scratch.

use super::Refused;
use crate::mir::{Graph, Level, NodeId, Op};
use std::collections::BTreeMap;

/// When a node is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Once, before the loop of its phase.
    Once,
    /// In the loop of its phase.
    Loop,
    /// From all examples, after the loop of its phase.
    Whole,
}

/// The nodes of one phase, each list in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Phase {
    pub(super) once: Vec<NodeId>,
    pub(super) examples: Vec<NodeId>,
    pub(super) whole: Vec<NodeId>,
}

/// The work on one batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub(super) phases: Vec<Phase>,
    /// By node of which every example's value is kept: its column of scratch.
    pub(super) kept: BTreeMap<NodeId, usize>,
    /// True if examples are put in order.
    pub(super) sorts: bool,
}

impl Plan {
    /// How many numbers of scratch one example needs.
    pub fn scratch(&self) -> usize {
        self.kept.len()
    }

    /// True if one index of scratch an example is needed as well.
    pub fn sorts(&self) -> bool {
        self.sorts
    }
}

/// Schedules the needed nodes.
///
/// # Errors
/// [`Refused::Batch`] for an operation along the batch on a value that the batch has once.
pub(super) fn plan(graph: &Graph, needed: &[bool]) -> Result<Plan, Refused> {
    let mut plan = Plan::default();
    let mut at: Vec<(usize, Place)> = Vec::with_capacity(graph.nodes.len());
    for (i, node) in graph.nodes.iter().enumerate() {
        let id = NodeId(i as u32);
        if !needed[i] {
            at.push((0, Place::Once));
            continue;
        }
        let place = place(graph, id)?;
        let after = |o: NodeId| {
            let (phase, place) = at.get(o.0 as usize).copied().unwrap_or((0, Place::Once));
            phase + usize::from(place == Place::Whole)
        };
        let phase = node.op.operands().map(after).max().unwrap_or(0);
        at.push((phase, place));
        // Constants and uniform values are there from the start.
        if node.level == Level::Uniform {
            continue;
        }
        plan.sorts |= matches!(node.op, Op::Sort(_) | Op::Unsort(..));
        if plan.phases.len() <= phase {
            plan.phases.resize_with(phase + 1, Phase::default);
        }
        let phase_of = &mut plan.phases[phase];
        match place {
            Place::Once => phase_of.once.push(id),
            Place::Loop => phase_of.examples.push(id),
            Place::Whole => phase_of.whole.push(id),
        }
        if place == Place::Whole && node.level == Level::Example {
            keep(&mut plan.kept, id);
        }
        for o in node.op.operands().filter(|o| graph.node(*o).level == Level::Example) {
            let (made, _) = at[o.0 as usize];
            if place == Place::Whole || made < phase {
                keep(&mut plan.kept, o);
            }
        }
    }
    Ok(plan)
}

fn keep(kept: &mut BTreeMap<NodeId, usize>, id: NodeId) {
    let next = kept.len();
    kept.entry(id).or_insert(next);
}

fn place(graph: &Graph, id: NodeId) -> Result<Place, Refused> {
    let node = graph.node(id);
    let along = match node.op {
        Op::Reduce(_, a) | Op::Count(a) => Some((a, "a reduction", node.level < Level::Example)),
        Op::Sort(a) | Op::Unsort(_, a) => Some((a, "batch_sort", node.level == Level::Example)),
        Op::SuffixSum(a) | Op::PrefixSum(a) => {
            Some((a, "a running sum", node.level == Level::Example))
        }
        Op::Shift(a, _) => Some((a, "a shift", node.level == Level::Example)),
        _ => None,
    };
    match along {
        Some((a, _, true)) if graph.node(a).level == Level::Example => Ok(Place::Whole),
        Some((_, operation, _)) => Err(Refused::Batch { operation }),
        None if node.level == Level::Example => Ok(Place::Loop),
        None => Ok(Place::Once),
    }
}
