//! rho as the decompiler reads it.

use crate::decompile::{self, BinaryOp, Decompiled, Expr, NotLogic, Reason, UnaryOp};
use crate::hir::{Core, ExprId, Fn1, Fn2, Kind, Loss, Quantity};
use crate::logic::{Atom, AtomKind};
use crate::mir::Level;

/// The expression that stands for rho: the bound one, or what a lone link is applied to, less a
/// constant factor in front.
pub fn core_expression(loss: &Loss) -> Option<ExprId> {
    match loss.core {
        Some(Core::Arithmetic { value, .. }) => Some(value),
        Some(Core::Logical { .. } | Core::Large { .. }) => None,
        None => {
            let mut links = loss.exprs.iter().filter_map(|e| match e.kind {
                // A link of every response or token is no one rho.
                Kind::Link(_, x, _) if e.level <= Level::Example => Some(x),
                _ => None,
            });
            let first = links.next()?;
            if links.next().is_some() { None } else { Some(unscaled(loss, first)) }
        }
    }
}

fn unscaled(loss: &Loss, id: ExprId) -> ExprId {
    match loss.expr(id).kind {
        Kind::Call2(Fn2::Mul, a, b) if loss.expr(a).level == Level::Uniform => unscaled(loss, b),
        Kind::Call2(Fn2::Mul, a, b) if loss.expr(b).level == Level::Uniform => unscaled(loss, a),
        _ => id,
    }
}

/// Decompiles an expression of a loss, which is returned as it was read; the tags are the indices of the
/// loss's expressions. What only the argument of a link says may be a multiple of rho: the factor is
/// divided out where it is a positive parameter or number.
///
/// # Errors
/// The reason why it is no structure.
pub fn decompile(loss: &Loss, id: ExprId) -> Result<(Expr, Decompiled), NotLogic> {
    let order: Vec<Atom> = loss.atoms.iter().map(|a| a.atom.clone()).collect();
    let rho = expression(loss, id);
    match decompile::decompile_over(&rho, &order) {
        Ok(found) => Ok((rho, found)),
        Err(none) => {
            let factor = match &none.reason {
                Reason::Scaled { by } if loss.core.is_none() => factor(loss, by, none.tag),
                _ => None,
            };
            let Some(by) = factor else { return Err(none) };
            let divided = Expr::binary(BinaryOp::Div, rho, by, id.0 as usize);
            match decompile::decompile_over(&divided, &order) {
                Ok(found) => Ok((divided, found)),
                Err(_) => Err(none),
            }
        }
    }
}

/// A factor by its text: a parameter that is never negative, or a positive number.
fn factor(loss: &Loss, text: &str, tag: usize) -> Option<Expr> {
    if let Some(p) = loss.params.iter().find(|p| p.name == text) {
        return (p.range.lo >= 0.0).then(|| Expr::symbol(&p.name, p.range, tag));
    }
    let number = text.parse::<f64>().ok().filter(|x| *x > 0.0 && x.is_finite())?;
    Some(Expr::number(number, tag))
}

/// An expression of a loss as the decompiler reads it; the tags are the indices of its expressions.
pub fn expression(loss: &Loss, id: ExprId) -> Expr {
    let tag = id.0 as usize;
    let sub = |x: ExprId| expression(loss, x);
    let opaque = || Expr::opaque(&loss.display(id), tag);
    match loss.expr(id).kind {
        Kind::Number(x) => Expr::number(x, tag),
        Kind::Param(p) => Expr::symbol(&loss.params[p].name, loss.params[p].range, tag),
        Kind::Probability(a) => Expr::prob(loss.atoms[a].atom.clone(), tag),
        Kind::Column(c) => match atom(&loss.columns[c].quantity) {
            Some(atom) => Expr::logp(atom, tag),
            None => opaque(),
        },
        Kind::Call1(f, a) => {
            let op = match f {
                Fn1::Neg => UnaryOp::Neg,
                Fn1::Exp => UnaryOp::Exp,
                Fn1::Log => UnaryOp::Log,
                Fn1::Log1p => UnaryOp::Log1p,
                Fn1::Expm1 => UnaryOp::Expm1,
                Fn1::Log1mExp => UnaryOp::Log1mExp,
                Fn1::Softplus => UnaryOp::Softplus,
                Fn1::Sigmoid => UnaryOp::Sigmoid,
                Fn1::LogSigmoid => UnaryOp::LogSigmoid,
                Fn1::Square | Fn1::Abs | Fn1::StopGradient => return opaque(),
            };
            Expr::unary(op, sub(a), tag)
        }
        Kind::Call2(f, a, b) => {
            let length = if f == Fn2::Div { length_of(loss, b) } else { None };
            if let Some(mean) = length.and_then(|y| averaged(loss, a, y)) {
                return mean;
            }
            let op = match f {
                Fn2::Add => BinaryOp::Add,
                Fn2::Sub => BinaryOp::Sub,
                Fn2::Mul => BinaryOp::Mul,
                Fn2::Div => BinaryOp::Div,
                Fn2::Pow => BinaryOp::Pow,
                Fn2::LogAddExp => {
                    let list = vec![sub(a), sub(b)];
                    return Expr { kind: decompile::ExprKind::LogSumExp(list), tag };
                }
                Fn2::Max | Fn2::Min => return opaque(),
            };
            Expr::binary(op, sub(a), sub(b), tag)
        }
        _ => opaque(),
    }
}

/// The response whose length a divisor is: `len(w)`, `max(len(w), 1)`.
fn length_of(loss: &Loss, id: ExprId) -> Option<&str> {
    match loss.expr(id).kind {
        Kind::Column(c) => match &loss.columns[c].quantity {
            Quantity::Len { response } => Some(response),
            _ => None,
        },
        Kind::Call2(Fn2::Max, a, b) => match (loss.expr(a).kind, loss.expr(b).kind) {
            (Kind::Number(1.0), _) => length_of(loss, b),
            (_, Kind::Number(1.0)) => length_of(loss, a),
            _ => None,
        },
        _ => None,
    }
}

/// A sum of log-probabilities of one response, each in place of its sum over tokens the mean.
fn averaged(loss: &Loss, id: ExprId, y: &str) -> Option<Expr> {
    let tag = id.0 as usize;
    match loss.expr(id).kind {
        Kind::Column(c) => match &loss.columns[c].quantity {
            Quantity::Logp { model, response } if response == y => {
                let (model, response) = (model.clone(), response.clone());
                Some(Expr::logp(atom(&Quantity::MeanLogp { model, response })?, tag))
            }
            _ => None,
        },
        Kind::Call1(Fn1::Neg, a) => Some(Expr::unary(UnaryOp::Neg, averaged(loss, a, y)?, tag)),
        Kind::Call2(f @ (Fn2::Add | Fn2::Sub), a, b) => {
            let op = if f == Fn2::Add { BinaryOp::Add } else { BinaryOp::Sub };
            Some(Expr::binary(op, averaged(loss, a, y)?, averaged(loss, b, y)?, tag))
        }
        _ => None,
    }
}

/// The atom whose log-weight a quantity is.
pub(super) fn atom(q: &Quantity) -> Option<Atom> {
    let (model, response, mean) = match q {
        Quantity::Logp { model, response } => (model, response, false),
        Quantity::MeanLogp { model, response } => (model, response, true),
        _ => return None,
    };
    let kind = AtomKind::Response { model: model.clone(), response: response.clone(), mean };
    Some(Atom { name: format!("{model}({response})"), kind })
}
