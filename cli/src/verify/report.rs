//! What came out of a comparison.

use serde_json::{Map, Value};

/// The types that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dtype {
    /// Double precision: whether the formula is right.
    F64,
    /// Single precision: whether it stays right as trainers compute it.
    F32,
}

impl Dtype {
    /// `f64`, `f32`.
    pub fn name(self) -> &'static str {
        match self {
            Dtype::F64 => "f64",
            Dtype::F32 => "f32",
        }
    }

    /// The name of PyTorch.
    pub(super) fn torch(self) -> &'static str {
        match self {
            Dtype::F64 => "float64",
            Dtype::F32 => "float32",
        }
    }

    /// The gap between 1 and the next number.
    pub(super) fn epsilon(self) -> f64 {
        match self {
            Dtype::F64 => f64::EPSILON,
            Dtype::F32 => f64::from(f32::EPSILON),
        }
    }

    /// Below this the type has few digits left.
    pub(super) fn floor(self) -> f64 {
        match self {
            Dtype::F64 => f64::MIN_POSITIVE,
            Dtype::F32 => f64::from(f32::MIN_POSITIVE),
        }
    }

    /// The greatest finite number.
    pub(super) fn ceiling(self) -> f64 {
        match self {
            Dtype::F64 => f64::MAX,
            Dtype::F32 => f64::from(f32::MAX),
        }
    }

    /// The relative error that is allowed beside what rounding the inputs explains.
    pub(super) fn tolerance(self) -> f64 {
        match self {
            Dtype::F64 => 1e-6,
            Dtype::F32 => 1e-3,
        }
    }
}

/// The kind of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Case {
    /// Random, in the middle of what training meets.
    Ordinary,
    /// At a place where hand-written losses break; what it is.
    Edge(&'static str),
}

impl Case {
    /// `ordinary`, `edge`.
    pub fn name(self) -> &'static str {
        match self {
            Case::Ordinary => "ordinary",
            Case::Edge(_) => "edge",
        }
    }
}

/// A number that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The type.
    pub dtype: Dtype,
    /// The kind of row.
    pub case: Case,
    /// `loss`, or `d/COLUMN`.
    pub what: String,
    /// The row, or the rows of the batch.
    pub rows: Vec<Map<String, Value>>,
    /// The row among them that the derivative belongs to.
    pub row: usize,
    /// The values of the parameters.
    pub params: Vec<(String, f64)>,
    /// The value of the loss, or its derivative.
    pub expected: f64,
    /// What the function gave.
    pub got: f64,
}

/// How many numbers of one type and kind were compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// The type.
    pub dtype: Dtype,
    /// True for edges.
    pub edge: bool,
    /// Rows, or batches where the examples of one depend on each other.
    pub compared: usize,
    /// Those of them with a difference.
    pub differ: usize,
}

/// The outcome in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No difference was found.
    Agrees,
    /// The formula is the same in double precision on ordinary rows; it breaks at edges or in single
    /// precision.
    BreaksAtEdges,
    /// Another formula.
    Differs,
}

impl Verdict {
    /// `agrees`, `breaks_at_edges`, `differs`.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Agrees => "agrees",
            Verdict::BreaksAtEdges => "breaks_at_edges",
            Verdict::Differs => "differs",
        }
    }
}

/// A comparison.
#[derive(Clone, Debug)]
pub struct Report {
    /// The loss.
    pub loss: String,
    /// The arguments of the function, and what each was given.
    pub arguments: Vec<(String, String)>,
    /// Remarks on the match and on what the function returned.
    pub remarks: Vec<String>,
    /// `none`, `mean` or `sum`: what the function does with the examples of a batch; `unknown` where it
    /// does none of these.
    pub reduction: &'static str,
    /// What was compared.
    pub counts: Vec<Counts>,
    /// One entry a number that differs, ordinary rows in double precision first.
    pub differences: Vec<Difference>,
    /// The values of the parameters that were compared at.
    pub settings: Vec<Vec<(String, f64)>>,
    /// The version of PyTorch.
    pub torch: String,
}

impl Report {
    /// The outcome in one word.
    pub fn verdict(&self) -> Verdict {
        let wrong = |d: &Difference| d.dtype == Dtype::F64 && d.case == Case::Ordinary;
        let only_f32 = !self.counts.iter().any(|c| c.dtype == Dtype::F64);
        let ordinary = |d: &Difference| only_f32 && d.case == Case::Ordinary;
        if self.differences.iter().any(|d| wrong(d) || ordinary(d)) {
            Verdict::Differs
        } else if self.differences.is_empty() && self.reduction != "unknown" {
            Verdict::Agrees
        } else if self.reduction == "unknown" {
            Verdict::Differs
        } else {
            Verdict::BreaksAtEdges
        }
    }
}
