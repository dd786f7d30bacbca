//! The ponens compiler: one definition of a preference loss in, everything else out.
//!
//! The stages, one folder each, in the order in which [`session`] runs them:
//!
//! | stage | in | out |
//! |---|---|---|
//! | [`hir`] | syntax tree | names resolved, levels and types known, verified |
//! | [`logic`] | formulas | truth tables, structures (P, given, tie), minimal formulas |
//! | [`decompile`] | an expression for rho | its structure, or the reason why there is none |
//! | [`circuit`] | a truth table | a weighted-model-counting circuit over a semiring |
//! | [`lower`] | HIR and circuits | MIR as written |
//! | [`mir`] | | the scalar graph: text form, intervals, verifier |
//! | [`adjoint`] | MIR | MIR with the gradient of every input as further roots |
//! | [`rewrite`] | MIR as written | MIR in its stable form, with the derivation |
//! | [`strength`] | MIR | the same with fewer transcendental functions |
//! | [`lir`] | MIR | the kernel plan |
//! | [`codegen`] | MIR, LIR | an interpreter, CUDA C, ... |
//!
//! Beside the pipeline: [`explain`] says what a loss means, [`relate`] compares two losses, [`landscape`]
//! counts and lists them; [`accuracy`] measures what the stable form gains.

pub mod accuracy;
pub mod adjoint;
pub mod circuit;
pub mod codegen;
pub mod decompile;
pub mod explain;
pub mod hir;
pub mod landscape;
pub mod lir;
pub mod logic;
pub mod lower;
pub mod mir;
pub mod relate;
pub mod rewrite;
pub mod session;
pub mod strength;
