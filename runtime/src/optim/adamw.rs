//! AdamW: Adam with bias correction and decoupled weight decay (Loshchilov and Hutter 2019,
//! arXiv 1711.05101), moments in f32, parameters changed where they lie.

use std::collections::HashMap;
use std::sync::Mutex;

use candle_core::{CpuStorage, DType, Device, InplaceOp2, Layout, Tensor, Var};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::op::RuntimeError;

/// The constants of AdamW.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdamWConfig {
    /// Decay of the first moment, in [0, 1).
    pub beta1: f64,
    /// Decay of the second moment, in [0, 1).
    pub beta2: f64,
    /// Added to the root of the second moment; positive.
    pub epsilon: f64,
    /// Share of the weight, times the rate, taken away at each step.
    pub weight_decay: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0 }
    }
}

impl AdamWConfig {
    /// Refuses constants outside their ranges.
    ///
    /// # Errors
    /// Names the constant and its range.
    pub fn check(&self) -> Result<(), RuntimeError> {
        let wrong = |what: &str, value: f64, range: &str| {
            Err(RuntimeError::Setting(format!("{what} = {value} is outside {range}")))
        };
        if !(0.0..1.0).contains(&self.beta1) {
            return wrong("beta1", self.beta1, "[0, 1)");
        }
        if !(0.0..1.0).contains(&self.beta2) {
            return wrong("beta2", self.beta2, "[0, 1)");
        }
        if !(self.epsilon > 0.0 && self.epsilon.is_finite()) {
            return wrong("epsilon", self.epsilon, "(0, inf)");
        }
        if !(self.weight_decay >= 0.0 && self.weight_decay.is_finite()) {
            return wrong("weight decay", self.weight_decay, "[0, inf)");
        }
        Ok(())
    }
}

/// The optimiser with its state: two moments a variable, and the number of steps taken.
pub struct AdamW {
    config: AdamWConfig,
    variables: Vec<(String, Var)>,
    moments: Vec<Mutex<Moments>>,
    steps: u64,
}

struct Moments {
    first: Vec<f32>,
    second: Vec<f32>,
}

impl AdamW {
    /// An optimiser of these named variables, all f32 on the CPU, with moments 0.
    ///
    /// # Errors
    /// If a constant is outside its range or a variable is of another type or place.
    pub fn new(config: AdamWConfig, variables: Vec<(String, Var)>) -> Result<Self, RuntimeError> {
        config.check()?;
        for (name, v) in &variables {
            if v.dtype() != DType::F32 || !v.device().is_cpu() {
                return Err(RuntimeError::Unsupported(format!(
                    "AdamW: `{name}` is {:?} on {:?}; f32 on the CPU is wanted",
                    v.dtype(),
                    v.device().location()
                )));
            }
        }
        let zero = |(_, v): &(String, Var)| {
            let n = v.elem_count();
            Mutex::new(Moments { first: vec![0.0; n], second: vec![0.0; n] })
        };
        let moments = variables.iter().map(zero).collect();
        Ok(Self { config, variables, moments, steps: 0 })
    }

    /// How many steps were taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// One step along the gradients, given in the order of the variables, each times `factor` first
    /// (1, or the clip factor).
    ///
    /// # Errors
    /// If a gradient is missing or has another shape than its variable; then nothing has changed.
    pub fn step(
        &mut self,
        gradients: &[Tensor],
        rate: f64,
        factor: f64,
    ) -> Result<(), RuntimeError> {
        if gradients.len() != self.variables.len() {
            return Err(RuntimeError::Shape(format!(
                "{} gradients for {} variables",
                gradients.len(),
                self.variables.len()
            )));
        }
        for ((name, v), g) in self.variables.iter().zip(gradients) {
            if v.dims() != g.dims() || g.dtype() != DType::F32 {
                return Err(RuntimeError::Shape(format!(
                    "the gradient of `{name}` is {:?} {:?}, the variable {:?} f32",
                    g.dims(),
                    g.dtype(),
                    v.dims()
                )));
            }
        }
        self.steps += 1;
        let t = self.steps as f64;
        let c = &self.config;
        for ((variable, moments), gradient) in
            self.variables.iter().zip(&self.moments).zip(gradients)
        {
            let update = Update {
                moments,
                beta1: c.beta1 as f32,
                beta2: c.beta2 as f32,
                epsilon: c.epsilon as f32,
                keep: (1.0 - rate * c.weight_decay) as f32,
                rate: (rate / (1.0 - c.beta1.powf(t))) as f32,
                correction: (1.0 / (1.0 - c.beta2.powf(t))) as f32,
                factor: factor as f32,
            };
            variable.1.as_tensor().inplace_op2(&gradient.contiguous()?, &update)?;
        }
        Ok(())
    }

