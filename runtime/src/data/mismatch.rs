//! Each prompt with a response that was given to another (KTO's estimate of the divergence).
//!
//! The other example is the next in the file that has another prompt, or the next one where all prompts
//! are equal; the last is followed by the first. So the partner is a fact of the data, not of the batch:
//! the reference is run on it once, and a run that resumes finds it again.

use super::encode::{EncodedExample, Sequence};

/// Adds the mismatched sequence of every response, cut to `max_length` tokens at its end.
///
/// A single example is its own partner: there is no other.
pub fn add_mismatched(examples: &mut [EncodedExample], max_length: usize) {
    let partners = partners(examples);
    let tails: Vec<Vec<Vec<u32>>> = examples
        .iter()
        .map(|e| e.responses.iter().map(|s| s.ids[s.start..].to_vec()).collect())
        .collect();
    for (example, &partner) in examples.iter_mut().zip(&partners) {
        let theirs = &tails[partner];
        let mismatched = example.responses.iter().enumerate().map(|(side, own)| {
            let mut ids = own.ids[..own.start].to_vec();
            // Where a pair meets a single response, both sides take that one.
            ids.extend(theirs.get(side).or(theirs.last()).into_iter().flatten());
            ids.truncate(max_length.max(own.start + 1));
            Sequence { ids, start: own.start }
        });
        example.mismatched = mismatched.collect();
    }
}

/// The tokens before the responses.
fn prompt(example: &EncodedExample) -> &[u32] {
    example.responses.first().map_or(&[], |s| &s.ids[..s.start])
}

fn partners(examples: &[EncodedExample]) -> Vec<usize> {
    let n = examples.len();
    let mut partners: Vec<usize> = (0..n).map(|i| (i + 1) % n).collect();
    // Twice around from the end: the second time every run of equal prompts has seen what follows it.
    let mut next_other: Option<usize> = None;
    for i in (0..n).rev().chain((0..n).rev()) {
        let after = (i + 1) % n;
        if prompt(&examples[after]) != prompt(&examples[i]) {
            next_other = Some(after);
        }
        if let Some(other) = next_other {
            partners[i] = other;
        }
    }
    partners
}
