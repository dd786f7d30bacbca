//! A graph as a drawing: the text that Graphviz lays out.
//!
//! Why: sharing, and which level a value lives at, show better in a picture than in lines. In: any graph.
//! Out: DOT. Invariant: every node that a root needs is drawn once, with an edge from each operand; where
//! the order of operands matters the edges carry their numbers.

use super::{Binary, Graph, Level, NodeId, Op};
use std::fmt::Write as _;

/// Draws the nodes that the roots need, operands on the left.
pub fn dot(graph: &Graph) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "digraph {} {{", quoted(&graph.name));
    out.push_str("  rankdir=LR;\n  node [fontname=\"monospace\", fontsize=11, style=filled];\n");
    let needed = needed(graph);
    for (i, node) in graph.nodes.iter().enumerate().filter(|(i, _)| needed[*i]) {
        let _ = writeln!(
            out,
            "  n{i} [label={}, shape={}, fillcolor={}, tooltip={}];",
            quoted(&label(graph, node.op)),
            shape(node.op),
            quoted(colour(node.level)),
            quoted(&format!("%{i}, level {}", node.level)),
        );
        let ordered = ordered(node.op);
        for (k, operand) in node.op.operands().enumerate() {
            let number = if ordered { format!(" [label=\"{}\"]", k + 1) } else { String::new() };
            let _ = writeln!(out, "  n{} -> n{i}{number};", operand.0);
        }
    }
    for (i, root) in graph.roots.iter().enumerate() {
        let name = quoted(&root.name);
        let _ = writeln!(out, "  r{i} [label={name}, shape=cds, fillcolor=\"#ffd27f\"];");
        let _ = writeln!(out, "  n{} -> r{i};", root.node.0);
    }
    out.push_str("}\n");
    out
}

fn needed(graph: &Graph) -> Vec<bool> {
    let mut needed = vec![false; graph.nodes.len()];
    let mut open: Vec<NodeId> = graph.roots.iter().map(|r| r.node).collect();
    while let Some(id) = open.pop() {
        if let Some(seen) = needed.get_mut(id.0 as usize)
            && !std::mem::replace(seen, true)
        {
            open.extend(graph.nodes[id.0 as usize].op.operands());
        }
    }
    needed
}

/// The operation without its operands, which are the edges.
fn label(graph: &Graph, op: Op) -> String {
    let text = graph.operation(op).to_string();
    text.split_whitespace().filter(|w| !w.starts_with('%')).collect::<Vec<_>>().join(" ")
}

fn ordered(op: Op) -> bool {
    match op {
        Op::Binary(b, ..) => matches!(b, Binary::Sub | Binary::Div | Binary::Pow),
        Op::Select(..) | Op::Unsort(..) | Op::Recurrence(..) => true,
        _ => false,
    }
}

fn shape(op: Op) -> &'static str {
    match op {
        Op::Const(_) => "plaintext",
        Op::Param(_) | Op::Input(_) => "box",
        Op::Reduce(..) | Op::Count(_) => "invtrapezium",
        _ => "oval",
    }
}

fn colour(level: Level) -> &'static str {
    match level {
        Level::Uniform => "#f2f2f2",
        Level::Batch => "#e4d4f4",
        Level::Example => "#d4e6f9",
        Level::Candidate => "#d5f0dc",
        Level::Token => "#fbe3d6",
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
