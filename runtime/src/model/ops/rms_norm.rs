//! Root-mean-square normalisation (Zhang and Sennrich 2019, arXiv 1910.07467).

use candle_core::{CpuStorage, CustomOp2, D, Device, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::slices::{contiguous, with_slice};
use crate::logprob::simd::dot;

/// `x / sqrt(mean(x^2) + eps) * weight` over the last dimension; `x [N, d]`, `weight [d]`.
///
/// # Errors
/// If shapes disagree or the device fails.
pub fn rms_norm(x: &Tensor, weight: &Tensor, eps: f32) -> Result<Tensor> {
    match x.device() {
        Device::Cpu => x.contiguous()?.apply_op2(weight, RmsNorm { eps }),
        _ => composed(x, weight, eps),
    }
}

/// The same in composed tensor operations.
pub(crate) fn composed(x: &Tensor, weight: &Tensor, eps: f32) -> Result<Tensor> {
    let mean = (x.sqr()?.sum_keepdim(D::Minus1)? / x.dim(D::Minus1)? as f64)?;
    x.broadcast_div(&(mean + f64::from(eps))?.sqrt()?)?.broadcast_mul(weight)
}

struct RmsNorm {
    eps: f32,
}

impl RmsNorm {
    fn inverse(&self, x: &[f32]) -> f32 {
        1.0 / (dot(x, x) / x.len() as f32 + self.eps).sqrt()
    }
}

impl CustomOp2 for RmsNorm {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, weight) = (contiguous(s1, l1)?, contiguous(s2, l2)?);
        let d = weight.len();
        if l1.dims().last() != Some(&d) || d == 0 {
            bail!("rms-norm of {:?} with a weight of {d}", l1.dims())
        }
        let mut out = vec![0f32; x.len()];
        out.par_chunks_mut(d).zip(x.par_chunks(d)).for_each(|(out, x)| {
            let r = self.inverse(x);
            for ((o, x), w) in out.iter_mut().zip(x).zip(weight) {
                *o = x * r * w;
            }
        });
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let d = weight.elem_count();
        let train_weight = weight.track_op();
        let mut dx = vec![0f32; x.elem_count()];
        let mut inverses = vec![0f32; x.elem_count() / d];
        let dw = with_slice(x, |x| {
            with_slice(weight, |w| {
                with_slice(grad, |g| {
                    dx.par_chunks_mut(d)
                        .zip(&mut inverses)
                        .zip(x.par_chunks(d).zip(g.par_chunks(d)))
                        .for_each(|((dx, inverse), (x, g))| {
                            let r = self.inverse(x);
                            *inverse = r;
                            for ((dx, g), w) in dx.iter_mut().zip(g).zip(w) {
                                *dx = g * w;
                            }
                            let c = dot(dx, x) * r * r * r / d as f32;
                            for (dx, x) in dx.iter_mut().zip(x) {
                                *dx = *dx * r - c * x;
                            }
                        });
                    // One thread, in row order: the sum does not depend on how work was split.
                    train_weight.then(|| {
                        let mut dw = vec![0f32; d];
                        for ((x, g), r) in x.chunks(d).zip(g.chunks(d)).zip(&inverses) {
                            for ((dw, x), g) in dw.iter_mut().zip(x).zip(g) {
                                *dw += g * x * r;
                            }
                        }
                        dw
                    })
                })
            })
        })???;
        let dx = Tensor::from_vec(dx, x.shape(), x.device())?;
        let dw = dw.map(|dw| Tensor::from_vec(dw, weight.shape(), weight.device())).transpose()?;
        Ok((Some(dx), dw))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ops::check::{assert_same_gradients, random_var};

    #[test]
    fn equals_the_composed_version_with_gradients() {
        let (x, w) = (random_var(&[5, 37], 1), random_var(&[37], 2));
        let seed = random_var(&[5, 37], 3).as_tensor().detach();
        let loss = |y: Tensor| (y * &seed)?.sum_all();
        assert_same_gradients(
            &[&x, &w],
            || loss(rms_norm(&x, &w, 1e-5)?),
            || loss(composed(&x, &w, 1e-5)?),
        );
    }
}
