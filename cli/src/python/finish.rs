//! From the expression of a function to that of a loss.
//!
//! In: what a function returns. Out: the value of one example, with signs in front, means as means and
//! columns by their names. Invariant: the value over the reals stays the same.

use super::assemble::COLUMN;
use super::call::is_uniform;
use super::symbol::{Symbol, Tensor, binary, negate};
use ponens_dsl::ast::{BinaryOp, Expr, ExprKind, Name, UnaryOp};
use std::collections::BTreeSet;

/// The loss of an example, where a function gives the mean over the batch: every term is such a mean,
/// or a multiple of one by numbers and parameters.
pub(super) fn unreduced(e: &Expr) -> Option<Expr> {
    let again = |kind| Some(Expr { kind, span: e.span });
    match &e.kind {
        ExprKind::Call { callee, args } if callee.text == "batch_mean" => args.first().cloned(),
        ExprKind::Unary { op, operand } => {
            again(ExprKind::Unary { op: *op, operand: Box::new(unreduced(operand)?) })
        }
        ExprKind::Binary { op: op @ (BinaryOp::Add | BinaryOp::Sub), lhs, rhs } => {
            let (lhs, rhs) = (Box::new(unreduced(lhs)?), Box::new(unreduced(rhs)?));
            again(ExprKind::Binary { op: *op, lhs, rhs })
        }
        ExprKind::Binary { op: BinaryOp::Mul, lhs, rhs } if is_uniform(lhs) => {
            let (lhs, rhs) = (lhs.clone(), Box::new(unreduced(rhs)?));
            again(ExprKind::Binary { op: BinaryOp::Mul, lhs, rhs })
        }
        ExprKind::Binary { op: op @ (BinaryOp::Mul | BinaryOp::Div), lhs, rhs }
            if is_uniform(rhs) =>
        {
            let (lhs, rhs) = (Box::new(unreduced(lhs)?), rhs.clone());
            again(ExprKind::Binary { op: *op, lhs, rhs })
        }
        _ => None,
    }
}

/// The same with parts replaced, outermost first.
pub(super) fn map(e: &Expr, f: &impl Fn(&Expr) -> Option<Expr>) -> Expr {
    if let Some(done) = f(e) {
        return done;
    }
    let again = |x: &Expr| Box::new(map(x, f));
    let kind = match &e.kind {
        ExprKind::Call { callee, args } => ExprKind::Call {
            callee: callee.clone(),
            args: args.iter().map(|a| map(a, f)).collect(),
        },
        ExprKind::Unary { op, operand } => ExprKind::Unary { op: *op, operand: again(operand) },
        ExprKind::Binary { op, lhs, rhs } => {
            ExprKind::Binary { op: *op, lhs: again(lhs), rhs: again(rhs) }
        }
        ExprKind::If { cond, then, otherwise } => {
            ExprKind::If { cond: again(cond), then: again(then), otherwise: again(otherwise) }
        }
        other => other.clone(),
    };
    Expr { kind, span: e.span }
}

/// A sum of log-probabilities over a length as the mean that it is.
pub(super) fn means(e: &Expr) -> Expr {
    map(e, &|e| {
        let ExprKind::Binary { op: BinaryOp::Div, lhs, rhs } = &e.kind else { return None };
        over_length(lhs, &length(rhs)?)
    })
}

/// The same built anew, so that signs stand in front of sums and products.
pub(super) fn again(e: &Expr) -> Expr {
    let part = |x: &Expr| Symbol::Tensor(Tensor::new(again(x)));
    let built = match &e.kind {
        ExprKind::Unary { op: UnaryOp::Neg, operand } => negate(&part(operand), e.span),
        ExprKind::Binary { op, lhs, rhs } if !matches!(op, BinaryOp::Compare(_)) => {
            binary(*op, &part(lhs), &part(rhs), e.span)
        }
        _ => None,
    };
    match built {
        Some(Symbol::Tensor(t)) => (*t.expr).clone(),
        _ => e.clone(),
    }
}

/// The response whose length an expression is.
fn length(e: &Expr) -> Option<String> {
    let ExprKind::Call { callee, args } = &e.kind else { return None };
    match (callee.text.as_str(), args.as_slice()) {
        ("len", [Expr { kind: ExprKind::Name(y), .. }]) => Some(y.clone()),
        ("max", [a, b]) => match (&a.kind, &b.kind) {
            (ExprKind::Number(1.0), _) => length(b),
            (_, ExprKind::Number(1.0)) => length(a),
            _ => None,
        },
        _ => None,
    }
}

fn over_length(e: &Expr, response: &str) -> Option<Expr> {
    let kind = match &e.kind {
        ExprKind::Call { callee, args } if callee.text == "logp" => match args.as_slice() {
            [m, Expr { kind: ExprKind::Name(y), span }] if y == response => {
                let callee = Name { text: "mean_logp".to_owned(), span: callee.span };
                let y = Expr { kind: ExprKind::Name(y.clone()), span: *span };
                ExprKind::Call { callee, args: vec![m.clone(), y] }
            }
            _ => return None,
        },
        ExprKind::Unary { op, operand } => {
            ExprKind::Unary { op: *op, operand: Box::new(over_length(operand, response)?) }
        }
        ExprKind::Binary { op: op @ (BinaryOp::Add | BinaryOp::Sub), lhs, rhs } => {
            let (lhs, rhs) = (over_length(lhs, response)?, over_length(rhs, response)?);
            ExprKind::Binary { op: *op, lhs: Box::new(lhs), rhs: Box::new(rhs) }
        }
        _ => return None,
    };
    Some(Expr { kind, span: e.span })
}

/// The same with columns as the names that they are.
pub(super) fn finished(e: &Expr) -> Expr {
    map(e, &|e| match &e.kind {
        ExprKind::Call { callee, args } if callee.text == COLUMN => args.first().cloned(),
        _ => None,
    })
}

/// What an expression uses.
#[derive(Default)]
pub(super) struct Used {
    pub(super) names: BTreeSet<String>,
    pub(super) models: BTreeSet<String>,
    pub(super) columns: BTreeSet<String>,
}

impl Used {
    pub(super) fn add(&mut self, e: &Expr) {
        match &e.kind {
            ExprKind::Name(n) => {
                self.names.insert(n.clone());
            }
            ExprKind::Call { callee, args } => {
                if let Some(Expr { kind: ExprKind::Name(first), .. }) = args.first() {
                    match callee.text.as_str() {
                        COLUMN => drop(self.columns.insert(first.clone())),
                        "logp" | "mean_logp" => drop(self.models.insert(first.clone())),
                        _ => {}
                    }
                }
                args.iter().for_each(|a| self.add(a));
            }
            ExprKind::Unary { operand, .. } => self.add(operand),
            ExprKind::Binary { lhs, rhs, .. } => [lhs, rhs].into_iter().for_each(|x| self.add(x)),
            ExprKind::If { cond, then, otherwise } => {
                [cond, then, otherwise].into_iter().for_each(|x| self.add(x));
            }
            _ => {}
        }
    }
}
