//! The arithmetic around the core: link, margins, noise, further terms.

use super::bind::{self, Binding};
use super::rho;
use crate::decompile::{self, BinaryOp};
use crate::hir::{Core, ExprId, Fn1, Fn2, Kind, Loss};
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
    /// The link with its sign and argument; the first one, where there are several.
    pub link: Option<String>,
    /// True when the loss subtracts it.
    pub reversed: bool,
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
    let mut result = Around { link: None, reversed: false, outside: Vec::new() };
    for (id, minus) in terms {
        any_term(loss, id, minus, &mut result);
    }
    result
}

fn signed(loss: &Loss, id: ExprId, minus: bool) -> String {
    let sign = if minus { "-" } else { "" };
    format!("{sign}{}", loss.display(id))
}

fn any_term(loss: &Loss, id: ExprId, minus: bool, out: &mut Around) {
    if mentions_rho(loss, id) {
        core_term(loss, id, minus, out);
        return;
    }
    let why = match bind::own_core(loss, id) {
        Some(own) => format!(
            "{} with a core of its own: {}",
            term_kind(loss, id),
            own.core().p.shown(&own.atoms)
        ),
        None => term_kind(loss, id).to_owned(),
    };
    let text = signed(loss, id, minus);
    out.outside.push(Outside { text, why, span: loss.expr(id).span });
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
fn core_term(loss: &Loss, id: ExprId, minus: bool, out: &mut Around) {
    let outside = |id: ExprId, why: &str| Outside {
        text: loss.display(id),
        why: why.to_owned(),
        span: loss.expr(id).span,
    };
    match loss.expr(id).kind {
        Kind::Link(_, x, _) => {
            if !is_scaled_rho(loss, x) {
                let mut why = "the argument of the link is more than a multiple of rho".to_owned();
                if let Some(reading) = penalised(loss, x) {
                    why = format!("{why}; {reading}");
                }
                out.outside.push(outside(x, &why));
            }
            if out.link.is_none() {
                (out.link, out.reversed) = (Some(signed(loss, id, minus)), minus);
            } else {
                let mut part = outside(id, "a further link of rho");
                part.text = signed(loss, id, minus);
                out.outside.push(part);
            }
        }
        Kind::Noise(_, rate, plain, _) => {
            out.outside.push(outside(rate, "rate of label noise"));
            core_term(loss, plain, minus, out);
        }
        Kind::Call2(op @ (Fn2::Mul | Fn2::Div), a, b)
            if mentions_rho(loss, a) != mentions_rho(loss, b)
                && (op == Fn2::Mul || mentions_rho(loss, a)) =>
        {
            let (inner, weight) = if mentions_rho(loss, a) { (a, b) } else { (b, a) };
            out.outside.push(outside(weight, "weight of the preference term"));
            core_term(loss, inner, minus, out);
        }
        Kind::Call2(Fn2::Add | Fn2::Sub, ..) | Kind::Call1(Fn1::Neg, _) => {
            let mut terms = Vec::new();
            split(loss, id, minus, &mut terms);
            terms.into_iter().for_each(|(id, minus)| any_term(loss, id, minus, out));
        }
        _ => {
            let mut part = outside(id, "a value function of rho, not a link");
            part.text = signed(loss, id, minus);
            out.outside.push(part);
        }
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

/// The reading of a penalty `max(0, log-ratio)` on rho where it acts, with weight 1: what is charged twice is
/// a copy (DPO-Positive).
fn penalised(loss: &Loss, argument: ExprId) -> Option<String> {
    let Some(Core::Arithmetic { value, .. }) = loss.core else { return None };
    let (penalty, minus) = penalty(loss, argument, false)?;
    let tag = penalty.0 as usize;
    let (rho, penalty) = (rho::expression(loss, value), rho::expression(loss, penalty));
    let op = if minus { BinaryOp::Sub } else { BinaryOp::Add };
    let order: Vec<_> = loss.atoms.iter().map(|a| a.atom.clone()).collect();
    let charged = decompile::Expr::binary(op, rho, penalty, tag);
    let found = match decompile::decompile_over(&charged, &order) {
        Ok(found) => found.core.p.shown(&found.structure.atoms).to_string(),
        Err(none) => {
            let nearest = none.nearest?;
            nearest.core.p.shown(&nearest.structure.atoms).to_string()
        }
    };
    Some(format!("where the penalty acts, with weight 1, it is {found}"))
}

/// The x of the one `max(0, x)` in a sum of multiples, and whether it is subtracted.
fn penalty(loss: &Loss, id: ExprId, minus: bool) -> Option<(ExprId, bool)> {
    let is_zero = |id: ExprId| loss.expr(id).kind == Kind::Number(0.0);
    match loss.expr(id).kind {
        Kind::Call2(Fn2::Max, zero, x) if is_zero(zero) => Some((x, minus)),
        Kind::Call2(Fn2::Max, x, zero) if is_zero(zero) => Some((x, minus)),
        Kind::Call2(op @ (Fn2::Add | Fn2::Sub), a, b) => {
            let right = minus != (op == Fn2::Sub);
            match (penalty(loss, a, minus), penalty(loss, b, right)) {
                (Some(_), Some(_)) => None,
                (a, b) => a.or(b),
            }
        }
        Kind::Call1(Fn1::Neg, a) => penalty(loss, a, !minus),
        Kind::Call2(Fn2::Mul, a, b) => penalty(loss, a, minus).or_else(|| penalty(loss, b, minus)),
        Kind::Call2(Fn2::Div, a, _) => penalty(loss, a, minus),
        _ => None,
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

#[cfg(test)]
mod tests;
