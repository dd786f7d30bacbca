//! What the trainer asks of a model beyond [`CausalLm`].

use crate::model::{CausalLm, Llama};

/// A model with trainable variables and a state that a resumed run must find again.
pub trait Policy: CausalLm {
    /// Tells the model how many backward passes it has made before, if its passes differ (dropout).
    fn set_passes(&self, _passes: u64) {}
}

impl Policy for Llama {
    fn set_passes(&self, passes: u64) {
        Llama::set_passes(self, passes);
    }
}
