//! Values of the scalar functions that the tensor library lacks, or has only in an inaccurate form.
//!
//! In and out: tensors of one float type that take no part in a gradient; [`super::emit`] attaches
//! derivatives. Invariant: a value that one branch of a `where` discards may be NaN, never the result.

use candle_core::{Result, Tensor};

pub(super) fn full(like: &Tensor, value: f64) -> Result<Tensor> {
    like.zeros_like()?.affine(0.0, value)
}

/// ln(1 + x): the rounding error of 1 + x is divided out again.
pub(super) fn log1p(x: &Tensor) -> Result<Tensor> {
    let w = x.affine(1.0, 1.0)?;
    let d = w.affine(1.0, -1.0)?;
    let corrected = ((w.log()? * x)? / &d)?;
    let finite = d.eq(0.0)?.where_cond(x, &corrected)?;
    // inf / inf above.
    x.eq(f64::INFINITY)?.where_cond(x, &finite)
}

/// e^x - 1, by the same division.
pub(super) fn expm1(x: &Tensor) -> Result<Tensor> {
    let u = x.exp()?;
    let d = u.affine(1.0, -1.0)?;
    let corrected = ((&d * x)? / u.log()?)?;
    let near = d.eq(0.0)?.where_cond(x, &corrected)?;
    // Away from 0 the plain difference is exact enough, and safe where u is 0 or infinite.
    d.abs()?.gt(0.5)?.where_cond(&d, &near)
}

/// ln(1 - e^x) for x <= 0, branched at -ln 2.
pub(super) fn log1mexp(x: &Tensor) -> Result<Tensor> {
    let near = expm1(x)?.neg()?.log()?;
    let far = log1p(&x.exp()?.neg()?)?;
    x.gt(-std::f64::consts::LN_2)?.where_cond(&near, &far)
}

/// ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|)
pub(super) fn softplus(x: &Tensor) -> Result<Tensor> {
    x.relu()? + log1p(&x.abs()?.neg()?.exp()?)?
}

/// 1 / (1 + e^-x), from e^-|x| alone so that neither end overflows.
pub(super) fn sigmoid(x: &Tensor) -> Result<Tensor> {
    let e = x.abs()?.neg()?.exp()?;
    let large = e.affine(1.0, 1.0)?.recip()?;
    let small = (&e * &large)?;
    x.ge(0.0)?.where_cond(&large, &small)
}

/// 1 where x > 0, else 0
pub(super) fn step(x: &Tensor) -> Result<Tensor> {
    x.gt(0.0)?.to_dtype(x.dtype())
}

/// 1, 0 or -1
pub(super) fn sign(x: &Tensor) -> Result<Tensor> {
    step(x)? - step(&x.neg()?)?
}

/// a^b = e^(b ln a) for a >= 0; 1 for b = 0, whatever a
pub(super) fn pow(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let general = (b * a.log()?)?.exp()?;
    b.eq(0.0)?.where_cond(&full(a, 1.0)?, &general)
}

/// ln(e^a + e^b)
pub(super) fn log_add_exp(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let larger = a.ge(b)?;
    let max = larger.where_cond(a, b)?;
    let gap = (a - b)?.abs()?;
    let general = (&max + log1p(&gap.neg()?.exp()?)?)?;
    // Two equal infinities have no difference.
    a.eq(b)?.where_cond(&max.affine(1.0, std::f64::consts::LN_2)?, &general)
}
