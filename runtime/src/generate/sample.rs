//! The choice of the next token.

use rand::{Rng, rngs::StdRng};

use crate::model::{Error, Result};

/// How a token is chosen from its logits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sampling {
    /// The most likely; the lowest id of equals.
    Greedy,
    /// At random from `softmax(logits / temperature)`, among the fewest most likely tokens whose
    /// probabilities reach `top_p` (Holtzman et al. 2020, arXiv 1904.09751).
    Nucleus {
        /// Positive.
        temperature: f64,
        /// In (0, 1]; 1 keeps all tokens.
        top_p: f64,
    },
}

impl Sampling {
    /// Checks the ranges.
    ///
    /// # Errors
    /// Names the option that is out of range.
    pub fn verify(&self) -> Result<()> {
        match *self {
            Self::Nucleus { temperature, .. }
                if !(temperature > 0.0 && temperature.is_finite()) =>
            {
                Err(Error::config("temperature", format!("is {temperature}, not positive")))
            }
            Self::Nucleus { top_p, .. } if !(top_p > 0.0 && top_p <= 1.0) => {
                Err(Error::config("top_p", format!("is {top_p}, outside (0, 1]")))
            }
            _ => Ok(()),
        }
    }

    /// The chosen token. Logits that are no number are never chosen, unless all are.
    pub(super) fn choose(&self, logits: &mut [f32], rng: &mut StdRng) -> u32 {
        for logit in logits.iter_mut().filter(|l| l.is_nan()) {
            *logit = f32::NEG_INFINITY;
        }
        let best = (0..logits.len()).rev().max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
        let best = best.unwrap_or(0);
        match *self {
            Self::Greedy => best as u32,
            Self::Nucleus { temperature, top_p } => {
                let max = f64::from(logits[best]);
                let mut odds: Vec<(u32, f64)> = logits
                    .iter()
                    .enumerate()
                    .map(|(id, &l)| (id as u32, ((f64::from(l) - max) / temperature).exp()))
                    .filter(|(_, odds)| *odds > 0.0)
                    .collect();
                odds.sort_by(|a, b| b.1.total_cmp(&a.1));
                let total: f64 = odds.iter().map(|(_, odds)| odds).sum();
                let mut kept = 0.0;
                let nucleus = odds.iter().position(|(_, odds)| {
                    kept += odds;
                    kept >= top_p * total
                });
                odds.truncate(nucleus.map_or(odds.len(), |last| last + 1));
                let sum: f64 = odds.iter().map(|(_, odds)| odds).sum();
                let mut left = rng.random::<f64>() * sum;
                for (id, odds) in &odds {
                    left -= odds;
                    if left < 0.0 {
                        return *id;
                    }
                }
                odds.last().map_or(best as u32, |(id, _)| *id)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn frequencies(sampling: Sampling, logits: &[f32]) -> Vec<f64> {
        let mut rng = StdRng::seed_from_u64(1);
        let mut counts = vec![0.0; logits.len()];
        for _ in 0..20_000 {
            counts[sampling.choose(&mut logits.to_vec(), &mut rng) as usize] += 1.0 / 20_000.0;
        }
        counts
    }

    #[test]
    fn greedy_takes_the_first_of_the_largest_and_never_nan() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut logits = [f32::NAN, 1.0, 3.0, 3.0, f32::NEG_INFINITY];
        assert_eq!(Sampling::Greedy.choose(&mut logits, &mut rng), 2);
    }

    #[test]
    fn temperature_and_nucleus_shape_the_distribution() {
        let logits = [0.5f32.ln(), 0.3f32.ln(), 0.2f32.ln()];
        let all = frequencies(Sampling::Nucleus { temperature: 1.0, top_p: 1.0 }, &logits);
        for (got, want) in all.iter().zip([0.5, 0.3, 0.2]) {
            assert!((got - want).abs() < 0.02, "{all:?}");
        }
        let two = frequencies(Sampling::Nucleus { temperature: 1.0, top_p: 0.7 }, &logits);
        assert_eq!(two[2], 0.0);
        assert!((two[0] - 0.625).abs() < 0.02, "{two:?}");
        let cold = frequencies(Sampling::Nucleus { temperature: 0.1, top_p: 1.0 }, &logits);
        assert!(cold[0] > 0.98, "{cold:?}");
    }

    #[test]
    fn options_out_of_range_are_errors() {
        for (temperature, top_p) in [(0.0, 1.0), (f64::NAN, 1.0), (1.0, 0.0), (1.0, 1.5)] {
            assert!(Sampling::Nucleus { temperature, top_p }.verify().is_err());
        }
        assert!(Sampling::Nucleus { temperature: 0.7, top_p: 0.9 }.verify().is_ok());
    }
}
