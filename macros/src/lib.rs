//! Losses at compile time: written in the source file, checked by rustc, free at run time.
//!
//! Why: a program in Rust should not carry a compiler for its loss. The macros run the whole pipeline
//! while the crate is compiled and leave arithmetic behind: a struct with the parameters, a pure function
//! of one example, a loop over slices. In: loss text, as tokens ([`loss!`]), in a file
//! ([`include_loss!`]), or of the catalogue by name ([`catalogue_loss!`]). Out: items that name nothing
//! but `core` and the methods of `f64` and `f32`. Invariants: in either type the values are those of the
//! compiler's interpreter to the last bit; an error stands at the token that caused it, and one error
//! hides no other.
//!
//! ```
//! use ponens_macros::loss;
//!
//! loss! {
//!     /// DPO with labels that are wrong at a known rate.
//!     #[ponens(equals = "dpo", monotone, gradient_in_f32)]
//!     pub loss careful(beta = 0.1 in >0..inf, epsilon = 0.1 in 0..0.5) {
//!         data  pair(w > l)
//!         model pi = policy
//!         model ref = reference
//!
//!         prefer pi(l) & ref(w) -> pi(w) & ref(l)
//!         given  (pi(l) & ref(w)) | (pi(w) & ref(l))
//!         tie    pi(l) & ref(w) & pi(w) & ref(l)
//!         minimize smooth(epsilon, logistic(beta * rho))
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // One example: log-probabilities in the order of `Careful::COLUMNS`.
//! assert_eq!(Careful::COLUMNS, ["logp(pi,w)", "logp(pi,l)", "logp(ref,w)", "logp(ref,l)"]);
//! let loss = Careful::default().with_beta(0.5)?;
//! let one = loss.example(-10.0, -22.0, -12.0, -20.0);
//! assert!(one.d_logp_pi_w < 0.0 && one.d_logp_pi_l > 0.0);
//!
//! // A batch, without allocation.
//! let columns = careful::Columns {
//!     logp_pi_w: &[-10.0, -25.0],
//!     logp_pi_l: &[-22.0, -20.0],
//!     logp_ref_w: &[-12.0, -22.0],
//!     logp_ref_l: &[-20.0, -22.0],
//! };
//! let (mut values, mut by_w, mut by_l) = ([0.0; 2], [0.0; 2], [0.0; 2]);
//! let mut out =
//!     careful::Outputs { loss: &mut values, d_logp_pi_w: &mut by_w, d_logp_pi_l: &mut by_l };
//! loss.value_and_gradient(columns, &mut out)?;
//! assert_eq!(values[0], one.loss);
//!
//! // Ranges hold at run time too.
//! let refused = loss.with_epsilon(0.5).unwrap_err();
//! assert_eq!(refused.to_string(), "epsilon = 0.5 lies outside [0, 0.5)");
//! # Ok(())
//! # }
//! ```
//!
//! # What a loss becomes
//!
//! `loss careful(..)` becomes `mod careful` and `use careful::Careful`, both with the visibility that
//! stands before `loss`; `#[ponens(name = "Mine")]` chooses `mine::Mine` instead. The module holds
//!
//! | item | what it is |
//! |---|---|
//! | `Careful` | the parameters, private: `new` and `with_beta` check the range, `Default` takes the text's defaults |
//! | `Careful::example`, `::example_f32` | one pair: `Example`: the loss and its derivative by every column of the policy |
//! | `Careful::value_and_gradient`, `::value_and_gradient_f32` | the same over slices: `Columns` in, `Outputs` out |
//! | `Careful::NAME`, `SOURCE`, `TEXT`, `FORMULA`, `CORE`, `COLUMNS` | what it is called, the paper, its canonical text, its stable form, its logic, what it reads |
//! | `OutOfRange`, `WrongLength` | the two errors |
//!
//! A parameter without a default leaves `Default` out. What depends on the parameters alone is computed
//! once a call of the slice version. A loss over data that have several values an example (ranked lists,
//! tokens) is refused.
//!
//! # A loss of the whole batch
//!
//! Where examples depend on each other (`batch_mean`, `batch_sort`), the slices are one batch, `example` is
//! left out, and the caller gives the memory: `SCRATCH` numbers and `ORDER` indices an example. A loss that
//! the examples have in common stands at every example; derivatives are those of the sum.
//!
//! ```
//! ponens_macros::catalogue_loss!(aot);
//! # fn main() -> Result<(), aot::WrongLength> {
//! let (w, l) = ([-10.0, -25.0], [-22.0, -20.0]);
//! let columns = aot::Columns { logp_pi_w: &w, logp_pi_l: &l, logp_ref_w: &l, logp_ref_l: &w };
//! let (mut loss, mut by_w, mut by_l) = ([0.0; 2], [0.0; 2], [0.0; 2]);
//! let mut out = aot::Outputs { loss: &mut loss, d_logp_pi_w: &mut by_w, d_logp_pi_l: &mut by_l };
//! let (mut values, mut order) = ([0.0; 2 * Aot::SCRATCH], [0; 2 * Aot::ORDER]);
//! let mut scratch = aot::Scratch { values: &mut values, order: &mut order };
//! Aot::default().value_and_gradient(columns, &mut out, &mut scratch)?;
//! assert!(by_w.iter().all(|d| *d < 0.0));
//! # Ok(())
//! # }
//! ```
//!
//! # Claims
//!
//! `#[ponens(..)]` before `loss` states what is to hold; what does not, or cannot be decided within the
//! bounds of the search, is a compile error with a witness.
//!
//! | claim | what is checked |
//! |---|---|
//! | `equals = "dpo"` | the same rho as that loss of the same text or of the catalogue, for all weights; link and margins are not compared |
//! | `entails = "lattice.CPO"` | rows that win here win there, rows that lose there lose here: rho is nowhere higher |
//! | `monotone` | rho nowhere falls with the policy's weight of the winner nor rises with that of the loser, and depends on one of them |
//! | `gradient_in_f32` | with the defaults, in f32, where every response has log-probability -100 in sum and -1 a token: all is finite, and some derivative is at least 1e-6 |
//!
//! Models and responses of the two losses are matched by role and rank, whatever they are called.
//!
//! # Options
//!
//! | option | what it adds |
//! |---|---|
//! | `name = "Mine"` | the struct is `mine::Mine` |
//! | `candle`, `candle = "path"` | with the feature `candle`: `Tensors` and the method `tensor`, the loss as an operation of candle with the compiled gradient. `path` names the crate; `::candle_core` otherwise |
//! | `libm` | in a crate without `std`: what `core` lacks (exp, ln, ln_1p, exp_m1, powf) comes from `::libm` |
//!
//! ```compile_fail
//! // rho of unCPO is higher than that of CE at some weights: the error names a row.
//! ponens_macros::catalogue_loss!(#[ponens(entails = "lattice.CE")] lattice.unCPO);
//! ```
//!
//! # Rust's tokens
//!
//! Between the braces of a macro brackets must be balanced, so a half-open range is written with dots:
//! `0..0.5` for `[0, 0.5)`, `0..=1` for `[0, 1]`, `>0..inf` for `(0, inf)`, `>0..=1` for `(0, 1]`. The
//! language reads this spelling everywhere and prints the one with brackets. Text that is no tokens of
//! Rust goes into a string, `loss!(r"..")`; its errors give line and column.
//!
//! # What it costs
//!
//! A loss takes about 70 ms of one processor where the macros are built with
//! `[profile.dev.build-override]` and `opt-level = 3`, and about 180 ms at cargo's default for the profile
//! `dev` (ten losses of the catalogue, generated code included, on a busy machine). The optimised build of the
//! macros takes longer once, which pays for itself with many losses.

