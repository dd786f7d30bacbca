//! The learning rate as a function of the step.

use serde::{Deserialize, Serialize};

/// How the rate falls after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decay {
    /// It does not.
    Constant,
    /// In a straight line to 0 at the end of the run.
    Linear,
    /// Along half a cosine to 0 at the end of the run.
    Cosine,
}

/// A peak rate, a linear warm-up to it and a decay from it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// The rate at the end of the warm-up.
    pub peak: f64,
    /// Steps of linear warm-up: step s of them has the rate `peak (s + 1) / (warmup + 1)`.
    pub warmup: usize,
    /// What follows.
    pub decay: Decay,
}

impl Schedule {
    /// The rate of optimiser step `step` (counted from 0) of `total`. Never 0 before the end: decay
    /// reaches 0 at `step = total`, which is no step of the run.
    pub fn rate(&self, step: usize, total: usize) -> f64 {
        if step < self.warmup {
            return self.peak * (step + 1) as f64 / (self.warmup + 1) as f64;
        }
        let span = total.saturating_sub(self.warmup);
        if span == 0 {
            return self.peak;
        }
        let progress = ((step - self.warmup) as f64 / span as f64).min(1.0);
        match self.decay {
            Decay::Constant => self.peak,
            Decay::Linear => self.peak * (1.0 - progress),
            Decay::Cosine => self.peak * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
        }
    }
}
