//! A head that gives one number a position: a value, a reward, an advantage.

use candle_core::{Device, Tensor, Var};

use super::{
    body::Weights,
    error::{Error, Result},
    gradients::Gradients,
};

const WEIGHT: &str = "scalar_head.weight";
const BIAS: &str = "scalar_head.bias";

/// `h . w + b` of each normalised hidden state `h [H]`.
#[derive(Clone, Debug)]
pub struct ScalarHead {
    /// The weight `[H]` and the bias `[1]`.
    variables: Vec<(String, Var)>,
    reaches_body: bool,
}

impl ScalarHead {
    /// A head that gives 0 everywhere.
    ///
    /// With `reaches_body` the gradient of its numbers also trains what is below it, as a reward model
    /// wants; else it is a reading of the policy that leaves the policy alone, as a value is that has a loss
    /// of its own.
    ///
    /// # Errors
    /// If the device fails.
    pub fn zero(width: usize, reaches_body: bool) -> Result<Self> {
        let zero = |n: usize| Tensor::zeros(n, candle_core::DType::F32, &Device::Cpu);
        Self::new(zero(width)?, zero(1)?, reaches_body)
    }

    fn new(weight: Tensor, bias: Tensor, reaches_body: bool) -> Result<Self> {
        let variable = |name: &str, t: &Tensor| -> Result<(String, Var)> {
            Ok((name.to_owned(), Var::from_tensor(t)?))
        };
        let variables = vec![variable(WEIGHT, &weight)?, variable(BIAS, &bias)?];
        Ok(Self { variables, reaches_body })
    }

    /// A head of given weights, by the names that [`ScalarHead::variables`] has.
    ///
    /// # Errors
    /// If one is missing or does not fit a model of `width` features.
    pub fn from_weights(mut weights: Weights, width: usize, reaches_body: bool) -> Result<Self> {
        let mut take = |name: &str, expected: usize| {
            let found = weights.remove(name);
            let found = found.ok_or_else(|| Error::MissingTensor { name: name.to_owned() })?;
            if found.dims() != [expected] {
                return Err(Error::Shape {
                    name: name.to_owned(),
                    expected: vec![expected],
                    actual: found.dims().to_vec(),
                });
            }
            Ok(found)
        };
        Self::new(take(WEIGHT, width)?, take(BIAS, 1)?, reaches_body)
    }

    /// What is trained.
    #[must_use]
    pub fn variables(&self) -> &[(String, Var)] {
        &self.variables
    }

    /// Whether its gradient goes on into the model.
    #[must_use]
    pub fn reaches_body(&self) -> bool {
        self.reaches_body
    }

    fn weight(&self) -> Result<Tensor> {
        Ok(self.variables[0].1.as_tensor().detach().unsqueeze(1)?)
    }

    /// The numbers of hidden states `[N, H]`.
    pub(super) fn values(&self, hidden: &Tensor) -> Result<Vec<f32>> {
        let bias = self.variables[1].1.to_vec1::<f32>()?[0];
        let values = hidden.matmul(&self.weight()?)?.squeeze(1)?.to_vec1::<f32>()?;
        Ok(values.into_iter().map(|v| v + bias).collect())
    }

    /// Gradients of its variables from d loss / d value of each hidden state.
    pub(super) fn gradients(&self, hidden: &Tensor, d: &[f32]) -> Result<Gradients> {
        let column = Tensor::from_slice(d, (1, d.len()), hidden.device())?;
        let weight = column.matmul(hidden)?.squeeze(0)?;
        let bias = d.iter().map(|v| f64::from(*v)).sum::<f64>() as f32;
        let bias = Tensor::from_slice(&[bias], 1, hidden.device())?;
        Ok(Gradients::new(vec![(WEIGHT.to_owned(), weight), (BIAS.to_owned(), bias)]))
    }

    /// d loss / d hidden `[N, H]`.
    pub(super) fn pull_back(&self, d: &[f32]) -> Result<Tensor> {
        let weight = self.weight()?;
        Ok(Tensor::from_slice(d, (d.len(), 1), weight.device())?.matmul(&weight.t()?)?)
    }
}
