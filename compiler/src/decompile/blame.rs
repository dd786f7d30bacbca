//! Which part of an expression to blame.

use super::product::Factor;
use super::{Expr, ExprKind};
use crate::logic::{Atom, Inadmissible, MAX_VARIABLES};

/// The factor to blame: one that is inadmissible by itself, else the last of those that meet in the
/// monomials named.
pub(super) fn blame(side: &[&Factor], why: &Inadmissible) -> Option<usize> {
    let alone = |f: &&&Factor| {
        let e = f.exponent.as_integer().unwrap_or(0);
        let values = f.base.vertex_values(MAX_VARIABLES);
        e.abs() > 1
            || !f.base.is_multilinear()
            || values.is_none_or(|v| v.iter().any(|v| !matches!(v, 0 | 1)))
    };
    if let Some(factor) = side.iter().find(alone) {
        return Some(factor.tag);
    }
    let Inadmissible::Squared(_) = why else { return side.last().map(|f| f.tag) };
    let mut seen = 0;
    for factor in side {
        if factor.base.support() & seen != 0 {
            return Some(factor.tag);
        }
        seen |= factor.base.support();
    }
    None
}

/// The tag of the last node that mentions one of two atoms, not counting repetitions of the first one.
pub(super) fn last_mentioned(expr: &Expr, atoms: &[&Atom]) -> Option<usize> {
    let mut first: Option<&Atom> = None;
    let mut todo = vec![expr];
    while let Some(node) = todo.pop() {
        if let ExprKind::Prob(atom) | ExprKind::Logp(atom) = &node.kind
            && atoms.contains(&atom)
        {
            match first {
                None => first = Some(atom),
                Some(known) if known != atom => return Some(node.tag),
                Some(_) => {}
            }
        }
        todo.extend(node.operands().into_iter().rev());
    }
    None
}
