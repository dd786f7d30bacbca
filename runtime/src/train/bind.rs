//! Which quantity of the model or the data each input of a loss is.
//!
//! In: the inputs' canonical names. Out: the columns of a batch whose sequences are, example by example,
//! its responses and then its mismatched ones.
//!
//! What the loss calls an example is a *term* here: a pair is one term of a pair loss, and two terms of a
//! loss of labelled responses.

use ponens_compiler::mir::Level;

use super::mean::averages;
use crate::data::{ColumnSpec, EncodedExample, ListSpec, Shape};
use crate::logprob::Each;
use crate::op::{Loops, LossKernel, RuntimeError};

use super::feeds::{Known, Term};
use super::names::Names;
use super::nested::{Inputs, statistics};
use super::reward::{Grain, HeadKind, Reward};
use super::source::{Aggregate, DataColumns, Head, Model, Source, diverged, source};

/// A loss's inputs, each with its source.
#[derive(Clone, Debug)]
pub struct Binding {
    sources: Vec<(Source, Level)>,
    columns: DataColumns,
    reward: Reward,
    shape: Shape,
    diverged: bool,
    further: Vec<String>,
}

impl Binding {
    /// Finds the source of every input.
    ///
    /// # Errors
    /// If an input is none that the data and the models can supply.
    pub fn new(kernel: &dyn LossKernel, names: &Names) -> Result<Self, RuntimeError> {
        let mut columns = DataColumns::default();
        let running = |i: usize| kernel.running().iter().any(|r| r.input() == i);
        let sources = kernel
            .inputs()
            .iter()
            .enumerate()
            .map(|(i, input)| {
                let source = match running(i) {
                    true => Source::Running,
                    false => source(input, names, &mut columns, kernel.name())?,
                };
                Ok((source, input.level))
            })
            .collect::<Result<Vec<_>, RuntimeError>>()?;
        let shape = names.shape();
        let diverged = diverged(kernel)?;
        let reads = |s: Source| sources.iter().any(|(own, _)| *own == s);
        let sum = Aggregate::Sum;
        let any = |f: &dyn Fn(&Source) -> bool| sources.iter().any(|(s, _)| f(s));
        let reference =
            any(&|s| matches!(s, Source::Reference(..) | Source::Mismatched(Model::Reference)));
        let last = if shape == Shape::Pair { 1 } else { 0 };
        let summed = reads(Source::Policy(sum, 0)) && reads(Source::Policy(sum, last));
        let averaged = any(&|s| matches!(s, Source::Policy(Aggregate::Mean, _)));
        // `logp / len` written out is a mean as well.
        let lengths =
            reads(Source::Length(0)) && reads(Source::Length(last)) && averages(kernel, names);
        let mean = if summed { lengths && !averaged } else { averaged };
        let head = any(&|s| matches!(s, Source::End(_) | Source::Head(Head::Reward, _)));
        let ends = any(&|s| matches!(s, Source::End(_)));
        if ends && any(&|s| matches!(s, Source::Head(..))) {
            return Err(RuntimeError::Unsupported(format!(
                "loss `{}` reads a head of whole responses and one of tokens; training has one head",
                kernel.name()
            )));
        }
        Ok(Self {
            sources,
            columns,
            reward: Reward { reference, mean, head },
            shape,
            diverged,
            further: names.further().to_vec(),
        })
    }

    /// The data columns that the loss reads, in the order of [`EncodedExample::columns`].
    pub fn data_columns(&self) -> &[ColumnSpec] {
        &self.columns.numbers
    }

    /// The columns with one number a response or a token, in the order of [`EncodedExample::lists`].
    pub fn list_columns(&self) -> &[ListSpec] {
        &self.columns.lists
    }

    /// What one example of the loss is.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The columns of further responses that the loss reads, in their order behind the pair.
    pub fn further(&self) -> &[String] {
        &self.further
    }

    /// True when the loss reads log-probabilities of the reference model.
    pub fn needs_reference(&self) -> bool {
        self.reward.reference
    }

    /// True when the loss reads divergences from the reference, which needs that model at every step.
    pub fn needs_live_reference(&self) -> bool {
        use crate::logprob::Statistic::{KlFromReference, KlToReference};
        let wanted = self.statistics();
        wanted[KlFromReference] || wanted[KlToReference]
    }

    /// What is kept of the reference for each sequence.
    pub fn grain(&self) -> Grain {
        let token = |(s, level): &(Source, Level)| {
            matches!(s, Source::Reference(..)) && *level == Level::Token
        };
        if self.sources.iter().any(token) { Grain::Token } else { Grain::Sequence }
    }

    /// The scalar head that the loss reads, if it reads one.
    pub fn head(&self) -> Option<HeadKind> {
        self.sources.iter().find_map(|(s, _)| match s {
            Source::Head(Head::Value, _) => Some(HeadKind::Value),
            Source::Head(Head::Reward, _) | Source::End(_) => Some(HeadKind::Reward),
            _ => None,
        })
    }

