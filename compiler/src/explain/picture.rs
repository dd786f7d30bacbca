//! The picture of a loss: rho as a map over the probabilities of the two responses, and the pull as arrows.
//!
//! In: a sampled [`Field`]. Out: one SVG element that needs no other file. Invariant: equal input gives
//! equal text; an arrow points where a step moves the two log-probabilities, and a ring marks where
//! the pull is below a thousandth of the strongest.

use super::dynamics::{FROZEN_PROBABILITY, Field};
use std::fmt::Write;

const SIDE: f64 = 480.0;
const LEFT: f64 = 64.0;
const TOP: f64 = 58.0;
const WIDTH: f64 = LEFT + SIDE + 96.0;
const HEIGHT: f64 = TOP + SIDE + 62.0;
/// Colours on either side of 0.
const SHADES: i32 = 16;
/// rho at which the colour is three quarters of the darkest.
const RANGE: f64 = 4.0;
/// Lines of equal value.
const LEVELS: [f64; 11] = [-8.0, -4.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 4.0, 8.0];
/// The part of the strongest pull below which there is a ring.
const NOTHING: f64 = 1e-3;

const STYLE: &str = "\
.ponens-picture{font:13px ui-sans-serif,system-ui,sans-serif;color:#1f2933;background:#fff}\
.ponens-picture text{fill:#1f2933}\
.ponens-picture .title{font-size:16px;font-weight:600}\
.ponens-picture .note{font-size:11.5px;fill:#52606d}\
.ponens-picture .line{fill:none;stroke:#1f2933;stroke-opacity:.45;stroke-width:1}\
.ponens-picture .zero{stroke-opacity:.9;stroke-width:1.8}\
.ponens-picture .level{font-size:10.5px;fill:#1f2933;paint-order:stroke;stroke:#fff;stroke-width:2.5}\
.ponens-picture .pull{stroke:#111827;stroke-width:1.4;fill:none}\
.ponens-picture .tip{fill:#111827}\
.ponens-picture .still{fill:none;stroke:#111827;stroke-opacity:.6}\
.ponens-picture .frame{fill:none;stroke:#52606d}";

/// The picture of a field, with a title and a line below it.
pub fn svg(field: &Field, title: &str, subtitle: &str) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"ponens-picture\" role=\"img\" \
         aria-label=\"{} and its pull over the two probabilities\" viewBox=\"0 0 {WIDTH:.0} {HEIGHT:.0}\" \
         width=\"{WIDTH:.0}\" height=\"{HEIGHT:.0}\">\n<style>{STYLE}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>",
        field.what
    );
    let _ = writeln!(out, "<text class=\"title\" x=\"{LEFT}\" y=\"24\">{}</text>", escape(title));
    let _ = writeln!(out, "<text class=\"note\" x=\"{LEFT}\" y=\"44\">{}</text>", escape(subtitle));
    cells(field, &mut out);
    lines(field, &mut out);
    arrows(field, &mut out);
    axes(&mut out);
    legend(field, &mut out);
    out.push_str("</svg>\n");
    out
}

fn x(p: f64) -> f64 {
    LEFT + p * SIDE
}

fn y(p: f64) -> f64 {
    TOP + (1.0 - p) * SIDE
}

/// The middle colours of the map are light, so that arrows show on all of them.
fn shade(value: f64) -> i32 {
    if value.is_nan() { 0 } else { ((value / RANGE).tanh() * f64::from(SHADES)).round() as i32 }
}

fn colour(shade: i32) -> String {
    let t = f64::from(shade) / f64::from(SHADES);
    let end = if t < 0.0 { [92.0, 134.0, 201.0] } else { [226.0, 138.0, 66.0] };
    let mix = |k: usize| (250.0 + (end[k] - 250.0) * t.abs()).round() as u8;
    format!("#{:02x}{:02x}{:02x}", mix(0), mix(1), mix(2))
}

