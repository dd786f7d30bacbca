//! The rows on which a function and a loss are compared.
//!
//! In: what the function sees and what the loss reads. Out: chunks of rows that one call takes. Random
//! rows are like those of training; the edges are the places at which hand-written losses are known to
//! break: probabilities near one, saturated log-ratios, equal models, responses of very unequal length,
//! empty ones. Invariant: the columns of a row agree with each other (a sum is that of its tokens), and
//! a row of one seed is the same on every run.

mod lengths;

use super::Request;
use super::matching::{Matched, Meaning, Source, seen};
use super::report::Case;
use crate::value::is_batch_coupled;
use lengths::{Ragged, key};
use ponens_compiler::hir::{Loop, Loss, Quantity, Role};
use ponens_compiler::mir::{Interval, Param};
use ponens_compiler::session::Compiled;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Map, Value};

/// Rows of a batch, where the examples of one depend on each other.
const BATCH: usize = 5;

/// Responses of a list.
const LISTS: [usize; 3] = [4, 2, 7];

/// Most tokens where rows list them.
const TOKENS: usize = 6;

/// Rows that one call takes.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    pub(super) rows: Vec<Map<String, Value>>,
    /// The kind of each row; of a batch, that of its first.
    pub(super) cases: Vec<Case>,
}

/// All rows.
#[derive(Clone, Debug)]
pub(super) struct Inputs {
    pub(super) chunks: Vec<Chunk>,
}

/// A response: its tokens, the policy's log-probability, and the log-ratio to every other model.
type Response = (usize, f64, f64);

/// Places at which losses break: the first response, and the others.
const EDGES: &[(&str, Response, Response)] = &[
    ("the models agree", (20, -35.0, 0.0), (25, -60.0, 0.0)),
    ("the models almost agree", (20, -35.0, 1e-6), (25, -60.0, -1e-6)),
    ("the first response is certain to 1e-12", (1, -1e-12, 0.3), (3, -5.0, 0.1)),
    ("the first response is certain to 1e-8", (1, -1e-8, 0.3), (3, -5.0, 0.1)),
    ("the first response is certain to 2.5e-7", (1, -2.5e-7, 0.3), (3, -5.0, 0.1)),
    ("another response is certain to 1e-12", (3, -5.0, 0.1), (1, -1e-12, 0.3)),
    ("another response is certain to 1e-8", (3, -5.0, 0.1), (1, -1e-8, 0.3)),
    ("both are certain to 1e-8", (1, -1e-8, 0.2), (1, -1e-8, 0.1)),
    ("the first response has probability 1", (1, 0.0, 0.2), (2, -1.5, 0.1)),
    ("another response has probability 1", (2, -1.5, 0.2), (1, 0.0, 0.1)),
    (
        "both have probability 1/2",
        (1, -std::f64::consts::LN_2, 0.0),
        (1, -std::f64::consts::LN_2, 0.1),
    ),
    ("log-ratios favour the first by 20", (50, -100.0, 10.0), (50, -100.0, -10.0)),
    ("log-ratios favour the first by 170", (50, -200.0, 85.0), (50, -200.0, -85.0)),
    ("log-ratios favour the first by 400", (50, -300.0, 200.0), (50, -300.0, -200.0)),
    ("log-ratios favour the first by 900", (90, -500.0, 450.0), (90, -500.0, -450.0)),
    ("log-ratios favour the first by 5000", (500, -3000.0, 2500.0), (500, -3000.0, -2500.0)),
    ("log-ratios favour the others by 20", (50, -100.0, -10.0), (50, -100.0, 10.0)),
    ("log-ratios favour the others by 170", (50, -200.0, -85.0), (50, -200.0, 85.0)),
    ("log-ratios favour the others by 400", (50, -300.0, -200.0), (50, -300.0, 200.0)),
    ("log-ratios favour the others by 900", (90, -500.0, -450.0), (90, -500.0, 450.0)),
    ("log-ratios favour the others by 5000", (500, -3000.0, -2500.0), (500, -3000.0, 2500.0)),
    ("sums of -10000", (500, -10000.0, 0.5), (500, -10000.0, -0.5)),
    ("the policy left the first response", (30, -700.0, -650.0), (30, -40.0, 0.5)),
    ("one token against 2048", (1, -2.0, 0.3), (2048, -3000.0, -0.2)),
];

