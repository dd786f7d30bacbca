//! A loss and its gradients on given log-probabilities.
//!
//! Why: the numbers of a loss can be looked at, compared and tested without any model. In: a compiled
//! loss and rows of JSON whose columns are the loss's quantities by name. Out: the loss of every row or
//! batch, and its derivative with respect to every column that was given.
//!
//! The stages: [`read`] cuts a file into rows, [`bind()`] finds the columns of the loss in them and checks
//! every number ([`arrays`] where there are several a row), [`tokens`] and [`means`] replace what the rows
//! do not hold by what they hold, [`evaluate()`] runs the graph, [`card`] its kernels. Invariant: nothing is evaluated unless every row is sound.

pub mod arrays;
pub mod bind;
pub mod card;
pub mod evaluate;
mod findings;
pub mod means;
pub mod read;
pub mod tokens;

pub use arrays::Array;
pub use bind::{Batching, Bound, Mean, bind};
pub use card::{CardError, evaluate as evaluate_on_card, evaluate_on_machine};
pub use evaluate::{Engine, Nested, Outcome, evaluate, is_batch_coupled};
pub use read::{Row, Rows};
