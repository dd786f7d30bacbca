//! The functions that the language knows, as data.

use crate::hir::model::{BatchFn, Fn1, Fn2, Head, Link, Noise};

/// What a name that is called means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Builtin {
    One(Fn1),
    Two(Fn2),
    Batch(BatchFn),
    Link(Link),
    Noise(Noise),
    Quantity(QuantityFn),
    /// The same expression over a response that belongs to another prompt.
    Mismatched,
    /// The mean over all examples of a run so far.
    RunningMean,
    Sqrt,
    Clip,
    /// A function of all values of a loop, with one value for each.
    Vector(VectorFn),
    /// Factor and values: each value with the discounted sum of the later ones.
    Discounted,
    /// Values and what numbers their segments: the sum over each value's segment.
    SegmentSum,
    /// What numbers the segments: 1 at the first place of each, else 0.
    SegmentStart,
}

/// Functions of all values of a loop, with one value for each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum VectorFn {
    SuffixSum,
    PrefixSum,
    LogSoftmax,
    Softmax,
    LeaveOneOut,
}

/// Functions of models and responses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum QuantityFn {
    Logp,
    MeanLogp,
    SharedLogp,
    TailLogp,
    LogSumP2,
    DivergedLogp,
    TokenLogp,
    Entropy,
    Head(Head),
    Nll,
    Kl,
    Len,
}

/// Every name, what it means and how it is written.
pub(super) const BUILTINS: &[(&str, Builtin, &str)] = &[
    ("exp", Builtin::One(Fn1::Exp), "exp(x)"),
    ("log", Builtin::One(Fn1::Log), "log(x)"),
    ("log1p", Builtin::One(Fn1::Log1p), "log1p(x)"),
    ("expm1", Builtin::One(Fn1::Expm1), "expm1(x)"),
    ("log1mexp", Builtin::One(Fn1::Log1mExp), "log1mexp(x)"),
    ("softplus", Builtin::One(Fn1::Softplus), "softplus(x)"),
    ("sigmoid", Builtin::One(Fn1::Sigmoid), "sigmoid(x)"),
    ("log_sigmoid", Builtin::One(Fn1::LogSigmoid), "log_sigmoid(x)"),
    ("square", Builtin::One(Fn1::Square), "square(x)"),
    ("abs", Builtin::One(Fn1::Abs), "abs(x)"),
    ("stop_gradient", Builtin::One(Fn1::StopGradient), "stop_gradient(x)"),
    ("max", Builtin::Two(Fn2::Max), "max(a, b)"),
    ("min", Builtin::Two(Fn2::Min), "min(a, b)"),
    ("logaddexp", Builtin::Two(Fn2::LogAddExp), "logaddexp(a, b)"),
    ("sqrt", Builtin::Sqrt, "sqrt(x)"),
    ("clip", Builtin::Clip, "clip(x, low, high)"),
    ("suffix_sum", Builtin::Vector(VectorFn::SuffixSum), "suffix_sum(x)[t]"),
    ("prefix_sum", Builtin::Vector(VectorFn::PrefixSum), "prefix_sum(x)[t]"),
    ("softmax", Builtin::Vector(VectorFn::Softmax), "softmax(x)[i]"),
    ("log_softmax", Builtin::Vector(VectorFn::LogSoftmax), "log_softmax(x)[i]"),
    ("leave_one_out", Builtin::Vector(VectorFn::LeaveOneOut), "leave_one_out(x)[i]"),
    ("discounted", Builtin::Discounted, "discounted(factor, x)[t]"),
    ("segment_sum", Builtin::SegmentSum, "segment_sum(x, segment)[t]"),
    ("segment_start", Builtin::SegmentStart, "segment_start(segment)[t]"),
    ("batch_mean", Builtin::Batch(BatchFn::Mean), "batch_mean(x)"),
    ("batch_sum", Builtin::Batch(BatchFn::Sum), "batch_sum(x)"),
    ("batch_sort", Builtin::Batch(BatchFn::Sort), "batch_sort(x)"),
    ("running_mean", Builtin::RunningMean, "running_mean(x)"),
    ("logistic", Builtin::Link(Link::Logistic), "logistic(x)"),
    ("hinge", Builtin::Link(Link::Hinge), "hinge(x, margin = 1)"),
    ("squared", Builtin::Link(Link::Squared), "squared(x, target)"),
    ("smooth", Builtin::Noise(Noise::Smooth), "smooth(rate, link(x))"),
    ("debias", Builtin::Noise(Noise::Debias), "debias(rate, link(x))"),
    ("mismatched", Builtin::Mismatched, "mismatched(x)"),
    ("logp", Builtin::Quantity(QuantityFn::Logp), "logp(model, response)"),
    ("mean_logp", Builtin::Quantity(QuantityFn::MeanLogp), "mean_logp(model, response)"),
    ("shared_logp", Builtin::Quantity(QuantityFn::SharedLogp), "shared_logp(model, response)"),
    ("tail_logp", Builtin::Quantity(QuantityFn::TailLogp), "tail_logp(model, response)"),
    ("log_sum_p2", Builtin::Quantity(QuantityFn::LogSumP2), "log_sum_p2(model, response)"),
    (
        "diverged_logp",
        Builtin::Quantity(QuantityFn::DivergedLogp),
        "diverged_logp(model, response)",
    ),
    ("token_logp", Builtin::Quantity(QuantityFn::TokenLogp), "token_logp(model, response)[t]"),
    ("entropy", Builtin::Quantity(QuantityFn::Entropy), "entropy(model, response)"),
    ("value", Builtin::Quantity(QuantityFn::Head(Head::Value)), "value(model, response)[t]"),
    ("reward", Builtin::Quantity(QuantityFn::Head(Head::Reward)), "reward(model, response)"),
    (
        "advantage",
        Builtin::Quantity(QuantityFn::Head(Head::Advantage)),
        "advantage(model, response)[t]",
    ),
    ("nll", Builtin::Quantity(QuantityFn::Nll), "nll(model, response)"),
    ("kl", Builtin::Quantity(QuantityFn::Kl), "kl(first, second, response)"),
    ("len", Builtin::Quantity(QuantityFn::Len), "len(response)"),
];

/// The names of all functions, for editors.
pub fn functions() -> impl Iterator<Item = &'static str> {
    BUILTINS.iter().map(|(name, ..)| *name)
}

/// The names of all functions, each with how it is written.
pub fn usages() -> impl Iterator<Item = (&'static str, &'static str)> {
    BUILTINS.iter().map(|(name, _, usage)| (*name, *usage))
}

/// Looks a name up.
pub(super) fn builtin(name: &str) -> Option<(Builtin, &'static str)> {
    BUILTINS.iter().find(|(n, ..)| *n == name).map(|(_, b, usage)| (*b, *usage))
}
