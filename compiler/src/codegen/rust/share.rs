//! Transcendental functions that several nodes of one loop body have in common.
//!
//! Why: a loss and its gradient ask for different functions of the same numbers, and what these are made
//! of is most of their cost. In: the nodes of one body. Out: for each node what it is computed from:
//!
//! | group | its members | in common |
//! |---|---|---|
//! | of x and -x | softplus, sigmoid | e^-\|x\|, and ln(1 + e^-\|x\|) where both are asked for softplus |
//! | of a | log1mexp, expm1 | the exponential of the branch that a lies in |
//!
//! Invariant: what is shared has the bits that each node would compute by itself.

use crate::mir::{Graph, NodeId, Op, Unary};
use std::collections::{BTreeMap, BTreeSet};

/// How a node of a group is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Member {
    /// softplus(±x) from ln(1 + e^-|x|).
    SoftplusOfLog(NodeId),
    /// softplus(±x) from e^-|x|.
    Softplus(NodeId),
    /// sigmoid(±x) from e^-|x|.
    Sigmoid(NodeId),
    /// log1mexp(a), with the node that is expm1(a), or the reverse.
    Complement {
        /// log1mexp(a)
        log: NodeId,
        /// expm1(a)
        difference: NodeId,
    },
}

/// A number or pair of numbers that is written before the first node that needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// e^-|x|
    Exponential(NodeId),
    /// ln(1 + e^-|x|), from the one above.
    Log(NodeId),
    /// The two nodes log1mexp(a) and expm1(a).
    Complement(NodeId, NodeId),
}

/// The groups of one body.
#[derive(Debug, Default)]
pub(super) struct Shared {
    members: BTreeMap<NodeId, Member>,
    written: BTreeSet<Part>,
}

impl Shared {
    pub(super) fn of(graph: &Graph, nodes: &[NodeId]) -> Self {
        let mut logistic: BTreeMap<NodeId, Vec<(NodeId, Unary)>> = BTreeMap::new();
        let mut complement: BTreeMap<NodeId, Vec<(NodeId, Unary)>> = BTreeMap::new();
        for &id in nodes {
            let Op::Unary(op, a) = graph.node(id).op else { continue };
            let (groups, base) = match op {
                Unary::Softplus | Unary::Sigmoid => (&mut logistic, without_sign(graph, a)),
                Unary::Log1mExp | Unary::Expm1 => (&mut complement, a),
                _ => continue,
            };
            groups.entry(base).or_default().push((id, op));
        }
        let mut members = BTreeMap::new();
        for (base, list) in logistic.into_iter().filter(|(_, list)| list.len() > 1) {
            let logs = list.iter().filter(|(_, op)| *op == Unary::Softplus).count();
            members.extend(list.into_iter().map(|(id, op)| match op {
                Unary::Sigmoid => (id, Member::Sigmoid(base)),
                _ if logs > 1 => (id, Member::SoftplusOfLog(base)),
                _ => (id, Member::Softplus(base)),
            }));
        }
        for list in complement.into_values() {
            let of = |wanted| list.iter().find(|(_, op)| *op == wanted).map(|(id, _)| *id);
            if let (Some(log), Some(difference)) = (of(Unary::Log1mExp), of(Unary::Expm1)) {
                let both = Member::Complement { log, difference };
                members.extend([(log, both), (difference, both)]);
            }
        }
        Self { members, written: BTreeSet::new() }
    }

    /// How the node is computed, if it shares something.
    pub(super) fn member(&self, id: NodeId) -> Option<Member> {
        self.members.get(&id).copied()
    }

    /// What has to be written before the node, in order.
    pub(super) fn missing(&mut self, id: NodeId) -> Vec<Part> {
        let parts = match self.member(id) {
            None => vec![],
            Some(Member::Softplus(x) | Member::Sigmoid(x)) => vec![Part::Exponential(x)],
            Some(Member::SoftplusOfLog(x)) => vec![Part::Exponential(x), Part::Log(x)],
            Some(Member::Complement { log, difference }) => {
                vec![Part::Complement(log, difference)]
            }
        };
        parts.into_iter().filter(|p| self.written.insert(*p)).collect()
    }
}

/// The operand of a negation, and of a negation of it.
fn without_sign(graph: &Graph, mut id: NodeId) -> NodeId {
    while let Op::Unary(Unary::Neg, a) = graph.node(id).op {
        id = a;
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mir::{Input, Interval, Level};

    /// A graph over one column, and its nodes for these functions of x or -x.
    fn functions(list: &[(Unary, bool)]) -> (Graph, Vec<NodeId>, NodeId) {
        let mut g = Graph::new("functions");
        g.inputs.push(Input {
            name: "x".into(),
            level: Level::Example,
            range: Interval::LOG_PROB,
            differentiable: true,
        });
        let x = g.add(Op::Input(0));
        let minus = g.unary(Unary::Neg, x);
        let nodes = list.iter().map(|(op, sign)| g.unary(*op, if *sign { minus } else { x }));
        let nodes = nodes.collect();
        (g, nodes, x)
    }

    #[test]
    fn both_signs_of_softplus_share_a_logarithm() {
        use Unary::{Sigmoid, Softplus};
        let (g, nodes, x) = functions(&[(Sigmoid, true), (Softplus, true), (Softplus, false)]);
        let mut shared = Shared::of(&g, &nodes);
        assert_eq!(shared.member(nodes[0]), Some(Member::Sigmoid(x)));
        assert_eq!(shared.member(nodes[1]), Some(Member::SoftplusOfLog(x)));
        assert_eq!(shared.missing(nodes[0]), [Part::Exponential(x)]);
        assert_eq!(shared.missing(nodes[1]), [Part::Log(x)], "the exponential stands there");
        assert_eq!(shared.missing(nodes[2]), []);
        let (g, nodes, x) = functions(&[(Sigmoid, false), (Softplus, true)]);
        assert_eq!(Shared::of(&g, &nodes).member(nodes[1]), Some(Member::Softplus(x)));
        let (g, nodes, _) = functions(&[(Softplus, true)]);
        assert_eq!(Shared::of(&g, &nodes).member(nodes[0]), None, "nobody to share with");
    }

    #[test]
    fn the_complement_of_one_number_is_one_group() {
        use Unary::{Expm1, Log1mExp};
        let (g, nodes, _) = functions(&[(Expm1, false), (Log1mExp, false), (Expm1, true)]);
        let mut shared = Shared::of(&g, &nodes);
        let both = Part::Complement(nodes[1], nodes[0]);
        assert_eq!(shared.missing(nodes[0]), [both]);
        assert_eq!(shared.missing(nodes[1]), []);
        assert_eq!(shared.member(nodes[2]), None, "another number");
        // A body sees what it computes itself: what another has computed is read from there.
        assert_eq!(Shared::of(&g, &nodes[1..2]).member(nodes[1]), None);
    }
}
