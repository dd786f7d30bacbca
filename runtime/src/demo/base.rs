//! The model before preference training: it copies the letters, in any order.

use candle_core::{Device, Tensor};

use super::task::letters;
use crate::data::SplitMix;
use crate::model::{CausalLm, Config, Llama, Rows};
use crate::op::RuntimeError;
use crate::optim::{AdamW, AdamWConfig, Decay, Schedule, clip_factor};
use crate::tokenizer::Tokenizer;

/// The characters that the model knows.
pub const ALPHABET: &str = "abcdefghijklmnopqrstuvwxyz=";

const STEPS: usize = 400;
const ROWS: usize = 64;

/// One step of supervised training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SftProgress {
    /// Counted from 1.
    pub step: usize,
    /// Steps in all.
    pub steps: usize,
    /// Mean negative log-probability of an answer's token, in nats. The task's own entropy is
    /// ln(24) / 5 = 0.64.
    pub loss: f64,
}

/// The shape of the model: two layers of 64 features.
pub fn model_config() -> Config {
    Config { eos_token_ids: vec![0], ..Config::plain(ALPHABET.len() + 1, 64, 2, 4, 2, 32) }
}

/// A model that answers four letters with the same letters in a random order, and its tokenizer.
///
/// # Errors
/// If a tensor operation fails.
pub fn base_model(
    seed: u64,
    observe: impl FnMut(SftProgress),
) -> Result<(Llama, Tokenizer), RuntimeError> {
    supervised(seed, STEPS, observe)
}

/// [`base_model`] after a number of steps.
pub(super) fn supervised(
    seed: u64,
    steps: usize,
    mut observe: impl FnMut(SftProgress),
) -> Result<(Llama, Tokenizer), RuntimeError> {
    let tokenizer = Tokenizer::characters(ALPHABET)?;
    let model = Llama::random(model_config(), seed, &Device::Cpu)?.into_trainable()?;
    let mut random = SplitMix(seed);
    let config = AdamWConfig { weight_decay: 0.01, ..AdamWConfig::default() };
    let mut optimiser = AdamW::new(config, model.trainable().to_vec())?;
    let schedule = Schedule { peak: 3e-3, warmup: 20, decay: Decay::Cosine };
    for step in 0..steps {
        let mut rows = Rows::default();
        let mut tokens = 0;
        for _ in 0..ROWS {
            let mut answer = letters(&mut random);
            let prompt: String = answer.iter().map(|&b| char::from(b)).chain(['=']).collect();
            random.shuffle(&mut answer);
            let answer: String = answer.iter().map(|&b| char::from(b)).collect();
            let mut completion = tokenizer.encode(&answer, false)?;
            completion.extend(tokenizer.eos());
            tokens += completion.len();
            rows.push(&tokenizer.encode(&prompt, false)?, &completion);
        }
        let (sums, gradients) =
            model.backward(&rows, &mut |sums| Ok(vec![-1.0 / tokens as f32; sums.len()]))?;
        gradients.assert_all_reached(model.trainable())?;
        let factor = clip_factor(gradients.norm()?, Some(1.0));
        let gradients: Vec<Tensor> = gradients.iter().map(|(_, g)| g.clone()).collect();
        optimiser.step(&gradients, schedule.rate(step, steps), factor)?;
        let loss = -sums.iter().sum::<f64>() / tokens as f64;
        observe(SftProgress { step: step + 1, steps, loss });
    }
    Ok((model, tokenizer))
}
