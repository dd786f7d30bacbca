//! Which quantity of the model or the data each input of a loss is.
//!
//! In: the inputs' canonical names. Out: the columns of a batch whose sequences are, example by example,
//! its responses and then its mismatched ones.
//!
//! What the loss calls an example is a *term* here: a pair is one term of a pair loss, and two terms of a
//! loss of labelled responses.

use crate::data::{ColumnSpec, EncodedExample, Shape};
use crate::op::{Column, Columns, LossKernel, RuntimeError};

use super::mean::averages;
use super::source::{Aggregate, Model, Source, diverged, source};

/// The names that a loss gives to models and responses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The trained model.
    pub policy: String,
    /// The frozen model.
    pub reference: String,
    /// The responses.
    pub responses: ResponseNames,
}

/// The names of the responses, by what one example of the loss is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponseNames {
    /// Two responses.
    Pair {
        /// The preferred response.
        chosen: String,
        /// The other response.
        rejected: String,
        /// Further responses to the prompt, such as a rationale.
        further: Vec<String>,
    },
    /// One response with a label.
    Labelled {
        /// The response.
        response: String,
    },
}

impl Names {
    /// The names of further responses.
    fn further(&self) -> &[String] {
        match &self.responses {
            ResponseNames::Pair { further, .. } => further,
            ResponseNames::Labelled { .. } => &[],
        }
    }

    /// What one example of the loss is.
    pub fn shape(&self) -> Shape {
        match self.responses {
            ResponseNames::Pair { .. } => Shape::Pair,
            ResponseNames::Labelled { .. } => Shape::Labelled,
        }
    }
}

impl Default for Names {
    fn default() -> Self {
        Self {
            policy: "pi".into(),
            reference: "ref".into(),
            responses: ResponseNames::Pair {
                chosen: "w".into(),
                rejected: "l".into(),
                further: Vec::new(),
            },
        }
    }
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
    shape: Shape,
    diverged: bool,
    further: Vec<String>,
}

/// A term of the loss: its example, and where its sequences lie in the batch.
struct Term {
    example: usize,
    /// Index of the example's first sequence in the batch.
    first: usize,
    /// Which response of the example; 0 for a pair as a whole.
    response: usize,
}

impl Binding {
    /// Finds the source of every input.
    ///
    /// # Errors
    /// If an input is none that the data and sequence log-probabilities can supply.
    pub fn new(kernel: &dyn LossKernel, names: &Names) -> Result<Self, RuntimeError> {
        let mut columns = Vec::new();
        let sources = kernel
            .inputs()
            .iter()
            .map(|input| source(input, names, &mut columns, kernel.name()))
            .collect::<Result<Vec<_>, _>>()?;
        let shape = names.shape();
        let diverged = diverged(kernel)?;
        let reads = |s: Source| sources.contains(&s);
        let sum = Aggregate::Sum;
        let of_reference =
            |s: &Source| matches!(s, Source::Reference(..) | Source::Mismatched(Model::Reference));
        let reference = sources.iter().any(of_reference);
        let last = if shape == Shape::Pair { 1 } else { 0 };
        let summed = reads(Source::Policy(sum, 0)) && reads(Source::Policy(sum, last));
        let averaged = sources.iter().any(|s| matches!(s, Source::Policy(Aggregate::Mean, _)));
        // `logp / len` written out is a mean as well.
        let lengths =
            reads(Source::Length(0)) && reads(Source::Length(last)) && averages(kernel, names);
        let mean = if summed { lengths && !averaged } else { averaged };
        Ok(Self {
            sources,
            columns,
            reward: Reward { reference, mean },
            shape,
            diverged,
            further: names.further().to_vec(),
        })
    }

    /// The data columns that the loss reads, in the order of [`EncodedExample::columns`].
    pub fn data_columns(&self) -> &[ColumnSpec] {
        &self.columns
    }

    /// What one example of the loss is.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The columns of further responses that the loss reads, in their order behind the pair.
    pub fn further(&self) -> &[String] {
        &self.further
    }

    /// True when the loss reads the reference model.
    pub fn needs_reference(&self) -> bool {
        self.reward.reference
    }

    /// True when the loss reads responses of other prompts ([`EncodedExample::mismatched`]).
    pub fn needs_mismatched(&self) -> bool {
        self.sources.iter().any(|s| matches!(s, Source::Mismatched(_)))
    }

    /// True when the loss reads responses from their divergence point on: the examples must be cut to it
    /// ([`crate::data::after_divergence`]).
    pub fn after_divergence(&self) -> bool {
        self.diverged
    }

    /// True when the loss reads more of the policy's distributions than the log-probabilities of tokens.
    pub(super) fn needs_statistics(&self) -> bool {
        self.sources.iter().any(|s| matches!(s, Source::Statistic(..)))
    }

