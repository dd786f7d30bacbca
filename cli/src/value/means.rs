//! Means from sums, inside the graph.
//!
//! Why: a mean that the data do not hold is the sum divided by the length, and the derivative is wanted
//! with respect to the sum. Put into the graph, both are computed like everything else, in every type
//! and on every back end. In: a graph that reads means. Out: the same function of sums and lengths.

use super::bind::Mean;
use ponens_compiler::mir::{Binary, Graph, Input, Interval, Level, NodeId, Op, Root};

/// The same function with each mean in `means` replaced by sum / max(length, 1).
///
/// The derivative with respect to a mean becomes part of the derivative with respect to its sum.
pub fn from_sums(graph: &Graph, means: &[Mean]) -> Graph {
    if means.is_empty() {
        return graph.clone();
    }
    let mut out = Graph::new(&graph.name);
    out.stage = graph.stage;
    out.params.clone_from(&graph.params);
    out.inputs.clone_from(&graph.inputs);
    let replaced: Vec<Option<&Mean>> =
        graph.inputs.iter().map(|i| means.iter().find(|m| m.mean == i.name)).collect();
    // Inputs that nothing reads any more leave the list; the others keep their order.
    out.inputs.retain(|i| !means.iter().any(|m| m.mean == i.name));
    let real = |m: &Mean| {
        let differentiable = graph.inputs.iter().any(|i| i.name == m.mean && i.differentiable);
        Input {
            name: m.sum.clone(),
            level: Level::Example,
            range: Interval::LOG_PROB,
            differentiable,
        }
    };
    let count = |m: &Mean| Input {
        name: m.len.clone(),
        level: Level::Example,
        range: Interval { lo: 0.0, lo_open: false, ..Interval::REAL },
        differentiable: false,
    };
    for m in means {
        for input in [real(m), count(m)] {
            if !out.inputs.iter().any(|i| i.name == input.name) {
                out.inputs.push(input);
            }
        }
    }
    let mut place: Vec<NodeId> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let id = match node.op {
            Op::Input(i) => match replaced.get(i as usize).copied().flatten() {
                Some(m) => {
                    let (sum, tokens) = (input(&mut out, &m.sum), tokens(&mut out, m));
                    out.binary(Binary::Div, sum, tokens)
                }
                None => input(&mut out, &graph.inputs[i as usize].name),
            },
            op => out.add_at(op.map(|o| place[o.0 as usize]), node.level),
        };
        place.push(id);
    }
    for root in &graph.roots {
        let node = place[root.node.0 as usize];
        let mean = root.name.strip_prefix("d/").and_then(|n| means.iter().find(|m| m.mean == n));
        match mean {
            None => add_root(&mut out, root.name.clone(), node),
            Some(m) => {
                let tokens = tokens(&mut out, m);
                let share = out.binary(Binary::Div, node, tokens);
                add_root(&mut out, format!("d/{}", m.sum), share);
            }
        }
    }
    out
}

/// The length, at least 1: the mean of nothing counts as 0.
fn tokens(graph: &mut Graph, mean: &Mean) -> NodeId {
    let (len, one) = (input(graph, &mean.len), graph.constant(1.0));
    graph.binary(Binary::Max, len, one)
}

fn input(graph: &mut Graph, name: &str) -> NodeId {
    let index = graph.inputs.iter().position(|i| i.name == name).unwrap_or(0);
    graph.add(Op::Input(index as u16))
}

/// Adds a root, or adds to the one of that name.
fn add_root(graph: &mut Graph, name: String, node: NodeId) {
    match graph.roots.iter().position(|r| r.name == name) {
        Some(i) => {
            let old = graph.roots[i].node;
            graph.roots[i].node = graph.binary(Binary::Add, old, node);
        }
        None => graph.roots.push(Root { name, node }),
    }
}
