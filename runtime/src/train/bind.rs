//! Which quantity of the model or the data each input of a loss is.
//!
//! In: the inputs' canonical names. Out: the columns of a batch whose sequences are the rows
//! `chosen 0, rejected 0, chosen 1, ...`.

use ponens_compiler::mir::{Input, Level};

use crate::data::{ColumnSpec, EncodedPair};
use crate::op::{Column, Columns, LossKernel, RuntimeError};

/// The names that a loss gives to models and responses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The trained model.
    pub policy: String,
    /// The frozen model.
    pub reference: String,
    /// The preferred response.
    pub chosen: String,
    /// The other response.
    pub rejected: String,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            policy: "pi".into(),
            reference: "ref".into(),
            chosen: "w".into(),
            rejected: "l".into(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aggregate {
    Sum,
    Mean,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Policy(Aggregate, usize),
    Reference(Aggregate, usize),
    Length(usize),
    Data(usize),
}

/// What reward accuracy and margin compare: a number for each response, larger is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reward {
    /// Less the reference's log-probability.
    pub reference: bool,
    /// By token instead of by response.
    pub mean: bool,
}

impl Reward {
    /// The definition in words, for reports.
    pub fn definition(&self) -> &'static str {
        match (self.reference, self.mean) {
            (true, false) => "logp(policy) - logp(reference), summed over tokens",
            (true, true) => "logp(policy) - logp(reference), mean over tokens",
            (false, false) => "logp(policy), summed over tokens (the loss reads no reference)",
            (false, true) => "logp(policy), mean over tokens (the loss reads no reference)",
        }
    }

    /// The reward of a response from its sums and its number of tokens.
    pub(super) fn of(&self, policy: f64, reference: Option<f64>, tokens: usize) -> f64 {
        let ratio = match reference {
            Some(reference) if self.reference => policy - reference,
            _ => policy,
        };
        if self.mean { ratio / tokens.max(1) as f64 } else { ratio }
    }
}

/// A loss's inputs, each with its source.
#[derive(Clone, Debug)]
pub struct Binding {
    sources: Vec<Source>,
    columns: Vec<ColumnSpec>,
    reward: Reward,
}

impl Binding {
    /// Finds the source of every input.
    ///
    /// # Errors
    /// If an input is none that pairs and sequence log-probabilities can supply.
    pub fn new(kernel: &dyn LossKernel, names: &Names) -> Result<Self, RuntimeError> {
        let mut columns = Vec::new();
        let sources = kernel
            .inputs()
            .iter()
            .map(|input| source(input, names, &mut columns, kernel.name()))
            .collect::<Result<Vec<_>, _>>()?;
        let reads = |s: Source| sources.contains(&s);
        let sum = Aggregate::Sum;
        let reference = sources.iter().any(|s| matches!(s, Source::Reference(..)));
        let summed = reads(Source::Policy(sum, 0)) && reads(Source::Policy(sum, 1));
        let averaged = sources.iter().any(|s| matches!(s, Source::Policy(Aggregate::Mean, _)));
        // `logp / len` written out is a mean as well.
        let lengths = reads(Source::Length(0)) && reads(Source::Length(1));
        let mean = if summed { lengths && !averaged } else { averaged };
        Ok(Self { sources, columns, reward: Reward { reference, mean } })
    }

    /// The data columns that the loss reads, in the order of [`EncodedPair::columns`].
    pub fn data_columns(&self) -> &[ColumnSpec] {
        &self.columns
    }

    /// True when the loss reads the reference model.
    pub fn needs_reference(&self) -> bool {
        self.reward.reference
    }

    /// What reward accuracy and margin compare.
    pub fn reward(&self) -> Reward {
        self.reward
    }

