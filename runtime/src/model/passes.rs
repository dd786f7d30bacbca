//! Passes through the model: from rows to the numbers of their completion tokens, and to gradients.

use candle_core::{Tensor, Var};

use super::{
    backward,
    body::Pass,
    causal_lm::{Asked, Backward, CausalLm, NumberWeights, TokenNumbers, TokenWeights},
    error::{Error, Result},
    gradients::Gradients,
    llama::Llama,
    rows::{Packed, Rows},
    scalar::ScalarHead,
};
use crate::logprob::{self, Each, Head, RowStatistics, Statistic};

impl Llama {
    pub(super) fn pack(&self, rows: &Rows) -> Result<Packed> {
        Packed::new(rows, self.config.vocab_size, self.config.max_position_embeddings)
    }

    /// Normalised hidden states of the predictors, `[N, hidden]`, without gradient.
    fn hidden(&self, packed: &Packed) -> Result<Tensor> {
        let pass = Pass::new(&self.config, packed, self.held_seed());
        let mut x = self.plain.embed(&packed.tokens)?;
        for layer in &self.plain.layers {
            x = layer.forward(&x, &self.config, &pass)?;
        }
        Ok(self.plain.finish(&x, &packed.predictors, &self.config)?)
    }

    /// The sum, by row, of the normalised hidden states that predict its completion tokens.
    ///
    /// # Errors
    /// If a row does not fit the model or the device fails.
    pub fn hidden_sums(&self, rows: &Rows) -> Result<Vec<Vec<f64>>> {
        let packed = self.pack(rows)?;
        let width = self.config.hidden_size;
        if packed.targets.is_empty() {
            return Ok(vec![vec![0.0; width]; rows.len()]);
        }
        let states = self.hidden(&packed)?.to_vec2::<f32>()?;
        let sum = |own: &[Vec<f32>]| {
            let mut sum = vec![0.0; width];
            for state in own {
                sum.iter_mut().zip(state).for_each(|(s, v)| *s += f64::from(*v));
            }
            sum
        };
        Ok(packed.rows.iter().map(|own| sum(&states[own.clone()])).collect())
    }

    /// The reference's side of the divergences that are asked for.
    pub(super) fn states_of_reference(
        &self,
        rows: &Rows,
        asked: Asked<'_>,
    ) -> Result<Option<(Tensor, Head)>> {
        let divergence = [Statistic::KlFromReference, Statistic::KlToReference];
        if !divergence.iter().any(|s| asked.statistics[*s]) {
            return Ok(None);
        }
        let states = asked.reference.map(|r| r.hidden_states(rows)).transpose()?.flatten();
        let lacks = || Error::Unsupported("a divergence without a reference model".into());
        Ok(Some(states.ok_or_else(lacks)?))
    }

    /// The numbers of each target but its log-probability.
    pub(super) fn beside_logps(
        &self,
        hidden: &Tensor,
        packed: &Packed,
        asked: Asked<'_>,
        reference: Option<&(Tensor, Head)>,
    ) -> Result<TokenNumbers> {
        let mut numbers = TokenNumbers::default();
        if let Some(head) = &self.scalar {
            numbers.values = packed.split(&head.values(hidden)?);
        }
        if asked.any() {
            let reference = reference.map(|(states, head)| (states, head));
            let wanted = asked.statistics;
            let targets = &packed.targets;
            let found =
                logprob::whole_statistics(hidden, &self.head(), reference, targets, wanted)?;
            numbers.statistics =
                Each::new(|s| if wanted[s] { packed.split(&found[s]) } else { Vec::new() });
        }
        Ok(numbers)
    }

    pub(super) fn head(&self) -> Head {
        Head::new(self.plain.head().clone())
    }
}

impl CausalLm for Llama {
    fn token_logps(&self, rows: &Rows) -> Result<Vec<Vec<f32>>> {
        let packed = self.pack(rows)?;
        if packed.targets.is_empty() {
            return Ok(packed.split::<f32>(&[]));
        }
        let stats = logprob::forward(&self.hidden(&packed)?, &self.head(), &packed.targets)?;
        let logps: Vec<f32> = stats.iter().map(|s| s.logp).collect();
        Ok(packed.split(&logps))
    }

    fn token_statistics(&self, rows: &Rows) -> Result<Vec<Vec<RowStatistics>>> {
        let packed = self.pack(rows)?;
        if packed.targets.is_empty() {
            return Ok(packed.split(&[]));
        }
        let hidden = self.hidden(&packed)?;
        Ok(packed.split(&logprob::statistics(&hidden, &self.head(), &packed.targets)?))
    }

    fn backward_tokens(
        &self,
        rows: &Rows,
        weights: &mut TokenWeights<'_>,
    ) -> Result<(Vec<Vec<f32>>, Gradients)> {
        let mut of_logps = |numbers: &TokenNumbers| {
            Ok(TokenNumbers { logps: weights(&numbers.logps)?, ..TokenNumbers::default() })
        };
        let back = backward::backward(self, rows, Asked::default(), &mut of_logps)?;
        Ok((back.numbers.logps, back.gradients))
    }

    fn token_numbers(&self, rows: &Rows, asked: Asked<'_>) -> Result<TokenNumbers> {
        let packed = self.pack(rows)?;
        if packed.targets.is_empty() {
            let none = || packed.split::<f32>(&[]);
            return Ok(TokenNumbers {
                logps: none(),
                values: none(),
                statistics: Each::new(|_| none()),
            });
        }
        let hidden = self.hidden(&packed)?;
        let reference = self.states_of_reference(rows, asked)?;
        let mut numbers = self.beside_logps(&hidden, &packed, asked, reference.as_ref())?;
        let stats = logprob::forward(&hidden, &self.head(), &packed.targets)?;
        numbers.logps = packed.split(&stats.iter().map(|s| s.logp).collect::<Vec<f32>>());
        Ok(numbers)
    }

    fn backward_numbers(
        &self,
        rows: &Rows,
        asked: Asked<'_>,
        weights: &mut NumberWeights<'_>,
    ) -> Result<Backward> {
        backward::backward(self, rows, asked, weights)
    }

    fn hidden_states(&self, rows: &Rows) -> Result<Option<(Tensor, Head)>> {
        Ok(Some((self.hidden(&self.pack(rows)?)?, self.head())))
    }

    fn scalar_head(&self) -> Option<&ScalarHead> {
        self.scalar.as_ref()
    }

    fn trainable(&self) -> &[(String, Var)] {
        &self.trainable
    }
}
