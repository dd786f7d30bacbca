//! The task and its data.

use std::collections::HashSet;

use crate::data::SplitMix;

/// Letters of a prompt.
pub(super) const LETTERS: usize = 4;

/// One pair of the task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// Four different letters and `=`.
    pub prompt: String,
    /// The letters in alphabetical order.
    pub chosen: String,
    /// The letters in another order.
    pub rejected: String,
}

fn text(letters: &[u8]) -> String {
    letters.iter().map(|&b| char::from(b)).collect()
}

/// Four different letters in random order.
pub(super) fn letters(random: &mut SplitMix) -> Vec<u8> {
    let mut all: Vec<u8> = (b'a'..=b'z').collect();
    random.shuffle(&mut all);
    all.truncate(LETTERS);
    all
}

/// `train` and `held_out` pairs; no two of them ask for the same letters.
///
/// There are 14,950 sets of four letters: at most as many pairs are made.
pub fn make(train: usize, held_out: usize, seed: u64) -> (Vec<Example>, Vec<Example>) {
    let mut random = SplitMix(seed);
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    let possible = (0..LETTERS).fold(1, |n, i| n * (26 - i) / (i + 1));
    while all.len() < (train + held_out).min(possible) {
        let asked = letters(&mut random);
        let mut sorted = asked.clone();
        sorted.sort_unstable();
        if !seen.insert(sorted.clone()) {
            continue;
        }
        let mut other = asked.clone();
        random.shuffle(&mut other);
        while other == sorted {
            random.shuffle(&mut other);
        }
        all.push(Example {
            prompt: text(&asked) + "=",
            chosen: text(&sorted),
            rejected: text(&other),
        });
    }
    let held = all.split_off(train.min(all.len()));
    (all, held)
}

/// The pairs as JSON lines.
pub fn jsonl(examples: &[Example]) -> String {
    let line = |e: &Example| {
        let Example { prompt, chosen, rejected } = e;
        format!(
            "{{\"prompt\": \"{prompt}\", \"chosen\": \"{chosen}\", \"rejected\": \"{rejected}\"}}\n"
        )
    };
    examples.iter().map(line).collect()
}
