//! Preference data: from files to token ids.
//!
//! In: a file of JSON lines, CSV or Parquet with pairs or single labelled responses, and the numeric
//! columns that the loss asks for. Out: [`EncodedExample`]s, in the order of the file, and what was
//! dropped or cut. Invariant: nothing is repaired silently; a row that cannot be used is an error with
//! its line, and the first ten different errors of a file come together.

mod check;
mod conversation;
mod copy;
mod divergence;
mod encode;
mod error;
mod flip;
mod lists;
mod mismatch;
mod order;
mod prompt;
mod reader;
mod record;
mod rows;
mod store;
mod stream;

#[cfg(test)]
mod tests;

pub use check::{ColumnFound, DataCheck, Lengths, check};
pub use copy::copy_rows;
pub use divergence::after_divergence;
pub use encode::{EncodeOptions, EncodeReport, EncodedExample, Encoder, Sequence, encode_examples};
pub use error::{DataError, Finding};
pub use flip::flip_labels;
pub use lists::{ListSpec, Numbers};
pub use mismatch::add_mismatched;
pub use order::{Shuffle, SplitMix, split};
pub use prompt::{ChatRender, PromptFormat};
pub use reader::{ReadOptions, ReadReport, load_examples, load_examples_from};
pub use record::{ColumnSpec, Shape, TextExample, Turns};
pub use rows::Format;
pub use store::{Examples, Store, StoreWriter};
pub use stream::{Encoding, store_examples};
