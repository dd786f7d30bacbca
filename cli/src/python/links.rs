//! rho and the noise operators in a loss that was written without them.
//!
//! In: the expression of a loss. Out: the same with `rho` in its links, and what rho is, where all links
//! speak of one. A common factor of parameters stays in the link: `logistic(beta * rho)`.

use super::call::is_uniform;
use super::symbol::LARGEST;
use ponens_dsl::Span;
use ponens_dsl::ast::{BinaryOp, Expr, ExprKind, Name, UnaryOp};
use ponens_dsl::print;

const LINKS: &[&str] = &["logistic", "hinge", "squared"];

/// An argument of a link: sign, factor and the rest.
struct Argument {
    negative: bool,
    factor: Option<Expr>,
    rest: Expr,
}

/// Binds rho: its value, and the loss over it.
pub(super) fn bind(loss: &Expr) -> Option<(Expr, Expr)> {
    let mut found = Vec::new();
    collect(loss, &mut found);
    let first = found.first()?;
    let text = |a: &Argument| print::expr(&a.rest);
    if found.len() > LARGEST || found.iter().any(|a| text(a) != text(first)) {
        return None;
    }
    let rho = first.rest.clone();
    Some((rho, replace(loss)))
}

fn link(e: &Expr) -> Option<&Expr> {
    match &e.kind {
        ExprKind::Call { callee, args } if LINKS.contains(&callee.text.as_str()) => args.first(),
        _ => None,
    }
}

fn collect(e: &Expr, out: &mut Vec<Argument>) {
    match link(e) {
        Some(x) => out.push(argument(x)),
        None => parts(e).into_iter().for_each(|p| collect(p, out)),
    }
}

fn parts(e: &Expr) -> Vec<&Expr> {
    match &e.kind {
        ExprKind::Call { args, .. } => args.iter().collect(),
        ExprKind::Unary { operand, .. } => vec![operand],
        ExprKind::Binary { lhs, rhs, .. } => vec![lhs, rhs],
        ExprKind::If { cond, then, otherwise } => vec![cond, then, otherwise],
        _ => Vec::new(),
    }
}

fn node(kind: ExprKind, span: Span) -> Expr {
    Expr { kind, span }
}

fn both(op: BinaryOp, a: Expr, b: Expr) -> Expr {
    let span = a.span;
    node(ExprKind::Binary { op, lhs: Box::new(a), rhs: Box::new(b) }, span)
}

fn argument(x: &Expr) -> Argument {
    match &x.kind {
        ExprKind::Unary { op: UnaryOp::Neg, operand } => {
            let a = argument(operand);
            Argument { negative: !a.negative, ..a }
        }
        ExprKind::Binary { op: BinaryOp::Mul, lhs, rhs } if is_uniform(lhs) => {
            scaled(argument(rhs), BinaryOp::Mul, lhs)
        }
        ExprKind::Binary { op: op @ (BinaryOp::Mul | BinaryOp::Div), lhs, rhs }
            if is_uniform(rhs) =>
        {
            scaled(argument(lhs), *op, rhs)
        }
        // A margin outside the factor: beta y - gamma is beta (y - gamma / beta).
        ExprKind::Binary { op: op @ (BinaryOp::Add | BinaryOp::Sub), lhs, rhs }
            if is_uniform(rhs) =>
        {
            let a = argument(lhs);
            if a.negative {
                return Argument { negative: false, factor: None, rest: x.clone() };
            }
            let margin = match &a.factor {
                Some(f) => both(BinaryOp::Div, (**rhs).clone(), f.clone()),
                None => (**rhs).clone(),
            };
            Argument { rest: both(*op, a.rest, margin), ..a }
        }
        _ => Argument { negative: false, factor: None, rest: x.clone() },
    }
}

fn scaled(a: Argument, op: BinaryOp, by: &Expr) -> Argument {
    let factor = match (a.factor, op) {
        (None, BinaryOp::Mul) => by.clone(),
        (None, op) => both(op, node(ExprKind::Number(1.0), by.span), by.clone()),
        (Some(f), op) => both(op, f, by.clone()),
    };
    Argument { factor: Some(factor), ..a }
}

