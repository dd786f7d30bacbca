//! Logarithms of products, quotients and powers.

use super::{Fact::NonNegative, Fact::Positive, Rule, is, law};

pub(super) const RULES: &[Rule] = &[
    // ln inverts exp on all of the reals.
    law("log-exp", "log(e^x) = x", "(log (exp ?x))", "?x"),
    // Both factors non-negative: a product of two negatives has a logarithm that its factors lack.
    law("log-product", "log(x y) = log x + log y", "(log (* ?x ?y))", "(+ (log ?x) (log ?y))")
        .given(&[is("?x", NonNegative), is("?y", NonNegative)]),
    // As for products.
    law("log-quotient", "log(x / y) = log x - log y", "(log (/ ?x ?y))", "(- (log ?x) (log ?y))")
        .given(&[is("?x", NonNegative), is("?y", NonNegative)]),
    // x > 0: at 0 the right side may be 0 times an infinity.
    law("log-power", "log(x^b) = b log x", "(log (pow ?x ?b))", "(* ?b (log ?x))")
        .given(&[is("?x", Positive)]),
    // log1p keeps what 1 + x rounds away.
    law("log-one-plus", "log(1 + x) = log1p(x)", "(log (+ 1 ?x))", "(log1p ?x)"),
    // As above.
    law("log-one-minus", "log(1 - x) = log1p(-x)", "(log (- 1 ?x))", "(log1p (neg ?x))"),
];
