//! The types of the HIR.

mod data;
mod expr;

pub use crate::mir::Param;
pub use data::{DataShape, Family};
pub use expr::{BatchFn, Expr, ExprId, Fn1, Fn2, Fold, Kind, Link, Loop, Noise, Scan};

use super::quantity::Column;
use crate::logic::{self, Formula, Table};
use ponens_dsl::Span;
use std::fmt;

/// How token log-probabilities make the log-weight of an atom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    /// Their sum.
    Sum,
    /// Their mean.
    Mean,
    /// Their sum divided by len^p.
    Length,
    /// Their sum, with weight alpha on the tokens past the other response's length.
    Shared,
    /// The sum of those after the point where the two responses part.
    Diverged,
}

/// Trained or frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The model that is trained.
    Policy,
    /// A frozen model.
    Reference,
    /// The policy as it was when it sampled the responses: its log-probabilities come with them.
    Sampler,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Policy => "policy",
            Role::Reference => "reference",
            Role::Sampler => "sampler",
        })
    }
}

/// A number that a model gives beside its log-probabilities, one a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Head {
    /// How much reward is still to come.
    Value,
    /// A reward; of a whole response, that of its last token.
    Reward,
    /// How much better the token is than the policy's average.
    Advantage,
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Head::Value => "value",
            Head::Reward => "reward",
            Head::Advantage => "advantage",
        })
    }
}

/// A declared model.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Its name in the formulas.
    pub name: String,
    /// Trained or frozen.
    pub role: Role,
    /// What `name(y)` means.
    pub aggregate: Aggregate,
    /// What it gives beside log-probabilities.
    pub heads: Vec<Head>,
    /// The declaration.
    pub span: Span,
}

/// An atom of the core with the column that holds its log-weight.
#[derive(Clone, Debug, PartialEq)]
pub struct Atom {
    /// The atom as the logic sees it.
    pub atom: logic::Atom,
    /// Index into [`Loss::columns`]: the sum (or mean) of the token log-probabilities.
    pub column: usize,
    /// The log-weight, where it is not that column itself.
    pub weight: Option<ExprId>,
}

/// How rho is bound.
#[derive(Clone, Debug, PartialEq)]
pub enum Core {
    /// By an expression.
    Arithmetic {
        /// Its value.
        value: ExprId,
        /// The clause.
        span: Span,
    },
    /// By the clauses `prefer`, `given` and `tie`, over [`Loss::atoms`].
    Logical {
        /// P
        prefer: Table,
        /// Pc
        given: Table,
        /// Pa
        tie: Table,
        /// The `prefer` clause.
        span: Span,
    },
    /// By the same clauses where [`Loss::atoms`] are more than a table holds.
    Large {
        /// P
        prefer: Formula,
        /// Pc
        given: Formula,
        /// Pa
        tie: Formula,
        /// The `prefer` clause.
        span: Span,
    },
}

/// `running_mean(x)`: the mean of an expression over all examples of a run so far. The loss reads it as a
/// column, which whoever keeps the run fills.
#[derive(Clone, Debug, PartialEq)]
pub struct Running {
    /// The column's name.
    pub name: String,
    /// What the mean is of: one number an example.
    pub of: ExprId,
}

/// A resolved loss.
#[derive(Clone, Debug, PartialEq)]
pub struct Loss {
    /// Its name.
    pub name: String,
    /// Lines of its doc comment.
    pub docs: Vec<String>,
    /// Parameters in order.
    pub params: Vec<Param>,
    /// The shape of an example.
    pub shape: DataShape,
    /// The declared models.
    pub models: Vec<Model>,
    /// What the loss reads, in order of first use.
    pub columns: Vec<Column>,
    /// The atoms that occur, policy before reference, winner before loser.
    pub atoms: Vec<Atom>,
    /// All expressions; operands before users.
    pub exprs: Vec<Expr>,
    /// How rho is bound, if the loss has a core.
    pub core: Option<Core>,
    /// The loss of one example.
    pub minimize: ExprId,
    /// The running means that it reads.
    pub running: Vec<Running>,
    /// The definition.
    pub span: Span,
}

impl Loss {
    /// The expression behind an id.
    pub fn expr(&self, id: ExprId) -> &Expr {
        &self.exprs[id.0 as usize]
    }

    /// The first column that a loop has many of.
    pub fn column_of(&self, inner: Loop) -> Option<usize> {
        self.columns.iter().position(|c| c.of == Some(inner))
    }

    /// The first sentence of the doc comment, without its source.
    pub fn title(&self) -> String {
        let text = self.docs.join(" ");
        let end = text.find(" (").or_else(|| text.find(". ")).unwrap_or(text.len());
        text[..end].trim_end_matches('.').to_owned()
    }

    /// What the doc comment gives in its first pair of parentheses: paper, number, equation.
    pub fn source(&self) -> Option<String> {
        let text = self.docs.join(" ");
        let start = text.find('(')?;
        let end = start + text[start..].find(')')?;
        Some(text[start + 1..end].to_owned())
    }
}
