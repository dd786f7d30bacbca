//! The scalar graph as a picture, in the language of Graphviz.
//!
//! In: any graph. Out: a `digraph` with a box an operation, an ellipse a parameter or column, and the roots
//! below; the level of each is written where it is not the example's.

use crate::mir::{Graph, Level, Op};
use std::fmt::Write as _;

/// The text of the picture.
pub fn emit(graph: &Graph) -> String {
    let mut out = format!("digraph {} {{\n  node [fontname=\"monospace\"];\n", quoted(&graph.name));
    let used = used(graph);
    for (i, node) in graph.nodes.iter().enumerate().filter(|(i, _)| used[*i]) {
        let mut label = operation(graph, node.op);
        if node.level != Level::Example && !matches!(node.op, Op::Const(_) | Op::Param(_)) {
            let _ = write!(label, " : {}", node.level);
        }
        let shape = match node.op {
            Op::Param(_) | Op::Input(_) => "ellipse",
            Op::Const(_) => "plaintext",
            _ => "box",
        };
        let _ = writeln!(out, "  n{i} [shape={shape}, label={}];", quoted(&label));
        for operand in node.op.operands() {
            let _ = writeln!(out, "  n{} -> n{i};", operand.0);
        }
    }
    for (r, root) in graph.roots.iter().enumerate() {
        let _ = writeln!(out, "  r{r} [shape=note, label={}];", quoted(&root.name));
        let _ = writeln!(out, "  n{} -> r{r};", root.node.0);
    }
    out.push_str("}\n");
    out
}

/// The operation without its operands, which are edges.
fn operation(graph: &Graph, op: Op) -> String {
    let text = graph.operation(op);
    let words: Vec<&str> = text.split(' ').collect();
    let kept = words.len() - op.operands().count();
    let text = words[..kept].join(" ");
    let name = ["param ", "input ", "const "].iter().find_map(|p| text.strip_prefix(p));
    name.map_or(text.clone(), str::to_owned)
}

/// What the roots reach.
fn used(graph: &Graph) -> Vec<bool> {
    let mut used = vec![false; graph.nodes.len()];
    for root in &graph.roots {
        used[root.node.0 as usize] = true;
    }
    for i in (0..used.len()).rev() {
        if used[i] {
            graph.nodes[i].op.operands().for_each(|o| used[o.0 as usize] = true);
        }
    }
    used
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
