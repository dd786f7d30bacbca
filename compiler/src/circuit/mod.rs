//! Weighted model counting of Boolean functions, in log space.

use crate::logic::{Fraction, Table, conjuncts};
use crate::mir::{Binary, Graph, NodeId, Unary};

/// log WMC(wins) - log WMC(loses) with common factors cancelled and like factors paired.
pub fn lower_ratio(wins: Table, loses: Table, graph: &mut Graph, atoms: &[NodeId]) -> NodeId {
    let n = atoms.len();
    let f = Fraction::reduced(wins, loses, n);
    let logs = |graph: &mut Graph, t: Table| -> Vec<NodeId> {
        let mut factors = conjuncts(t, n);
        factors.sort_by_key(|c| (c.count(), *c));
        factors.into_iter().map(|c| log_count(c, graph, atoms)).collect()
    };
    let (tops, bottoms) = (logs(graph, f.numerator), logs(graph, f.denominator));
    let mut sum: Option<NodeId> = None;
    let mut add = |graph: &mut Graph, x: NodeId| {
        sum = Some(match sum {
            None => x,
            Some(s) => graph.binary(Binary::Add, s, x),
        });
    };
    for i in 0..tops.len().max(bottoms.len()) {
        let x = match (tops.get(i), bottoms.get(i)) {
            (Some(t), Some(b)) => graph.binary(Binary::Sub, *t, *b),
            (Some(t), None) => *t,
            (None, Some(b)) => graph.unary(Unary::Neg, *b),
            (None, None) => continue,
        };
        add(graph, x);
    }
    match sum {
        Some(s) => s,
        None => graph.constant(0.0),
    }
}

fn log_count(t: Table, graph: &mut Graph, atoms: &[NodeId]) -> NodeId {
    let n = atoms.len();
    let factors = conjuncts(t, n);
    if factors.len() > 1 {
        let logs: Vec<NodeId> = factors.iter().map(|f| log_count(*f, graph, atoms)).collect();
        return logs.into_iter().reduce(|a, b| graph.binary(Binary::Add, a, b)).unwrap_or(atoms[0]);
    }
    for (i, a) in atoms.iter().enumerate() {
        if t == Table::var(i, n) {
            return *a;
        }
        if t == Table::var(i, n).not(n) {
            return graph.unary(Unary::Log1mExp, *a);
        }
    }
    let complement = t.not(n);
    let parts = conjuncts(complement, n);
    if parts.len() > 1 {
        let c = log_count(complement, graph, atoms);
        return graph.unary(Unary::Log1mExp, c);
    }
    let i = (0..n).find(|i| t.depends_on(*i, n)).unwrap_or(0);
    let mut side = |value: bool, weight: NodeId| {
        let c = t.cofactor(i, value, n);
        if c.is_true(n) {
            return Some(weight);
        }
        if c.is_false() {
            return None;
        }
        let rest = log_count(c, graph, atoms);
        Some(graph.binary(Binary::Add, weight, rest))
    };
    let high = side(true, atoms[i]);
    let minus = graph.unary(Unary::Log1mExp, atoms[i]);
    let mut side = |value: bool, weight: NodeId| {
        let c = t.cofactor(i, value, n);
        if c.is_true(n) {
            return Some(weight);
        }
        if c.is_false() {
            return None;
        }
        let rest = log_count(c, graph, atoms);
        Some(graph.binary(Binary::Add, weight, rest))
    };
    let low = side(false, minus);
    match (high, low) {
        (Some(h), Some(l)) => graph.binary(Binary::LogAddExp, h, l),
        (Some(x), None) | (None, Some(x)) => x,
        (None, None) => graph.constant(f64::MIN),
    }
}
