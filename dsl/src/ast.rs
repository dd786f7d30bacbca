//! The syntax tree: what was written, with spans, nothing resolved.
//!
//! In: the parser. Out: the canonical printer and `compiler::hir`. Invariant: printing a tree and
//! parsing the text gives the same tree up to spans.

mod operators;
mod spans;

pub use operators::{BinaryOp, CompareOp, UnaryOp};
pub use spans::Spans;

use crate::span::Span;

/// A name as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Name {
    /// The identifier; dotted for catalogue names such as `lattice.CPO`.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

/// A whole source text.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct File {
    /// `edition 2026;`
    pub edition: Option<(u32, Span)>,
    /// `import "other.loss";`
    pub imports: Vec<Import>,
    /// Losses, variants and functions in the order written.
    pub items: Vec<Item>,
    /// `//` comments in the order written.
    pub comments: Vec<Comment>,
}

/// A `//` comment. Its place is counted in words, not bytes, so that it survives a new layout and
/// compares equal up to spans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// The comment with its slashes.
    pub text: String,
    /// How many words stand before it in the text. Words are names, numbers, quoted paths and
    /// reserved words (`xor` too), each line of documentation, and the brace that ends a loss.
    pub word: usize,
    /// False when it follows something on its line.
    pub own_line: bool,
    /// True when it has a line of its own and the next line is blank.
    pub blank_after: bool,
    /// Where it stands.
    pub span: Span,
}

/// `import "path";`
#[derive(Clone, Debug, PartialEq)]
pub struct Import {
    /// The path between the quotes, relative to the importing file.
    pub path: String,
    /// The whole clause.
    pub span: Span,
}

/// A top-level definition.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// `loss name(..) { .. }`
    Loss(Loss),
    /// `loss name = base with { .. }`
    Variant(Variant),
    /// `fn name(x, y) = expr`
    Function(Function),
}

/// `loss name(params) { clauses }`
#[derive(Clone, Debug, PartialEq)]
pub struct Loss {
    /// Lines of the `///` comments above, without the slashes and one leading space.
    pub docs: Vec<String>,
    /// The name of the loss.
    pub name: Name,
    /// Parameters in order.
    pub params: Vec<Param>,
    /// Clauses in order.
    pub clauses: Vec<Clause>,
    /// From `loss` to the closing brace.
    pub span: Span,
}

/// `loss name(params) = base with { key = value, .. }`
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// Lines of the `///` comments above.
    pub docs: Vec<String>,
    /// The name of the new loss.
    pub name: Name,
    /// The loss that it derives from.
    pub base: Name,
    /// What changes: a parameter's default, `link`, `aggregate`, or a `let` name.
    pub overrides: Vec<(Name, Expr)>,
    /// The whole item.
    pub span: Span,
}

/// `fn name(args) = body`
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// Lines of the `///` comments above.
    pub docs: Vec<String>,
    /// The name of the function.
    pub name: Name,
    /// Argument names.
    pub args: Vec<Name>,
    /// The value.
    pub body: Expr,
    /// The whole item.
    pub span: Span,
}

/// `beta = 0.1 in (0, inf)`
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// The name.
    pub name: Name,
    /// The value used when none is given.
    pub default: Option<Expr>,
    /// The values allowed; all finite numbers when absent.
    pub range: Option<Range>,
    /// The whole declaration.
    pub span: Span,
}

/// `(0, inf)`, `[0, 1]`, `[0, .5)`; also written `>0..inf`, `0..=1`, `0..0.5`
#[derive(Clone, Debug, PartialEq)]
pub struct Range {
    /// Lower end: a number, or `-inf`.
    pub lo: f64,
    /// True for `[`.
    pub lo_closed: bool,
    /// Upper end: a number, or `inf`.
    pub hi: f64,
    /// True for `]`.
    pub hi_closed: bool,
    /// With the brackets.
    pub span: Span,
}

