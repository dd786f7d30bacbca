//! Preference data: from JSON lines to token ids.
//!
//! In: a file of one JSON object a line with `prompt`, `chosen`, `rejected` and the numeric columns that
//! the loss asks for. Out: [`EncodedPair`]s, in the order of the file, and what was dropped or cut.
//! Invariant: nothing is repaired silently; a row that cannot be used is an error with its line, and the
//! first ten different errors of a file come together.

mod encode;
mod error;
mod order;
mod prompt;
mod reader;
mod record;

#[cfg(test)]
mod tests;

pub use encode::{EncodeOptions, EncodeReport, EncodedPair, Encoder, Sequence, encode_pairs};
pub use error::{DataError, Finding};
pub use order::{Shuffle, SplitMix, split};
pub use prompt::{ChatRender, PromptFormat};
pub use reader::{PairReader, ReadOptions, ReadReport, load_pairs, load_pairs_from};
pub use record::{ColumnSpec, PairRecord, Turns};
