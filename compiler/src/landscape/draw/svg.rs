//! The SVG rendering of a diagram: one element, its own styles, readable in light and dark pages.

use std::fmt::Write;

use super::Diagram;
use super::layout::{self, Layout};

/// Distances in user units.
const ROW: f64 = 84.0;
const GAP: f64 = 26.0;
const MARGIN: f64 = 16.0;
const BOX_HEIGHT: f64 = 30.0;
/// The width that a letter of the labels takes, and the room beside them.
const LETTER: f64 = 8.2;
const PADDING: f64 = 18.0;

const STYLE: &str = "\
.ponens-order{font:13px ui-sans-serif,system-ui,sans-serif;color:#1f2933}\
.ponens-order .edge{fill:none;stroke:currentColor;stroke-opacity:.4;stroke-width:1.2}\
.ponens-order rect{fill:#f4f6fb;stroke:#52606d;rx:7}\
.ponens-order text{fill:#1f2933;text-anchor:middle;dominant-baseline:central}\
.ponens-order g:hover rect{fill:#dbe7ff;stroke:#2457c5}\
@media (prefers-color-scheme:dark){.ponens-order{color:#d8dee9}\
.ponens-order rect{fill:#2b3440;stroke:#8796a8}.ponens-order text{fill:#e8edf3}\
.ponens-order g:hover rect{fill:#34507f}}";

pub(super) fn render(diagram: &Diagram) -> String {
    let layout = layout::place(&diagram.layers, &diagram.covers);
    let longest = diagram.nodes.iter().map(|n| n.label.chars().count()).max().unwrap_or(1).max(4);
    let box_width = longest as f64 * LETTER + PADDING;
    let column = box_width + GAP;
    let widest = layout.widths.iter().max().copied().unwrap_or(0).max(1);
    let width = widest as f64 * column - GAP + 2.0 * MARGIN;
    let height = layout.widths.len().max(1) as f64 * ROW - (ROW - BOX_HEIGHT) + 2.0 * MARGIN;
    let centre = |item: usize| centre_of(&layout, item, column, width, height);

    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"ponens-order\" role=\"img\" \
         aria-label=\"Losses ordered by entailment\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         width=\"{width:.0}\" height=\"{height:.0}\">\n<style>{STYLE}</style>"
    );
    for path in &layout.paths {
        let points: Vec<String> = path
            .iter()
            .map(|&item| {
                let (x, y) = centre(item);
                format!("{x:.1},{y:.1}")
            })
            .collect();
        let _ = writeln!(text, "<polyline class=\"edge\" points=\"{}\"/>", points.join(" "));
    }
    for (i, node) in diagram.nodes.iter().enumerate() {
        let (x, y) = centre(i);
        let (left, top) = (x - box_width / 2.0, y - BOX_HEIGHT / 2.0);
        let (label, tooltip) = (escape(&node.label), escape(&node.tooltip));
        let _ = writeln!(
            text,
            "<g><title>{tooltip}</title><rect x=\"{left:.1}\" y=\"{top:.1}\" \
             width=\"{box_width:.1}\" height=\"{BOX_HEIGHT:.1}\" rx=\"7\"/>\
             <text x=\"{x:.1}\" y=\"{y:.1}\">{label}</text></g>"
        );
    }
    text.push_str("</svg>\n");
    text
}

/// The middle of a place; the lowest layer is drawn at the bottom, each layer centred.
fn centre_of(layout: &Layout, item: usize, column: f64, width: f64, height: f64) -> (f64, f64) {
    let (layer, place) = layout.places[item];
    let from_middle = place as f64 - (layout.widths[layer] as f64 - 1.0) / 2.0;
    let y = height - MARGIN - BOX_HEIGHT / 2.0 - layer as f64 * ROW;
    (width / 2.0 + from_middle * column, y)
}

fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' => escaped.push(' '),
            // Control characters are not allowed in XML.
            c if c.is_control() => {}
            c => escaped.push(c),
        }
    }
    escaped
}