mod claim;
mod expand;
#[cfg(test)]
mod expand_tests;
mod generate;
mod input;
mod methods;
mod page;
mod report;
mod tensor;
mod text;
mod types;

use proc_macro::TokenStream;
use std::path::PathBuf;

/// Writes one or more losses in the source file.
///
/// Between the braces stand losses, variants and functions of the language. Before a `loss` may stand
/// documentation, `#[ponens(..)]` and a visibility; see the [crate's documentation](crate).
///
/// ```
/// ponens_macros::loss! {
///     /// DPO with a hinge.
///     #[ponens(name = "Hinged")]
///     loss slic = dpo with { link = hinge(1) }
/// }
/// assert_eq!(Hinged::default().example(-1.0, -1.0, -1.0, -1.0).loss, 1.0);
/// ```
#[proc_macro]
pub fn loss(input: TokenStream) -> TokenStream {
    generate::loss(input.into()).unwrap_or_else(|e| e.to_compile_error()).into()
}

/// Compiles the losses of a file: all of them, or the one named.
///
/// The path is relative to the manifest of the crate. A change of the file, or of one that it imports,
/// rebuilds the crate. Errors give file, line and column.
///
/// ```
/// # mod all {
/// ponens_macros::include_loss!("tests/losses/hinged.loss");
/// # }
/// ponens_macros::include_loss!(#[ponens(equals = "dpo")] pub "tests/losses/hinged.loss", hinged);
/// # fn main() {
/// assert_eq!(Hinged::default().margin(), 1.0);
/// # }
/// ```
#[proc_macro]
pub fn include_loss(input: TokenStream) -> TokenStream {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default());
    generate::include(input.into(), &root).unwrap_or_else(|e| e.to_compile_error()).into()
}

/// Compiles a loss of the catalogue.
///
/// ```
/// ponens_macros::catalogue_loss!(pub lattice.CPO);
/// assert!(LatticeCPO::default().example(-1.0, -2.0).loss < core::f64::consts::LN_2);
/// ```
#[proc_macro]
pub fn catalogue_loss(input: TokenStream) -> TokenStream {
    generate::catalogue(input.into()).unwrap_or_else(|e| e.to_compile_error()).into()
}
