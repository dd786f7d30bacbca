//! Low-rank adapters (Hu et al. 2021, arXiv 2106.09685) in the conventions of PEFT.

use candle_core::{DType, Device, Result as TensorResult, Tensor, Var};
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{
    body::Body,
    error::{Error, Result},
    ops::{MapWeight, linear, lora_linear, map_linear},
    rows::Packed,
};
use crate::data::SplitMix;

/// Which maps get an adapter, and of what kind.
#[derive(Clone, Debug, PartialEq)]
pub struct LoraConfig {
    /// Rank of the correction.
    pub rank: usize,
    /// The correction is scaled by `alpha / rank`.
    pub alpha: f64,
    /// Probability that a feature is dropped on the adapter's path in training; 0 for none.
    pub dropout: f64,
    /// Last part of the names of the adapted maps, such as `q_proj`.
    pub target_modules: Vec<String>,
}

impl Default for LoraConfig {
    fn default() -> Self {
        let target_modules = vec!["q_proj".to_owned(), "v_proj".to_owned()];
        Self { rank: 8, alpha: 16.0, dropout: 0.0, target_modules }
    }
}

impl LoraConfig {
    /// The maps that can have an adapter.
    pub const MODULES: [&'static str; 7] =
        ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

    /// Factor of the correction.
    #[must_use]
    pub fn scale(&self) -> f32 {
        (self.alpha / self.rank as f64) as f32
    }

    /// Checks ranges and module names.
    ///
    /// # Errors
    /// Says what is out of range or unknown.
    pub fn verify(&self) -> Result<()> {
        if self.rank == 0 {
            return Err(Error::Adapter("the rank is 0".into()));
        }
        if !self.alpha.is_finite() {
            return Err(Error::Adapter(format!("alpha is {}", self.alpha)));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(Error::Adapter(format!("dropout is {}, outside [0, 1)", self.dropout)));
        }
        if self.target_modules.is_empty() {
            return Err(Error::Adapter("no target module".into()));
        }
        match self.target_modules.iter().find(|m| !Self::MODULES.contains(&m.as_str())) {
            None => Ok(()),
            Some(unknown) => Err(Error::Adapter(format!(
                "unknown target module `{unknown}`; known are {}",
                Self::MODULES.join(", ")
            ))),
        }
    }
}

/// A low-rank correction of one linear map.
#[derive(Clone, Debug)]
pub(crate) struct Adapter {
    /// `[rank, in]`.
    pub(crate) a: Tensor,
    /// `[out, rank]`.
    pub(crate) b: Tensor,
    pub(crate) scale: f32,
    pub(crate) dropout: f64,
    /// Distinguishes the dropout masks of the model's adapters.
    pub(crate) index: u64,
}

impl Adapter {
    /// `x W^T + scale dropout(x) A^T B^T`.
    pub(crate) fn forward(
        &self,
        x: &Tensor,
        weight: &MapWeight,
        dropout: Option<&[u64]>,
    ) -> TensorResult<Tensor> {
        match dropout {
            Some(seeds) if self.dropout > 0.0 => {
                let x_dropped = (x * self.mask(x, seeds)?)?;
                let low = linear(&linear(&x_dropped, &self.a)?, &self.b)?;
                map_linear(x, weight)? + (low * f64::from(self.scale))?
            }
            _ => lora_linear(x, weight, &self.a, &self.b, self.scale),
        }
    }

    /// Of `x [N, in]`: 0 with probability `dropout`, else `1 / (1 - dropout)`; a row by each token's seed.
    fn mask(&self, x: &Tensor, seeds: &[u64]) -> TensorResult<Tensor> {
        let (_, width) = x.dims2()?;
        let keep = (1.0 / (1.0 - self.dropout)) as f32;
        let mut mask = Vec::with_capacity(seeds.len() * width);
        for seed in seeds {
            let mut rng = StdRng::seed_from_u64(
                seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(self.index),
            );
            let mut one = || if rng.random::<f64>() < self.dropout { 0.0 } else { keep };
            mask.extend((0..width).map(|_| one()));
        }
        Tensor::from_vec(mask, x.shape(), x.device())
    }

    /// `scale B A`, what merging adds to the weight.
    pub(crate) fn delta(&self) -> TensorResult<Tensor> {
        self.b.detach().matmul(&self.a.detach())? * f64::from(self.scale)
    }
}

/// The seed of each token's masks: it follows from the pass's seed and from the tokens up to this one alone.
/// So a row has the same masks in any batch and beside any others, and the prompt that several rows share has
/// one.
pub(crate) fn token_seeds(seed: u64, packed: &Packed) -> Vec<u64> {
    let mut seeds = vec![0; packed.tokens.len()];
    for span in packed.spans.iter() {
        let mut state = match span.context.end {
            0 => SplitMix(seed).bits(),
            end => seeds[end - 1],
        };
        for i in span.queries.clone() {
            state = SplitMix(state ^ u64::from(packed.tokens[i])).bits();
            seeds[i] = state;
        }
    }
    seeds
}

/// Name of an adapter's variable, as PEFT writes it: `which` is `A` or `B`.
pub(crate) fn variable_name(layer: usize, map: &str, which: char) -> String {
    format!("base_model.model.model.layers.{layer}.{map}.lora_{which}.weight")
}

/// Attaches adapters to `body` and returns their variables. `values` gives the starting value of a
/// variable by name and shape.
pub(crate) fn attach(
    body: &mut Body,
    config: &LoraConfig,
    mut values: impl FnMut(&str, &[usize], &Device) -> Result<Tensor>,
) -> Result<Vec<(String, Var)>> {
    config.verify()?;
    let mut variables = Vec::new();
    body.each_map(|layer, name, map| {
        let module = name.rsplit('.').next().unwrap_or(name);
        if !config.target_modules.iter().any(|m| m == module) {
            return Ok(());
        }
        let (outputs, inputs) = map.weight.dims2()?;
        let device = map.weight.device().clone();
        let mut variable = |which: char, shape: [usize; 2]| -> Result<Tensor> {
            let name = variable_name(layer, name, which);
            let var = Var::from_tensor(&values(&name, &shape, &device)?.contiguous()?)?;
            variables.push((name, var.clone()));
            Ok(var.as_tensor().clone())
        };
        let a = variable('A', [config.rank, inputs])?;
        let b = variable('B', [outputs, config.rank])?;
        map.adapter = Some(Adapter {
            a,
            b,
            scale: config.scale(),
            dropout: config.dropout,
            index: variables.len() as u64,
        });
        Ok(())
    })?;
    Ok(variables)
}

/// Starting values: A uniform in `+-1/sqrt(in)`, as PEFT initialises it, B zero, so that the adapted
/// model starts as the base model.
pub(crate) fn initial(seed: u64) -> impl FnMut(&str, &[usize], &Device) -> Result<Tensor> {
    let mut rng = StdRng::seed_from_u64(seed);
    move |name, shape, device| {
        if name.ends_with("lora_B.weight") {
            return Ok(Tensor::zeros(shape, DType::F32, device)?);
        }
        let bound = 1.0 / (shape.last().copied().unwrap_or(1).max(1) as f32).sqrt();
        let n = shape.iter().product();
        let values: Vec<f32> = (0..n).map(|_| rng.random_range(-bound..=bound)).collect();
        Ok(Tensor::from_vec(values, shape, device)?)
    }
}
