//! A frozen linear map with a low-rank correction (Hu et al. 2021, arXiv 2106.09685).

use candle_core::{CpuStorage, CustomOp3, Device, Layout, Result, Shape, Tensor, bail};
use gemm::Parallelism;

use super::{
    linear::input_gradient,
    matmul::{Matrix, MatrixMut, matmul, scaled_matmul},
    slices::{contiguous, with_slice},
    weight::MapWeight,
};

/// `x W^T + scale (x A^T) B^T`, gradients to `x`, `a` and `b`:
/// `x [N, in]`, `weight [out, in]`, `a [rank, in]`, `b [out, rank]`.
///
/// # Errors
/// If shapes disagree or the device fails.
pub fn lora_linear(
    x: &Tensor,
    weight: &MapWeight,
    a: &Tensor,
    b: &Tensor,
    scale: f32,
) -> Result<Tensor> {
    let weight = weight.detach();
    weight.check(x)?;
    match x.device() {
        Device::Cpu => x.contiguous()?.apply_op3(a, b, LoraLinear { weight, scale }),
        _ => composed(x, &weight.dense()?, a, b, scale),
    }
}

/// The same in composed tensor operations.
pub(crate) fn composed(
    x: &Tensor,
    weight: &Tensor,
    a: &Tensor,
    b: &Tensor,
    scale: f32,
) -> Result<Tensor> {
    let low = x.matmul(&a.t()?)?.matmul(&b.t()?)?;
    x.matmul(&weight.t()?)? + (low * f64::from(scale))?
}

struct LoraLinear {
    weight: MapWeight,
    scale: f32,
}

/// `out += scale * lhs rhs` on all threads.
fn add_product(out: MatrixMut<'_>, lhs: Matrix<'_>, rhs: Matrix<'_>, scale: f32) {
    scaled_matmul(out, lhs, rhs, scale, true, Parallelism::Rayon(0));
}

impl CustomOp3 for LoraLinear {
    fn name(&self) -> &'static str {
        "lora-linear"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, a, b) = (contiguous(s1, l1)?, contiguous(s2, l2)?, contiguous(s3, l3)?);
        let (n, inputs) = l1.shape().dims2()?;
        let (outputs, columns) = self.weight.dims2()?;
        let (rank, a_columns) = l2.shape().dims2()?;
        if columns != inputs || a_columns != inputs || l3.dims() != [outputs, rank] {
            bail!(
                "low-rank linear map of {inputs} features: weight {:?}, A {:?}, B {:?}",
                [outputs, columns],
                l2.dims(),
                l3.dims()
            )
        }
        let x = Matrix::new(x, n, inputs);
        let mut y = vec![0f32; n * outputs];
        with_slice(&self.weight.dense()?, |w| {
            let weight = Matrix::new(w, outputs, inputs).transposed();
            matmul(MatrixMut::new(&mut y, n, outputs), x, weight, false);
        })?;
        let mut low = vec![0f32; n * rank];
        let a = Matrix::new(a, rank, inputs).transposed();
        matmul(MatrixMut::new(&mut low, n, rank), x, a, false);
        let b = Matrix::new(b, outputs, rank).transposed();
        let out = MatrixMut::new(&mut y, n, outputs);
        add_product(out, Matrix::new(&low, n, rank), b, self.scale);
        Ok((CpuStorage::F32(y), Shape::from((n, outputs))))
    }

    fn bwd(
        &self,
        x: &Tensor,
        a: &Tensor,
        b: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (n, inputs) = x.dims2()?;
        let (outputs, rank) = b.dims2()?;
        let mut da = vec![0f32; rank * inputs];
        let mut db = vec![0f32; outputs * rank];
        let mut low = vec![0f32; n * rank];
        let mut d_low = vec![0f32; n * rank];
        let mut dx =
            if x.track_op() { Some(input_gradient(grad, &self.weight.dense()?)?) } else { None };
        with_slice(x, |xs| {
            with_slice(a, |a| {
                with_slice(b, |b| {
                    with_slice(grad, |g| {
                        let x = Matrix::new(xs, n, inputs);
                        let a = Matrix::new(a, rank, inputs);
                        let g = Matrix::new(g, n, outputs);
                        matmul(MatrixMut::new(&mut low, n, rank), x, a.transposed(), false);
                        let b = Matrix::new(b, outputs, rank);
                        matmul(MatrixMut::new(&mut d_low, n, rank), g, b, false);
                        let low = Matrix::new(&low, n, rank);
                        let d_low = Matrix::new(&d_low, n, rank);
                        let out = MatrixMut::new(&mut db, outputs, rank);
                        add_product(out, g.transposed(), low, self.scale);
                        let out = MatrixMut::new(&mut da, rank, inputs);
                        add_product(out, d_low.transposed(), x, self.scale);
                        if let Some(dx) = &mut dx {
                            add_product(MatrixMut::new(dx, n, inputs), d_low, a, self.scale);
                        }
                    })
                })
            })
        })????;
        let dx = dx.map(|dx| Tensor::from_vec(dx, x.shape(), x.device())).transpose()?;
        let da = Tensor::from_vec(da, a.shape(), a.device())?;
        let db = Tensor::from_vec(db, b.shape(), b.device())?;
        Ok((dx, Some(da), Some(db)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ops::check::{assert_same_gradients, random_var};

    #[test]
    fn equals_the_composed_version_with_gradients() {
        let (x, w) = (random_var(&[6, 11], 1), random_var(&[7, 11], 2).as_tensor().detach());
        let weight = MapWeight::Dense(w.clone());
        let (a, b) = (random_var(&[3, 11], 3), random_var(&[7, 3], 4));
        let seed = random_var(&[6, 7], 5).as_tensor().detach();
        assert_same_gradients(
            &[&x, &a, &b],
            || (lora_linear(&x, &weight, &a, &b, 2.0)? * &seed)?.sum_all(),
            || (composed(&x, &w, &a, &b, 2.0)? * &seed)?.sum_all(),
        );
    }

    #[test]
    fn an_untracked_input_takes_no_gradient() {
        let (x, w) = (random_var(&[6, 11], 1).as_tensor().detach(), random_var(&[7, 11], 2));
        let (a, b) = (random_var(&[3, 11], 3), random_var(&[7, 3], 4));
        let weight = MapWeight::Dense(w.as_tensor().clone());
        let y = lora_linear(&x, &weight, &a, &b, 0.5).unwrap();
        let grads = y.sum_all().unwrap().backward().unwrap();
        assert!(grads.get(&a).is_some() && grads.get(&b).is_some());
        assert!(grads.get(&w).is_none() && grads.get(&x).is_none());
    }
}
