//! Circuits in log space: products are sums, sums are logaddexp, complements log1mexp.

use super::{Circuit, Node};
use crate::mir::{Binary, Graph, NodeId, Unary};

/// Adds the log of a circuit's count to a graph and returns its node.
///
/// `atoms` are the nodes of the atoms' log-probabilities, each in (-inf, 0]; an atom beyond them has
/// probability one. Only additions, log1mexp (of values that the interval analysis proves non-positive)
/// and logaddexp are used, so the result is total; the log of an impossible function is `log 0`.
pub fn lower_log(circuit: &Circuit, graph: &mut Graph, atoms: &[NodeId]) -> NodeId {
    let mut values: Vec<NodeId> = Vec::with_capacity(circuit.nodes().len());
    for node in circuit.nodes() {
        let value = match node {
            Node::Constant(true) => graph.constant(0.0),
            Node::Constant(false) => impossible(graph),
            Node::Literal { atom, positive } => literal(graph, atoms, *atom, *positive),
            Node::Product(parts) => fold(graph, Binary::Add, parts.iter().map(|i| values[*i])),
            Node::Sum(parts) => fold(graph, Binary::LogAddExp, parts.iter().map(|i| values[*i])),
            Node::Complement(part) => graph.unary(Unary::Log1mExp, values[*part]),
        };
        values.push(value);
    }
    match values.get(circuit.root()) {
        Some(root) => *root,
        None => impossible(graph),
    }
}

/// The log-weight of a literal.
pub(super) fn literal(graph: &mut Graph, atoms: &[NodeId], atom: usize, positive: bool) -> NodeId {
    let weight = match atoms.get(atom) {
        Some(node) => *node,
        None => graph.constant(0.0),
    };
    if positive { weight } else { graph.unary(Unary::Log1mExp, weight) }
}

/// The log of 0: constants are finite.
pub(super) fn impossible(graph: &mut Graph) -> NodeId {
    let zero = graph.constant(0.0);
    graph.unary(Unary::Log, zero)
}

fn fold(graph: &mut Graph, op: Binary, mut parts: impl Iterator<Item = NodeId>) -> NodeId {
    let first = parts.next();
    let neutral = match (first, op) {
        (Some(first), _) => first,
        (None, Binary::Add) => graph.constant(0.0),
        (None, _) => impossible(graph),
    };
    parts.fold(neutral, |sum, part| graph.binary(op, sum, part))
}
