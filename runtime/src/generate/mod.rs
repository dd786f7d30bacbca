//! Text from a model: greedy or sampled, token by token, or by beam search.
//!
//! In: a model and the tokens of a prompt. Out: the tokens that follow, up to an end token. The same
//! seed gives the same tokens.

mod beam;
mod sample;

use std::ops::ControlFlow;

pub use beam::{Beam, BeamOptions, beam_search};
use rand::{SeedableRng, rngs::StdRng};
pub use sample::Sampling;

use crate::model::{Decoder, Llama, Result};

/// How a text is generated.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Most tokens to generate.
    pub max_tokens: usize,
    /// How the next token is chosen.
    pub sampling: Sampling,
    /// Seed of the choices.
    pub seed: u64,
    /// Tokens that end the text, beside the model's own.
    pub stop: Vec<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_tokens: 256, sampling: Sampling::Greedy, seed: 0, stop: Vec::new() }
    }
}

/// Why a text ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The model wrote an end token.
    Stop,
    /// As many tokens as were asked for.
    MaxTokens,
    /// As many tokens as the model takes.
    Context,
    /// The caller broke off.
    Caller,
}

/// A generated text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// The new tokens; the end token is the last, if there is one.
    pub ids: Vec<u32>,
    /// Why there are no more.
    pub end: End,
}

/// Continues `prompt`; `on_token` sees each new token as it is made and may break off.
///
/// # Errors
/// If the prompt is empty or does not fit the model, or the sampling options are out of range.
pub fn generate(
    model: &Llama,
    prompt: &[u32],
    options: &Options,
    mut on_token: impl FnMut(u32) -> ControlFlow<()>,
) -> Result<Generated> {
    options.sampling.verify()?;
    let context = model.config().max_position_embeddings;
    let mut rng = StdRng::seed_from_u64(options.seed);
    let mut decoder = Decoder::new(model);
    let mut ids = Vec::new();
    let mut next: Vec<u32> = prompt.to_vec();
    let end = loop {
        if ids.len() >= options.max_tokens {
            break End::MaxTokens;
        }
        if decoder.position() > 0 && decoder.position() + next.len() > context {
            break End::Context;
        }
        let mut logits = decoder.advance(&next)?;
        let id = options.sampling.choose(&mut logits, &mut rng);
        ids.push(id);
        if on_token(id).is_break() {
            break End::Caller;
        }
        if model.config().eos_token_ids.contains(&id) || options.stop.contains(&id) {
            break End::Stop;
        }
        next = vec![id];
    };
    Ok(Generated { ids, end })
}
