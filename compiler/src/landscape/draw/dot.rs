//! The DOT rendering of a diagram.

use std::fmt::Write;

use super::Diagram;

pub(super) fn render(diagram: &Diagram) -> String {
    let mut text = String::from(
        "digraph landscape {\n  rankdir=BT;\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n  edge [arrowhead=none];\n",
    );
    // Writing to a string cannot fail.
    for (i, node) in diagram.nodes.iter().enumerate() {
        let (label, tooltip) = (quote(&node.label), quote(&node.tooltip));
        let _ = writeln!(text, "  n{i} [label={label}, tooltip={tooltip}];");
    }
    let highest = diagram.layers.iter().max().copied().unwrap_or(0);
    for layer in 0..=highest {
        let here: Vec<String> = diagram
            .layers
            .iter()
            .enumerate()
            .filter(|&(_, &l)| l == layer)
            .map(|(i, _)| format!("n{i};"))
            .collect();
        if here.len() > 1 {
            let _ = writeln!(text, "  {{ rank=same; {} }}", here.join(" "));
        }
    }
    for (lower, upper) in &diagram.covers {
        let _ = writeln!(text, "  n{lower} -> n{upper};");
    }
    text.push_str("}\n");
    text
}

fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push(' '),
            c if c.is_control() => {}
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
