//! What a Python expression stands for.
//!
//! In: operators and functions applied to symbols. Out: symbols. Numbers are computed at once, so that
//! what an option switches off leaves no trace: a sum loses its zeros, a product its ones. Invariant:
//! only identities of the real numbers are used, and the size of an expression is bounded.

use ponens_dsl::Span;
use ponens_dsl::ast::{BinaryOp, CompareOp, Expr, ExprKind, Name, UnaryOp};
use std::rc::Rc;

/// Most nodes of an expression.
pub(super) const LARGEST: usize = 4000;

/// Most levels of an expression: what follows recurses.
pub(super) const DEEPEST: usize = 200;

/// A value while the function is read.
#[derive(Clone, Debug)]
pub(super) enum Symbol {
    /// A known number.
    Number(f64),
    /// An expression over the arguments.
    Tensor(Tensor),
    /// A comparison of expressions.
    Condition(Box<Condition>),
    Bool(bool),
    Text(String),
    None,
    Tuple(Vec<Symbol>),
    Dict(Vec<(String, Symbol)>),
    /// A module, a function of one, or a type, by its full name.
    Path(String),
    /// A function of the file or inside the function, by its place among those seen.
    Function(usize),
    /// The `self` of a method.
    Own,
}

/// An expression with its size.
#[derive(Clone, Debug)]
pub(super) struct Tensor {
    pub(super) expr: Rc<Expr>,
    size: usize,
    depth: usize,
}

/// `a < b`.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    pub(super) op: CompareOp,
    pub(super) a: Symbol,
    pub(super) b: Symbol,
}

impl Symbol {
    /// What it is, for people.
    pub(super) fn what(&self) -> &'static str {
        match self {
            Symbol::Number(_) => "a number",
            Symbol::Tensor(_) => "a tensor",
            Symbol::Condition(_) => "a comparison of tensors",
            Symbol::Bool(_) => "a truth value",
            Symbol::Text(_) => "a text",
            Symbol::None => "None",
            Symbol::Tuple(_) => "a tuple",
            Symbol::Dict(_) => "a dictionary",
            Symbol::Path(_) => "a module or a function",
            Symbol::Function(_) => "a function",
            Symbol::Own => "self",
        }
    }

    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Symbol::Number(x) => Some(*x),
            Symbol::Bool(b) => Some(f64::from(*b)),
            _ => None,
        }
    }
}

impl Tensor {
    pub(super) fn new(expr: Expr) -> Self {
        Self { expr: Rc::new(expr), size: 1, depth: 1 }
    }

    /// Another expression of at most this size.
    pub(super) fn with(&self, expr: Expr) -> Self {
        Self { expr: Rc::new(expr), size: self.size, depth: self.depth }
    }

    /// True when it is larger than what follows may be given.
    pub(super) fn is_too_large(&self) -> bool {
        self.size > LARGEST || self.depth > DEEPEST
    }

    fn over(kind: ExprKind, span: Span, parts: &[&Tensor]) -> Self {
        let size = parts.iter().fold(1usize, |n, p| n.saturating_add(p.size));
        let depth = 1 + parts.iter().map(|p| p.depth).max().unwrap_or_default();
        Self { expr: Rc::new(Expr { kind, span }), size, depth }
    }

    /// The expression, which is copied where others hold it too.
    fn boxed(&self) -> Box<Expr> {
        // What is too large is refused before it is used.
        if self.is_too_large() {
            return Box::new(Expr { kind: ExprKind::Number(0.0), span: self.expr.span });
        }
        Box::new((*self.expr).clone())
    }
}

/// A number as an expression; negative ones are negations.
fn literal(x: f64, span: Span) -> Tensor {
    let positive = Tensor::new(Expr { kind: ExprKind::Number(x.abs()), span });
    if x < 0.0 { unary(UnaryOp::Neg, &positive, span) } else { positive }
}

/// The expression of a symbol that is a number or a tensor.
pub(super) fn tensor(s: &Symbol, span: Span) -> Option<Tensor> {
    match s {
        Symbol::Tensor(t) => Some(t.clone()),
        other => other.number().filter(|x| x.is_finite()).map(|x| literal(x, span)),
    }
}

fn unary(op: UnaryOp, t: &Tensor, span: Span) -> Tensor {
    Tensor::over(ExprKind::Unary { op, operand: t.boxed() }, span, &[t])
}

