//! Operators: how they are written and how tightly they bind.
//!
//! The one table of precedence; the parser and the printer both go by it.

/// Prefix operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOp {
    /// `-`
    Neg,
    /// `!`
    Not,
}

/// Infix operators, loosest first: `<->`, `->` (right), `xor`, `|`, `&`, comparisons (not
/// chained), `+ -`, `* /`, then prefix `- !`, then `^` (right), then call and index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOp {
    /// `<->`
    Iff,
    /// `->`
    Implies,
    /// `xor`
    Xor,
    /// `|`
    Or,
    /// `&`
    And,
    /// `<`, `<=`, `>`, `>=`
    Compare(CompareOp),
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `^`
    Pow,
}

impl UnaryOp {
    /// How tightly prefix operators bind, on the scale of [`BinaryOp::level`].
    pub const LEVEL: u8 = 9;

    /// As written.
    pub fn symbol(self) -> &'static str {
        match self {
            UnaryOp::Neg => "-",
            UnaryOp::Not => "!",
        }
    }
}

impl BinaryOp {
    /// How tightly it binds: 1 (`<->`) to 10 (`^`).
    pub fn level(self) -> u8 {
        match self {
            BinaryOp::Iff => 1,
            BinaryOp::Implies => 2,
            BinaryOp::Xor => 3,
            BinaryOp::Or => 4,
            BinaryOp::And => 5,
            BinaryOp::Compare(_) => 6,
            BinaryOp::Add | BinaryOp::Sub => 7,
            BinaryOp::Mul | BinaryOp::Div => 8,
            BinaryOp::Pow => 10,
        }
    }

    /// True when `a op b op c` reads `a op (b op c)`.
    pub fn is_right_associative(self) -> bool {
        matches!(self, BinaryOp::Implies | BinaryOp::Pow)
    }

    /// As written.
    pub fn symbol(self) -> &'static str {
        match self {
            BinaryOp::Iff => "<->",
            BinaryOp::Implies => "->",
            BinaryOp::Xor => "xor",
            BinaryOp::Or => "|",
            BinaryOp::And => "&",
            BinaryOp::Compare(op) => op.symbol(),
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Pow => "^",
        }
    }
}

impl CompareOp {
    /// As written.
    pub fn symbol(self) -> &'static str {
        match self {
            CompareOp::Lt => "<",
            CompareOp::Le => "<=",
            CompareOp::Gt => ">",
            CompareOp::Ge => ">=",
        }
    }
}

/// Comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompareOp {
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
}
