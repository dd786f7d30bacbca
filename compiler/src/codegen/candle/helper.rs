//! The functions on tensors that generated code carries along, for what candle lacks or has only in an
//! inaccurate form.

/// A helper: its name, the helpers that it calls, its definition.
struct Helper(&'static str, &'static [&'static str], &'static str);

/// The text of all helpers that `used` names, with those that they call, in a fixed order.
pub(super) fn definitions(used: &std::collections::BTreeSet<&'static str>) -> String {
    let mut wanted = used.clone();
    // Callers stand before what they call.
    for Helper(name, calls, _) in HELPERS {
        if wanted.contains(name) {
            wanted.extend(calls.iter());
        }
    }
    let texts: Vec<String> = HELPERS
        .iter()
        .filter(|h| wanted.contains(h.0))
        .map(|h| h.2.lines().map(|line| format!("    {line}\n")).collect())
        .collect();
    texts.join("\n")
}

const HELPERS: &[Helper] = &[
    Helper(
        "attach",
        &[],
        "/// `loss` with the gradient `d` with respect to `x`, which the tape does not know: d (x - x). An infinite
/// x carries none, for inf - inf is NaN, and an infinite d becomes the largest number.
pub(super) fn attach(loss: Tensor, x: &Tensor, d: &Tensor) -> Result<Tensor> {
    let finite = x.detach().abs()?.lt(f64::INFINITY)?;
    let x = finite.where_cond(x, &x.zeros_like()?)?;
    let largest = if x.dtype() == DType::F64 { f64::MAX } else { f64::from(f32::MAX) };
    let carried = (d.detach().clamp(-largest, largest)? * (&x - x.detach())?)?;
    if loss.dims() == carried.dims() { loss + carried } else { loss + carried.sum_keepdim(0)? }
}",
    ),
    Helper(
        "log1mexp",
        &["log1p", "expm1"],
        "/// ln(1 - e^x) for x <= 0: each form is used where the other cancels.
pub(super) fn log1mexp(x: &Tensor) -> Result<Tensor> {
    let near = expm1(x)?.neg()?.log()?;
    let far = log1p(&x.exp()?.neg()?)?;
    x.gt(-std::f64::consts::LN_2)?.where_cond(&near, &far)
}",
    ),
    Helper(
        "softplus",
        &["log1p"],
        "/// ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|).
pub(super) fn softplus(x: &Tensor) -> Result<Tensor> {
    x.relu()? + log1p(&x.abs()?.neg()?.exp()?)?
}",
    ),
    Helper(
        "log_add_exp",
        &["log1p"],
        "/// ln(e^a + e^b); where both are the same infinity, that infinity.
pub(super) fn log_add_exp(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let gap = (a - b)?.abs()?;
    let general = (a.maximum(b)? + log1p(&gap.neg()?.exp()?)?)?;
    let infinite = a.eq(b)?.where_cond(&a.abs()?, &a.zeros_like()?)?.eq(f64::INFINITY)?;
    infinite.where_cond(a, &general)
}",
    ),
    Helper(
        "log1p",
        &[],
        "/// ln(1 + x): the rounding error of 1 + x is divided out again.
pub(super) fn log1p(x: &Tensor) -> Result<Tensor> {
    let w = (x + 1.0)?;
    let d = (&w - 1.0)?;
    let corrected = ((w.log()? * x)? / &d)?;
    let finite = d.eq(0.0)?.where_cond(x, &corrected)?;
    x.eq(f64::INFINITY)?.where_cond(x, &finite)
}",
    ),
    Helper(
        "expm1",
        &[],
        "/// e^x - 1, by the same division; away from 0 the plain difference is exact enough.
pub(super) fn expm1(x: &Tensor) -> Result<Tensor> {
    let u = x.exp()?;
    let d = (&u - 1.0)?;
    let corrected = ((&d * x)? / u.log()?)?;
    let near = d.eq(0.0)?.where_cond(x, &corrected)?;
    d.abs()?.gt(0.5)?.where_cond(&d, &near)
}",
    ),
    Helper(
        "sigmoid",
        &[],
        "/// 1 / (1 + e^-x), from e^-|x| alone so that neither end overflows.
pub(super) fn sigmoid(x: &Tensor) -> Result<Tensor> {
    let e = x.abs()?.neg()?.exp()?;
    let large = (&e + 1.0)?.recip()?;
    let small = (&e * &large)?;
    x.ge(0.0)?.where_cond(&large, &small)
}",
    ),
    Helper(
        "sign",
        &["step"],
        "/// 1, 0 or -1.
pub(super) fn sign(x: &Tensor) -> Result<Tensor> {
    step(x)? - step(&x.neg()?)?
}",
    ),
    Helper(
        "step",
        &[],
        "/// 1 where x > 0, else 0.
pub(super) fn step(x: &Tensor) -> Result<Tensor> {
    x.gt(0.0)?.to_dtype(x.dtype())
}",
    ),
    Helper(
        "power",
        &[],
        "/// a^b = e^(b ln a) for a >= 0; 1 for b = 0, whatever a.
pub(super) fn power(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let general = (b * a.log()?)?.exp()?;
    b.eq(0.0)?.where_cond(&b.ones_like()?, &general)
}",
    ),
    Helper(
        "select",
        &[],
        "/// `a` where c > 0, else `b`.
pub(super) fn select(c: &Tensor, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    c.gt(0.0)?.where_cond(a, b)
}",
    ),
    Helper(
        "log_sum_exp",
        &[],
        "/// ln of the sum of e^x over the batch, `[1]`.
pub(super) fn log_sum_exp(x: &Tensor) -> Result<Tensor> {
    let max = x.max_keepdim(0)?;
    &max + x.broadcast_sub(&max)?.exp()?.sum_keepdim(0)?.log()?
}",
    ),
    Helper(
        "sort",
        &[],
        "/// The values in ascending order.
pub(super) fn sort(x: &Tensor) -> Result<Tensor> {
    Ok(x.contiguous()?.sort_last_dim(true)?.0)
}",
    ),
    Helper(
        "unsort",
        &[],
        "/// The value at rank r of `g`, put at the place that `key` had before it was sorted.
pub(super) fn unsort(g: &Tensor, key: &Tensor) -> Result<Tensor> {
    let order = key.contiguous()?.arg_sort_last_dim(true)?;
    g.contiguous()?.index_select(&order.arg_sort_last_dim(true)?, 0)
}",
    ),
    Helper(
        "suffix_sum",
        &[],
        "/// The sum of each value and all later ones.
pub(super) fn suffix_sum(x: &Tensor) -> Result<Tensor> {
    x.flip(&[0])?.cumsum(0)?.flip(&[0])
}",
    ),
    Helper(
        "shift",
        &[],
        "/// The value `places` later, 0 past the end; earlier where `places` is negative.
pub(super) fn shift(x: &Tensor, places: i64) -> Result<Tensor> {
    let len = x.elem_count();
    let n = (places.unsigned_abs() as usize).min(len);
    let pad = Tensor::zeros(n, x.dtype(), x.device())?;
    let kept = x.narrow(0, if places > 0 { n } else { 0 }, len - n)?;
    if places > 0 { Tensor::cat(&[&kept, &pad], 0) } else { Tensor::cat(&[&pad, &kept], 0) }
}",
    ),
    Helper(
        "from_below",
        &["full"],
        "/// The values off the tape; a zero becomes -0, for probability one is approached from below.
pub(super) fn from_below(x: &Tensor) -> Result<Tensor> {
    let x = x.detach();
    x.eq(0.0)?.where_cond(&full(&x, -0.0)?, &x)
}",
    ),
    Helper(
        "full",
        &[],
        "/// `value` in the shape of `like`.
pub(super) fn full(like: &Tensor, value: f64) -> Result<Tensor> {
    Tensor::full(value, like.shape(), like.device())?.to_dtype(like.dtype())
}",
    ),
];