/// The map, cells of one colour in a row joined.
fn cells(field: &Field, out: &mut String) {
    let n = field.cells;
    let step = SIDE / n as f64;
    out.push_str("<g shape-rendering=\"crispEdges\">\n");
    for row in 0..n {
        let shades: Vec<i32> = (0..n).map(|c| shade(field.values[row * n + c])).collect();
        let mut from = 0;
        while from < n {
            let to = (from..n).find(|c| shades[*c] != shades[from]).unwrap_or(n);
            let (left, top) = (LEFT + from as f64 * step, y((row + 1) as f64 / n as f64));
            let _ = writeln!(
                out,
                "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{step:.1}\" fill=\"{}\"/>",
                (to - from) as f64 * step,
                colour(shades[from])
            );
            from = to;
        }
    }
    out.push_str("</g>\n");
}

/// Lines of equal value, by marching squares between the middles of the cells.
fn lines(field: &Field, out: &mut String) {
    let n = field.cells;
    let middle = |i: usize| (i as f64 + 0.5) / n as f64;
    for level in LEVELS {
        let mut path = String::new();
        let mut label: Option<(f64, f64)> = None;
        for row in 0..n.saturating_sub(1) {
            for column in 0..n.saturating_sub(1) {
                // Corners against the clock from the lower left.
                let corners =
                    [(column, row), (column + 1, row), (column + 1, row + 1), (column, row + 1)];
                let values = corners.map(|(c, r)| field.values[r * n + c] - level);
                if values.iter().any(|v| !v.is_finite()) {
                    continue;
                }
                let mut cuts = Vec::new();
                for k in 0..4 {
                    let (a, b) = (values[k], values[(k + 1) % 4]);
                    if (a < 0.0) != (b < 0.0) {
                        let t = a / (a - b);
                        let ((c0, r0), (c1, r1)) = (corners[k], corners[(k + 1) % 4]);
                        let mix = |p: usize, q: usize| middle(p) + (middle(q) - middle(p)) * t;
                        cuts.push((x(mix(c0, c1)), y(mix(r0, r1))));
                    }
                }
                for pair in cuts.chunks_exact(2) {
                    let [a, b] = [pair[0], pair[1]];
                    let _ = write!(path, "M{:.1} {:.1}L{:.1} {:.1}", a.0, a.1, b.0, b.1);
                    // Labelled where it comes nearest to the falling diagonal.
                    let off = |p: (f64, f64)| ((p.0 - LEFT) - (p.1 - TOP)).abs();
                    if label.is_none_or(|l| off(a) < off(l)) {
                        label = Some(a);
                    }
                }
            }
        }
        if path.is_empty() {
            continue;
        }
        let zero = if level == 0.0 { " zero" } else { "" };
        let _ = writeln!(out, "<path class=\"line{zero}\" d=\"{path}\"/>");
        if let Some((a, b)) = label {
            // Within the frame.
            let (a, b) = (a.min(LEFT + SIDE - 22.0) + 3.0, b.max(TOP + 14.0) - 3.0);
            let _ = writeln!(out, "<text class=\"level\" x=\"{a:.1}\" y=\"{b:.1}\">{level}</text>");
        }
    }
}