/// One line of a loss body.
#[derive(Clone, Debug, PartialEq)]
pub enum Clause {
    /// `data pair(w > l)`
    Data(Data),
    /// `model pi = policy, aggregate mean`
    Model(Model),
    /// `column margin`, `column weight in (0, inf)` or `column mask[w]`
    Column {
        /// Its name, also the name of the data column.
        name: Name,
        /// The response that it has one value a token of; one value an example when absent.
        of: Option<Name>,
        /// The values allowed.
        range: Option<Range>,
        /// The whole clause.
        span: Span,
    },
    /// `let r = expr`, `let s[i] = expr`, `let d[i][t] = expr`
    Let {
        /// The name bound.
        name: Name,
        /// The index variables of a family, outermost first.
        indices: Vec<Name>,
        /// The value.
        value: Expr,
        /// The whole clause.
        span: Span,
    },
    /// `rho = expr`
    Rho {
        /// The value.
        value: Expr,
        /// The whole clause.
        span: Span,
    },
    /// `prefer formula`: the core formula P.
    Prefer {
        /// The formula.
        formula: Expr,
        /// The whole clause.
        span: Span,
    },
    /// `given formula`: the conditioning constraint Pc.
    Given {
        /// The formula.
        formula: Expr,
        /// The whole clause.
        span: Span,
    },
    /// `tie formula`: the additive constraint Pa.
    Tie {
        /// The formula.
        formula: Expr,
        /// The whole clause.
        span: Span,
    },
    /// `minimize expr`
    Minimize {
        /// The loss of one example.
        value: Expr,
        /// The whole clause.
        span: Span,
    },
}

impl Clause {
    /// Where the clause stands.
    pub fn span(&self) -> Span {
        match self {
            Clause::Data(d) => d.span,
            Clause::Model(m) => m.span,
            Clause::Column { span, .. }
            | Clause::Let { span, .. }
            | Clause::Rho { span, .. }
            | Clause::Prefer { span, .. }
            | Clause::Given { span, .. }
            | Clause::Tie { span, .. }
            | Clause::Minimize { span, .. } => *span,
        }
    }
}

/// `data shape(arguments)`
#[derive(Clone, Debug, PartialEq)]
pub struct Data {
    /// `pair`, `ranked`, `labelled`, `trajectory`, `group`.
    pub shape: Name,
    /// The sequences and columns that the shape names.
    pub args: Vec<DataArg>,
    /// The whole clause.
    pub span: Span,
}

/// An argument of a data shape.
#[derive(Clone, Debug, PartialEq)]
pub enum DataArg {
    /// `w > l`: the first is preferred to the second.
    Ordered(Name, Name),
    /// `y[K]`: a family of sequences.
    Family(Name, Name),
    /// `good`
    Plain(Name),
}

/// `model name = role, option value, ..`
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// The name used in the formulas.
    pub name: Name,
    /// `policy` or `reference`.
    pub role: Name,
    /// `aggregate mean`, `aggregate len ^ p`, `head value`.
    pub options: Vec<ModelOption>,
    /// The whole clause.
    pub span: Span,
}

/// An option of a model declaration.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelOption {
    /// `aggregate`, `head`.
    pub key: Name,
    /// `sum`, `mean`, `len ^ p`, `value`, ...
    pub value: Expr,
}

/// An expression or formula: one grammar for both, told apart when names are resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it stands.
    pub span: Span,
}

/// The kinds of expression.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// `0.1`, `1e-3`, `.5`; finite and not negative. `inf` only inside ranges.
    Number(f64),
    /// `true`, `false`
    Bool(bool),
    /// A name.
    Name(String),
    /// `f(a, b)`
    Call {
        /// The function, model or operator called.
        callee: Name,
        /// The arguments.
        args: Vec<Expr>,
    },
    /// `s[i]`
    Index {
        /// What is indexed.
        base: Box<Expr>,
        /// The index.
        index: Box<Expr>,
    },
    /// `-x`, `!p`
    Unary {
        /// The operator.
        op: UnaryOp,
        /// The operand.
        operand: Box<Expr>,
    },
    /// `a + b`, `p -> q`
    Binary {
        /// The operator.
        op: BinaryOp,
        /// The left operand.
        lhs: Box<Expr>,
        /// The right operand.
        rhs: Box<Expr>,
    },
    /// `if c { a } else { b }`
    If {
        /// A boolean column.
        cond: Box<Expr>,
        /// The value when it holds.
        then: Box<Expr>,
        /// The value when it does not.
        otherwise: Box<Expr>,
    },
    /// `sum(i < K - 1) body`, `mean(t) body`, `logsumexp(j >= i) body`
    Reduce {
        /// `sum`, `mean`, `max`, `min`, `logsumexp`, `product`, `std`.
        op: Name,
        /// The index variable.
        var: Name,
        /// The bound on it.
        bound: Option<(CompareOp, Box<Expr>)>,
        /// What is reduced.
        body: Box<Expr>,
    },
}
