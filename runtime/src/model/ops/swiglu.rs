//! The gated activation of Llama's feed-forward layers (Shazeer 2020, arXiv 2002.05202).

use candle_core::{CpuStorage, CustomOp2, Device, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::slices::{contiguous, with_slice};
use crate::logprob::simd;

const CHUNK: usize = 8192;

/// `silu(gate) * up`, element by element.
///
/// # Errors
/// If the shapes differ or the device fails.
pub fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    match gate.device() {
        Device::Cpu => gate.contiguous()?.apply_op2(&up.contiguous()?, SwiGlu),
        _ => composed(gate, up),
    }
}

/// The same in composed tensor operations.
pub(crate) fn composed(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    gate.silu()? * up
}

struct SwiGlu;

impl CustomOp2 for SwiGlu {
    fn name(&self) -> &'static str {
        "swiglu"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (gate, up) = (contiguous(s1, l1)?, contiguous(s2, l2)?);
        if l1.shape() != l2.shape() {
            bail!("swiglu of {:?} and {:?}", l1.dims(), l2.dims())
        }
        let mut out = vec![0f32; gate.len()];
        out.par_chunks_mut(CHUNK)
            .zip(gate.par_chunks(CHUNK).zip(up.par_chunks(CHUNK)))
            .for_each(|(out, (gate, up))| simd::swiglu(gate, up, out));
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    fn bwd(
        &self,
        gate: &Tensor,
        up: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let n = gate.elem_count();
        let (mut d_gate, mut d_up) = (vec![0f32; n], vec![0f32; n]);
        with_slice(gate, |a| {
            with_slice(up, |b| {
                with_slice(grad, |g| {
                    d_gate
                        .par_chunks_mut(CHUNK)
                        .zip(d_up.par_chunks_mut(CHUNK))
                        .zip(a.par_chunks(CHUNK).zip(b.par_chunks(CHUNK)).zip(g.par_chunks(CHUNK)))
                        .for_each(|((da, db), ((a, b), g))| simd::swiglu_backward(a, b, g, da, db));
                })
            })
        })???;
        let d_gate = Tensor::from_vec(d_gate, gate.shape(), gate.device())?;
        let d_up = Tensor::from_vec(d_up, up.shape(), up.device())?;
        Ok((Some(d_gate), Some(d_up)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ops::check::{assert_same_gradients, random_var};

    #[test]
    fn equals_the_composed_version_with_gradients() {
        let (a, b) = (random_var(&[7, 45], 1), random_var(&[7, 45], 2));
        let seed = random_var(&[7, 45], 3).as_tensor().detach();
        let loss = |y: Tensor| (y * &seed)?.sum_all();
        assert_same_gradients(&[&a, &b], || loss(swiglu(&a, &b)?), || loss(composed(&a, &b)?));
    }
}