    /// The moments as tensors: `first.NAME` and `second.NAME`. The step count is [`AdamW::steps`].
    ///
    /// # Errors
    /// If an earlier step panicked.
    pub fn state(&self) -> Result<HashMap<String, Tensor>, RuntimeError> {
        let mut out = HashMap::new();
        for ((name, v), moments) in self.variables.iter().zip(&self.moments) {
            let m = moments.lock().map_err(|_| poisoned())?;
            for (kind, values) in [("first", &m.first), ("second", &m.second)] {
                let tensor = Tensor::from_slice(values, v.shape(), &Device::Cpu)?;
                out.insert(format!("{kind}.{name}"), tensor);
            }
        }
        Ok(out)
    }

    /// Takes over moments and the step count that [`AdamW::state`] gave for the same variables.
    ///
    /// # Errors
    /// If a tensor is missing or does not fit, or one is there that belongs to no variable.
    pub fn restore(
        &mut self,
        state: &HashMap<String, Tensor>,
        steps: u64,
    ) -> Result<(), RuntimeError> {
        if state.len() != 2 * self.variables.len() {
            return Err(RuntimeError::Shape(format!(
                "optimiser state of {} tensors for {} variables",
                state.len(),
                self.variables.len()
            )));
        }
        let mut restored = Vec::with_capacity(self.variables.len());
        for (name, v) in &self.variables {
            let get = |kind: &str| {
                let tensor = state.get(&format!("{kind}.{name}"));
                let tensor = tensor.filter(|t| t.dims() == v.dims()).ok_or_else(|| {
                    RuntimeError::Shape(format!(
                        "optimiser state without a fitting {kind} moment of `{name}`"
                    ))
                })?;
                Ok::<_, RuntimeError>(tensor.flatten_all()?.to_vec1::<f32>()?)
            };
            restored.push(Mutex::new(Moments { first: get("first")?, second: get("second")? }));
        }
        self.moments = restored;
        self.steps = steps;
        Ok(())
    }
}

fn poisoned() -> RuntimeError {
    RuntimeError::Unsupported("AdamW: an earlier step panicked".into())
}

struct Update<'a> {
    moments: &'a Mutex<Moments>,
    beta1: f32,
    beta2: f32,
    epsilon: f32,
    /// 1 - rate * weight decay
    keep: f32,
    /// rate / (1 - beta1^t)
    rate: f32,
    /// 1 / (1 - beta2^t)
    correction: f32,
    factor: f32,
}

const BLOCK: usize = 1 << 16;

impl InplaceOp2 for Update<'_> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(
        &self,
        variable: &mut CpuStorage,
        variable_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> candle_core::Result<()> {
        let (Some((vs, ve)), Some((gs, ge))) =
            (variable_layout.contiguous_offsets(), gradient_layout.contiguous_offsets())
        else {
            candle_core::bail!("adamw: not contiguous")
        };
        let CpuStorage::F32(weights) = variable else { candle_core::bail!("adamw: not f32") };
        let gradient = &gradient.as_slice::<f32>()?[gs..ge];
        let Ok(mut moments) = self.moments.lock() else {
            candle_core::bail!("adamw: an earlier step panicked")
        };
        let Moments { first, second } = &mut *moments;
        weights[vs..ve]
            .par_chunks_mut(BLOCK)
            .zip(gradient.par_chunks(BLOCK))
            .zip(first.par_chunks_mut(BLOCK))
            .zip(second.par_chunks_mut(BLOCK))
            .for_each(|(((w, g), m), v)| self.block(w, g, m, v));
        Ok(())
    }
}

impl Update<'_> {
    fn block(&self, weights: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32]) {
        for (((w, g), m), v) in weights.iter_mut().zip(gradient).zip(first).zip(second) {
            let g = g * self.factor;
            *m = self.beta1 * *m + (1.0 - self.beta1) * g;
            *v = self.beta2 * *v + (1.0 - self.beta2) * g * g;
            let scale = (*v * self.correction).sqrt() + self.epsilon;
            *w = *w * self.keep - self.rate * *m / scale;
        }
    }
}
