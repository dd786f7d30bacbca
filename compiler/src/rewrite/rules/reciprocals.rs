//! Reciprocals of differences and sums of exponentials, without their logarithms.

use super::{Fact::NonPositive, Guard, Rule, is, law};

pub(super) const RULES: &[Rule] = &[
    // The odds p / (1 - p) plus 1 are 1 / (1 - p): one quotient, by a number whose logarithm is known.
    law(
        "plus-quotient-by-expm1",
        "x + x / expm1(-y) = x / e^log1mexp(y)",
        "(+ ?x (/ ?x (expm1 (neg ?y))))",
        "(/ ?x (exp (log1mexp ?y)))",
    )
    .given(&[is("?y", NonPositive)]),
    // An exponential of a logarithm of exponentials, which would amplify the logarithm's rounding. The gradient
    // of the right side divides an overflow by its square.
    law(
        "exp-neg-logaddexp",
        "e^-logaddexp(a, b) = 1 / (e^a + e^b)",
        "(exp (neg (logaddexp ?a ?b)))",
        "(/ 1 (+ (exp ?a) (exp ?b)))",
    )
    .guarded(Guard::FinalForm),
];
