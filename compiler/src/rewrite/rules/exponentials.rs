//! Exponentials: inverses, expm1, and the e^x behind every positive function.
//!
//! The rules whose right side is `(exp ..)` give a class its logarithm; products of such classes are
//! then gathered into one exponential, and the cost decides which form is evaluated.

use super::{Fact::NonNegative, Fact::NonPositive, Guard, Rule, is, law};

pub(super) const RULES: &[Rule] = &[
    // exp inverts ln on x >= 0.
    law("exp-log", "e^(log x) = x", "(exp (log ?x))", "?x").given(&[is("?x", NonNegative)]),
    // The definition of expm1, which does not cancel.
    law("exp-minus-one", "e^x - 1 = expm1(x)", "(- (exp ?x) 1)", "(expm1 ?x)"),
    // The same with the other sign.
    law("one-minus-exp", "1 - e^x = -expm1(x)", "(- 1 (exp ?x))", "(neg (expm1 ?x))"),
    // The definition of expm1 read backwards.
    law("one-plus-expm1", "1 + expm1(x) = e^x", "(+ 1 (expm1 ?x))", "(exp ?x)"),
    // The definition of log1mexp.
    law("exp-log1mexp", "e^log1mexp(a) = -expm1(a)", "(exp (log1mexp ?a))", "(neg (expm1 ?a))")
        .given(&[is("?a", NonPositive)]),
    // Its inverse, for a <= 0.
    law("expm1-as-exp", "expm1(a) = -e^log1mexp(a)", "(expm1 ?a)", "(neg (exp (log1mexp ?a)))")
        .given(&[is("?a", NonPositive)]),
    // e^x - 1 = e^x (1 - e^-x), for x >= 0.
    law(
        "expm1-as-exp-positive",
        "expm1(x) = e^(x + log1mexp(-x))",
        "(expm1 ?x)",
        "(exp (+ ?x (log1mexp (neg ?x))))",
    )
    .given(&[is("?x", NonNegative)]),
    // The odds of an atom plus 1 are one over the doubt: with x = -log p they are p / (1 - p).
    law(
        "odds-plus-one",
        "1 + 1 / expm1(x) = -1 / expm1(-x)",
        "(+ 1 (/ 1 (expm1 ?x)))",
        "(neg (/ 1 (expm1 (neg ?x))))",
    ),
    // e^log(1 + e^x).
    law("one-plus-exp", "1 + e^x = e^softplus(x)", "(+ 1 (exp ?x))", "(exp (softplus ?x))"),
    // The definition of softplus read backwards.
    law("exp-softplus", "e^softplus(x) = 1 + e^x", "(exp (softplus ?x))", "(+ 1 (exp ?x))"),
    // 1 / (1 + e^x).
    law(
        "exp-neg-softplus",
        "e^-softplus(x) = s(-x)",
        "(exp (neg (softplus ?x)))",
        "(sigmoid (neg ?x))",
    ),
    // e^log(e^a + e^b).
    law(
        "sum-of-exps",
        "e^a + e^b = e^logaddexp(a, b)",
        "(+ (exp ?a) (exp ?b))",
        "(exp (logaddexp ?a ?b))",
    ),
    // The left side rounds the logarithm, which is large where both terms are small; a sum of positive
    // numbers loses nothing. Both sides overflow together.
    law(
        "exp-neg-logaddexp",
        "e^-logaddexp(a, b) = 1 / (e^a + e^b)",
        "(exp (neg (logaddexp ?a ?b)))",
        "(/ 1 (+ (exp ?a) (exp ?b)))",
    )
    .guarded(Guard::Final),
    // Likewise: the log of a small doubt is large, and the doubt itself is exact.
    law(
        "exp-plus-log-doubt",
        "e^(x + log(1 - p)) = e^x (1 - p)",
        "(exp (+ ?x (log1mexp ?a)))",
        "(neg (* (exp ?x) (expm1 ?a)))",
    )
    .given(&[is("?a", NonPositive)])
    .guarded(Guard::Final),
];
