//! The helper functions of a generated file, in the operations of [`crate::codegen::interp`].
//!
//! Invariant: on tensors no helper returns NaN inside its domain, and each is accurate to a few units in
//! the last place. PyTorch's own `softplus` is not: it becomes the identity at 20, which is off by 1e-10.

/// A function that generated code carries along.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Helper {
    Log1mExp,
    Softplus,
    Sigmoid,
    LogAddExp,
    Maximum,
    Minimum,
    Power,
    Select,
    SignedZero,
    Total,
    Greatest,
    LogSumExp,
    Sorted,
    Unsorted,
    SuffixSum,
    Shifted,
    LogSumExps,
    Recurrence,
    Fill,
    NumberDivide,
    NumberExp,
    NumberLog,
    NumberPower,
    NumberSoftplus,
    NumberSigmoid,
    NumberLog1mExp,
    NumberLogAddExp,
}

impl Helper {
    /// Its name in the generated code.
    pub(super) fn name(self) -> &'static str {
        self.parts().0
    }

    /// The helpers that it calls.
    pub(super) fn needs(self) -> &'static [Helper] {
        match self {
            Helper::NumberSoftplus | Helper::NumberSigmoid => &[Helper::NumberExp],
            Helper::NumberLog1mExp => &[Helper::NumberLog],
            _ => &[],
        }
    }

    /// Its definition.
    pub(super) fn definition(self) -> String {
        let (name, args, doc, body) = self.parts();
        let body = body.trim_matches('\n');
        format!("def {name}({args}):\n    \"\"\"{doc}\"\"\"\n{body}\n")
    }

    #[allow(clippy::too_many_lines)] // One table.
    fn parts(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Helper::Log1mExp => (
                "_log1mexp",
                "a",
                "log(1 - exp(a)) for a <= 0: each form is used where the other cancels.",
                "
    near = torch.log(-torch.expm1(a))
    far = torch.log1p(-torch.exp(a))
    return torch.where(a > -math.log(2.0), near, far)",
            ),
            Helper::Softplus => (
                "_softplus",
                "x",
                "log(1 + exp(x)), exact in both tails.",
                "
    return torch.clamp(x, min=0.0) + torch.log1p(torch.exp(-torch.abs(x)))",
            ),
            Helper::Sigmoid => (
                "_sigmoid",
                "x",
                "1 / (1 + exp(-x)), exact in both tails.",
                "
    e = torch.exp(-torch.abs(x))
    return torch.where(x < 0.0, e, 1.0) / (1.0 + e)",
            ),
            Helper::LogAddExp => (
                "_logaddexp",
                "a, b",
                "log(exp(a) + exp(b)); equal infinities have no difference.",
                "
    high, low = torch.maximum(a, b), torch.minimum(a, b)
    gap = torch.where(high == low, 0.0, high - low)
    return high + torch.log1p(torch.exp(-gap))",
            ),
            Helper::Maximum => (
                "_maximum",
                "a, b",
                "The greater; one of the two may be a number.",
                "
    if not isinstance(a, torch.Tensor):
        a, b = b, a
    return torch.maximum(a, b) if isinstance(b, torch.Tensor) else torch.clamp(a, min=b)",
            ),
            Helper::Minimum => (
                "_minimum",
                "a, b",
                "The smaller; one of the two may be a number.",
                "
    if not isinstance(a, torch.Tensor):
        a, b = b, a
    return torch.minimum(a, b) if isinstance(b, torch.Tensor) else torch.clamp(a, max=b)",
            ),
            Helper::Power => (
                "_power",
                "a, b",
                "a^b; a zero base counts as +0.",
                "
    return torch.pow(torch.where(a == 0.0, 0.0, a), b)",
            ),
            Helper::Select => (
                "_select",
                "c, a, b",
                "a where c > 0, else b; either may be a number.",
                "
    a = a if isinstance(a, torch.Tensor) else torch.full_like(c, a)
    return torch.where(c > 0.0, a, b)",
            ),
            Helper::SignedZero => (
                "_from_below",
                "x",
                "x with a zero that is approached from below: 1 / x is -inf there, as its limit is.",
                "
    return torch.where(x == 0.0, -0.0, x)",
            ),
            Helper::Total => (
                "_total",
                "x, mask, dims",
                "The sum over the last dims, padding left out.",
                "
    return torch.where(mask, x, 0.0).sum(dims)",
            ),
            Helper::Greatest => (
                "_greatest",
                "x, mask, dims",
                "The maximum over the last dims, padding left out; -inf of nothing.",
                "
    return torch.where(mask, x, -math.inf).amax(dims)",
            ),
            Helper::LogSumExp => (
                "_logsumexp",
                "x, mask, dims",
                "log of the sum of exp(x) over the last dims: the others join the largest through log1p.",
                "
    x = torch.where(mask, x, -math.inf).flatten(x.dim() - len(dims))
    high, place = x.max(-1, keepdim=True)
    rest = torch.exp(x - high).scatter(-1, place, 0.0).sum(-1)
    high = high.squeeze(-1)
    return torch.where(torch.isinf(high), high, high + torch.log1p(rest))",
            ),
            Helper::Sorted => (
                "_sorted",
                "x",
                "The values of the batch in ascending order.",
                "
    return torch.sort(x, stable=True).values",
            ),
            Helper::Unsorted => (
                "_unsorted",
                "ranked, key",
                "The value at each rank, put where the key had that rank.",
                "
    place = torch.argsort(key, stable=True)
    return torch.empty_like(key).scatter(0, place, ranked.expand_as(key))",
            ),
            Helper::SuffixSum => (
                "_suffix_sum",
                "x, mask",
                "The sum of this and all later values, padding left out.",
                "
    x = torch.where(mask, x, 0.0)
    return x.flip(-1).cumsum(-1).flip(-1)",
            ),
            Helper::Shifted => (
                "_shifted",
                "x, mask, n",
                "The value n places later, 0 past the end (earlier where n is negative).",
                "
    x = torch.where(mask, x, 0.0)
    width = x.shape[-1]
    moved = torch.roll(x, -n, -1)
    place = torch.arange(width, device=x.device)
    return torch.where((place + n >= 0) & (place + n < width), moved, 0.0)",
            ),
            Helper::LogSumExps => (
                "_logsumexp_of_others",
                "x, mask, later",
                "log of the sum of exp(x) over the earlier (later) values; -inf where there are none.",
                "
    x = torch.where(mask, x, -math.inf)
    x = x.flip(-1) if later else x
    none = torch.full_like(x[..., :1], -math.inf)
    sums = torch.cat([none, torch.logcumsumexp(x, -1)[..., :-1]], -1)
    return sums.flip(-1) if later else sums",
            ),
            Helper::Recurrence => (
                "_recurrence",
                "a, x, mask, later",
                "y = x + a y', where y' is y at the earlier (later) neighbour.",
                "
    x = torch.where(mask, x, 0.0)
    a = (torch.zeros_like(x) + a).unbind(-1)
    x = x.unbind(-1)
    places = range(len(x))
    y, last = [None] * len(x), None
    for i in reversed(places) if later else places:
        last = x[i] if last is None else x[i] + torch.where(mask[..., i], a[i], 0.0) * last
        y[i] = last
    return torch.stack(y, -1)",
            ),
            Helper::Fill => (
                "_fill",
                "value, like",
                "One value for all elements.",
                "
    return torch.zeros_like(like) + value",
            ),
            Helper::NumberDivide => (
                "_number_divide",
                "a, b",
                "a / b, where division by zero is an infinity.",
                "
    if b != 0.0:
        return a / b
    return math.nan if a == 0.0 else math.copysign(math.inf, a) * math.copysign(1.0, b)",
            ),
            Helper::NumberExp => (
                "_number_exp",
                "x",
                "exp(x), where overflow is an infinity.",
                "
    return math.exp(x) if x < 709.0 else math.inf",
            ),
            Helper::NumberLog => (
                "_number_log",
                "x",
                "log(x), -inf at 0.",
                "
    return math.log(x) if x > 0.0 else -math.inf",
            ),
            Helper::NumberPower => (
                "_number_power",
                "a, b",
                "a^b, where overflow is an infinity.",
                "
    if a == 0.0:
        return 1.0 if b == 0.0 else (0.0 if b > 0.0 else math.inf)
    return math.pow(a, b) if b * math.log(a) < 709.0 else math.inf",
            ),
            Helper::NumberSoftplus => (
                "_number_softplus",
                "x",
                "log(1 + exp(x)).",
                "
    return max(x, 0.0) + math.log1p(_number_exp(-abs(x)))",
            ),
            Helper::NumberSigmoid => (
                "_number_sigmoid",
                "x",
                "1 / (1 + exp(-x)).",
                "
    e = _number_exp(-abs(x))
    return (e if x < 0.0 else 1.0) / (1.0 + e)",
            ),
            Helper::NumberLog1mExp => (
                "_number_log1mexp",
                "a",
                "log(1 - exp(a)) for a <= 0.",
                "
    return _number_log(-math.expm1(a)) if a > -math.log(2.0) else math.log1p(-math.exp(a))",
            ),
            Helper::NumberLogAddExp => (
                "_number_logaddexp",
                "a, b",
                "log(exp(a) + exp(b)).",
                "
    if a == b:
        return a + math.log(2.0)
    return max(a, b) + math.log1p(math.exp(-abs(a - b)))",
            ),
        }
    }
}
