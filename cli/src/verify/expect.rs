//! What a loss and its derivatives are, and how far rounding moves them.
//!
//! In: rows. Out: an [`Expected`] a row, or one for a batch. Everything is evaluated in 256 bits at the
//! rows as rounded to the type under test. Then all numbers and parameters move by a few units in their
//! last place, several times: a result may be off by some times the spread. This also forgives the side
//! that a function takes at a kink, where the derivative jumps.

use super::inputs::Chunk;
use super::report::Dtype;
use crate::refusal::Result;
use crate::value::{self, Batching, Bound, Engine, Nested, Outcome, Rows};
use ponens_compiler::codegen::interp::{Big, Real as _};
use ponens_compiler::session::Compiled;
use ponens_dsl::Diagnostic;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Map, Value};

/// How often the numbers are moved.
const MOVES: u64 = 4;

/// By how many units in the last place.
const UNITS: f64 = 2.0;

/// So many times the spread is allowed: the function rounds at every step, not at its inputs alone.
const SLACK: f64 = 8.0;

/// A number, and where it may lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Number {
    pub(super) exact: f64,
    lo: f64,
    hi: f64,
}

impl Number {
    /// Whether a function that computes in this type may give `got`.
    pub(super) fn allows(&self, got: f64, dtype: Dtype) -> bool {
        if self.exact.is_nan() {
            // The loss has no value here, so there is nothing to compare.
            return true;
        }
        if got.is_nan() {
            return false;
        }
        if self.exact.abs() > dtype.ceiling() {
            return got.abs() > 1.0 / dtype.epsilon() && (got > 0.0) == (self.exact > 0.0);
        }
        let spread = self.hi - self.lo;
        let spread = if spread.is_finite() { spread } else { 0.0 };
        let slack = dtype.tolerance() * self.exact.abs() + SLACK * spread + dtype.floor();
        (got - self.exact).abs() <= slack
    }
}

/// What is expected of a row, or of a batch.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    pub(super) loss: Number,
    /// By column: the derivatives of each row, in the order of its numbers.
    pub(super) gradients: Vec<(String, Vec<Vec<Number>>)>,
}

/// The rows with every number rounded to a type.
pub(super) fn rounded(rows: &[Map<String, Value>], dtype: Dtype) -> Vec<Map<String, Value>> {
    fn round(v: &Value) -> Value {
        match v {
            Value::Array(list) => list.iter().map(round).collect(),
            Value::Number(n) if n.is_f64() => {
                n.as_f64().map_or(Value::Null, |x| Value::from(f64::from(x as f32)))
            }
            other => other.clone(),
        }
    }
    match dtype {
        Dtype::F64 => rows.to_vec(),
        Dtype::F32 => {
            let row =
                |r: &Map<String, Value>| r.iter().map(|(k, v)| (k.clone(), round(v))).collect();
            rows.iter().map(row).collect()
        }
    }
}

/// Evaluates the loss on rows that are rounded to the type.
///
/// # Errors
/// The rows do not fit the loss.
pub(super) fn expected(
    compiled: &Compiled,
    params: &[f64],
    chunk: &Chunk,
    dtype: Dtype,
) -> Result<Vec<Expected>> {
    let coupled = value::is_batch_coupled(compiled.graph());
    let lines: Vec<String> =
        rounded(&chunk.rows, dtype).into_iter().map(|r| Value::Object(r).to_string()).collect();
    let rows = Rows::from_text("<generated rows>", lines.join("\n"))?;
    let batching = if coupled { Batching::All } else { Batching::Line };
    let bound = value::bind(&compiled.loss, &rows, batching)?;
    let at = |bound: &Bound, params: &[f64]| -> Result<Vec<Outcome<Big>>> {
        let all = value::evaluate(Engine::Interpreter, compiled.graph(), params, bound);
        Ok(all.map_err(|e| Diagnostic::error("E0401", e.to_string()))?)
    };
    let mut out: Vec<Expected> = at(&bound, params)?.iter().map(exact).collect();
    for k in 0..MOVES {
        let mut rng = StdRng::seed_from_u64(k);
        let step = UNITS * dtype.epsilon();
        let mut shift = |x: &mut f64| *x *= 1.0 + step * rng.random_range(-1.0..1.0);
        let mut moved = bound.clone();
        moved
            .given
            .iter_mut()
            .filter(|g| g.real)
            .for_each(|g| g.values.iter_mut().for_each(&mut shift));
        moved.arrays.iter_mut().for_each(|a| {
            a.rows.iter_mut().flatten().flatten().for_each(&mut shift);
        });
        let mut values = params.to_vec();
        for (x, p) in values.iter_mut().zip(&compiled.loss.params) {
            let mut y = *x;
            shift(&mut y);
            if p.range.contains(y) {
                *x = y;
            }
        }
        for (e, o) in out.iter_mut().zip(at(&moved, &values)?) {
            e.widen(&exact(&o));
        }
    }
    Ok(out)
}

impl Expected {
    fn widen(&mut self, other: &Expected) {
        let widen = |a: &mut Number, b: &Number| {
            a.lo = a.lo.min(b.exact);
            a.hi = a.hi.max(b.exact);
        };
        widen(&mut self.loss, &other.loss);
        for ((_, mine), (_, theirs)) in self.gradients.iter_mut().zip(&other.gradients) {
            for (a, b) in mine.iter_mut().flatten().zip(theirs.iter().flatten()) {
                widen(a, b);
            }
        }
    }
}

fn exact(o: &Outcome<Big>) -> Expected {
    let number = |x: &Big| {
        let exact = x.to_f64();
        Number { exact, lo: exact, hi: exact }
    };
    let plain = o
        .grad
        .iter()
        .map(|(name, v)| (name.clone(), v.iter().map(|x| vec![number(x)]).collect::<Vec<_>>()));
    let flat = |n: &Nested<Big>| match n {
        Nested::List(v) => v.iter().map(number).collect(),
        Nested::Lists(v) => v.iter().flatten().map(number).collect::<Vec<_>>(),
    };
    let arrays = o.arrays.iter().map(|(name, v)| (name.clone(), v.iter().map(flat).collect()));
    Expected { loss: number(&o.loss), gradients: plain.chain(arrays).collect() }
}