    /// True when the loss reads the head after the last token of a response.
    pub(super) fn reads_end(&self) -> bool {
        self.sources.iter().any(|(s, _)| matches!(s, Source::End(_)))
    }

    /// True when the loss reads responses of other prompts ([`EncodedExample::mismatched`]).
    pub fn needs_mismatched(&self) -> bool {
        self.sources.iter().any(|(s, _)| matches!(s, Source::Mismatched(_)))
    }

    /// True when the loss reads responses from their divergence point on: the examples must be cut to it
    /// ([`crate::data::after_divergence`]).
    pub fn after_divergence(&self) -> bool {
        self.diverged
    }

    /// What the loss reads of the policy's distributions beside the log-probabilities of tokens.
    pub(super) fn statistics(&self) -> Each<bool> {
        statistics(self.sources.iter().filter_map(|(s, _)| match s {
            Source::Statistic(which, _) => Some(*which),
            _ => None,
        }))
    }

    /// What reward accuracy and margin compare.
    pub fn reward(&self) -> Reward {
        self.reward
    }

    /// How many terms of the loss an example is.
    pub(super) fn terms(&self, example: &EncodedExample) -> usize {
        match self.shape {
            Shape::Labelled => example.good.len(),
            _ => 1,
        }
    }

    /// Refuses an example that is not what the loss reads.
    fn check(&self, example: &EncodedExample) -> Result<(), RuntimeError> {
        let refuse = |text: String| Err(RuntimeError::Setting(text));
        if self.shape == Shape::Pair && !example.is_pair() {
            return refuse(format!(
                "the loss reads pairs and row {} of the data is a single response",
                example.row
            ));
        }
        if self.needs_mismatched() && example.mismatched.len() != example.responses.len() {
            return refuse(
                "the loss reads responses of other prompts and the data lack them".into(),
            );
        }
        let wanted = example.good.len() + self.further.len();
        if self.shape == Shape::Pair && example.responses.len() != wanted {
            return refuse(format!(
                "the loss reads {wanted} responses and row {} of the data has {}",
                example.row,
                example.responses.len()
            ));
        }
        let fits = match self.shape {
            Shape::List => example.is_list(),
            Shape::Trajectory => example.responses.len() == 1,
            Shape::Pair | Shape::Labelled => true,
        };
        if !fits || example.lists.len() != self.columns.lists.len() {
            return refuse(format!("row {} of the data was read for another loss", example.row));
        }
        Ok(())
    }

    fn batch_terms(&self, examples: &[&EncodedExample]) -> Result<Vec<Term>, RuntimeError> {
        let mut terms = Vec::new();
        let mut first = 0;
        for (e, example) in examples.iter().enumerate() {
            self.check(example)?;
            let term = |response| Term { example: e, first, response };
            terms.extend((0..self.terms(example)).map(term));
            first += example.sequence_count();
        }
        Ok(terms)
    }

    /// The columns of a batch; its sequences are those of [`EncodedExample::sequences`], example by
    /// example. `reference[e]` holds the reference's numbers of example e, in the binding's grain.
    ///
    /// # Errors
    /// If the reference or a data column is missing, an example is not what the loss reads, or the batch
    /// is empty.
    pub(super) fn columns(
        &self,
        examples: &[&EncodedExample],
        reference: Option<&[Vec<f64>]>,
    ) -> Result<Inputs, RuntimeError> {
        let terms = self.batch_terms(examples)?;
        if terms.is_empty() || self.sources.is_empty() {
            let text = "a batch without examples, or a loss without inputs";
            return Err(RuntimeError::Shape(text.into()));
        }
        let sequences = examples.iter().flat_map(|e| e.sequences());
        let lengths: Vec<usize> = sequences.map(|s| s.response_len()).collect();
        let known = Known { binding: self, examples, reference, lengths: &lengths };
        let feeds = self
            .sources
            .iter()
            .map(|(source, level)| known.feed(*source, *level, &terms))
            .collect::<Result<Vec<_>, _>>()?;
        let tokens = |(source, level): &(Source, Level)| match (source, level) {
            (Source::List(_), Level::Token) => known.places(0, *level, &terms),
            (
                Source::Policy(_, side)
                | Source::Reference(_, side)
                | Source::Statistic(_, side)
                | Source::Head(_, side),
                Level::Token,
            ) => known.places(*side, *level, &terms),
            _ => Vec::new(),
        };
        let counts = |places: Vec<usize>| places.iter().map(|&s| lengths[s]).collect();
        let is_list = self.shape == Shape::List;
        let loops = Loops {
            examples: terms.len(),
            candidates: is_list.then(|| examples.iter().map(|e| e.responses.len()).collect()),
            tokens: self.sources.iter().map(|s| counts(tokens(s))).collect(),
        };
        Ok(Inputs { feeds, loops, lengths })
    }
}
