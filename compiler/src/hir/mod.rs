//! HIR: a loss with every name resolved and every expression's level known.
//!
//! Why: the text is checked once, here, with messages that point into it; later stages never meet an
//! unknown name or a mixed level. In: [`ponens_dsl::ast`]. Out: [`crate::lower`], [`crate::decompile`].
//!
//! Invariants, checked by [`verify()`]: operands precede their users; a level is the deepest level of
//! the operands unless a reduction stands between; every column, parameter and atom index is valid;
//! a loss has exactly one `minimize` and at most one core.

mod display;
mod model;
pub mod quantity;
pub mod resolve;
pub mod verify;

pub use model::{
    Aggregate, Atom, BatchFn, Core, DataShape, Expr, ExprId, Family, Fn1, Fn2, Fold, Head, Kind,
    Link, Loop, Loss, Model, Noise, Param, Role, Running, Scan,
};
pub use quantity::{Column, Quantity};
pub use resolve::{Library, NoLibrary, Program, functions, usages};
pub use verify::verify;
