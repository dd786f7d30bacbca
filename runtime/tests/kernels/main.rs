//! The fused operations against the definition in f64: accuracy in every type, exactness at the start of
//! training, statistics of the distribution, refusals.

// Helpers of a test fail as the test does.
#![allow(clippy::unwrap_used)]

mod accuracy;
mod hidden;
mod oracle;
mod refusals;
mod statistics;
