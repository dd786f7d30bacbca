//! The types of the HIR.

use super::quantity::Column;
use crate::logic::{self, Formula, Table};
use crate::mir::Level;
use ponens_dsl::Span;
use std::fmt;

pub use crate::mir::Param;

/// Index of an expression in [`Loss::exprs`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExprId(pub u32);

/// Functions of one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // The names are the mathematics.
pub enum Fn1 {
    Neg,
    Exp,
    Log,
    Log1p,
    Expm1,
    Log1mExp,
    Softplus,
    Sigmoid,
    LogSigmoid,
    Square,
    Abs,
    StopGradient,
}

/// Functions of two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // The names are the mathematics.
pub enum Fn2 {
    Add,
    Sub,
    Mul,
    Div,
    Pow,
    Max,
    Min,
    LogAddExp,
}

/// The functions that turn a margin into a loss (SEMANTICS, section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Link {
    /// softplus(-x)
    Logistic,
    /// max(0, m - x)
    Hinge,
    /// (x - t)^2
    Squared,
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Link::Logistic => "logistic",
            Link::Hinge => "hinge",
            Link::Squared => "squared",
        })
    }
}

/// Operators for label noise on a link f with argument h.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Noise {
    /// (1 - e) f(h) + e f(-h)
    Smooth,
    /// ((1 - e) f(h) - e f(-h)) / (1 - 2 e)
    Debias,
}

/// Functions of the whole batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BatchFn {
    /// The mean over the examples.
    Mean,
    /// The sum over the examples.
    Sum,
    /// The values in ascending order, one an example again.
    Sort,
}

/// What an expression is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A finite number.
    Number(f64),
    /// Index into [`Loss::params`].
    Param(usize),
    /// Index into [`Loss::columns`].
    Column(usize),
    /// The weight of an atom, a probability: index into [`Loss::atoms`].
    Probability(usize),
    /// The core, as bound by `rho = ..` or by the logical clauses.
    Rho,
    /// A function of one number.
    Call1(Fn1, ExprId),
    /// A function of two numbers.
    Call2(Fn2, ExprId, ExprId),
    /// The first where the boolean column is true, else the second.
    If(ExprId, ExprId, ExprId),
    /// A link, its argument, and its margin or target.
    Link(Link, ExprId, Option<ExprId>),
    /// A noise operator: rate, f(h), f(-h).
    Noise(Noise, ExprId, ExprId, ExprId),
    /// A function of all values of the batch.
    Batch(BatchFn, ExprId),
}

/// An expression with its level and place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: Kind,
    /// The loop that it lives in.
    pub level: Level,
    /// Where it was written.
    pub span: Span,
}

/// How token log-probabilities make the log-weight of an atom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    /// Their sum.
    Sum,
    /// Their mean.
    Mean,
}

/// Trained or frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The model that is trained.
    Policy,
    /// A frozen model.
    Reference,
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
    /// The declaration.
    pub span: Span,
}

/// The shape of one example.
#[derive(Clone, Debug, PartialEq)]
pub enum DataShape {
    /// Two responses to one prompt.
    Pair {
        /// The preferred one.
        winner: String,
        /// The other.
        loser: String,
        /// Further responses, such as a rationale.
        others: Vec<String>,
    },
    /// One response with a label.
    Labelled {
        /// The response.
        response: String,
        /// The boolean that says whether it is good.
        label: String,
    },
}

impl DataShape {
    /// The responses by name, the preferred one first.
    pub fn responses(&self) -> Vec<&str> {
        match self {
            DataShape::Pair { winner, loser, others } => {
                [winner, loser].into_iter().chain(others).map(String::as_str).collect()
            }
            DataShape::Labelled { response, .. } => vec![response],
        }
    }
}

impl fmt::Display for DataShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DataShape::Pair { winner, loser, others } => {
                write!(f, "pair({winner} > {loser}")?;
                others.iter().try_for_each(|o| write!(f, ", {o}"))?;
                f.write_str(")")
            }
            DataShape::Labelled { response, label } => write!(f, "labelled({response}, {label})"),
        }
    }
}

/// An atom of the core with the column that holds its log-weight.
#[derive(Clone, Debug, PartialEq)]
pub struct Atom {
    /// The atom as the logic sees it.
    pub atom: logic::Atom,
    /// Index into [`Loss::columns`].
    pub column: usize,
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
    /// The definition.
    pub span: Span,
}

impl Loss {
    /// The expression behind an id.
    pub fn expr(&self, id: ExprId) -> &Expr {
        &self.exprs[id.0 as usize]
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

impl Kind {
    /// The operands in order.
    pub fn operands(&self) -> Vec<ExprId> {
        match *self {
            Kind::Number(_) | Kind::Param(_) | Kind::Column(_) | Kind::Probability(_) => vec![],
            Kind::Rho => vec![],
            Kind::Call1(_, a) | Kind::Batch(_, a) => vec![a],
            Kind::Call2(_, a, b) => vec![a, b],
            Kind::If(c, a, b) => vec![c, a, b],
            Kind::Link(_, a, b) => [Some(a), b].into_iter().flatten().collect(),
            Kind::Noise(_, e, a, b) => vec![e, a, b],
        }
    }
}
