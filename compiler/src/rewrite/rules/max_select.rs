//! Maxima, minima and choices whose outcome is known.

use super::{Fact::NonNegative, Fact::NonPositive, Fact::Positive, Guard, Rule, is, law};

pub(super) const RULES: &[Rule] = &[
    // The greater one is known.
    law("max-known", "max(a, b) = a for a - b >= 0", "(max ?a ?b)", "?a")
        .given(&[is("(- ?a ?b)", NonNegative)]),
    // The smaller one is known.
    law("min-known", "min(a, b) = a for a - b <= 0", "(min ?a ?b)", "?a")
        .given(&[is("(- ?a ?b)", NonPositive)]),
    // Idempotence.
    law("max-same", "max(a, a) = a", "(max ?a ?a)", "?a"),
    // Idempotence.
    law("min-same", "min(a, a) = a", "(min ?a ?a)", "?a"),
    // Both branches agree.
    law("select-same", "(a if c > 0 else a) = a", "(select ?c ?a ?a)", "?a"),
    // A branch that is not chosen must not meet an infinity: no 0 inf.
    law(
        "select-times",
        "(a if c > 0 else b) y = (a y if c > 0 else b y)",
        "(* (select ?c ?a ?b) ?y)",
        "(select ?c (* ?a ?y) (* ?b ?y))",
    )
    .guarded(Guard::Masks("?a", "?b", "?y")),
    // Two choices by one condition are one.
    law(
        "select-plus-select",
        "(a if c > 0 else b) + (x if c > 0 else y) = (a + x if c > 0 else b + y)",
        "(+ (select ?c ?a ?b) (select ?c ?x ?y))",
        "(select ?c (+ ?a ?x) (+ ?b ?y))",
    ),
    // As above.
    law(
        "select-minus-select",
        "(a if c > 0 else b) - (x if c > 0 else y) = (a - x if c > 0 else b - y)",
        "(- (select ?c ?a ?b) (select ?c ?x ?y))",
        "(select ?c (- ?a ?x) (- ?b ?y))",
    ),
    // The condition is known to hold.
    law("select-then", "(a if c > 0 else b) = a for c > 0", "(select ?c ?a ?b)", "?a")
        .given(&[is("?c", Positive)]),
    // The condition is known to fail.
    law("select-else", "(a if c > 0 else b) = b for c <= 0", "(select ?c ?a ?b)", "?b")
        .given(&[is("?c", NonPositive)]),
];
