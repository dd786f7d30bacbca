//! Values of two losses on random examples.

use super::rename::Renaming;
use crate::value::means;
use crate::value::{Mean, is_batch_coupled};
use ponens_compiler::codegen::interp::{Batch, Big, Real as _, evaluate};
use ponens_compiler::hir::Quantity;
use ponens_compiler::mir::{Graph, Interval, Level};
use ponens_compiler::session::Compiled;
use std::collections::BTreeMap;

/// How many random examples are tried.
pub const POINTS: usize = 240;

/// Examples in a batch, where a loss looks at whole batches.
const BATCH: usize = 4;

/// Values closer than this are equal: 256 bits leave room for much cancellation.
const TOLERANCE: f64 = 1e-45;

/// An example where two losses have different values.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The example, or the first one of the batch, by column.
    pub example: BTreeMap<String, f64>,
    /// The value of the first loss; a mean over the batch where one of them looks at whole batches.
    pub first: f64,
    /// The value of the second loss.
    pub second: f64,
}

/// The first random example where the values differ.
pub(super) fn difference(
    a: (&Compiled, &[f64]),
    b: (&Compiled, &[f64]),
    names: &Renaming,
) -> Option<Difference> {
    let first = plain(a.0, None);
    let second = plain(b.0, Some(names));
    let coupled = is_batch_coupled(&first) || is_batch_coupled(&second);
    let size = if coupled { BATCH } else { 1 };
    let mut ranges: BTreeMap<String, Interval> = BTreeMap::new();
    for input in first.inputs.iter().chain(&second.inputs) {
        let known = ranges.entry(input.name.clone()).or_insert(input.range);
        *known = known.intersect(&input.range).unwrap_or(*known);
    }
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for _ in 0..POINTS / size {
        let columns: BTreeMap<String, Vec<f64>> = ranges
            .iter()
            .map(|(n, r)| (n.clone(), (0..size).map(|_| random.value(n, *r)).collect()))
            .collect();
        let (x, y) = (value(&first, a.1, &columns, size), value(&second, b.1, &columns, size));
        if !same(&x, &y) {
            let example = columns.into_iter().map(|(n, v)| (n, v[0])).collect();
            let number = |x: &Option<Big>| x.as_ref().map_or(f64::NAN, Big::to_f64);
            return Some(Difference { example, first: number(&x), second: number(&y) });
        }
    }
    None
}

/// The value of a loss as a function of sums and lengths, in the names of the other loss.
fn plain(compiled: &Compiled, names: Option<&Renaming>) -> Graph {
    let mut graph = compiled.value.graph.clone();
    let mut means = Vec::new();
    for (input, column) in graph.inputs.iter_mut().zip(&compiled.loss.columns) {
        let column_name = |q: &Quantity| names.map_or_else(|| q.to_string(), |n| n.column(q));
        input.name = column_name(&column.quantity);
        if let Quantity::MeanLogp { model, response } = column.quantity.clone() {
            let sum = column_name(&Quantity::Logp { model, response: response.clone() });
            let len = column_name(&Quantity::Len { response });
            means.push(Mean { mean: input.name.clone(), sum, len });
        }
    }
    means::from_sums(&graph, &means)
}

fn value(
    graph: &Graph,
    params: &[f64],
    columns: &BTreeMap<String, Vec<f64>>,
    size: usize,
) -> Option<Big> {
    let mut batch = Batch::<Big>::new(size);
    for (i, input) in graph.inputs.iter().enumerate() {
        batch.set(graph, i as u16, columns.get(&input.name)?).ok()?;
    }
    let values = evaluate(graph, params, &batch).ok()?.into_iter().next()?;
    let root = graph.node(graph.roots.first()?.node);
    let n = if root.level >= Level::Example { values.len() } else { 1 };
    let sum = values.iter().fold(Big::from_f64(0.0), |s, x| s.add(x));
    Some(sum.div(&Big::from_f64(n as f64)))
}

fn same(x: &Option<Big>, y: &Option<Big>) -> bool {
    let (Some(x), Some(y)) = (x, y) else { return false };
    let (a, b) = (x.to_f64(), y.to_f64());
    if a.is_nan() || b.is_nan() {
        return false;
    }
    if a.is_infinite() || b.is_infinite() {
        return a == b;
    }
    let scale = x.abs().max(&y.abs()).max(&Big::from_f64(1e-250));
    !x.sub(y).abs().exceeds(&scale.mul(&Big::from_f64(TOLERANCE)))
}

/// A linear congruential generator with an output permutation (PCG-XSH-RR).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        let old = self.0;
        self.0 =
            old.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mixed = (((old >> 18) ^ old) >> 27) as u32;
        mixed.rotate_right((old >> 59) as u32)
    }

    /// Uniform in [0, 1).
    fn unit(&mut self) -> f64 {
        f64::from(self.next()) / f64::from(u32::MAX)
    }

    /// A number of an interval, small and large ones alike; whole for a length, 0 or 1 for a label.
    fn value(&mut self, column: &str, range: Interval) -> f64 {
        if column == "label" {
            return f64::from(self.next() & 1);
        }
        if column.starts_with("len(") {
            return f64::from(1 + self.next() % 300);
        }
        let magnitude = (self.unit() * 14.0 - 8.0).exp();
        let (lo, hi) = (range.lo, range.hi);
        let x = match (lo.is_finite(), hi.is_finite()) {
            (true, true) => lo + (hi - lo) * (0.01 + 0.98 * self.unit()),
            (true, false) => lo + magnitude,
            (false, true) => hi - magnitude,
            (false, false) if self.next() & 1 == 0 => magnitude,
            (false, false) => -magnitude,
        };
        if range.contains(x) { x } else { lo.max(hi.min(0.0)) }
    }
}
