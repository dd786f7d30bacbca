//! Maxima, minima and choices whose outcome is known.

use super::{Fact::NonNegative, Fact::NonPositive, Fact::Positive, Rule, is, law};

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
    // The condition is known to hold.
    law("select-then", "(a if c > 0 else b) = a for c > 0", "(select ?c ?a ?b)", "?a")
        .given(&[is("?c", Positive)]),
    // The condition is known to fail.
    law("select-else", "(a if c > 0 else b) = b for c <= 0", "(select ?c ?a ?b)", "?b")
        .given(&[is("?c", NonPositive)]),
];
