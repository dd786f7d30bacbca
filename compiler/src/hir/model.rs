//! The types of the HIR.

use super::quantity::Column;
use crate::logic::{self, Formula, Table};
use crate::mir::{Direction, Level};
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

/// A loop inside an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Loop {
    /// Over the responses of a ranked list or group.
    Candidates,
    /// Over the tokens of a response: its place in [`DataShape::responses`].
    Tokens(usize),
}

impl Loop {
    /// The level of a value that the loop has many of.
    pub fn level(self) -> Level {
        match self {
            Loop::Candidates => Level::Candidate,
            Loop::Tokens(_) => Level::Token,
        }
    }
}

/// What a loop is reduced by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fold {
    /// The sum; 0 when empty.
    Sum,
    /// The mean; 0 when empty.
    Mean,
    /// The maximum.
    Max,
    /// The log-sum-exp.
    LogSumExp,
}

/// A value at every place of a loop from the others of the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scan {
    /// Sum of this and all later values.
    SuffixSum,
    /// Sum of this and all earlier values.
    PrefixSum,
    /// The value so many places later; 0 past the end.
    Shift(i8),
    /// Log-sum-exp of the values on one side; -inf where there are none.
    LogSumExps(Direction),
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
    /// The second where the first is positive (a boolean column counts 1 or 0), else the third.
    If(ExprId, ExprId, ExprId),
    /// A link, its argument, and its margin or target.
    Link(Link, ExprId, Option<ExprId>),
    /// A noise operator: rate, f(h), f(-h).
    Noise(Noise, ExprId, ExprId, ExprId),
    /// A function of all values of the batch.
    Batch(BatchFn, ExprId),
    /// The values of a loop as one value of the level that holds it.
    Fold(Fold, ExprId, Level),
    /// One value a place of a loop, from the other places.
    Scan(Scan, ExprId),
    /// Factor a, summand x: y = x + a y' with y' one place later (earlier).
    Recurrence(Direction, ExprId, ExprId),
    /// The place in a loop, from 0.
    Position(Loop),
    /// How many turns a loop has.
    Size(Loop),
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
    /// Any number of responses to one prompt, best first.
    Ranked(Family),
    /// Any number of sampled responses to one prompt, in no order.
    Group(Family),
    /// One response, token by token.
    Trajectory {
        /// The response.
        response: String,
        /// The name of its number of tokens.
        size: Option<String>,
        /// Columns with one number an example.
        numbers: Vec<String>,
        /// Columns with one number a token.
        tokens: Vec<String>,
    },
}

/// Responses of one prompt under one name.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// The name.
    pub response: String,
    /// The name of how many there are.
    pub size: String,
    /// Columns with one number a response.
    pub columns: Vec<String>,
    /// Columns with one number an example.
    pub numbers: Vec<String>,
}

impl DataShape {
    /// The responses by name, the preferred one first.
    pub fn responses(&self) -> Vec<&str> {
        match self {
            DataShape::Pair { winner, loser, others } => {
                [winner, loser].into_iter().chain(others).map(String::as_str).collect()
            }
            DataShape::Labelled { response, .. } | DataShape::Trajectory { response, .. } => {
                vec![response]
            }
            DataShape::Ranked(f) | DataShape::Group(f) => vec![&f.response],
        }
    }

    /// The responses that share a name, if the shape has them.
    pub fn family(&self) -> Option<&Family> {
        match self {
            DataShape::Ranked(f) | DataShape::Group(f) => Some(f),
            _ => None,
        }
    }

    /// The level of a quantity of a response.
    pub fn response_level(&self) -> Level {
        if self.family().is_some() { Level::Candidate } else { Level::Example }
    }

    /// The level that holds a loop.
    pub fn outside(&self, inner: Loop) -> Level {
        match inner {
            Loop::Candidates => Level::Example,
            Loop::Tokens(_) => self.response_level(),
        }
    }

    /// The name of the shape.
    pub fn name(&self) -> &'static str {
        match self {
            DataShape::Pair { .. } => "pair",
            DataShape::Labelled { .. } => "labelled",
            DataShape::Ranked(_) => "ranked",
            DataShape::Group(_) => "group",
            DataShape::Trajectory { .. } => "trajectory",
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
            DataShape::Ranked(y) | DataShape::Group(y) => {
                write!(f, "{}({}[{}]", self.name(), y.response, y.size)?;
                y.columns.iter().try_for_each(|c| write!(f, ", {c}[{}]", y.size))?;
                y.numbers.iter().try_for_each(|c| write!(f, ", {c}"))?;
                f.write_str(")")
            }
            DataShape::Trajectory { response, size, numbers, tokens } => {
                let index = size.as_ref().map(|t| format!("[{t}]")).unwrap_or_default();
                write!(f, "trajectory({response}{index}")?;
                numbers.iter().try_for_each(|c| write!(f, ", {c}"))?;
                tokens.iter().try_for_each(|c| write!(f, ", {c}{index}"))?;
                f.write_str(")")
            }
        }
    }
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

impl Kind {
    /// The operands in order.
    pub fn operands(&self) -> Vec<ExprId> {
        match *self {
            Kind::Number(_) | Kind::Param(_) | Kind::Column(_) | Kind::Probability(_) => vec![],
            Kind::Rho | Kind::Position(_) | Kind::Size(_) => vec![],
            Kind::Call1(_, a) | Kind::Batch(_, a) | Kind::Fold(_, a, _) | Kind::Scan(_, a) => {
                vec![a]
            }
            Kind::Call2(_, a, b) | Kind::Recurrence(_, a, b) => vec![a, b],
            Kind::If(c, a, b) => vec![c, a, b],
            Kind::Link(_, a, b) => [Some(a), b].into_iter().flatten().collect(),
            Kind::Noise(_, e, a, b) => vec![e, a, b],
        }
    }

    /// The same with every operand replaced.
    pub fn map(self, mut f: impl FnMut(ExprId) -> ExprId) -> Self {
        match self {
            Kind::Number(_) | Kind::Param(_) | Kind::Column(_) | Kind::Probability(_) => self,
            Kind::Rho | Kind::Position(_) | Kind::Size(_) => self,
            Kind::Call1(g, a) => Kind::Call1(g, f(a)),
            Kind::Batch(g, a) => Kind::Batch(g, f(a)),
            Kind::Fold(g, a, level) => Kind::Fold(g, f(a), level),
            Kind::Scan(g, a) => Kind::Scan(g, f(a)),
            Kind::Call2(g, a, b) => Kind::Call2(g, f(a), f(b)),
            Kind::Recurrence(g, a, b) => Kind::Recurrence(g, f(a), f(b)),
            Kind::If(c, a, b) => Kind::If(f(c), f(a), f(b)),
            Kind::Link(g, a, b) => Kind::Link(g, f(a), b.map(f)),
            Kind::Noise(g, e, a, b) => Kind::Noise(g, f(e), f(a), f(b)),
        }
    }
}
