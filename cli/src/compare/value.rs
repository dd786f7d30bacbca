//! Whether two losses have the same value at every example.
//!
//! In: both losses as one graph, as written and in its stable form. Out: [`LossEquality`]. Invariant:
//! "equal" rests on the rewriter, "different" on an example whose two values, computed with 256 bits,
//! are further apart than rounding explains; what is neither is left open.

use ponens_compiler::codegen::interp::{Batch, Big, Real as _, evaluate};
use ponens_compiler::hir::Quantity;
use ponens_compiler::mir::{Graph, Interval, Level, Stage};
use ponens_compiler::rewrite;
use std::collections::BTreeMap;

/// How many random examples are tried.
pub const POINTS: usize = 240;

/// Examples in a batch, where a loss looks at whole batches.
const BATCH: usize = 4;

/// Values further apart than this part of the larger one, or of 1, are different: 256 bits leave room
/// for intermediate results of 1e40.
const TOLERANCE: f64 = 1e-30;

/// Inputs are multiples of this, so that sums of a few of them are exact.
const GRAIN: f64 = 1.0 / (1u64 << 32) as f64;

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

/// Whether two losses have the same value everywhere, at given parameters.
#[derive(Clone, Debug, PartialEq)]
pub enum LossEquality {
    /// They do; the text says what shows it.
    Equal(String),
    /// They do not, for the reason given.
    Different {
        /// What shows it.
        evidence: String,
        /// An example, unless they read different data.
        example: Option<Difference>,
    },
    /// Neither was shown, for the reason given.
    Open(String),
}

impl LossEquality {
    /// True or false where it is decided.
    pub fn verdict(&self) -> Option<bool> {
        match self {
            LossEquality::Equal(_) => Some(true),
            LossEquality::Different { .. } => Some(false),
            LossEquality::Open(_) => None,
        }
    }

    /// What shows it, or why it is open.
    pub fn evidence(&self) -> &str {
        match self {
            LossEquality::Equal(text) | LossEquality::Open(text) => text,
            LossEquality::Different { evidence, .. } => evidence,
        }
    }
}

/// Decides it for the roots `first` and `second` of a graph without parameters: `written` as the texts
/// say it, `stable` as it is evaluated.
pub(super) fn decide(written: &Graph, stable: &Graph) -> LossEquality {
    let tried = match search(stable) {
        Search::Found(example) => {
            let evidence = "different at an example, computed with 256 bits".to_owned();
            return LossEquality::Different { evidence, example: Some(example) };
        }
        Search::Tried(points) => points,
    };
    match prove(written).or_else(|_| prove(stable)) {
        Ok(evidence) => LossEquality::Equal(evidence),
        Err(why) => LossEquality::Open(match tried {
            0 => format!("their data cannot be made up for an example, and no proof: {why}"),
            _ => format!(
                "no difference at {tried} random examples with 256 bits, and no proof: {why}"
            ),
        }),
    }
}

/// What shows that the rewriter brings both roots to one form.
fn prove(graph: &Graph) -> Result<String, String> {
    let graph = Graph { stage: Stage::Written, ..graph.clone() };
    if graph.root("first") == graph.root("second") {
        return Ok("the same expression at these parameters".to_owned());
    }
    let options = rewrite::Options::default();
    let found = rewrite::optimise(&graph, &options).map_err(|d| d.message)?;
    if found.graph.root("first") != found.graph.root("second") {
        return Err(match &found.stats.stopped {
            Some(limit) => format!("undecided within {limit}"),
            None => "the rewriter knows no law that joins their stable forms".to_owned(),
        });
    }
    let derived = rewrite::optimise(&graph, &rewrite::Options { derive: true, ..options });
    let Some(derivation) = derived.ok().and_then(|o| o.derivation) else {
        return Ok(
            "the rewriter brings both to one form; its steps are too many to show".to_owned()
        );
    };
    rewrite::verify_derivation(&derivation)
        .map_err(|e| format!("the checker refuses the derivation: {e}"))?;
    let steps: usize = derivation.lemmas.iter().map(|l| l.steps.len()).sum();
    Ok(format!("proved: {steps} rewriting steps bring both to one form, each checked"))
}

enum Search {
    Found(Difference),
    /// None differs among so many examples.
    Tried(usize),
}

/// The first random example where the values differ.
fn search(graph: &Graph) -> Search {
    let coupled = graph.roots.iter().any(|r| graph.node(r.node).level < Level::Example);
    let size = if coupled { BATCH } else { 1 };
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut tried = 0;
    for _ in 0..POINTS / size {
        let columns: Vec<Vec<f64>> = graph
            .inputs
            .iter()
            .map(|i| (0..size).map(|_| random.value(&i.name, i.range)).collect())
            .collect();
        let Some([x, y]) = values(graph, &columns, size) else { continue };
        tried += size;
        let scale = x.abs().max(&y.abs()).max(&Big::from_f64(1.0));
        if x.sub(&y).abs().exceeds(&scale.mul(&Big::from_f64(TOLERANCE))) {
            let names = graph.inputs.iter().map(|i| i.name.clone());
            let example = names.zip(columns.iter().map(|c| c[0])).collect();
            let (first, second) = (x.to_f64(), y.to_f64());
            return Search::Found(Difference { example, first, second });
        }
    }
    Search::Tried(tried)
}

/// Both values; `None` where one of them is no finite number.
fn values(graph: &Graph, columns: &[Vec<f64>], size: usize) -> Option<[Big; 2]> {
    let mut batch = Batch::<Big>::new(size);
    for (i, column) in columns.iter().enumerate() {
        batch.set(graph, u16::try_from(i).ok()?, column).ok()?;
    }
    let found = evaluate(graph, &[], &batch).ok()?;
    let mut first =
        found.into_iter().map(|mut v| if v.is_empty() { None } else { Some(v.remove(0)) });
    let pair = [first.next()??, first.next()??];
    pair.iter().all(|x| x.to_f64().is_finite()).then_some(pair)
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
        if column == (Quantity::Label { name: String::new() }).to_string() {
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
        let x = (x / GRAIN).round() * GRAIN;
        if range.contains(x) { x } else { lo.max(hi.min(0.0)) }
    }
}
