//! Columns of any magnitude, and what the interpreter makes of them.

use ponens_compiler::codegen::interp::{Batch, Real, evaluate};
use ponens_compiler::mir::Graph;

/// Numbers in (0, 1), the same on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// A value of a column's domain, of any magnitude.
    fn within(&mut self, lo: f64, hi: f64) -> f64 {
        let size = 10f64.powf(self.next() * 16.0 - 12.0);
        match (lo.is_finite(), hi.is_finite()) {
            (true, true) => lo + (hi - lo) * self.next(),
            (true, false) => lo + size,
            (false, true) => hi - size,
            (false, false) => {
                if self.next() < 0.5 {
                    size
                } else {
                    -size
                }
            }
        }
    }
}

pub(crate) const EXAMPLES: usize = 64;

/// Columns for a graph: edges first, then random values.
pub(crate) fn columns(graph: &Graph) -> Vec<Vec<f64>> {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let columns = graph.inputs.iter().map(|input| {
        let (lo, hi) = (input.range.lo, input.range.hi);
        let mut values: Vec<f64> = (0..EXAMPLES).map(|_| random.within(lo, hi)).collect();
        let edges = [0.0, -0.0, -1e-12, -1e4, -core::f64::consts::LN_2, 1.0];
        for (v, e) in values.iter_mut().zip(edges) {
            if input.range.contains(e) {
                *v = e;
            }
        }
        values
    });
    columns.collect()
}

/// What the interpreter says, a vector a root.
pub(crate) fn expected<T: Real>(
    graph: &Graph,
    params: &[f64],
    columns: &[Vec<f64>],
) -> Vec<Vec<T>> {
    let mut batch = Batch::<T>::new(columns.first().map_or(0, Vec::len));
    for (i, c) in columns.iter().enumerate() {
        batch.set(graph, i as u16, c).expect("a column of the graph");
    }
    evaluate::<T>(graph, params, &batch).expect("values")
}
