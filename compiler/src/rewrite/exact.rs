//! Arithmetic on constants that is exact or does not happen.
//!
//! Why: a folded constant stands for a real number, so a rounded one would be another constant. In:
//! numbers. Out: their exact sum, product, quotient or function value; `None` where an f64 does not hold it.

use super::language::Expr;
use crate::mir::{Binary, Unary};

/// `a + b` where an f64 holds it exactly.
pub(super) fn exact_sum(a: f64, b: f64) -> Option<f64> {
    let s = a + b;
    let back = s - a;
    let error = (a - (s - back)) + (b - back);
    (s.is_finite() && error == 0.0).then_some(s)
}

/// `a b` where an f64 holds it exactly.
pub(super) fn exact_product(a: f64, b: f64) -> Option<f64> {
    let p = a * b;
    let normal = p == 0.0 || p.abs() > 1e-290;
    (p.is_finite() && normal && a.mul_add(b, -p) == 0.0).then_some(p)
}

/// `a / b` where an f64 holds it exactly.
pub(super) fn exact_quotient(a: f64, b: f64) -> Option<f64> {
    let q = a / b;
    (b != 0.0 && q.is_finite() && exact_product(q, b) == Some(a)).then_some(q)
}

/// The value of a node over numbers, where an f64 holds it exactly; `arg` gives the operand at a place.
pub(super) fn fold(node: &Expr, arg: impl Fn(usize) -> Option<f64>) -> Option<f64> {
    match node {
        Expr::Const(_) => node.as_constant(),
        Expr::Unary(op, _) => fold_unary(*op, arg(0)?),
        Expr::Binary(op, _) => {
            let (a, b) = (arg(0)?, arg(1)?);
            match op {
                Binary::Add => exact_sum(a, b),
                Binary::Sub => exact_sum(a, -b),
                Binary::Mul => exact_product(a, b),
                Binary::Div => exact_quotient(a, b),
                Binary::Max => Some(a.max(b)),
                Binary::Min => Some(a.min(b)),
                Binary::Pow | Binary::LogAddExp => None,
            }
        }
        _ => None,
    }
}

fn fold_unary(op: Unary, x: f64) -> Option<f64> {
    match op {
        Unary::Neg => Some(-x),
        Unary::Abs => Some(x.abs()),
        Unary::Step => Some(f64::from(x > 0.0)),
        Unary::Sign => Some(if x == 0.0 { 0.0 } else { x.signum() }),
        Unary::StopGradient => Some(x),
        Unary::Exp if x == 0.0 => Some(1.0),
        Unary::Expm1 if x == 0.0 => Some(0.0),
        Unary::Log if x == 1.0 => Some(0.0),
        Unary::Log1p if x == 0.0 => Some(0.0),
        Unary::Sigmoid if x == 0.0 => Some(0.5),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_results_fold() {
        assert_eq!(exact_sum(0.5, 0.25), Some(0.75));
        assert_eq!(exact_sum(0.1, 0.2), None);
        assert_eq!(exact_quotient(1.0, 4.0), Some(0.25));
        assert_eq!(exact_quotient(1.0, 3.0), None);
        assert_eq!(exact_product(0.1, 0.1), None);
    }
}
