//! The arithmetic around the core: link, margins, noise, further terms.

use crate::hir::{ExprId, Fn1, Fn2, Kind, Loss};

/// A part of the loss that the logic does not say.
#[derive(Clone, Debug, PartialEq)]
pub struct Outside {
    /// Its text.
    pub text: String,
    /// What it is.
    pub why: String,
}

/// What stands around the core.
#[derive(Clone, Debug, PartialEq)]
pub struct Around {
    /// The link with its argument.
    pub link: Option<String>,
    /// Everything else.
    pub outside: Vec<Outside>,
}

/// Splits `minimize` into the term that holds rho and the terms that do not.
pub fn around(loss: &Loss) -> Around {
    let mut terms = Vec::new();
    split(loss, loss.minimize, false, &mut terms);
    let mut result = Around { link: None, outside: Vec::new() };
    for (id, minus) in terms {
        if mentions_rho(loss, id) {
            core_term(loss, id, &mut result);
        } else {
            let sign = if minus { "-" } else { "" };
            result.outside.push(Outside {
                text: format!("{sign}{}", loss.display(id)),
                why: term_kind(loss, id).to_owned(),
            });
        }
    }
    result
}

/// The additive terms of an expression with their signs.
fn split(loss: &Loss, id: ExprId, minus: bool, out: &mut Vec<(ExprId, bool)>) {
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
    match loss.expr(id).kind {
        Kind::Link(_, x, _) => {
            let text = loss.display(id);
            if !is_scaled_rho(loss, x) {
                out.outside.push(Outside {
                    text: loss.display(x),
                    why: "the argument of the link is more than a multiple of rho".to_owned(),
                });
            }
            if out.link.is_none() {
                out.link = Some(text);
            }
        }
        Kind::Noise(_, rate, plain, _) => {
            out.outside
                .push(Outside { text: loss.display(rate), why: "rate of label noise".to_owned() });
            core_term(loss, plain, out);
        }
        Kind::Call2(Fn2::Mul | Fn2::Div, a, b) => {
            let (inner, weight) = if mentions_rho(loss, a) { (a, b) } else { (b, a) };
            if !mentions_rho(loss, weight) {
                out.outside.push(Outside {
                    text: loss.display(weight),
                    why: "weight of the preference term".to_owned(),
                });
                return core_term(loss, inner, out);
            }
            out.outside.push(Outside {
                text: loss.display(id),
                why: "a value function of rho, not a link".to_owned(),
            });
        }
        _ => out.outside.push(Outside {
            text: loss.display(id),
            why: "a value function of rho, not a link".to_owned(),
        }),
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