/// The same with every link over rho.
fn replace(e: &Expr) -> Expr {
    if let (Some(x), ExprKind::Call { callee, args }) = (link(e), &e.kind) {
        let a = argument(x);
        let rho = node(ExprKind::Name("rho".to_owned()), x.span);
        let scaled = match a.factor {
            Some(f) => both(BinaryOp::Mul, f, rho),
            None => rho,
        };
        let over = match a.negative {
            true => node(ExprKind::Unary { op: UnaryOp::Neg, operand: Box::new(scaled) }, x.span),
            false => scaled,
        };
        let args = std::iter::once(over).chain(args.iter().skip(1).cloned()).collect();
        return node(ExprKind::Call { callee: callee.clone(), args }, e.span);
    }
    let again = |x: &Expr| Box::new(replace(x));
    let kind = match &e.kind {
        ExprKind::Call { callee, args } => {
            ExprKind::Call { callee: callee.clone(), args: args.iter().map(replace).collect() }
        }
        ExprKind::Unary { op, operand } => ExprKind::Unary { op: *op, operand: again(operand) },
        ExprKind::Binary { op, lhs, rhs } => {
            ExprKind::Binary { op: *op, lhs: again(lhs), rhs: again(rhs) }
        }
        ExprKind::If { cond, then, otherwise } => {
            ExprKind::If { cond: again(cond), then: again(then), otherwise: again(otherwise) }
        }
        other => other.clone(),
    };
    smooth(node(kind, e.span))
}

/// (1 - e) f(x) + e f(-x) as `smooth(e, f(x))`.
fn smooth(e: Expr) -> Expr {
    let ExprKind::Binary { op: BinaryOp::Add, lhs, rhs } = &e.kind else { return e };
    let (Some((p, f)), Some((q, g))) = (weighted(lhs), weighted(rhs)) else { return e };
    let (Some(x), Some(y)) = (link(f), link(g)) else { return e };
    let opposite = |x: &Expr, y: &Expr| match &y.kind {
        ExprKind::Unary { op: UnaryOp::Neg, operand } => print::expr(operand) == print::expr(x),
        _ => false,
    };
    let same = |f: &Expr, g: &Expr| match (&f.kind, &g.kind) {
        (ExprKind::Call { callee: a, args: p }, ExprKind::Call { callee: b, args: q }) => {
            a.text == b.text && p.len() == 1 && q.len() == 1
        }
        _ => false,
    };
    if !same(f, g) {
        return e;
    }
    let (rate, kept) = if opposite(x, y) && complement(p, q) {
        (q, f)
    } else if opposite(y, x) && complement(q, p) {
        (p, g)
    } else {
        return e;
    };
    let callee = Name { text: "smooth".to_owned(), span: e.span };
    let args = vec![rate.clone(), kept.clone()];
    node(ExprKind::Call { callee, args }, e.span)
}

/// A link and its weight.
fn weighted(e: &Expr) -> Option<(&Expr, &Expr)> {
    match &e.kind {
        ExprKind::Binary { op: BinaryOp::Mul, lhs, rhs } if link(rhs).is_some() => Some((lhs, rhs)),
        ExprKind::Binary { op: BinaryOp::Mul, lhs, rhs } if link(lhs).is_some() => Some((rhs, lhs)),
        _ => None,
    }
}

/// True when `a` is 1 - `b`.
fn complement(a: &Expr, b: &Expr) -> bool {
    match (&a.kind, &b.kind) {
        (ExprKind::Number(x), ExprKind::Number(y)) => (x + y - 1.0).abs() < 1e-15,
        (ExprKind::Binary { op: BinaryOp::Sub, lhs, rhs }, _) => {
            lhs.kind == ExprKind::Number(1.0) && print::expr(rhs) == print::expr(b)
        }
        _ => false,
    }
}
