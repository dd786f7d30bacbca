//! What the link does to the pull on rho.

use crate::hir::{ExprId, Fn1, Fn2, Kind, Link, Loss};

/// The link of a loss and the factor of rho in its argument.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Slope {
    pub(super) link: Link,
    /// Positive.
    pub(super) scale: f64,
}

impl Slope {
    /// Whether the loss is lower wherever rho is higher.
    pub(super) fn falls(self) -> bool {
        matches!(self.link, Link::Logistic | Link::Hinge)
    }
}

/// The one link of a loss, where its argument is rho times a positive number; further terms do not count.
pub(super) fn of(loss: &Loss, params: &[f64]) -> Option<Slope> {
    let mut links = loss.exprs.iter().filter_map(|e| match e.kind {
        Kind::Link(link, x, _) => Some((link, x)),
        _ => None,
    });
    let (link, argument) = links.next()?;
    if links.next().is_some() {
        return None;
    }
    let scale = match loss.core {
        Some(_) => factor(loss, argument, params)?,
        // Without a bound rho the argument itself is rho, less the constant factor in front.
        None => {
            let (scale, rho) = outer(loss, argument, params);
            // A factor further in is part of rho as read, or was divided out: not told apart here.
            if scaled_inside(loss, rho, params) {
                return None;
            }
            scale
        }
    };
    (scale > 0.0).then_some(Slope { link, scale })
}

/// The number that rho is multiplied with.
fn factor(loss: &Loss, id: ExprId, params: &[f64]) -> Option<f64> {
    match loss.expr(id).kind {
        Kind::Rho => Some(1.0),
        Kind::Call1(Fn1::Neg, a) => Some(-factor(loss, a, params)?),
        Kind::Call2(Fn2::Mul, a, b) => match number(loss, a, params) {
            Some(k) => Some(k * factor(loss, b, params)?),
            None => Some(factor(loss, a, params)? * number(loss, b, params)?),
        },
        Kind::Call2(Fn2::Div, a, b) => Some(factor(loss, a, params)? / number(loss, b, params)?),
        // A margin does not change how steep the link is in rho.
        Kind::Call2(Fn2::Sub | Fn2::Add, a, b) if number(loss, b, params).is_some() => {
            factor(loss, a, params)
        }
        _ => None,
    }
}

/// The numbers in front of an expression, multiplied, and what they are in front of.
fn outer(loss: &Loss, id: ExprId, params: &[f64]) -> (f64, ExprId) {
    if let Kind::Call2(Fn2::Mul, a, b) = loss.expr(id).kind {
        for (factor, rest) in [(a, b), (b, a)] {
            if let Some(k) = number(loss, factor, params) {
                let (scale, inner) = outer(loss, rest, params);
                return (k * scale, inner);
            }
        }
    }
    (1.0, id)
}

fn scaled_inside(loss: &Loss, id: ExprId, params: &[f64]) -> bool {
    let kind = loss.expr(id).kind;
    let scales = matches!(kind, Kind::Call2(Fn2::Mul | Fn2::Div, a, b)
        if number(loss, a, params).is_some() || number(loss, b, params).is_some());
    scales || kind.operands().iter().any(|o| scaled_inside(loss, *o, params))
}

/// The value of an expression of numbers and parameters.
fn number(loss: &Loss, id: ExprId, params: &[f64]) -> Option<f64> {
    match loss.expr(id).kind {
        Kind::Number(x) => Some(x),
        Kind::Param(p) => params.get(p).copied(),
        Kind::Call1(Fn1::Neg, a) => Some(-number(loss, a, params)?),
        Kind::Call2(op, a, b) => {
            let (a, b) = (number(loss, a, params)?, number(loss, b, params)?);
            match op {
                Fn2::Add => Some(a + b),
                Fn2::Sub => Some(a - b),
                Fn2::Mul => Some(a * b),
                Fn2::Div => Some(a / b),
                _ => None,
            }
        }
        _ => None,
    }
}
