//! The operations on single values: shared by both evaluators, so that they agree to the last bit.

use super::Real;
use crate::mir::{Binary, Unary};

/// A one-operand operation.
pub(crate) fn unary<T: Real>(op: Unary) -> fn(&T) -> T {
    match op {
        Unary::Neg => T::neg,
        Unary::Exp => T::exp,
        Unary::Log => T::ln,
        Unary::Log1p => T::ln_1p,
        Unary::Expm1 => T::exp_m1,
        Unary::Log1mExp => T::log1mexp,
        Unary::Softplus => T::softplus,
        Unary::Sigmoid => T::sigmoid,
        Unary::Abs => T::abs,
        Unary::Step => T::step,
        Unary::Sign => T::sign,
        Unary::StopGradient => T::clone,
    }
}

/// A two-operand operation.
pub(crate) fn binary<T: Real>(op: Binary) -> fn(&T, &T) -> T {
    match op {
        Binary::Add => T::add,
        Binary::Sub => T::sub,
        Binary::Mul => T::mul,
        Binary::Div => T::div,
        Binary::Max => T::max,
        Binary::Min => T::min,
        Binary::Pow => T::pow,
        Binary::LogAddExp => T::logaddexp,
    }
}
