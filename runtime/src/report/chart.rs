//! Line charts as SVG, inside a page and without a script.
//!
//! Colours come from the page's style sheet ([`STYLE`]), so that a chart follows a dark page; every point
//! carries its values as a tooltip.

use std::fmt::Write as _;

/// The style sheet that a page with charts needs.
pub const STYLE: &str = "\
.chart { width: 100%; height: auto; } .chart text { font: 11px system-ui, sans-serif; fill: currentColor; }
.chart .grid { stroke: currentColor; stroke-opacity: .14; } .chart .axis { stroke: currentColor; stroke-opacity: .5; }
.chart .line { fill: none; stroke-width: 1.6; stroke-linejoin: round; } .chart .band { stroke: none; fill-opacity: .15; }
.chart .c0 { stroke: #2563eb; fill: #2563eb; } .chart .c1 { stroke: #d9480f; fill: #d9480f; }
.chart .c2 { stroke: #2b8a3e; fill: #2b8a3e; } .chart .c3 { stroke: #9c36b5; fill: #9c36b5; }
.chart .c4 { stroke: #b08900; fill: #b08900; } .chart .c5 { stroke: #0b7285; fill: #0b7285; }
.chart .c6 { stroke: #c2255c; fill: #c2255c; } .chart .c7 { stroke: #5c677d; fill: #5c677d; }
.chart .line.c0, .chart .line.c1, .chart .line.c2, .chart .line.c3, .chart .line.c4, .chart .line.c5, .chart .line.c6, .chart .line.c7 { fill: none; }
";

/// Colours in the style sheet.
const COLOURS: usize = 8;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 30.0;

/// One line of a chart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Line {
    /// What it shows.
    pub name: String,
    /// Points, x ascending.
    pub points: Vec<(f64, f64)>,
    /// Whether points are marked.
    pub marked: bool,
}

/// A chart of some lines over one x axis.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chart {
    /// What the x axis counts.
    pub x: String,
    /// The lines.
    pub lines: Vec<Line>,
    /// A value that is drawn as a level.
    pub level: Option<f64>,
}

/// A step of 1, 2 or 5 times a power of ten, at most `most` of which cover `span`.
fn tick_step(span: f64, most: f64) -> f64 {
    let rough = span / most;
    let power = 10f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|m| m * power);
    steps.into_iter().find(|s| *s >= rough * (1.0 - 1e-9)).unwrap_or(steps[3])
}

fn ticks(low: f64, high: f64, most: f64) -> Vec<f64> {
    let step = tick_step(high - low, most);
    let first = (low / step).ceil() as i64;
    let last = (high / step).floor() as i64;
    (first..=last).map(|i| i as f64 * step).collect()
}

/// A number with no more digits than a tick needs.
fn short(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-3..1e5).contains(&size) {
        return format!("{value:.1e}");
    }
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The range of some values, widened where it is empty.
fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let (low, high) = values
        .filter(|v| v.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    if low > high {
        return None;
    }
    let room = if high > low { 0.04 * (high - low) } else { 0.5 * low.abs().max(1e-3) };
    Some((low - room, high + room))
}

impl Chart {
    /// The picture; a note in words where there is nothing to draw.
    pub fn svg(&self, title: &str) -> String {
        let title = escape(title);
        let points = || self.lines.iter().flat_map(|l| &l.points);
        let ys = points().map(|p| p.1).chain(self.level);
        let (Some((x0, x1)), Some((y0, y1))) = (range(points().map(|p| p.0)), range(ys)) else {
            return format!("<p>{title}: the run has written no such figure.</p>\n");
        };
        let px = |x: f64| LEFT + (x - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT);
        let py = |y: f64| HEIGHT - BOTTOM - (y - y0) / (y1 - y0) * (HEIGHT - TOP - BOTTOM);
        let mut out = format!(
            "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">\n"
        );
        // Writing to a string cannot fail.
        for y in ticks(y0, y1, 5.0) {
            let (at, right) = (py(y), WIDTH - RIGHT);
            let _ = writeln!(
                out,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 6.0,
                at + 4.0,
                short(y)
            );
        }
        let floor = HEIGHT - BOTTOM;
        for x in ticks(x0, x1, 8.0) {
            let _ = writeln!(
                out,
                "<line class=\"axis\" x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{floor}\" y2=\"{1:.1}\"/>\
                 <text x=\"{0:.1}\" y=\"{2:.1}\" text-anchor=\"middle\">{3}</text>",
                px(x),
                floor + 4.0,
                floor + 16.0,
                short(x)
            );
        }
        let _ = writeln!(
            out,
            "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{floor}\" y2=\"{floor}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
            WIDTH - RIGHT,
            HEIGHT - 3.0,
            escape(&self.x)
        );
        if let Some(level) = self.level {
            let at = py(level);
            let _ = writeln!(
                out,
                "<line class=\"axis\" stroke-dasharray=\"4 3\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>",
                WIDTH - RIGHT
            );
        }
        let mut legend = LEFT;
        for (i, line) in self.lines.iter().enumerate() {
            let colour = i % COLOURS;
            let drawn = || line.points.iter().filter(|p| p.0.is_finite() && p.1.is_finite());
            let path: Vec<String> =
                drawn().map(|(x, y)| format!("{:.1},{:.1}", px(*x), py(*y))).collect();
            let _ =
                writeln!(out, "<polyline class=\"line c{colour}\" points=\"{}\"/>", path.join(" "));
            let radius = if line.marked { 2.6 } else { 0.9 };
            for (x, y) in drawn() {
                let _ = write!(
                    out,
                    "<circle class=\"c{colour}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"{radius}\">\
                     <title>{} {}: {}</title></circle>",
                    px(*x),
                    py(*y),
                    escape(&self.x),
                    short(*x),
                    short(*y)
                );
            }
            let _ = writeln!(
                out,
                "<rect class=\"c{colour}\" x=\"{legend:.1}\" y=\"8\" width=\"10\" height=\"4\"/>\
                 <text x=\"{:.1}\" y=\"14\">{}</text>",
                legend + 14.0,
                escape(&line.name)
            );
            legend += 26.0 + 6.2 * line.name.chars().count() as f64;
        }
        out + "</svg>\n"
    }
}
