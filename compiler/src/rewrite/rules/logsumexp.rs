//! Logarithms of sums of exponentials.

use super::{Fact::NonNegative, Rule, is, law};

pub(super) const RULES: &[Rule] = &[
    // The definition.
    law(
        "log-sum-of-exps",
        "log(e^a + e^b) = logaddexp(a, b)",
        "(log (+ (exp ?a) (exp ?b)))",
        "(logaddexp ?a ?b)",
    ),
    // x = e^(log x) for x >= 0.
    law(
        "log-sum-with-exp",
        "log(x + e^a) = logaddexp(log x, a)",
        "(log (+ ?x (exp ?a)))",
        "(logaddexp (log ?x) ?a)",
    )
    .given(&[is("?x", NonNegative)]),
    // The definition, one rule a level of the result.
    law(
        "log-sum-exp-uniform",
        "log sum e^x = logsumexp x",
        "(log (sum@uniform (exp ?x)))",
        "(logsumexp@uniform ?x)",
    ),
    // As above.
    law(
        "log-sum-exp-batch",
        "log sum e^x = logsumexp x",
        "(log (sum@batch (exp ?x)))",
        "(logsumexp@batch ?x)",
    ),
    // As above.
    law(
        "log-sum-exp-example",
        "log sum e^x = logsumexp x",
        "(log (sum@example (exp ?x)))",
        "(logsumexp@example ?x)",
    ),
    // As above.
    law(
        "log-sum-exp-candidate",
        "log sum e^x = logsumexp x",
        "(log (sum@candidate (exp ?x)))",
        "(logsumexp@candidate ?x)",
    ),
    // Gives a softmax denominator its logarithm.
    law(
        "sum-exp-example",
        "sum e^x = e^logsumexp x",
        "(sum@example (exp ?x))",
        "(exp (logsumexp@example ?x))",
    ),
    // As above.
    law(
        "sum-exp-candidate",
        "sum e^x = e^logsumexp x",
        "(sum@candidate (exp ?x))",
        "(exp (logsumexp@candidate ?x))",
    ),
];
