//! Preference losses as logic, compiled: the library behind the `ponens` command.
//!
//! Why: what the command does, a program can do as well. Programs that load losses at run time begin
//! with [`Loss`] (parse or name one, compile, decompile, compare, run), whose errors are [`Refusal`]s:
//!
//! ```
//! use ponens::{Device, Loss};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let loss = Loss::open("lattice.CPO_ref")?;
//! assert!(loss.compare(&Loss::named("dpo")?)?.is_equal());
//! let kernel = loss.kernel(Device::Cpu)?;
//! let batch = kernel.evaluate(&[&[-10.0], &[-12.0], &[-11.0], &[-11.5]])?;
//! println!("{} {:?}", batch.mean(), batch.gradient("logp(pi,w)"));
//! # Ok(())
//! # }
//! ```
//!
//! Losses that are written into the program itself are the business of `ponens-macros`. The crates are
//! re-exported under short names, and the parts that lie between them and the command line are modules
//! here:
//!
//! | module | what it does |
//! |---|---|
//! | [`bench`](mod@bench) | measures the kernels against what cannot be avoided and against others |
//! | [`check`] | checks loss files from the grammar to the proof that every operation is defined |
//! | [`compare`](mod@compare) | compares two losses at every level |
//! | [`derive`](mod@derive) | writes the text of a loss from logic |
//! | [`embed`] | arguments inside a text that is compiled, and findings in them |
//! | [`errors`] | the error index |
//! | [`format`](mod@format) | puts loss files into the canonical form |
//! | [`kernel`] | a compiled loss that runs |
//! | [`known`] | recognises losses of the catalogue by their rho |
//! | [`locate`] | finds the loss that a LOSS argument names: catalogue, file, or file and name |
//! | [`loss`] | a loss as a value, the entry for programs |
//! | [`python`](mod@python) | reads a PyTorch function as a loss |
//! | [`page`](mod@page) | self-contained HTML pages |
//! | [`value`] | evaluates a loss and its gradients on given log-probabilities |
//! | [`verify`](mod@verify) | compares a PyTorch function with a loss |
//! | [`lsp`] | a language server for editors |
//! | [`number`] | numbers in JSON, non-finite ones included |
//!
//! Invariants: nothing here prints or ends the process, and no state is shared between calls; a refusal
//! is a [`Refusal`], which carries the diagnostics and the texts that they point into.

pub mod bench;
pub mod check;
pub mod compare;
pub mod derive;
pub mod embed;
pub mod errors;
pub mod format;
pub mod kernel;
pub mod known;
pub mod locate;
pub mod loss;
pub mod lsp;
pub mod number;
pub mod page;
pub mod python;
mod refusal;
pub mod value;
pub mod verify;

pub use candle_core as candle;
pub use compare::Comparison;
pub use kernel::{Device, Evaluation, Kernel};
pub use loss::{Logic, Loss};
pub use ponens_compiler as compiler;
pub use ponens_compiler::session::{Compiled, Options};
pub use ponens_dsl as dsl;
pub use ponens_losses as losses;
pub use ponens_runtime as runtime;
pub use refusal::{Refusal, Result};
