//! Powers. Quotients themselves are products with negative powers: see the product normal form.

use super::{Fact::NonNegative, Rule, is, law};

pub(super) const RULES: &[Rule] = &[
    // The square, without a logarithm.
    law("power-two", "x^2 = x x", "(pow ?x 2)", "(* ?x ?x)").given(&[is("?x", NonNegative)]),
    // The first power.
    law("power-one", "x^1 = x", "(pow ?x 1)", "?x").given(&[is("?x", NonNegative)]),
    // The power of an exponential.
    law("power-of-exp", "(e^a)^b = e^(a b)", "(pow (exp ?a) ?b)", "(exp (* ?b ?a))"),
];
