//! The laws of log-space arithmetic, as data.
//!
//! Why: a reader, a test and the checker of derivations all want the same list. In: nothing. Out:
//! [`all`]. Invariants, held by tests that iterate over the list: the two sides of a rule are equal
//! wherever its conditions hold and the left side is defined, and the right side is defined there too.
//! How to add one: `RULES.md` beside this folder.

mod differences;
mod exponentials;
mod log1mexp;
mod logs;
mod logsumexp;
mod max_select;
mod quotients;
mod sigmoid;
mod signs;
mod softplus;

use crate::mir::Interval;

/// Name of the rule that replaces a class by the number that it always is.
pub const FOLD: &str = "constant-folding";
/// Name of the rule that puts a sum into its normal form.
pub const SUM: &str = "sum-normal-form";
/// Name of the rule that puts a product into its normal form.
pub const PRODUCT: &str = "product-normal-form";

/// A proved fact about a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// >= 0
    NonNegative,
    /// > 0
    Positive,
    /// <= 0
    NonPositive,
    /// finite
    Finite,
}

impl Fact {
    /// True when every value of the interval has it.
    pub fn holds(self, interval: &Interval) -> bool {
        match self {
            Fact::NonNegative => interval.is_nonneg(),
            Fact::Positive => interval.is_pos(),
            Fact::NonPositive => interval.is_nonpos(),
            Fact::Finite => interval.is_finite(),
        }
    }

    /// The fact as text after a term.
    pub fn text(self) -> &'static str {
        match self {
            Fact::NonNegative => ">= 0",
            Fact::Positive => "> 0",
            Fact::NonPositive => "<= 0",
            Fact::Finite => "finite",
        }
    }
}

/// What must be proved before a rule applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// A term over the variables of the left side.
    pub term: &'static str,
    /// The fact about it.
    pub fact: Fact,
}

/// Where a sound rule is worth its nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Everywhere.
    Always,
    /// In a final form: the right side has kinks, or is worse to differentiate.
    Final,
    /// Where this variable can be -inf.
    MayBeNegInf(&'static str),
    /// In a final form, where both variables can overflow when exponentiated.
    BothOverflow(&'static str, &'static str),
    /// In a final form, where the first can overflow when exponentiated and the second can be 0 and is no
    /// exponential.
    OverflowTimesZero(&'static str, &'static str),
    /// Where one of the first two is 0 and the third can be infinite.
    Masks(&'static str, &'static str, &'static str),
}

/// How a rule finds its instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The left side is matched, in every order of commutative operands, and the right side added.
    Pattern {
        /// The left side.
        lhs: &'static str,
        /// The right side.
        rhs: &'static str,
    },
    /// Computed by [`super::normal`]; both sides have the same normal form as polynomials over their
    /// atoms, with `e^a e^b = e^(a+b)`.
    Normal,
    /// The right side is the one number that the left side can be.
    Fold,
}

/// One rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Unique, in the order of words of its law.
    pub name: &'static str,
    /// The law on one line.
    pub law: &'static str,
    /// How it finds its instances.
    pub form: Form,
    /// What must be proved.
    pub conditions: &'static [Condition],
    /// Where it is worth its nodes.
    pub guard: Guard,
    /// True for identities of fields, which the prime-field test evaluates.
    pub algebraic: bool,
}

/// A rule without conditions.
const fn law(name: &'static str, law: &'static str, lhs: &'static str, rhs: &'static str) -> Rule {
    Rule {
        name,
        law,
        form: Form::Pattern { lhs, rhs },
        conditions: &[],
        guard: Guard::Always,
        algebraic: false,
    }
}

impl Rule {
    /// The same rule under conditions.
    const fn given(self, conditions: &'static [Condition]) -> Rule {
        Rule { conditions, ..self }
    }

    /// The same rule, applied only where it is worth it.
    const fn guarded(self, guard: Guard) -> Rule {
        Rule { guard, ..self }
    }
}

const fn is(term: &'static str, fact: Fact) -> Condition {
    Condition { term, fact }
}

/// The rules that are computed.
const COMPUTED: &[Rule] = &[
    Rule {
        name: FOLD,
        law: "a term with one possible value is that number",
        form: Form::Fold,
        conditions: &[],
        guard: Guard::Always,
        algebraic: false,
    },
    Rule {
        name: SUM,
        law: "sums with the same terms are equal",
        form: Form::Normal,
        conditions: &[],
        guard: Guard::Always,
        algebraic: true,
    },
    Rule {
        name: PRODUCT,
        law: "products with the same factors are equal, and e^a e^b = e^(a + b)",
        form: Form::Normal,
        conditions: &[],
        guard: Guard::Always,
        algebraic: true,
    },
];

/// Every rule, by theme.
pub fn all() -> impl Iterator<Item = &'static Rule> {
    [
        COMPUTED,
        logs::RULES,
        exponentials::RULES,
        sigmoid::RULES,
        log1mexp::RULES,
        logsumexp::RULES,
        softplus::RULES,
        signs::RULES,
        quotients::RULES,
        max_select::RULES,
        differences::RULES,
    ]
    .into_iter()
    .flatten()
}

/// The rule with this name.
pub fn by_name(name: &str) -> Option<&'static Rule> {
    all().find(|r| r.name == name)
}