    /// What reward accuracy and margin compare.
    pub fn reward(&self) -> Reward {
        self.reward
    }

    /// How many terms of the loss an example is.
    pub(super) fn terms(&self, example: &EncodedExample) -> usize {
        match self.shape {
            Shape::Pair => 1,
            Shape::Labelled => example.good.len(),
        }
    }

    fn batch_terms(&self, examples: &[&EncodedExample]) -> Result<Vec<Term>, RuntimeError> {
        let mut terms = Vec::new();
        let mut first = 0;
        for (e, example) in examples.iter().enumerate() {
            if self.shape == Shape::Pair && !example.is_pair() {
                return Err(RuntimeError::Setting(format!(
                    "the loss reads pairs and row {} of the data is a single response",
                    example.row
                )));
            }
            if self.needs_mismatched() && example.mismatched.len() != example.responses.len() {
                return Err(RuntimeError::Setting(
                    "the loss reads responses of other prompts and the data lack them".into(),
                ));
            }
            let wanted = example.good.len() + self.further.len();
            if self.shape == Shape::Pair && example.responses.len() != wanted {
                return Err(RuntimeError::Setting(format!(
                    "the loss reads {wanted} responses and row {} of the data has {}",
                    example.row,
                    example.responses.len()
                )));
            }
            let term = |response| Term { example: e, first, response };
            terms.extend((0..self.terms(example)).map(term));
            first += example.sequence_count();
        }
        Ok(terms)
    }

    /// The columns of a batch; its sequences are those of [`EncodedExample::sequences`], example by
    /// example. `reference[e]` holds the reference's sums of example e's sequences.
    ///
    /// # Errors
    /// If the reference or a data column is missing, an example is not what the loss reads, or the batch
    /// is empty.
    pub(super) fn columns(
        &self,
        examples: &[&EncodedExample],
        reference: Option<&[Vec<f64>]>,
    ) -> Result<Columns, RuntimeError> {
        let terms = self.batch_terms(examples)?;
        let sequences = examples.iter().flat_map(|e| e.sequences());
        let lengths: Vec<usize> = sequences.map(|s| s.response_len()).collect();
        // Where in its example the sequence of a term lies.
        let own = |t: &Term, side: usize| t.response + side;
        let other = |t: &Term| t.response + examples[t.example].responses.len();
        let at = |side: usize| terms.iter().map(|t| t.first + own(t, side)).collect::<Vec<_>>();
        let given = |t: &Term, place: usize| -> Result<f64, RuntimeError> {
            let sums = reference.and_then(|r| r.get(t.example)).and_then(|r| r.get(place));
            sums.copied().ok_or_else(|| {
                RuntimeError::Setting("the loss reads a reference and there is none".into())
            })
        };
        let one = |source: &Source| -> Result<Column, RuntimeError> {
            let values: Result<Vec<f64>, _> = match *source {
                Source::Policy(Aggregate::Sum, side) => return Ok(Column::Sum(at(side))),
                Source::Policy(Aggregate::Mean, side) => return Ok(Column::Mean(at(side))),
                Source::Length(side) => return Ok(Column::Length(at(side))),
                Source::Statistic(s, side) => return Ok(Column::Statistic(s, at(side))),
                Source::Mismatched(Model::Policy) => {
                    return Ok(Column::Sum(terms.iter().map(|t| t.first + other(t)).collect()));
                }
                Source::Mismatched(Model::Reference) => {
                    terms.iter().map(|t| given(t, other(t))).collect()
                }
                Source::Reference(aggregate, side) => terms
                    .iter()
                    .map(|t| {
                        let sum = given(t, own(t, side))?;
                        Ok(match aggregate {
                            Aggregate::Sum => sum,
                            Aggregate::Mean => sum / lengths[t.first + own(t, side)].max(1) as f64,
                        })
                    })
                    .collect(),
                Source::Label => {
                    let good = |t: &Term| examples[t.example].good.get(t.response) == Some(&true);
                    Ok(terms.iter().map(|t| f64::from(u8::from(good(t)))).collect())
                }
                Source::Data(i) => terms
                    .iter()
                    .map(|t| {
                        examples[t.example].columns.get(i).copied().ok_or_else(|| {
                            let name = self.columns.get(i).map_or("?", |c| c.name.as_str());
                            RuntimeError::Setting(format!(
                                "the data was read without column `{name}`"
                            ))
                        })
                    })
                    .collect(),
            };
            Ok(Column::Given(values?))
        };
        let columns = self.sources.iter().map(one).collect::<Result<Vec<_>, _>>()?;
        if columns.is_empty() {
            return Err(RuntimeError::Shape("the loss reads no input".into()));
        }
        Columns::new(columns, lengths)
    }
}
