//! Preference losses as logic, compiled: the library behind the `ponens` command.
//!
//! Why: what the command does, a program can do as well. The crates are re-exported under short
//! names, and the parts that lie between them and the command line are modules here:
//!
//! | module | what it does |
//! |---|---|
//! | [`bench`] | measures the kernels against what cannot be avoided and against others |
//! | [`check`] | checks loss files from the grammar to the proof that every operation is defined |
//! | [`compare`](mod@compare) | compares two losses at every level |
//! | [`derive`](mod@derive) | writes the text of a loss from logic |
//! | [`embed`] | arguments inside a text that is compiled, and findings in them |
//! | [`errors`] | the error index |
//! | [`format`](mod@format) | puts loss files into the canonical form |
//! | [`known`] | recognises losses of the catalogue by their rho |
//! | [`locate`] | finds the loss that a LOSS argument names: catalogue, file, or file and name |
//! | [`page`](mod@page) | self-contained HTML pages |
//! | [`value`] | evaluates a loss and its gradients on given log-probabilities |
//! | [`number`] | numbers in JSON, non-finite ones included |
//!
//! Invariant: nothing here prints or ends the process; a refusal is a [`Refusal`], which carries the
//! diagnostics and the texts that they point into.

pub mod bench;
pub mod check;
pub mod compare;
pub mod derive;
pub mod embed;
pub mod errors;
pub mod format;
pub mod known;
pub mod locate;
pub mod number;
pub mod page;
mod refusal;
pub mod value;

pub use ponens_compiler as compiler;
pub use ponens_dsl as dsl;
pub use ponens_losses as losses;
pub use ponens_runtime as runtime;
pub use refusal::{Refusal, Result};
