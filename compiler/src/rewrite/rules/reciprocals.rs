//! Reciprocals of differences and sums of exponentials, without their logarithms.

use super::{Guard, Rule, law};

pub(super) const RULES: &[Rule] = &[
    // The odds p / (1 - p) plus 1 are 1 / (1 - p): one quotient, by the number whose logarithm is log1mexp.
    law(
        "plus-quotient-by-expm1",
        "x + x / expm1(-y) = x / -expm1(y)",
        "(+ ?x (/ ?x (expm1 (neg ?y))))",
        "(/ ?x (neg (expm1 ?y)))",
    ),
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
