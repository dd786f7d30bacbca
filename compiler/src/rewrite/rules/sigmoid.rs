//! The logistic function s and its complement.

use super::{Rule, law};

pub(super) const RULES: &[Rule] = &[
    // The definition.
    law(
        "sigmoid-definition",
        "1 / (1 + e^x) = s(-x)",
        "(/ 1 (+ 1 (exp ?x)))",
        "(sigmoid (neg ?x))",
    ),
    // The left side is 0 from x = 17 on in f32.
    law("one-minus-sigmoid", "1 - s(x) = s(-x)", "(- 1 (sigmoid ?x))", "(sigmoid (neg ?x))"),
    // The same with the other sign.
    law("sigmoid-minus-one", "s(x) - 1 = -s(-x)", "(- (sigmoid ?x) 1)", "(neg (sigmoid (neg ?x)))"),
    // The logarithm of s.
    law(
        "sigmoid-as-exp",
        "s(x) = e^-softplus(-x)",
        "(sigmoid ?x)",
        "(exp (neg (softplus (neg ?x))))",
    ),
    // The two outcomes of one event.
    law("sigmoid-total", "s(x) + s(-x) = 1", "(+ (sigmoid ?x) (sigmoid (neg ?x)))", "1"),
];