/// The same, for rows that tell how long a response is.
const EMPTY: &[(&str, Response, Response)] = &[
    ("the first response is empty", (0, 0.0, 0.0), (30, -40.0, 0.5)),
    ("another response is empty", (30, -40.0, 0.5), (0, 0.0, 0.0)),
];

/// The values of the parameters to compare at: those asked for, and others, so that a parameter that
/// the function drops cannot hide behind its default.
pub(super) fn settings(
    params: &[Param],
    base: &[f64],
    matched: &Matched,
    request: &Request,
    method: bool,
) -> Vec<Vec<f64>> {
    let moved: Vec<f64> = params
        .iter()
        .zip(base)
        .enumerate()
        .map(|(i, (p, x))| {
            let fixed = request.params.iter().any(|(name, _)| *name == p.name)
                || matched.own.iter().any(|(n, m)| *n == p.name && *m != Meaning::Param(i));
            // A method has every parameter as an attribute.
            if fixed || !(method || matched.has_param(i)) { *x } else { elsewhere(*x, p.range) }
        })
        .collect();
    if moved == base { vec![base.to_vec()] } else { vec![base.to_vec(), moved] }
}

fn elsewhere(x: f64, range: Interval) -> f64 {
    let near = [1.7 * x + 0.03, 0.6 * x + 0.01, 0.5 * x, x + 1.0];
    near.into_iter().find(|y| range.contains(*y) && *y != x).unwrap_or(x)
}

impl Inputs {
    pub(super) fn new(compiled: &Compiled, matched: &Matched, request: &Request) -> Self {
        let loss = &compiled.loss;
        let mut sources: Vec<Source> = Vec::new();
        let unseen = loss.columns.iter().filter(|c| !seen(&c.quantity, matched));
        let unseen = unseen.map(|c| Source { quantity: c.quantity.clone(), of: c.of });
        for s in matched.columns().cloned().chain(unseen) {
            if !sources.contains(&s) {
                sources.push(s);
            }
        }
        let tokens = sources.iter().any(|s| matches!(s.of, Some(Loop::Tokens(_))));
        let lengths = sources.iter().any(|s| matches!(s.quantity, Quantity::Len { .. }));
        let maker = Maker { loss, sources, tokens, rng: StdRng::seed_from_u64(request.seed) };
        maker.chunks(
            request.rows,
            is_batch_coupled(compiled.graph()),
            lengths && !tokens || matched.masked().next().is_some(),
            Ragged {
                tokens: matched.masked().next().is_some(),
                candidates: matched.meanings.iter().any(|(_, m)| *m == Meaning::Candidates),
                family: loss.shape.family().is_some(),
            },
        )
    }
}

struct Maker<'a> {
    loss: &'a Loss,
    sources: Vec<Source>,
    /// True when rows list tokens.
    tokens: bool,
    rng: StdRng,
}

