//! Token log-probabilities streamed over the vocabulary.
//!
//! Why: a causal language model's loss needs one number a token, but composed tensor operations hold
//! several `[tokens, vocabulary]` arrays to get it (two gigabytes for four rows of a small model).
//! Here hidden states go in, log-probabilities come out, and logits exist only for one chunk of rows
//! at a time; the backward pass recomputes them.
//!
//! In: hidden states `[N, H]` of the positions that predict a completion token, the head `[V, H]`,
//! the `N` target tokens. Out: `log softmax(logits)[target]` for each, optional statistics of the
//! distribution, and the gradients with respect to hidden states, head and bias.
//!
//! Invariant: nothing of size `[N, V]` is ever held, whatever `N` is; log-probabilities are never
//! positive and keep their relative accuracy when a token is almost certain, because they are computed
//! from the odds against the target and not as a difference of two large numbers.

mod composed;
mod head;
mod row;
pub(crate) mod simd;
mod stream;

pub use head::{Head, LogitTransform};
pub use row::{RowGradient, RowStatistics, RowStats, row_backward, row_statistics, row_stats};
pub use stream::{FrozenForward, HeadGradients, backward, forward, forward_frozen, statistics};
