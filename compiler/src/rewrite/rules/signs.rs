//! Signs and magnitudes.

use super::{Fact::NonNegative, Fact::NonPositive, Rule, is, law};

pub(super) const RULES: &[Rule] = &[
    // |x| of a known sign.
    law("abs-nonnegative", "|x| = x for x >= 0", "(abs ?x)", "?x").given(&[is("?x", NonNegative)]),
    // As above.
    law("abs-nonpositive", "|x| = -x for x <= 0", "(abs ?x)", "(neg ?x)")
        .given(&[is("?x", NonPositive)]),
    // Even.
    law("abs-neg", "|-x| = |x|", "(abs (neg ?x))", "(abs ?x)"),
    // Odd.
    law("sign-neg", "sign(-x) = -sign(x)", "(sign (neg ?x))", "(neg (sign ?x))"),
    // The polar form.
    law("sign-times-abs", "sign(x) |x| = x", "(* (sign ?x) (abs ?x))", "?x"),
    // A value without derivative is a value.
    law(
        "stop-gradient-twice",
        "sg(sg(x)) = sg(x)",
        "(stop_gradient (stop_gradient ?x))",
        "(stop_gradient ?x)",
    ),
];
