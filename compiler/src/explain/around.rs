//! The arithmetic around the core: link, margins, noise, further terms.

use super::bind::{self, Binding};
use crate::hir::{ExprId, Fn1, Fn2, Kind, Loss};
use ponens_dsl::Span;

/// A part of the loss that the logic does not say.
#[derive(Clone, Debug, PartialEq)]
pub struct Outside {
    /// Its text.
    pub text: String,
    /// What it is.
    pub why: String,
    /// Where it was written.
    pub span: Span,
}

/// What stands around the core.
#[derive(Clone, Debug, PartialEq)]
pub struct Around {
    /// The link with its argument.
    pub link: Option<String>,
    /// Everything else.
    pub outside: Vec<Outside>,
}

/// Splits `minimize` into the term that holds rho and the terms that do not; rho may be one that the
/// text does not name.
pub fn around(loss: &Loss) -> Around {
    if let Binding::Bound(bound) = bind::bind(loss) {
        return around(&bound);
    }
    let mut terms = Vec::new();
    split(loss, loss.minimize, false, &mut terms);
    let mut result = Around { link: None, outside: Vec::new() };
    for (id, minus) in terms {
        if mentions_rho(loss, id) {
            core_term(loss, id, &mut result);
        } else {
            let sign = if minus { "-" } else { "" };
            let why = match bind::own_core(loss, id) {
                Some(own) => format!("{} with a core of its own: {}", term_kind(loss, id), own.core().p.shown(&own.atoms)),
                None => term_kind(loss, id).to_owned(),
            };
            let text = format!("{sign}{}", loss.display(id));
            result.outside.push(Outside { text, why, span: loss.expr(id).span });
        }
    }
    result
}

/// The additive terms of an expression with their signs.
pub(super) fn split(loss: &Loss, id: ExprId, minus: bool, out: &mut Vec<(ExprId, bool)>) {
    match loss.expr(id).kind {
        Kind::Call2(Fn2::Add, a, b) => {
            split(loss, a, minus, out);
            split(loss, b, minus, out);
        }
        Kind::Call2(Fn2::Sub, a, b) => {
            split(loss, a, minus, out);
            split(loss, b, !minus, out);
        }
        Kind::Call1(Fn1::Neg, a) => split(loss, a, !minus, out),
        _ => out.push((id, minus)),
    }
}

fn mentions_rho(loss: &Loss, id: ExprId) -> bool {
    let kind = loss.expr(id).kind;
    kind == Kind::Rho || kind.operands().iter().any(|o| mentions_rho(loss, *o))
}

/// Finds the link inside the term that holds rho; what scales, smooths or shifts it lies outside.
fn core_term(loss: &Loss, id: ExprId, out: &mut Around) {
    let outside = |id: ExprId, why: &str| Outside {
        text: loss.display(id),
        why: why.to_owned(),
        span: loss.expr(id).span,
    };
    match loss.expr(id).kind {
        Kind::Link(_, x, _) => {
            if !is_scaled_rho(loss, x) {
                out.outside.push(outside(x, "the argument of the link is more than a multiple of rho"));
            }
            if out.link.is_none() {
                out.link = Some(loss.display(id));
            }
        }
        Kind::Noise(_, rate, plain, _) => {
            out.outside.push(outside(rate, "rate of label noise"));
            core_term(loss, plain, out);
        }
        Kind::Call2(Fn2::Mul | Fn2::Div, a, b)
            if mentions_rho(loss, a) != mentions_rho(loss, b) =>
        {
            let (inner, weight) = if mentions_rho(loss, a) { (a, b) } else { (b, a) };
            out.outside.push(outside(weight, "weight of the preference term"));
            core_term(loss, inner, out);
        }
        _ => out.outside.push(outside(id, "a value function of rho, not a link")),
    }
}

/// rho, or rho times something without rho.
fn is_scaled_rho(loss: &Loss, id: ExprId) -> bool {
    match loss.expr(id).kind {
        Kind::Rho => true,
        Kind::Call1(Fn1::Neg, a) => is_scaled_rho(loss, a),
        Kind::Call2(Fn2::Mul, a, b) => {
            (is_scaled_rho(loss, a) && !mentions_rho(loss, b))
                || (is_scaled_rho(loss, b) && !mentions_rho(loss, a))
        }
        Kind::Call2(Fn2::Div, a, b) => is_scaled_rho(loss, a) && !mentions_rho(loss, b),
        _ => false,
    }
}

/// A name for a term without rho.
fn term_kind(loss: &Loss, id: ExprId) -> &'static str {
    let text = loss.display(id);
    if text.contains("kl(") {
        "divergence term"
    } else if text.contains("batch_") {
        "term over the whole batch"
    } else if text.contains("logp(") {
        "likelihood term"
    } else {
        "arithmetic term"
    }
}