fn arrows(field: &Field, out: &mut String) {
    let n = field.arrows;
    let size = |p: &[f64; 2]| p[0].hypot(p[1]);
    let mut sizes: Vec<f64> = field.pulls.iter().map(size).filter(|s| s.is_finite()).collect();
    sizes.sort_by(f64::total_cmp);
    // The strongest few may be beyond all others where a pull is unbounded.
    let most = sizes.get(sizes.len() * 19 / 20).or(sizes.last()).copied().unwrap_or(0.0);
    let room = SIDE / n as f64 * 0.86;
    for (i, pull) in field.pulls.iter().enumerate() {
        let (cx, cy) = (x(((i % n) as f64 + 0.5) / n as f64), y(((i / n) as f64 + 0.5) / n as f64));
        let strength = size(pull);
        if !strength.is_finite() || most <= 0.0 || strength < most * NOTHING {
            let _ =
                writeln!(out, "<circle class=\"still\" cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"2.2\"/>");
            continue;
        }
        let length = room * (strength / most).min(1.0).sqrt().max(0.16);
        let (dx, dy) = (pull[0] / strength * length / 2.0, -pull[1] / strength * length / 2.0);
        let (tx, ty) = (cx + dx, cy + dy);
        let _ = writeln!(
            out,
            "<path class=\"pull\" d=\"M{:.1} {:.1}L{tx:.1} {ty:.1}\"/>",
            cx - dx,
            cy - dy
        );
        // The head: a triangle at the end of the line.
        let (ux, uy) = (dx / (length / 2.0), dy / (length / 2.0));
        let head = (length * 0.3).clamp(3.0, 7.0);
        let (bx, by) = (tx - ux * head, ty - uy * head);
        let (nx, ny) = (-uy * head * 0.45, ux * head * 0.45);
        let _ = writeln!(
            out,
            "<path class=\"tip\" d=\"M{tx:.1} {ty:.1}L{:.1} {:.1}L{:.1} {:.1}Z\"/>",
            bx + nx,
            by + ny,
            bx - nx,
            by - ny
        );
    }
}

fn axes(out: &mut String) {
    let _ = writeln!(
        out,
        "<rect class=\"frame\" x=\"{LEFT}\" y=\"{TOP}\" width=\"{SIDE}\" height=\"{SIDE}\"/>"
    );
    for (p, text) in [(0.0, "0"), (0.25, ".25"), (0.5, ".5"), (0.75, ".75"), (1.0, "1")] {
        let (tx, ty) = (x(p), y(p));
        let _ = writeln!(
            out,
            "<text text-anchor=\"middle\" x=\"{tx:.1}\" y=\"{:.1}\">{text}</text>\
             <text text-anchor=\"end\" x=\"{:.1}\" y=\"{:.1}\">{text}</text>",
            TOP + SIDE + 18.0,
            LEFT - 8.0,
            ty + 4.5
        );
    }
    let (mx, my) = (x(0.5), y(0.5));
    let _ = writeln!(
        out,
        "<text text-anchor=\"middle\" x=\"{mx:.1}\" y=\"{:.1}\">probability of the chosen response</text>\
         <text text-anchor=\"middle\" transform=\"translate(20 {my:.1}) rotate(-90)\">probability of the \
         rejected response</text>",
        TOP + SIDE + 42.0
    );
}

fn legend(field: &Field, out: &mut String) {
    let (left, height) = (LEFT + SIDE + 24.0, SIDE * 0.6);
    let step = height / f64::from(2 * SHADES + 1);
    for k in -SHADES..=SHADES {
        let top = TOP + f64::from(SHADES - k) * step;
        let _ = writeln!(
            out,
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"14\" height=\"{:.1}\" fill=\"{}\"/>",
            step + 0.5,
            colour(k)
        );
    }
    for value in [-8.0f64, -2.0, 0.0, 2.0, 8.0] {
        let at = (1.0 - (value / RANGE).tanh()) / 2.0 * height;
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\">{value}</text>",
            left + 20.0,
            TOP + at + 4.5
        );
    }
    let below = TOP + height + 22.0;
    let notes = [
        field.what.to_owned(),
        "arrow: the pull".to_owned(),
        "on the two".to_owned(),
        "log-probs".to_owned(),
        "ring: none".to_owned(),
        format!("ref = {FROZEN_PROBABILITY}"),
    ];
    for (i, text) in notes.iter().enumerate() {
        let _ = writeln!(
            out,
            "<text class=\"note\" x=\"{:.1}\" y=\"{:.1}\">{text}</text>",
            left - 12.0,
            below + 16.0 * i as f64
        );
    }
}

fn escape(text: &str) -> String {
    let plain: String = text.chars().filter(|c| !c.is_control()).collect();
    plain.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
