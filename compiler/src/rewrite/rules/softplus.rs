//! softplus(x) = log(1 + e^x), its reflection, and what is left of a log-sum-exp without one summand.

use super::{Guard, Rule, law};

pub(super) const RULES: &[Rule] = &[
    // The definition.
    law("log-one-plus-exp", "log(1 + e^x) = softplus(x)", "(log (+ 1 (exp ?x)))", "(softplus ?x)"),
    // The definition with log1p.
    law("log1p-exp", "log1p(e^x) = softplus(x)", "(log1p (exp ?x))", "(softplus ?x)"),
    // The definition with s.
    law(
        "log-sigmoid",
        "log s(x) = -softplus(-x)",
        "(log (sigmoid ?x))",
        "(neg (softplus (neg ?x)))",
    ),
    // e^0 = 1.
    law("logaddexp-zero", "logaddexp(0, x) = softplus(x)", "(logaddexp 0 ?x)", "(softplus ?x)"),
    // log(1 + e^x) - log e^x = log(1 + e^-x), without cancellation.
    law(
        "softplus-reflection",
        "softplus(x) - x = softplus(-x)",
        "(- (softplus ?x) ?x)",
        "(softplus (neg ?x))",
    ),
    // The same with the other sign.
    law(
        "softplus-reflection-negated",
        "x - softplus(x) = -softplus(-x)",
        "(- ?x (softplus ?x))",
        "(neg (softplus (neg ?x)))",
    ),
    // Both reflections together.
    law(
        "softplus-odd-part",
        "softplus(x) - softplus(-x) = x",
        "(- (softplus ?x) (softplus (neg ?x)))",
        "?x",
    ),
    // log(e^a + e^b) - a = log(1 + e^(b - a)), without cancellation.
    law(
        "logaddexp-minus-summand",
        "logaddexp(a, b) - a = softplus(b - a)",
        "(- (logaddexp ?a ?b) ?a)",
        "(softplus (- ?b ?a))",
    ),
    // The same with the other sign.
    law(
        "summand-minus-logaddexp",
        "a - logaddexp(a, b) = -softplus(b - a)",
        "(- ?a (logaddexp ?a ?b))",
        "(neg (softplus (- ?b ?a)))",
    ),
    // Where x = -inf meets y = +inf the right side still has a value: their sum has cancelled the infinity.
    law(
        "plus-softplus",
        "x + softplus(y) = logaddexp(x, x + y)",
        "(+ ?x (softplus ?y))",
        "(logaddexp ?x (+ ?x ?y))",
    )
    .guarded(Guard::MayBeNegInf("?x")),
];
