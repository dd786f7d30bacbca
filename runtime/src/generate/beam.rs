//! Beam search: the continuations that the model as a whole finds likely.
//!
//! A policy that was trained with a preference loss is an optimal advantage function (Rafailov et al. 2024,
//! arXiv 2404.12358): its log-probabilities add up to a value, and a search by their sum plans with it.

use super::End;
use crate::model::{Decoder, Error, Llama, Result};

/// How a search is run.
#[derive(Clone, Debug, PartialEq)]
pub struct BeamOptions {
    /// Texts kept at every length.
    pub width: usize,
    /// Most tokens to generate.
    pub max_tokens: usize,
    /// Texts are compared by their log-probability over their length to this power: 0 prefers short ones.
    pub length_power: f64,
    /// Tokens that end a text, beside the model's own.
    pub stop: Vec<u32>,
}

impl Default for BeamOptions {
    fn default() -> Self {
        Self { width: 4, max_tokens: 256, length_power: 1.0, stop: Vec::new() }
    }
}

/// A text that a search found.
#[derive(Clone, Debug, PartialEq)]
pub struct Beam {
    /// The new tokens; the end token is the last, if there is one.
    pub ids: Vec<u32>,
    /// Their log-probability, summed.
    pub logp: f64,
    /// Why there are no more.
    pub end: End,
}

impl Beam {
    fn worth(&self, options: &BeamOptions) -> f64 {
        self.logp / (self.ids.len().max(1) as f64).powf(options.length_power)
    }
}

/// An unfinished text.
struct Open<'a> {
    beam: Beam,
    decoder: Decoder<'a>,
    /// Log-probabilities of the next token.
    next: Vec<f64>,
}

fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let most = logits.iter().fold(f64::NEG_INFINITY, |m, &v| m.max(f64::from(v)));
    let sum: f64 = logits.iter().map(|&v| (f64::from(v) - most).exp()).sum();
    let norm = most + sum.ln();
    logits.iter().map(|&v| f64::from(v) - norm).collect()
}

/// The best continuations of `prompt`, best first, at most `width`; the search ends when that many texts
/// have. At equal worth the text that came from
/// the better one, then the lower token, comes first.
///
/// # Errors
/// If the prompt is empty or does not fit the model, or an option is out of range.
pub fn beam_search(model: &Llama, prompt: &[u32], options: &BeamOptions) -> Result<Vec<Beam>> {
    if options.width == 0 {
        return Err(Error::config("beams", "is 0, not positive".to_owned()));
    }
    if !options.length_power.is_finite() {
        return Err(Error::config("length power", format!("is {}", options.length_power)));
    }
    let config = model.config();
    let ends = |id: u32| config.eos_token_ids.contains(&id) || options.stop.contains(&id);
    let mut decoder = Decoder::new(model);
    let next = log_softmax(&decoder.advance(prompt)?);
    let empty = Beam { ids: Vec::new(), logp: 0.0, end: End::MaxTokens };
    let mut open = vec![Open { beam: empty, decoder, next }];
    let mut found: Vec<Beam> = Vec::new();
    for made in 0..options.max_tokens {
        // The last token needs no place of its own.
        let full = prompt.len() + made + 1 > config.max_position_embeddings;
        let mut steps: Vec<(f64, usize, u32)> = Vec::new();
        for (parent, o) in open.iter().enumerate() {
            let mut ids: Vec<u32> = (0..o.next.len() as u32).collect();
            let keep = options.width.min(ids.len());
            let better = |a: &u32, b: &u32| {
                o.next[*b as usize].total_cmp(&o.next[*a as usize]).then(a.cmp(b))
            };
            if keep < ids.len() {
                ids.select_nth_unstable_by(keep, better);
                ids.truncate(keep);
            }
            steps.extend(ids.into_iter().map(|id| (o.beam.logp + o.next[id as usize], parent, id)));
        }
        steps.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
        let last = made + 1 == options.max_tokens || full;
        let mut grown = Vec::with_capacity(options.width);
        for (logp, parent, id) in steps.into_iter().take(options.width) {
            let mut ids = open[parent].beam.ids.clone();
            ids.push(id);
            if ends(id) || last {
                let end = match (ends(id), full) {
                    (true, _) => End::Stop,
                    (false, true) => End::Context,
                    (false, false) => End::MaxTokens,
                };
                found.push(Beam { ids, logp, end });
            } else {
                let mut decoder = open[parent].decoder.fork()?;
                let next = log_softmax(&decoder.advance(&[id])?);
                let beam = Beam { ids, logp, end: End::MaxTokens };
                grown.push(Open { beam, decoder, next });
            }
        }
        open = grown;
        if open.is_empty() || found.len() >= options.width {
            break;
        }
    }
    found.sort_by(|a, b| b.worth(options).total_cmp(&a.worth(options)));
    found.truncate(options.width);
    Ok(found)
}
