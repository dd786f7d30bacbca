//! Rows of tokens, and how they are laid out for one pass through the model.
//!
//! All tokens of a batch lie one after another; nothing is padded. Rows that share a prompt share its
//! computation: the prompt is one run of tokens, and each completion is a run that attends to it. The
//! numbers are those of the rows alone, because attention is causal.

use std::{collections::HashMap, ops::Range, sync::Arc};

use super::{
    error::{Error, Result},
    ops::Span,
};

/// Token ids of prompt and completion, row by row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Tokens of each row: the prompt's, then the completion's.
    pub ids: Vec<Vec<u32>>,
    /// Index of each row's first completion token, at least 1: log-probabilities are those of the
    /// tokens `start[r]..ids[r].len()`. Equal to the length for an empty completion.
    pub start: Vec<usize>,
}

impl Rows {
    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Adds a row.
    pub fn push(&mut self, prompt: &[u32], completion: &[u32]) {
        self.ids.push([prompt, completion].concat());
        self.start.push(prompt.len());
    }

    /// Number of tokens of all rows.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.ids.iter().map(Vec::len).sum()
    }

    /// Number of completion tokens of each row.
    #[must_use]
    pub fn completion_lengths(&self) -> Vec<usize> {
        self.ids
            .iter()
            .zip(&self.start)
            .map(|(ids, start)| ids.len().saturating_sub(*start))
            .collect()
    }
}

/// A batch, ready for the model.
#[derive(Clone, Debug)]
pub(crate) struct Packed {
    /// Every token that is computed.
    pub(crate) tokens: Vec<u32>,
    /// Position of each token in its row.
    pub(crate) positions: Arc<Vec<u32>>,
    /// Which tokens see which.
    pub(crate) spans: Arc<Vec<Span>>,
    /// Index into `tokens` of each position that predicts a completion token, row by row.
    pub(crate) predictors: Vec<u32>,
    /// The token that each of them predicts.
    pub(crate) targets: Vec<u32>,
    /// Range of each row in `predictors` and `targets`.
    pub(crate) rows: Vec<Range<usize>>,
}

impl Packed {
    /// Checks and lays out `rows` for a model of `vocabulary` tokens and `context` positions.
    pub(crate) fn new(rows: &Rows, vocabulary: usize, context: usize) -> Result<Self> {
        let error = |row: usize, message: String| Error::Row { row, message };
        if rows.ids.len() != rows.start.len() {
            return Err(Error::Weights {
                what: "rows (completion starts)",
                expected: rows.ids.len(),
                actual: rows.start.len(),
            });
        }
        let mut packed = Layout::default();
        let mut prompts: HashMap<&[u32], Range<usize>> = HashMap::new();
        for (row, (ids, &start)) in rows.ids.iter().zip(&rows.start).enumerate() {
            if start == 0 {
                return Err(error(
                    row,
                    "the prompt is empty: nothing predicts the first token".into(),
                ));
            }
            if start > ids.len() {
                let message =
                    format!("the completion starts at {start}, past its {} tokens", ids.len());
                return Err(error(row, message));
            }
            if ids.len() > context {
                let message = format!("{} tokens, the model takes {context}", ids.len());
                return Err(error(row, message));
            }
            if let Some(id) = ids.iter().find(|&&id| id as usize >= vocabulary) {
                return Err(error(
                    row,
                    format!("token {id} is outside the vocabulary of {vocabulary}"),
                ));
            }
            let (prompt, completion) = ids.split_at(start);
            let first = packed.targets.len();
            if let Some((&last, inputs)) = completion.split_last() {
                let shared = match prompts.get(prompt) {
                    Some(range) => range.clone(),
                    None => {
                        let range = packed.run(prompt, 0, 0..0);
                        prompts.insert(prompt, range.clone());
                        range
                    }
                };
                let run = packed.run(inputs, start, shared.clone());
                packed.predictors.push((shared.end - 1) as u32);
                packed.predictors.extend(run.map(|i| i as u32));
                packed.targets.extend(inputs);
                packed.targets.push(last);
            }
            packed.rows.push(first..packed.targets.len());
        }
        Ok(Self {
            tokens: packed.tokens,
            positions: Arc::new(packed.positions),
            spans: Arc::new(packed.spans),
            predictors: packed.predictors,
            targets: packed.targets,
            rows: packed.rows,
        })
    }

    /// One row of tokens that continues `past` cached positions.
    pub(crate) fn continuation(ids: &[u32], past: usize) -> Self {
        let span = Span { queries: 0..ids.len(), context: 0..past, own: past..past + ids.len() };
        Self {
            tokens: ids.to_vec(),
            positions: Arc::new((past..past + ids.len()).map(|p| p as u32).collect()),
            spans: Arc::new(vec![span]),
            predictors: Vec::new(),
            targets: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// Splits one value a completion token into the rows.
    pub(crate) fn split<T: Clone>(&self, values: &[T]) -> Vec<Vec<T>> {
        self.rows.iter().map(|range| values[range.clone()].to_vec()).collect()
    }
}

#[derive(Default)]
struct Layout {
    tokens: Vec<u32>,
    positions: Vec<u32>,
    spans: Vec<Span>,
    predictors: Vec<u32>,
    targets: Vec<u32>,
    rows: Vec<Range<usize>>,
}

impl Layout {
    /// Appends a run of tokens that sees `context`; returns where it lies.
    fn run(&mut self, ids: &[u32], position: usize, context: Range<usize>) -> Range<usize> {
        let range = self.tokens.len()..self.tokens.len() + ids.len();
        self.tokens.extend(ids);
        self.positions.extend((position..position + ids.len()).map(|p| p as u32));
        if !ids.is_empty() {
            self.spans.push(Span { queries: range.clone(), context, own: range.clone() });
        }
        range
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_prompt_is_computed_once_and_the_last_token_never() {
        let mut rows = Rows::default();
        rows.push(&[1, 2, 3], &[4, 5]);
        rows.push(&[1, 2, 3], &[6]);
        rows.push(&[1, 2], &[]);
        let packed = Packed::new(&rows, 10, 10).unwrap();
        assert_eq!(packed.tokens, [1, 2, 3, 4]);
        assert_eq!(*packed.positions, [0, 1, 2, 3]);
        assert_eq!(packed.predictors, [2, 3, 2]);
        assert_eq!(packed.targets, [4, 5, 6]);
        assert_eq!(packed.rows, [0..2, 2..3, 3..3]);
        assert_eq!(packed.spans[1], Span { queries: 3..4, context: 0..3, own: 3..4 });
        assert_eq!(packed.split(&[10, 20, 30]), [vec![10, 20], vec![30], vec![]]);
    }

    #[test]
    fn rows_that_the_model_cannot_take_are_errors_that_name_them() {
        for (ids, start, word) in [
            (vec![1, 2], 0, "prompt is empty"),
            (vec![1, 2], 3, "past its 2 tokens"),
            (vec![1, 10], 1, "vocabulary of 10"),
            (vec![1; 11], 1, "takes 10"),
        ] {
            let rows = Rows { ids: vec![vec![1, 2], ids], start: vec![1, start] };
            let message = Packed::new(&rows, 10, 10).unwrap_err().to_string();
            assert!(message.contains("row 1") && message.contains(word), "{message}");
        }
    }
}
