//! Token log-probabilities streamed over the vocabulary.
//!
//! Why: a causal language model's loss needs one number a token, but composed tensor operations hold
//! several `[tokens, vocabulary]` arrays to get it (two gigabytes for four rows of a small model).
//! Here hidden states go in, log-probabilities come out, and logits exist only for one tile (some rows,
//! some words) at a time; the backward pass recomputes them, or there is none because the forward pass
//! has already made what it needs (a frozen head).
//!
//! In: hidden states `[N, H]` of the positions that predict a completion token, the head `[V, H]`,
//! the `N` target tokens. Out: `log softmax(logits)[target]` for each, optional statistics of the
//! distribution, and the gradients with respect to hidden states, head and bias.
//!
//! Invariant: nothing of size `[N, V]` is ever held, whatever `N` and `V` are, and beside inputs and
//! results at most 64 MiB; log-probabilities are never
//! positive and keep their relative accuracy when a token is almost certain, because they are computed
//! from the odds against the target and not as a difference of two large numbers.

mod composed;
mod gradient;
mod head;
mod logit;
mod row;
mod scan;
#[cfg(test)]
mod scan_tests;
pub(crate) mod simd;
mod statistics;
mod stream;
mod tile;
pub(crate) mod vector;
mod whole;

pub use head::{Head, LogitTransform};
pub use logit::Logit;
pub use row::{RowStats, row_backward, row_stats};
pub use statistics::{Each, RowStatistics, Statistic, row_statistics};
pub(crate) use statistics::{RowForward, row_forward};
pub(crate) use stream::first_not_finite;
pub use stream::{FrozenForward, HeadGradients, backward, forward, forward_frozen, statistics};
pub use whole::{ReferenceStates, whole_backward, whole_statistics};
