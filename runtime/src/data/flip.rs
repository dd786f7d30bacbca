//! Wrong labels on purpose, for studies of label noise (robust DPO, arXiv 2403.00409).

use super::order::SplitMix;
use super::record::TextExample;

/// Swaps the responses of a pair, or turns the label of a single response, each with probability `share`;
/// returns how many. The same seed flips the same rows. Columns stay as they are.
pub fn flip_labels(records: &mut [TextExample], share: f64, seed: u64) -> usize {
    let mut random = SplitMix(seed ^ 0x666c_6970);
    let mut flipped = 0;
    for record in records {
        // 53 bits, so that 0 flips nothing and 1 everything.
        let roll = random.below(1 << 53) as f64 / (1u64 << 53) as f64;
        if roll >= share {
            continue;
        }
        flipped += 1;
        if record.responses.len() == 2 {
            record.responses.reverse();
            record.reference.iter_mut().for_each(|r| r.reverse());
        } else {
            record.good.iter_mut().for_each(|g| *g = !*g);
        }
    }
    flipped
}