/// A call of a function of the language.
pub(super) fn call(name: &str, args: &[&Tensor], span: Span) -> Symbol {
    let callee = Name { text: name.to_owned(), span };
    let kind = ExprKind::Call { callee, args: args.iter().map(|t| *t.boxed()).collect() };
    Symbol::Tensor(Tensor::over(kind, span, args))
}

/// `if a < b { x } else { y }`
pub(super) fn choose(c: &Tensor, x: &Tensor, y: &Tensor, span: Span) -> Symbol {
    let kind = ExprKind::If { cond: c.boxed(), then: x.boxed(), otherwise: y.boxed() };
    Symbol::Tensor(Tensor::over(kind, span, &[c, x, y]))
}

/// `a < b` as an expression.
pub(super) fn compare(op: CompareOp, a: &Tensor, b: &Tensor, span: Span) -> Tensor {
    let kind = ExprKind::Binary { op: BinaryOp::Compare(op), lhs: a.boxed(), rhs: b.boxed() };
    Tensor::over(kind, span, &[a, b])
}

/// The negation.
pub(super) fn negate(s: &Symbol, span: Span) -> Option<Symbol> {
    if let Some(x) = s.number() {
        return Some(Symbol::Number(-x));
    }
    let t = tensor(s, span)?;
    if let ExprKind::Unary { op: UnaryOp::Neg, operand } = &t.expr.kind {
        let inner = Tensor { expr: Rc::new((**operand).clone()), size: t.size, depth: t.depth };
        return Some(Symbol::Tensor(inner));
    }
    Some(Symbol::Tensor(unary(UnaryOp::Neg, &t, span)))
}

/// An operator on two symbols.
pub(super) fn binary(op: BinaryOp, a: &Symbol, b: &Symbol, span: Span) -> Option<Symbol> {
    let (x, y) = (a.number(), b.number());
    if let (Some(x), Some(y)) = (x, y) {
        return Some(Symbol::Number(match op {
            BinaryOp::Add => x + y,
            BinaryOp::Sub => x - y,
            BinaryOp::Mul => x * y,
            BinaryOp::Div => x / y,
            BinaryOp::Pow => x.powf(y),
            _ => return None,
        }));
    }
    let (zero, one) = (Some(0.0), Some(1.0));
    match op {
        BinaryOp::Add if x == zero => return Some(b.clone()),
        BinaryOp::Add | BinaryOp::Sub if y == zero => return Some(a.clone()),
        BinaryOp::Sub if x == zero => return negate(b, span),
        BinaryOp::Mul if x == one => return Some(b.clone()),
        BinaryOp::Mul | BinaryOp::Div | BinaryOp::Pow if y == one => return Some(a.clone()),
        BinaryOp::Mul if x == zero || y == zero => return Some(Symbol::Number(0.0)),
        BinaryOp::Mul | BinaryOp::Div if y == Some(-1.0) => return negate(a, span),
        BinaryOp::Mul if x == Some(-1.0) => return negate(b, span),
        BinaryOp::Div if x == zero => return Some(Symbol::Number(0.0)),
        _ => {}
    }
    let (s, t) = (tensor(a, span)?, tensor(b, span)?);
    // A sign comes to the front of a sum and a product, where links are looked for.
    let inner = |t: &Tensor| match &t.expr.kind {
        ExprKind::Unary { op: UnaryOp::Neg, operand } => Some(Symbol::Tensor(Tensor {
            expr: Rc::new((**operand).clone()),
            size: t.size,
            depth: t.depth,
        })),
        _ => None,
    };
    match op {
        BinaryOp::Add if inner(&t).is_some() => {
            return binary(BinaryOp::Sub, a, &inner(&t)?, span);
        }
        BinaryOp::Sub if inner(&t).is_some() => {
            return binary(BinaryOp::Add, a, &inner(&t)?, span);
        }
        BinaryOp::Mul | BinaryOp::Div if inner(&s).is_some() => {
            return negate(&binary(op, &inner(&s)?, b, span)?, span);
        }
        BinaryOp::Mul if inner(&t).is_some() => {
            return negate(&binary(op, a, &inner(&t)?, span)?, span);
        }
        _ => {}
    }
    let kind = ExprKind::Binary { op, lhs: s.boxed(), rhs: t.boxed() };
    Some(Symbol::Tensor(Tensor::over(kind, span, &[&s, &t])))
}