    /// The columns of a batch; sequence `2e` is the chosen response of pair `e`, `2e + 1` the rejected
    /// one. `reference[e]` holds the reference's two sums.
    ///
    /// # Errors
    /// If the reference or a data column is missing, or the batch is empty.
    pub(super) fn columns(
        &self,
        pairs: &[&EncodedPair],
        reference: Option<&[[f64; 2]]>,
    ) -> Result<Columns, RuntimeError> {
        let lengths: Vec<usize> = pairs
            .iter()
            .flat_map(|p| [p.chosen.response_len(), p.rejected.response_len()])
            .collect();
        let sequences = |side: usize| (0..pairs.len()).map(|e| 2 * e + side).collect::<Vec<_>>();
        let one = |source: &Source| -> Result<Column, RuntimeError> {
            match *source {
                Source::Policy(Aggregate::Sum, side) => Ok(Column::Sum(sequences(side))),
                Source::Policy(Aggregate::Mean, side) => Ok(Column::Mean(sequences(side))),
                Source::Length(side) => Ok(Column::Length(sequences(side))),
                Source::Reference(aggregate, side) => {
                    let reference =
                        reference.filter(|r| r.len() == pairs.len()).ok_or_else(|| {
                            RuntimeError::Setting(
                                "the loss reads a reference and there is none".into(),
                            )
                        })?;
                    let value = |e: usize| match aggregate {
                        Aggregate::Sum => reference[e][side],
                        Aggregate::Mean => reference[e][side] / lengths[2 * e + side].max(1) as f64,
                    };
                    Ok(Column::Given((0..pairs.len()).map(value).collect()))
                }
                Source::Data(i) => {
                    let values = pairs.iter().map(|p| p.columns.get(i).copied());
                    let values = values.collect::<Option<Vec<f64>>>().ok_or_else(|| {
                        let name = self.columns.get(i).map_or("?", |c| c.name.as_str());
                        RuntimeError::Setting(format!("the data was read without column `{name}`"))
                    })?;
                    Ok(Column::Given(values))
                }
            }
        };
        let columns = self.sources.iter().map(one).collect::<Result<Vec<_>, _>>()?;
        if columns.is_empty() {
            return Err(RuntimeError::Shape("the loss reads no input".into()));
        }
        Columns::new(columns, lengths)
    }
}

/// `f(a,b)` into `f` and its arguments; a plain name has none.
fn call(name: &str) -> (&str, Vec<&str>) {
    match name.strip_suffix(')').and_then(|n| n.split_once('(')) {
        Some((f, arguments)) => (f.trim(), arguments.split(',').map(str::trim).collect()),
        None => (name, Vec::new()),
    }
}

fn source(
    input: &Input,
    names: &Names,
    columns: &mut Vec<ColumnSpec>,
    loss: &str,
) -> Result<Source, RuntimeError> {
    let refuse = || {
        RuntimeError::Unsupported(format!(
            "loss `{loss}` reads `{}` ({} level); training on pairs supplies logp, mean_logp of {} \
             and {}, len of {} and {}, and numeric data columns",
            input.name, input.level, names.policy, names.reference, names.chosen, names.rejected
        ))
    };
    if input.level > Level::Example {
        return Err(refuse());
    }
    let side = |r: &str| match r {
        r if r == names.chosen => Ok(0),
        r if r == names.rejected => Ok(1),
        _ => Err(refuse()),
    };
    match call(&input.name) {
        (f @ ("logp" | "mean_logp"), arguments) if arguments.len() == 2 => {
            let aggregate = if f == "logp" { Aggregate::Sum } else { Aggregate::Mean };
            match arguments[0] {
                m if m == names.policy => Ok(Source::Policy(aggregate, side(arguments[1])?)),
                m if m == names.reference => Ok(Source::Reference(aggregate, side(arguments[1])?)),
                _ => Err(refuse()),
            }
        }
        ("len", arguments) if arguments.len() == 1 => Ok(Source::Length(side(arguments[0])?)),
        (name, arguments) if arguments.is_empty() => {
            columns.push(ColumnSpec { name: name.to_owned(), range: input.range });
            Ok(Source::Data(columns.len() - 1))
        }
        _ => Err(refuse()),
    }
}
