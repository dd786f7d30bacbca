//! Exponentials that several nodes of one loop body have in common.
//!
//! Why: softplus(x), sigmoid(x) and both of -x are all made of e^-|x|, and the exponential is most of
//! their cost; a loss and its gradient need both. In: the nodes of one body. Out: for each of these nodes
//! the x whose e^-|x| it shares. Invariant: the shared number has the bits that each node would compute.

use crate::mir::{Graph, NodeId, Op, Unary};
use std::collections::{BTreeMap, BTreeSet};

/// The shared exponentials of one body.
pub(super) struct Shared {
    bases: BTreeMap<NodeId, NodeId>,
    written: BTreeSet<NodeId>,
}

impl Shared {
    pub(super) fn of(graph: &Graph, nodes: &[NodeId]) -> Self {
        let mut users: BTreeMap<NodeId, Vec<NodeId>> = BTreeMap::new();
        for &id in nodes {
            if let Op::Unary(Unary::Softplus | Unary::Sigmoid, a) = graph.node(id).op {
                users.entry(without_sign(graph, a)).or_default().push(id);
            }
        }
        let several = users.into_iter().filter(|(_, ids)| ids.len() > 1);
        let bases = several.flat_map(|(base, ids)| ids.into_iter().map(move |id| (id, base)));
        Self { bases: bases.collect(), written: BTreeSet::new() }
    }

    /// The x of a node that shares its e^-|x|.
    pub(super) fn base(&self, id: NodeId) -> Option<NodeId> {
        self.bases.get(&id).copied()
    }

    /// The same, at the first node that needs it.
    pub(super) fn first_use(&mut self, id: NodeId) -> Option<NodeId> {
        self.base(id).filter(|base| self.written.insert(*base))
    }
}

/// The operand of a negation, and of a negation of it.
fn without_sign(graph: &Graph, mut id: NodeId) -> NodeId {
    while let Op::Unary(Unary::Neg, a) = graph.node(id).op {
        id = a;
    }
    id
}
