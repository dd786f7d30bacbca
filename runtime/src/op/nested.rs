//! Losses that read numbers below the example: one a response of a list, one a token.
//!
//! In: flat columns, level by level, and the loops that they live in. Out: what [`super::Evaluated`] holds,
//! with gradients as long as their columns. Invariant: a gradient that the graph gives at an outer level
//! stands at every element inside.

use ponens_compiler::codegen::interp::{Batch, EvalError};
use ponens_compiler::mir::{Graph, Level};

use super::RuntimeError;

/// The loops of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loops {
    /// Number of examples.
    pub examples: usize,
    /// Number of responses by example, for losses of lists and groups.
    pub candidates: Option<Vec<usize>>,
    /// By input at token level: the number of tokens of each response, or of each example's one; empty for
    /// the other inputs.
    pub tokens: Vec<Vec<usize>>,
}

impl Loops {
    /// How many numbers an input of a level has in all.
    fn len(&self, input: usize, level: Level) -> usize {
        match level {
            Level::Uniform | Level::Batch => 1,
            Level::Example => self.examples,
            Level::Candidate => self.candidates.as_ref().map_or(0, |c| c.iter().sum()),
            Level::Token => self.tokens.get(input).map_or(0, |t| t.iter().sum()),
        }
    }

    /// Checks the lengths of columns against the loops.
    pub(super) fn check(&self, graph: &Graph, columns: &[Vec<f64>]) -> Result<(), RuntimeError> {
        if graph.inputs.len() != columns.len() {
            let text = format!("{} columns wanted, {} given", graph.inputs.len(), columns.len());
            return Err(RuntimeError::Shape(text));
        }
        for (i, (input, column)) in graph.inputs.iter().zip(columns).enumerate() {
            let wanted = self.len(i, input.level);
            if column.len() != wanted {
                return Err(RuntimeError::Shape(format!(
                    "column `{}` has {} values where its loop has {wanted}",
                    input.name,
                    column.len()
                )));
            }
        }
        Ok(())
    }

    /// The columns as the interpreter takes them.
    pub(super) fn batch(
        &self,
        graph: &Graph,
        columns: &[Vec<f64>],
    ) -> Result<Batch<f64>, EvalError> {
        let mut batch = Batch::<f64>::new(self.examples);
        let mut owner = Level::Example;
        if let Some(counts) = &self.candidates {
            batch = batch.with_candidates(counts)?;
            owner = Level::Candidate;
        }
        for (i, (input, column)) in graph.inputs.iter().zip(columns).enumerate() {
            match input.level {
                Level::Token => {
                    let counts = self.tokens.get(i).map_or(&[] as &[usize], Vec::as_slice);
                    batch.set_tokens(graph, i as u16, column, owner, counts)?;
                }
                _ => batch.set(graph, i as u16, column)?,
            }
        }
        Ok(batch)
    }

    /// Values of an outer level at every element of an input.
    pub(super) fn spread(&self, values: &[f64], from: Level, input: usize, to: Level) -> Vec<f64> {
        if from == to {
            return values.to_vec();
        }
        let all = self.len(input, to);
        if from < Level::Example {
            return vec![values.first().copied().unwrap_or(0.0); all];
        }
        let tokens = self.tokens.get(input).map_or(&[] as &[usize], Vec::as_slice);
        let inside: Vec<usize> = match (from, to, &self.candidates) {
            (Level::Example, Level::Token, Some(candidates)) => {
                let mut tokens = tokens.iter();
                candidates.iter().map(|n| tokens.by_ref().take(*n).sum()).collect()
            }
            (Level::Example, Level::Candidate, Some(candidates)) => candidates.clone(),
            _ => tokens.to_vec(),
        };
        let repeated = values.iter().zip(inside);
        repeated.flat_map(|(v, n)| std::iter::repeat_n(*v, n)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outer_value_stands_at_every_element_inside() {
        let loops = Loops {
            examples: 2,
            candidates: Some(vec![2, 1]),
            tokens: vec![vec![1, 2, 3], vec![]],
        };
        let from = |v: &[f64], from, input, to| loops.spread(v, from, input, to);
        assert_eq!(from(&[7.0], Level::Batch, 0, Level::Token), [7.0; 6]);
        assert_eq!(from(&[1.0, 2.0], Level::Example, 1, Level::Candidate), [1.0, 1.0, 2.0]);
        let tokens = from(&[1.0, 2.0], Level::Example, 0, Level::Token);
        assert_eq!(tokens, [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
        let tokens = from(&[1.0, 2.0, 3.0], Level::Candidate, 0, Level::Token);
        assert_eq!(tokens, [1.0, 2.0, 2.0, 3.0, 3.0, 3.0]);
        let alone = Loops { examples: 2, candidates: None, tokens: vec![vec![1, 2]] };
        assert_eq!(alone.spread(&[1.0, 2.0], Level::Example, 0, Level::Token), [1.0, 2.0, 2.0]);
    }
}
