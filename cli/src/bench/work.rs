//! What is measured: shapes, settings, inputs.

use super::Result;
use ponens_runtime::op::{Columns, GraphKernel, TokenRows};
use std::path::PathBuf;
use std::str::FromStr;

/// Responses x tokens x vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Responses: two a pair.
    pub responses: usize,
    /// Tokens of each.
    pub tokens: usize,
    /// Words.
    pub vocabulary: usize,
}

impl Shape {
    /// Rows of logits.
    pub fn rows(&self) -> usize {
        self.responses * self.tokens
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}x{}", self.responses, self.tokens, self.vocabulary)
    }
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let parts: Option<Vec<usize>> =
            text.split('x').map(|p| p.trim().parse().ok().filter(|n| *n > 0)).collect();
        match parts.as_deref() {
            Some(&[responses, tokens, vocabulary]) if responses % 2 == 0 && vocabulary > 1 => {
                Ok(Self { responses, tokens, vocabulary })
            }
            _ => {
                Err("write RESPONSESxTOKENSxVOCABULARY with an even number of responses, such as \
                      4x128x49152"
                    .to_owned())
            }
        }
    }
}

/// One table of the report.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// The loss from logits.
    Logits(Shape),
    /// The loss from hidden states of a width, and the head.
    Hidden(Shape, usize),
    /// Every loss of the catalogue from logits.
    Catalogue(Shape),
    /// Errors against the definition in f64.
    Accuracy(Shape),
}

impl Target {
    /// The arguments by which another process knows it.
    pub(super) fn arguments(&self) -> Vec<String> {
        let (part, shape, width) = match self {
            Target::Logits(s) => ("logits", s, None),
            Target::Hidden(s, w) => ("hidden", s, Some(w)),
            Target::Catalogue(s) => ("catalogue", s, None),
            Target::Accuracy(s) => ("accuracy", s, None),
        };
        let mut out = vec!["--part".into(), part.into(), "--shape".into(), shape.to_string()];
        if let Some(w) = width {
            out.extend(["--hidden".into(), w.to_string()]);
        }
        out
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Target::Logits(s) => write!(f, "dpo from logits, {s}, f32, value and gradient"),
            Target::Hidden(s, w) => {
                write!(f, "dpo from hidden states of width {w}, {s}, f32, value and gradients")
            }
            Target::Catalogue(s) => {
                write!(f, "every loss of the catalogue from logits, {s}, f32, against dpo")
            }
            Target::Accuracy(s) => {
                write!(
                    f,
                    "errors of dpo against the definition in f64, vocabulary {}",
                    s.vocabulary
                )
            }
        }
    }
}

/// What to measure and how often.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The shapes.
    pub shapes: Vec<Shape>,
    /// Widths of hidden states.
    pub widths: Vec<usize>,
    /// The parts: `logits`, `hidden`, `catalogue`, `accuracy`.
    pub parts: Vec<String>,
    /// Rounds that count.
    pub rounds: usize,
    /// A Python with PyTorch.
    pub python: Option<PathBuf>,
    /// Whether peaks are measured.
    pub memory: bool,
    /// The one contender that will be asked for, if so: costly others need not start.
    pub only: Option<String>,
}

impl Settings {
    /// The tables, in order.
    pub fn targets(&self) -> Vec<Target> {
        let has = |part: &str| self.parts.iter().any(|p| p == part);
        let mut out = Vec::new();
        if has("logits") {
            out.extend(self.shapes.iter().map(|s| Target::Logits(*s)));
        }
        if has("hidden") {
            for s in &self.shapes {
                out.extend(self.widths.iter().map(|w| Target::Hidden(*s, *w)));
            }
        }
        if has("catalogue") {
            out.extend(self.shapes.first().map(|s| Target::Catalogue(*s)));
        }
        if has("accuracy") {
            out.extend(self.shapes.first().map(|s| Target::Accuracy(*s)));
        }
        out
    }
}

/// Numbers in [0, 1), the same on every run.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn roll(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1u64 << 24) as f32
    }

    /// `n` numbers between `-scale` and `scale`.
    pub(super) fn numbers(&mut self, n: usize, scale: f32) -> Vec<f32> {
        (0..n).map(|_| (self.roll() * 2.0 - 1.0) * scale).collect()
    }
}

/// Which tokens the rows predict; response `s` has the rows `s * tokens ..`.
pub(super) fn rows(shape: Shape) -> Result<TokenRows> {
    let mut dice = Dice::new(7);
    let word = |_| (dice.roll() * shape.vocabulary as f32) as u32;
    let targets = (0..shape.rows()).map(word).collect();
    let sequence = (0..shape.rows()).map(|r| Some((r / shape.tokens) as u32)).collect();
    Ok(TokenRows::new(targets, sequence, shape.responses)?)
}

/// DPO with its columns: the first half of the responses are chosen.
pub(super) struct Dpo {
    pub(super) kernel: GraphKernel,
    pub(super) params: Vec<f64>,
    pub(super) columns: Columns,
}

pub(super) fn dpo(shape: Shape, rows: &TokenRows) -> Result<Dpo> {
    let compiled = ponens_losses::compile("dpo", &Default::default())
        .map_err(|d| d.first().map_or_else(String::new, |d| d.message.clone()))?;
    let kernel = GraphKernel::new(compiled.graph(), &Default::default())?;
    let columns = super::columns::columns(&compiled, &kernel, shape, rows)?;
    let params = kernel.params().to_vec();
    Ok(Dpo { kernel, params, columns })
}
