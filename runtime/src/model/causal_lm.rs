//! What training needs of a language model.

use candle_core::{Tensor, Var};

use super::{
    error::{Error, Result},
    gradients::Gradients,
    rows::Rows,
    scalar::ScalarHead,
};
use crate::logprob::{Each, Head, RowStatistics};

/// Turns the log-probability of each completion token, row by row, into dLoss / d log-probability.
pub type TokenWeights<'a> = dyn FnMut(&[Vec<f32>]) -> Result<Vec<Vec<f32>>> + 'a;

/// Numbers of each completion token, row by row: the token's log-probability, what a scalar head says of the
/// position before the token, and statistics of the distribution there. Also d loss / d each of them; what
/// has no rows was not asked for, or has no gradient.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TokenNumbers {
    /// Log-probabilities.
    pub logps: Vec<Vec<f32>>,
    /// Numbers of the scalar head.
    pub values: Vec<Vec<f32>>,
    /// Statistics other than the log-probability.
    pub statistics: Each<Vec<Vec<f32>>>,
}

/// What is asked of a pass beside log-probabilities.
#[derive(Clone, Copy, Default)]
pub struct Asked<'a> {
    /// Statistics of whole distributions.
    pub statistics: Each<bool>,
    /// The model that divergences are taken from.
    pub reference: Option<&'a dyn CausalLm>,
}

impl Asked<'_> {
    /// Whether there is a statistic to make.
    pub fn any(&self) -> bool {
        self.statistics.into_array().contains(&true)
    }
}

/// Turns the numbers of each completion token into d loss / d each.
pub type NumberWeights<'a> = dyn FnMut(&TokenNumbers) -> Result<TokenNumbers> + 'a;

/// What a backward pass gives.
#[derive(Debug, Default)]
pub struct Backward {
    /// The numbers of the forward pass.
    pub numbers: TokenNumbers,
    /// Gradients of the trainable variables.
    pub gradients: Gradients,
    /// Gradients of the scalar head's variables, where the loss reads it.
    pub of_head: Option<Gradients>,
}

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

    /// The numbers of each completion token; no gradient is kept.
    ///
    /// # Errors
    /// As [`CausalLm::token_logps`]; if the model does not make what is asked.
    fn token_numbers(&self, rows: &Rows, asked: Asked<'_>) -> Result<TokenNumbers> {
        if asked.any() {
            return Err(Error::Unsupported("statistics of whole distributions".into()));
        }
        Ok(TokenNumbers { logps: self.token_logps(rows)?, ..TokenNumbers::default() })
    }

    /// [`CausalLm::backward_tokens`] for losses that read more than log-probabilities.
    ///
    /// # Errors
    /// As [`CausalLm::backward_tokens`]; if the model does not make what is asked.
    fn backward_numbers(
        &self,
        rows: &Rows,
        asked: Asked<'_>,
        weights: &mut NumberWeights<'_>,
    ) -> Result<Backward> {
        if asked.any() {
            return Err(Error::Unsupported("statistics of whole distributions".into()));
        }
        let (logps, gradients) = self.backward_tokens(rows, &mut |logps| {
            let numbers = TokenNumbers { logps: logps.to_vec(), ..TokenNumbers::default() };
            Ok(weights(&numbers)?.logps)
        })?;
        let numbers = TokenNumbers { logps, ..TokenNumbers::default() };
        Ok(Backward { numbers, gradients, of_head: None })
    }

    /// The normalised hidden states `[N, hidden]` that predict the completion tokens, row by row, and the
    /// output head: what a divergence from this model is computed from. None where the model has none.
    ///
    /// # Errors
    /// As [`CausalLm::token_logps`].
    fn hidden_states(&self, _rows: &Rows) -> Result<Option<(Tensor, Head)>> {
        Ok(None)
    }

    /// The head beside the output head that gives one number a position, if there is one.
    fn scalar_head(&self) -> Option<&ScalarHead> {
        None
    }

    /// Variables that are trained, with their names, always in the same order.
    fn trainable(&self) -> &[(String, Var)];
}

/// Sums in f64 of f32 tokens.
fn sums(logps: &[Vec<f32>]) -> Vec<f64> {
    logps.iter().map(|row| row.iter().map(|&v| f64::from(v)).sum()).collect()
}
