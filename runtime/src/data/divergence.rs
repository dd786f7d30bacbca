//! Pairs cut to what follows their divergence point (MCTS-DPO, arXiv 2405.00451).
//!
//! Whatever both responses begin with says nothing about which is better. For a loss over the tokens after
//! the first difference it belongs to the prompt: its log-probabilities are in no sum and have no gradient,
//! and the model computes it once for both.

use super::encode::EncodedExample;

/// Moves the start of both responses of every pair to the first token that differs. A response keeps at
/// least its last token: equal responses, or one that was cut to the beginning of the other, differ in none.
///
/// Returns how many pairs share a beginning. Reference log-probabilities that the data gave for whole
/// responses are dropped there.
pub fn after_divergence(examples: &mut [EncodedExample]) -> usize {
    let mut moved = 0;
    for example in examples {
        let [chosen, rejected, ..] = example.responses.as_mut_slice() else { continue };
        let same = chosen.ids.iter().zip(&rejected.ids).take_while(|(a, b)| a == b).count();
        let mut shorter = false;
        for side in [chosen, rejected] {
            let start = same.min(side.ids.len() - 1).max(side.start);
            shorter |= start > side.start;
            side.start = start;
        }
        if shorter {
            example.reference = None;
            moved += 1;
        }
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::super::encode::Sequence;
    use super::*;

    fn starts(a: &[u32], b: &[u32], start: usize) -> (usize, usize, usize) {
        let side = |ids: &[u32]| Sequence { ids: ids.to_vec(), start };
        let mut one = [EncodedExample::pair(0, side(a), side(b), vec![])];
        let moved = after_divergence(&mut one);
        (one[0].responses[0].start, one[0].responses[1].start, moved)
    }

    #[test]
    fn responses_start_at_their_first_difference() {
        assert_eq!(starts(&[1, 2, 3, 4, 0], &[1, 2, 3, 5, 6, 0], 1), (3, 3, 1));
        assert_eq!(starts(&[1, 2, 0], &[1, 3, 0], 1), (1, 1, 0), "nothing is shared");
        assert_eq!(
            starts(&[1, 2, 3, 0], &[1, 2, 0], 1),
            (2, 2, 1),
            "the end of one is the difference"
        );
        assert_eq!(
            starts(&[1, 2, 3], &[1, 2, 3], 1),
            (2, 2, 1),
            "equal responses keep their last token"
        );
        assert_eq!(starts(&[1, 2], &[1, 2, 3], 1), (1, 2, 1), "cut to the beginning of the other");
    }
}
