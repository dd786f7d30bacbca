//! Differences of exponentials and of slopes.

use super::{Fact::NonPositive, Guard, Rule, is, law};

pub(super) const RULES: &[Rule] = &[
    // Near 0 both exponentials round to 1; expm1 keeps the digits that differ.
    law(
        "difference-of-exps",
        "e^x - e^y = expm1(x) - expm1(y)",
        "(- (exp ?x) (exp ?y))",
        "(- (expm1 ?x) (expm1 ?y))",
    ),
    // e^x (1 - e^(y - x)), where the sign of the difference is known: nothing cancels.
    law(
        "difference-of-ordered-exps",
        "e^x - e^y = e^(x + log1mexp(y - x))",
        "(- (exp ?x) (exp ?y))",
        "(exp (+ ?x (log1mexp (- ?y ?x))))",
    )
    .given(&[is("(- ?y ?x)", NonPositive)]),
    // The same with the other sign.
    law(
        "difference-of-ordered-exps-negated",
        "e^x - e^y = -e^(y + log1mexp(x - y))",
        "(- (exp ?x) (exp ?y))",
        "(neg (exp (+ ?y (log1mexp (- ?x ?y)))))",
    )
    .given(&[is("(- ?x ?y)", NonPositive)]),
    // Where both overflow, the greater one decides: no inf - inf.
    law(
        "difference-of-large-exps",
        "e^x - e^y = +-e^(max(x, y) + log1mexp(-|x - y|))",
        "(- (expm1 ?x) (expm1 ?y))",
        "(select (- ?x ?y) (exp (+ (max ?x ?y) (log1mexp (neg (abs (- ?x ?y))))))
            (neg (exp (+ (max ?x ?y) (log1mexp (neg (abs (- ?x ?y))))))))",
    )
    .guarded(Guard::BothOverflow("?x", "?y")),
    // With s'(x) = 1 / (2 + 2 cosh x) the difference is a product of hyperbolic sines of (y - x) / 2 and
    // (y + x) / 2; written so that no exponential grows. It vanishes at x = y and at x = -y.
    law(
        "difference-of-slopes",
        "s'(x) - s'(y) = h(y - x) h(y + x) s'(m) s(M)^2, h(u) = sign(u) (1 - e^-|u|), m, M = min, max of |x|, |y|",
        "(- (* (sigmoid ?x) (sigmoid (neg ?x))) (* (sigmoid ?y) (sigmoid (neg ?y))))",
        "(* (* (* (sign (- ?y ?x)) (expm1 (neg (abs (- ?y ?x)))))
               (* (sign (+ ?y ?x)) (expm1 (neg (abs (+ ?y ?x))))))
            (* (* (sigmoid (min (abs ?x) (abs ?y))) (sigmoid (neg (min (abs ?x) (abs ?y)))))
               (* (sigmoid (max (abs ?x) (abs ?y))) (sigmoid (max (abs ?x) (abs ?y))))))",
    )
    .guarded(Guard::Final),
    // An exponential that overflows times a factor that vanishes: no inf 0.
    law(
        "polar-product",
        "e^u x = +-e^(u + log |x|)",
        "(* (exp ?u) ?x)",
        "(select ?x (exp (+ ?u (log (abs ?x)))) (neg (exp (+ ?u (log (abs ?x))))))",
    )
    .guarded(Guard::OverflowTimesZero("?u", "?x")),
];
