//! Which sequences of a batch feed which column.

use ponens_compiler::mir::Level;

use crate::data::{EncodedExample, Shape};
use crate::op::RuntimeError;

use super::bind::Binding;
use super::nested::Feed;
use super::reward::Grain;
use super::source::{Aggregate, Model, Source};

/// A term of the loss: its example, and where its sequences lie in the batch.
pub(super) struct Term {
    pub(super) example: usize,
    /// Index of the example's first sequence in the batch.
    pub(super) first: usize,
    /// Which response of the example; 0 for an example as a whole.
    pub(super) response: usize,
}

/// What a batch's columns are made from.
pub(super) struct Known<'a> {
    pub(super) binding: &'a Binding,
    pub(super) examples: &'a [&'a EncodedExample],
    pub(super) reference: Option<&'a [Vec<f64>]>,
    pub(super) lengths: &'a [usize],
}

impl Known<'_> {
    /// The sequences of an input: one a term, or in a loss of lists one a response.
    pub(super) fn places(&self, side: usize, level: Level, terms: &[Term]) -> Vec<usize> {
        let each = self.binding.shape() == Shape::List && level > Level::Example;
        let of = |t: &Term| {
            let n = if each { self.examples[t.example].responses.len() } else { 1 };
            let start = t.first + t.response + side;
            start..start + n
        };
        terms.iter().flat_map(of).collect()
    }

    /// The reference's numbers of the sequence at `place` of a term's example.
    fn given(&self, t: &Term, place: usize) -> Result<&[f64], RuntimeError> {
        let none =
            || RuntimeError::Setting("the loss reads a reference and there is none".to_owned());
        let all = self.reference.and_then(|r| r.get(t.example)).ok_or_else(none)?;
        match self.binding.grain() {
            Grain::Sequence => all.get(place..place + 1),
            Grain::Token => {
                let own = &self.lengths[t.first..];
                let start = own.iter().take(place).sum::<usize>();
                own.get(place).and_then(|n| all.get(start..start + n))
            }
        }
        .ok_or_else(none)
    }

    pub(super) fn feed(
        &self,
        source: Source,
        level: Level,
        terms: &[Term],
    ) -> Result<Feed, RuntimeError> {
        let at = |side: usize| self.places(side, level, terms);
        let per_token = level == Level::Token;
        // Each sequence of an input with its term.
        let placed = |side: usize| {
            terms.iter().flat_map(move |t| {
                let own = std::slice::from_ref(t);
                self.places(side, level, own).into_iter().map(move |s| (t, s))
            })
        };
        let values: Result<Vec<f64>, RuntimeError> = match source {
            Source::Policy(_, side) if per_token => return Ok(Feed::Tokens(at(side))),
            Source::Policy(Aggregate::Sum, side) => return Ok(Feed::Sum(at(side))),
            Source::Policy(Aggregate::Mean, side) => return Ok(Feed::Mean(at(side))),
            Source::Length(side) => return Ok(Feed::Length(at(side))),
            Source::Statistic(s, side) if per_token => {
                return Ok(Feed::TokenStatistics(s, at(side)));
            }
            Source::Statistic(s, side) => return Ok(Feed::Statistic(s, at(side))),
            Source::Head(_, side) => return Ok(Feed::Heads(at(side))),
            Source::End(side) => return Ok(Feed::Ends(at(side))),
            Source::Mismatched(model) => {
                let other = |t: &Term| t.response + self.examples[t.example].responses.len();
                if model == Model::Policy {
                    return Ok(Feed::Sum(terms.iter().map(|t| t.first + other(t)).collect()));
                }
                terms.iter().map(|t| Ok(self.given(t, other(t))?.iter().sum())).collect()
            }
            Source::Reference(_, side) if per_token => {
                let rows: Result<Vec<&[f64]>, _> =
                    placed(side).map(|(t, s)| self.given(t, s - t.first)).collect();
                rows.map(|r| r.concat())
            }
            Source::Reference(aggregate, side) => placed(side)
                .map(|(t, s)| {
                    let sum: f64 = self.given(t, s - t.first)?.iter().sum();
                    let tokens = self.lengths[s].max(1) as f64;
                    Ok(if aggregate == Aggregate::Mean { sum / tokens } else { sum })
                })
                .collect(),
            Source::Label => {
                let good = |t: &Term| self.examples[t.example].good.get(t.response) == Some(&true);
                Ok(terms.iter().map(|t| f64::from(u8::from(good(t)))).collect())
            }
            Source::Running => Ok(vec![0.0; terms.len()]),
            Source::Data(i) => terms
                .iter()
                .map(|t| {
                    self.examples[t.example].columns.get(i).copied().ok_or_else(|| {
                        let column = self.binding.data_columns().get(i);
                        let name = column.map_or("?", |c| c.name.as_str());
                        RuntimeError::Setting(format!("the data was read without column `{name}`"))
                    })
                })
                .collect(),
            Source::List(i) => {
                let rows = terms.iter().map(|t| self.examples[t.example].lists[i].as_slice());
                Ok(rows.collect::<Vec<_>>().concat())
            }
        };
        Ok(Feed::Given(values?))
    }
}
