//! Differences of exponentials.

use super::{Guard, Rule, law};

pub(super) const RULES: &[Rule] = &[
    // Near 0 both exponentials round to 1; expm1 keeps the digits that differ.
    law(
        "difference-of-exps",
        "e^x - e^y = expm1(x) - expm1(y)",
        "(- (exp ?x) (exp ?y))",
        "(- (expm1 ?x) (expm1 ?y))",
    ),
    // Where both overflow, the greater one decides: no inf - inf.
    law(
        "difference-of-large-exps",
        "e^x - e^y = +-e^(max(x, y) + log1mexp(-|x - y|))",
        "(- (expm1 ?x) (expm1 ?y))",
        "(select (- ?x ?y) (exp (+ (max ?x ?y) (log1mexp (neg (abs (- ?x ?y))))))
            (neg (exp (+ (max ?x ?y) (log1mexp (neg (abs (- ?x ?y))))))))",
    )
    .guarded(Guard::BothOverflow("?x", "?y")),
    // An exponential that overflows times a factor that vanishes: no inf 0.
    law(
        "polar-product",
        "e^u x = +-e^(u + log |x|)",
        "(* (exp ?u) ?x)",
        "(select ?x (exp (+ ?u (log (abs ?x)))) (neg (exp (+ ?u (log (abs ?x))))))",
    )
    .guarded(Guard::OverflowTimesZero("?u", "?x")),
];
