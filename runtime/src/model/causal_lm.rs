//! What training needs of a language model.

use candle_core::Var;

use super::{
    error::{Error, Result},
    gradients::Gradients,
    rows::Rows,
};
use crate::logprob::RowStatistics;

/// Turns the log-probability of each completion token, row by row, into dLoss / d log-probability.
pub type TokenWeights<'a> = dyn FnMut(&[Vec<f32>]) -> Result<Vec<Vec<f32>>> + 'a;

/// A causal language model whose completion log-probabilities can be differentiated.
pub trait CausalLm {
    /// Log-probability of each completion token of each row; no gradient is kept.
    ///
    /// # Errors
    /// If a row does not fit the model or the device fails.
    fn token_logps(&self, rows: &Rows) -> Result<Vec<Vec<f32>>>;

    /// [`CausalLm::token_logps`] with entropy and other statistics of each token's distribution.
    ///
    /// # Errors
    /// As [`CausalLm::token_logps`].
    fn token_statistics(&self, rows: &Rows) -> Result<Vec<Vec<RowStatistics>>>;

    /// Sum of completion-token log-probabilities of each row; no gradient is kept. 0 for an empty
    /// completion.
    ///
    /// # Errors
    /// As [`CausalLm::token_logps`].
    fn completion_logps(&self, rows: &Rows) -> Result<Vec<f64>> {
        Ok(sums(&self.token_logps(rows)?))
    }

    /// Forward pass; `weights` turns the log-probability of each completion token into dLoss / d
    /// log-probability; backward pass. Returns the log-probabilities and the gradients of the trainable
    /// variables.
    ///
    /// # Errors
    /// As [`CausalLm::token_logps`]; if no row has a completion token, nothing is trainable, or
    /// `weights` fails or returns other lengths.
    fn backward_tokens(
        &self,
        rows: &Rows,
        weights: &mut TokenWeights<'_>,
    ) -> Result<(Vec<Vec<f32>>, Gradients)>;

    /// [`CausalLm::backward_tokens`] for losses of whole rows: `weights` turns the sum of each row's
    /// log-probabilities into dLoss / d sum.
    ///
    /// # Errors
    /// As [`CausalLm::backward_tokens`].
    fn backward(
        &self,
        rows: &Rows,
        weights: &mut dyn FnMut(&[f64]) -> Result<Vec<f32>>,
    ) -> Result<(Vec<f64>, Gradients)> {
        let (logps, gradients) = self.backward_tokens(rows, &mut |logps| {
            let row_weights = weights(&sums(logps))?;
            if row_weights.len() != logps.len() {
                return Err(Error::Weights {
                    what: "rows",
                    expected: logps.len(),
                    actual: row_weights.len(),
                });
            }
            Ok(logps.iter().zip(row_weights).map(|(row, w)| vec![w; row.len()]).collect())
        })?;
        Ok((sums(&logps), gradients))
    }

    /// Variables that are trained, with their names, always in the same order.
    fn trainable(&self) -> &[(String, Var)];
}

/// Sums in f64 of f32 tokens.
fn sums(logps: &[Vec<f32>]) -> Vec<f64> {
    logps.iter().map(|row| row.iter().map(|&v| f64::from(v)).sum()).collect()
}
