//! log(1 - e^a): the log-probability that an atom is false.

use super::{Fact::NonNegative, Fact::NonPositive, Rule, is, law};

pub(super) const RULES: &[Rule] = &[
    // The definition.
    law("log-one-minus-exp", "log(1 - e^a) = log1mexp(a)", "(log (- 1 (exp ?a)))", "(log1mexp ?a)")
        .given(&[is("?a", NonPositive)]),
    // The same with log1p.
    law("log1p-neg-exp", "log1p(-e^a) = log1mexp(a)", "(log1p (neg (exp ?a)))", "(log1mexp ?a)")
        .given(&[is("?a", NonPositive)]),
    // The same with expm1.
    law("log-neg-expm1", "log(-expm1(a)) = log1mexp(a)", "(log (neg (expm1 ?a)))", "(log1mexp ?a)")
        .given(&[is("?a", NonPositive)]),
    // e^x - 1 = e^x (1 - e^-x).
    law(
        "log-expm1",
        "log(expm1(x)) = x + log1mexp(-x)",
        "(log (expm1 ?x))",
        "(+ ?x (log1mexp (neg ?x)))",
    )
    .given(&[is("?x", NonNegative)]),
    // e^a - e^b = e^a (1 - e^(b - a)).
    law(
        "log-difference-of-exps",
        "log(e^a - e^b) = a + log1mexp(b - a)",
        "(log (- (exp ?a) (exp ?b)))",
        "(+ ?a (log1mexp (- ?b ?a)))",
    )
    .given(&[is("(- ?b ?a)", NonPositive)]),
    // Not (not A) is A.
    law("log1mexp-involution", "log1mexp(log1mexp(a)) = a", "(log1mexp (log1mexp ?a))", "?a")
        .given(&[is("?a", NonPositive)]),
    // Not (B and not A) is (not B) or (A and B).
    law(
        "log1mexp-of-conjunction",
        "1 - q(1 - p) = (1 - q) + p q",
        "(log1mexp (+ ?b (log1mexp ?a)))",
        "(logaddexp (log1mexp ?b) (+ ?a ?b))",
    )
    .given(&[is("?a", NonPositive), is("?b", NonPositive)]),
    // (not B) or (A and B) is not (B and not A).
    law(
        "disjunction-as-complement",
        "(1 - q) + p q = 1 - q(1 - p)",
        "(logaddexp (log1mexp ?b) (+ ?a ?b))",
        "(log1mexp (+ ?b (log1mexp ?a)))",
    )
    .given(&[is("?a", NonPositive), is("?b", NonPositive)]),
    // A or (not A and B) is not (not A and not B).
    law(
        "exclusive-disjunction-as-complement",
        "p + (1 - p) q = 1 - (1 - p)(1 - q)",
        "(logaddexp ?a (+ (log1mexp ?a) ?b))",
        "(log1mexp (+ (log1mexp ?a) (log1mexp ?b)))",
    )
    .given(&[is("?a", NonPositive), is("?b", NonPositive)]),
    // The odds p / (1 - p) plus 1 are 1 / (1 - p).
    law(
        "softplus-of-log-odds",
        "softplus(a - log1mexp(a)) = -log1mexp(a)",
        "(softplus (- ?a (log1mexp ?a)))",
        "(neg (log1mexp ?a))",
    )
    .given(&[is("?a", NonPositive)]),
    // The inverse odds plus 1 are 1 / p.
    law(
        "softplus-of-negative-log-odds",
        "softplus(log1mexp(a) - a) = -a",
        "(softplus (- (log1mexp ?a) ?a))",
        "(neg ?a)",
    )
    .given(&[is("?a", NonPositive)]),
    // 1 - s(-x) = s(x).
    law(
        "log1mexp-neg-softplus",
        "log1mexp(-softplus(x)) = -softplus(-x)",
        "(log1mexp (neg (softplus ?x)))",
        "(neg (softplus (neg ?x)))",
    ),
];
