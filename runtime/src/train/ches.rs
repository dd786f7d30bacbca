//! CHES scores: which pairs a preference loss will displace (Razin et al. 2024, arXiv 2410.08847).
//!
//! With h(y) the sum of the hidden states that predict the tokens of a response y,
//! CHES = <h(chosen), h(rejected)> - |h(chosen)|^2. The higher, the more alike the model sees the two, and
//! the more the chosen response is pushed down with the rejected one. Training without the highest few
//! percent is the paper's remedy.

use serde::Serialize;

use crate::data::EncodedExample;
use crate::model::Llama;
use crate::op::RuntimeError;

use super::problem::rows;

/// The score of one pair.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ches {
    /// Its row in the data, counted from 0.
    pub row: usize,
    /// <h(chosen), h(rejected)> - |h(chosen)|^2.
    pub ches: f64,
    /// The same of the mean states: <..> / (n_c n_r) - |..|^2 / n_c^2, which does not grow with length.
    pub normalised: f64,
}

impl Ches {
    /// The score from the sums of the hidden states that predict each token, chosen and rejected, and
    /// their numbers of tokens. Of sums of unequal width the shorter part counts.
    pub fn of(row: usize, sums: [&[f64]; 2], tokens: [usize; 2]) -> Self {
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let (across, own) = (dot(sums[0], sums[1]), dot(sums[0], sums[0]));
        let n = tokens.map(|n| n.max(1) as f64);
        Self { row, ches: across - own, normalised: across / (n[0] * n[1]) - own / (n[0] * n[0]) }
    }
}

/// Scores pairs, `micro` at a time; `progress` is told how many are done.
///
/// # Errors
/// If an example is no pair or does not fit the model.
pub fn ches(
    model: &Llama,
    examples: &[EncodedExample],
    micro: usize,
    mut progress: impl FnMut(usize),
) -> Result<Vec<Ches>, RuntimeError> {
    let mut out = Vec::with_capacity(examples.len());
    for part in examples.chunks(micro.max(1)) {
        let part: Vec<&EncodedExample> = part.iter().collect();
        if let Some(single) = part.iter().find(|e| !e.is_pair() || !e.mismatched.is_empty()) {
            let text =
                format!("row {} of the data is no plain pair: CHES compares two", single.row);
            return Err(RuntimeError::Setting(text));
        }
        let states = model.hidden_sums(&rows(&part))?;
        for (example, h) in part.iter().zip(states.chunks_exact(2)) {
            let tokens = [0, 1].map(|side| example.responses[side].response_len());
            out.push(Ches::of(example.row, [&h[0], &h[1]], tokens));
        }
        progress(out.len());
    }
    Ok(out)
}