impl Maker<'_> {
    fn chunks(mut self, rows: usize, coupled: bool, empty: bool, ragged: Ragged) -> Inputs {
        let masked = ragged.tokens;
        let family = self.loss.shape.family().is_some();
        let mut all: Vec<(Case, Map<String, Value>)> = Vec::new();
        for i in 0..rows {
            let count = if family { LISTS[i % LISTS.len()] } else { 1 };
            // Without a mask all rows of a call have as many tokens.
            let length = (self.tokens && !masked).then_some(TOKENS - i % 2);
            let row = self.row(None, count, length);
            all.push((Case::Ordinary, row));
        }
        let more: &[_] = if empty { EMPTY } else { &[] };
        for (name, first, others) in EDGES.iter().chain(more) {
            let count = if family { LISTS[0] } else { 1 };
            let length = (self.tokens && !masked).then_some(TOKENS);
            all.push((Case::Edge(name), self.row(Some((*first, *others)), count, length)));
        }
        if family {
            let mut same = self.row(None, LISTS[0], Some(TOKENS));
            for s in self.sources.iter().filter(|s| matches!(s.quantity, Quantity::Data { .. })) {
                level(same.get_mut(&s.name()));
            }
            all.push((Case::Edge("all responses score the same"), same));
            let one = self.row(None, 1, Some(TOKENS));
            all.push((Case::Edge("a single response"), one));
        }
        let mut chunks: Vec<(String, Chunk)> = Vec::new();
        for (case, row) in all {
            let key = format!("{} {}", case.name(), key(&row, ragged));
            let fits =
                |c: &&mut (String, Chunk)| c.0 == key && !(coupled && c.1.rows.len() >= BATCH);
            match chunks.iter_mut().find(fits) {
                Some((_, chunk)) => {
                    chunk.rows.push(row);
                    chunk.cases.push(case);
                }
                None => chunks.push((key, Chunk { rows: vec![row], cases: vec![case] })),
            }
        }
        if coupled {
            chunks = chunks.into_iter().flat_map(|(k, c)| self.batches(k, c)).collect();
        }
        Inputs { chunks: chunks.into_iter().map(|(_, c)| c).collect() }
    }

    /// Each edge in a batch of its own, among ordinary rows.
    fn batches(&mut self, key: String, chunk: Chunk) -> Vec<(String, Chunk)> {
        if chunk.cases.first() == Some(&Case::Ordinary) {
            return vec![(key, chunk)];
        }
        let mut out = Vec::new();
        for (row, case) in chunk.rows.into_iter().zip(chunk.cases) {
            let others = (1..BATCH).map(|_| self.row(None, LISTS[0], Some(TOKENS)));
            let rows: Vec<_> = std::iter::once(row).chain(others).collect();
            let cases = vec![case; rows.len()];
            out.push((key.clone(), Chunk { rows, cases }));
        }
        out
    }

    fn row(
        &mut self,
        edge: Option<(Response, Response)>,
        count: usize,
        length: Option<usize>,
    ) -> Map<String, Value> {
        let family = self.loss.shape.family().is_some();
        let responses = if family { count } else { self.loss.shape.responses().len() };
        let mut stories: Vec<Story> = Vec::new();
        for i in 0..responses {
            let given = edge.map(|(first, others)| if i == 0 { first } else { others });
            stories.push(self.story(given, length));
        }
        let mismatched = self.story(None, None);
        let sources = std::mem::take(&mut self.sources);
        let cell = |s: &Source| (s.name(), self.cell(s, &stories, &mismatched));
        let row = sources.iter().map(cell).collect();
        self.sources = sources;
        row
    }

    fn story(&mut self, given: Option<Response>, length: Option<usize>) -> Story {
        let most = if self.tokens { TOKENS } else { 60 };
        let (mut n, sum, ratio) = match given {
            Some(r) => r,
            None => {
                let n = self.rng.random_range(1..=most);
                let each: f64 = self.rng.random_range(0.05f64.ln()..5f64.ln());
                (n, -(n as f64) * each.exp(), self.normal() * 4.0)
            }
        };
        if let (Some(fixed), true) = (length, n > 0) {
            n = fixed;
        } else if self.tokens {
            n = n.min(TOKENS);
        }
        let mut models = Vec::new();
        for (k, m) in self.loss.models.iter().enumerate() {
            let own = match m.role {
                Role::Policy => sum,
                // Several frozen models differ a little.
                _ => (sum - ratio * (1.0 + 0.1 * k as f64)).min(0.0),
            };
            models.push((m.name.clone(), self.split(own, n)));
        }
        Story { n, models, share: self.rng.random_range(0.3..0.9) }
    }

    /// Token log-probabilities that add up to about a sum.
    fn split(&mut self, sum: f64, n: usize) -> Vec<f64> {
        if !self.tokens {
            return vec![sum];
        }
        let weights: Vec<f64> = (0..n).map(|_| self.rng.random_range(0.2..1.0)).collect();
        let total: f64 = weights.iter().sum();
        weights.iter().map(|w| sum * w / total).collect()
    }

    fn normal(&mut self) -> f64 {
        // Irwin and Hall: near enough to a normal distribution, and bounded.
        (0..12).map(|_| self.rng.random_range(0.0..1.0)).sum::<f64>() - 6.0
    }

    fn cell(&mut self, s: &Source, stories: &[Story], mismatched: &Story) -> Value {
        let family = self.loss.shape.family().is_some();
        let responses = self.loss.shape.responses();
        let at = match s.of {
            Some(Loop::Tokens(r)) => r,
            _ => {
                let name = s.quantity.response();
                responses.iter().position(|r| Some(*r) == name).unwrap_or_default()
            }
        };
        match (s.of, family) {
            (Some(Loop::Tokens(_)), true) => stories.iter().map(|y| self.tokens_of(s, y)).collect(),
            (Some(Loop::Tokens(_)), false) => self.tokens_of(s, &stories[at]),
            (Some(Loop::Candidates), _) => {
                stories.iter().map(|y| Value::from(self.number(s, y, None))).collect()
            }
            (None, _) => match &s.quantity {
                Quantity::Label { .. } => Value::from(self.rng.random_bool(0.5)),
                Quantity::MismatchedLogp { model } => Value::from(mismatched.sum(model)),
                Quantity::Len { .. } => Value::from(stories[at].n),
                _ => {
                    let other = stories.get(1 - at.min(1));
                    Value::from(self.number(s, &stories[at], other))
                }
            },
        }
    }

    fn tokens_of(&mut self, s: &Source, y: &Story) -> Value {
        let inner = match &s.quantity {
            Quantity::Token(inner) => (**inner).clone(),
            other => other.clone(),
        };
        match &inner {
            Quantity::Logp { model, .. } => {
                y.tokens(model).iter().copied().map(Value::from).collect()
            }
            Quantity::Data { name } if name.starts_with("mask") => {
                // The first token counts, so that a mean over the mask is defined.
                (0..y.n)
                    .map(|t| Value::from(u8::from(t == 0 || self.rng.random_bool(0.7))))
                    .collect()
            }
            _ => {
                let one = Source { quantity: inner, of: None };
                (0..y.n).map(|_| Value::from(self.number(&one, y, None))).collect()
            }
        }
    }

    fn number(&mut self, s: &Source, y: &Story, other: Option<&Story>) -> f64 {
        let shared = other.map_or(y.share, |o| (o.n as f64 / y.n.max(1) as f64).min(1.0));
        match &s.quantity {
            Quantity::Logp { model, .. } => y.sum(model),
            Quantity::MeanLogp { model, .. } => y.sum(model) / y.n.max(1) as f64,
            Quantity::SharedLogp { model, .. } => y.sum(model) * shared,
            Quantity::TailLogp { model, .. } => y.sum(model) * (1.0 - shared),
            Quantity::DivergedLogp { model, .. } => y.sum(model) * y.share,
            Quantity::LogSumP2 { .. } => -self.rng.random_range(0.1..1.5) * y.n.max(1) as f64,
            Quantity::Kl { .. } | Quantity::Entropy { .. } => self.rng.random_range(0.01..3.0),
            Quantity::Len { .. } => y.n as f64,
            Quantity::Head { .. } => self.normal(),
            _ => {
                let range = self.loss.columns.iter().find(|c| c.quantity == s.quantity);
                self.within(range.map_or(Interval::REAL, |c| c.range))
            }
        }
    }

    fn within(&mut self, range: Interval) -> f64 {
        let share: f64 = self.rng.random_range(0.02..0.98);
        match (range.lo.is_finite(), range.hi.is_finite()) {
            (true, true) => range.lo + (range.hi - range.lo) * share,
            (true, false) => range.lo - share.ln(),
            (false, true) => range.hi + share.ln(),
            (false, false) => self.normal(),
        }
    }
}

/// A response of a row.
struct Story {
    n: usize,
    /// By model: the log-probability of each token; as one number where rows list none.
    models: Vec<(String, Vec<f64>)>,
    /// The part of it that is shared with another response, or behind the point of divergence.
    share: f64,
}

impl Story {
    fn tokens(&self, model: &str) -> &[f64] {
        self.models.iter().find(|(m, _)| m == model).map_or(&[], |(_, t)| t)
    }

    fn sum(&self, model: &str) -> f64 {
        self.tokens(model).iter().sum()
    }
}

/// Gives every number of a list the value of the first.
fn level(cell: Option<&mut Value>) {
    if let Some(Value::Array(list)) = cell {
        let first = list.first().cloned().unwrap_or_default();
        list.iter_mut().for_each(|v| v.clone_from(&first));
    }
}
