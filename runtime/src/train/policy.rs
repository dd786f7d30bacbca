//! What the trainer asks of a model beyond [`CausalLm`].

use crate::data::SplitMix;
use crate::model::{CausalLm, Llama};

/// A model with trainable variables, whose passes in training may differ from others (dropout).
pub trait Policy: CausalLm {
    /// With a seed, all passes from here on, forward ones too, are those of training, and drop the same
    /// features of the same tokens; without one, forward passes drop nothing.
    fn hold_dropout(&self, _seed: Option<u64>) {}
}

impl Policy for Llama {
    fn hold_dropout(&self, seed: Option<u64>) {
        Llama::hold_dropout(self, seed);
    }
}

/// The passes of one step, as long as this lives: whether the loss is evaluated in a forward pass of its own
/// or on the way back, and in how many parts, the same features are dropped.
pub(super) struct Dropping<'a>(&'a dyn Policy);

impl<'a> Dropping<'a> {
    /// The masks depend on the run's seed and on the step, however the run came to it.
    pub(super) fn new(policy: &'a dyn Policy, seed: u64, step: usize) -> Self {
        let of_run = SplitMix(seed).bits();
        policy.hold_dropout(Some(SplitMix(of_run.wrapping_add(step as u64)).bits()));
        Self(policy)
    }
}

impl Drop for Dropping<'_> {
    fn drop(&mut self) {
        self.0.hold_dropout(None);
    }
}
