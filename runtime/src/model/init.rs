//! Random initial weights.

use candle_core::{Device, Tensor};
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{body::Weights, config::Config, error::Result};

/// Weights of an untrained model: normal with the configuration's standard deviation, or
/// `0.6 / sqrt(hidden size)` where that is larger (small models); output maps of the layers smaller by
/// `sqrt(2 layers)`; norms 1, biases 0. The same seed gives the same weights.
///
/// # Errors
/// If the device fails.
pub fn random_weights(config: &Config, seed: u64, device: &Device) -> Result<Weights> {
    let mut normal = Normal { rng: StdRng::seed_from_u64(seed), spare: None };
    let deviation = (config.initializer_range).max(0.6 / (config.hidden_size as f64).sqrt()) as f32;
    let mut weights = Weights::new();
    for parameter in config.parameters() {
        let n: usize = parameter.shape.iter().product();
        let last = parameter.name.rsplit_once('.').map_or("", |(path, _)| path);
        let values: Vec<f32> = if parameter.name.ends_with(".bias") {
            vec![0.0; n]
        } else if parameter.shape.len() == 1 {
            vec![1.0; n]
        } else if last.ends_with("o_proj") || last.ends_with("down_proj") {
            let scale = deviation / (2.0 * config.num_hidden_layers as f32).sqrt();
            (0..n).map(|_| normal.next() * scale).collect()
        } else {
            (0..n).map(|_| normal.next() * deviation).collect()
        };
        weights.insert(parameter.name, Tensor::from_vec(values, parameter.shape, device)?);
    }
    Ok(weights)
}

/// Standard normal values by the Box-Muller transform.
struct Normal {
    rng: StdRng,
    spare: Option<f32>,
}

impl Normal {
    fn next(&mut self) -> f32 {
        if let Some(value) = self.spare.take() {
            return value;
        }
        // In (0, 1], so that the logarithm is finite.
        let u = 1.0 - self.rng.random::<f64>();
        let angle = 2.0 * std::f64::consts::PI * self.rng.random::<f64>();
        let radius = (-2.0 * u.ln()).sqrt();
        self.spare = Some((radius * angle.sin()) as f32);
        (radius * angle.cos()) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_decides_the_weights_and_they_are_normal() {
        let config = Config::small(40, 64, 2, 4, 2, 32).unwrap();
        let value = |seed, name: &str| {
            let weights = random_weights(&config, seed, &Device::Cpu).unwrap();
            weights[name].flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        let name = "model.layers.1.mlp.gate_proj.weight";
        assert_eq!(value(3, name), value(3, name));
        assert_ne!(value(3, name), value(4, name));
        let values = value(3, name);
        let n = values.len() as f32;
        let mean = values.iter().sum::<f32>() / n;
        let deviation = (values.iter().map(|v| v * v).sum::<f32>() / n).sqrt();
        assert!(mean.abs() < 3e-3 && (deviation - 0.075).abs() < 2e-3, "{mean} {deviation}");
        assert!(value(3, "model.norm.weight").iter().all(|&v| v == 1.0));
    }
}
