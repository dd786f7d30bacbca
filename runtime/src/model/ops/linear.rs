//! Linear maps `y = x W^T` that make a weight gradient only where the weight is trained.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Device, Layout, Result, Shape, Tensor, bail};

use super::{
    matmul::{Matrix, MatrixMut, matmul},
    slices::{contiguous, with_slice},
    weight::MapWeight,
};

/// `x W^T` for a weight that takes no gradient: `x [N, in]`, `weight [out, in]`.
///
/// # Errors
/// If shapes disagree or the device fails.
pub fn frozen_linear(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    frozen(x, MapWeight::Dense(weight.detach()))
}

fn frozen(x: &Tensor, weight: MapWeight) -> Result<Tensor> {
    weight.check(x)?;
    match x.device() {
        Device::Cpu => x.contiguous()?.apply_op1(FrozenLinear { weight }),
        _ => x.matmul(&weight.dense()?.t()?),
    }
}

/// [`linear`] for a weight that may be packed; a packed one takes no gradient.
///
/// # Errors
/// If shapes disagree or the device fails.
pub fn map_linear(x: &Tensor, weight: &MapWeight) -> Result<Tensor> {
    match weight {
        MapWeight::Dense(weight) => linear(x, weight),
        MapWeight::Packed(_) => frozen(x, weight.clone()),
    }
}

/// `x W^T` with gradients to both: `x [N, in]`, `weight [out, in]`.
///
/// # Errors
/// If shapes disagree or the device fails.
pub fn linear(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    if !weight.track_op() {
        return frozen_linear(x, weight);
    }
    match x.device() {
        Device::Cpu => x.contiguous()?.apply_op2(weight, Linear),
        _ => x.matmul(&weight.t()?),
    }
}

fn forward(
    x: &[f32],
    x_layout: &Layout,
    weight: &[f32],
    weight_layout: &Layout,
) -> Result<(CpuStorage, Shape)> {
    let (n, inputs) = x_layout.shape().dims2()?;
    let (outputs, columns) = weight_layout.shape().dims2()?;
    if inputs != columns {
        bail!("linear map of {inputs} features with a weight for {columns}")
    }
    let mut y = vec![0f32; n * outputs];
    let weight = Matrix::new(weight, outputs, inputs).transposed();
    matmul(MatrixMut::new(&mut y, n, outputs), Matrix::new(x, n, inputs), weight, false);
    Ok((CpuStorage::F32(y), Shape::from((n, outputs))))
}

/// `grad W`.
pub(super) fn input_gradient(grad: &Tensor, weight: &Tensor) -> Result<Vec<f32>> {
    let (n, outputs) = grad.dims2()?;
    let (_, inputs) = weight.dims2()?;
    let mut dx = vec![0f32; n * inputs];
    with_slice(grad, |g| {
        with_slice(weight, |w| {
            let out = MatrixMut::new(&mut dx, n, inputs);
            matmul(out, Matrix::new(g, n, outputs), Matrix::new(w, outputs, inputs), false);
        })
    })??;
    Ok(dx)
}

struct FrozenLinear {
    weight: MapWeight,
}

impl CustomOp1 for FrozenLinear {
    fn name(&self) -> &'static str {
        "frozen-linear"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = contiguous(storage, layout)?;
        let weight = self.weight.dense()?;
        with_slice(&weight, |w| forward(x, layout, w, weight.layout()))?
    }

    fn bwd(&self, arg: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let dx = input_gradient(grad, &self.weight.dense()?)?;
        Ok(Some(Tensor::from_vec(dx, arg.shape(), arg.device())?))
    }
}

struct Linear;

impl CustomOp2 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        forward(contiguous(s1, l1)?, l1, contiguous(s2, l2)?, l2)
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (n, inputs) = x.dims2()?;
        let (outputs, _) = weight.dims2()?;
        let mut dw = vec![0f32; outputs * inputs];
        with_slice(x, |x| {
            with_slice(grad, |g| {
                let out = MatrixMut::new(&mut dw, outputs, inputs);
                let grad = Matrix::new(g, n, outputs).transposed();
                matmul(out, grad, Matrix::new(x, n, inputs), false);
            })
        })??;
        let dw = Tensor::from_vec(dw, weight.shape(), weight.device())?;
        let dx = if x.track_op() {
            let dx = input_gradient(grad, weight)?;
            Some(Tensor::from_vec(dx, x.shape(), x.device())?)
        } else {
            None
        };
        Ok((dx, Some(dw)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ops::check::{assert_same_gradients, random_var};

    #[test]
    fn a_trained_weight_equals_the_composed_version_with_gradients() {
        let (x, w) = (random_var(&[5, 11], 1), random_var(&[7, 11], 2));
        let seed = random_var(&[5, 7], 3).as_tensor().detach();
        assert_same_gradients(
            &[&x, &w],
            || (linear(&x, &w)? * &seed)?.sum_all(),
            || (x.matmul(&w.t()?)? * &seed)?.sum_all(),
        );
    }

    #[test]
    fn a_frozen_weight_equals_the_composed_version_and_takes_no_gradient() {
        let (x, w) = (random_var(&[5, 11], 1), random_var(&[7, 11], 2));
        let seed = random_var(&[5, 7], 3).as_tensor().detach();
        let own = || (frozen_linear(&x, &w)? * &seed)?.sum_all();
        assert_same_gradients(&[&x], own, || (x.matmul(&w.t()?)? * &seed)?.sum_all());
        assert!(own().unwrap().backward().unwrap().get(&w).is_none());
    }

    #[test]
    fn a_packed_weight_is_its_dequantised_self() {
        use candle_core::quantized::{GgmlDType, QTensor};
        let (x, w) = (random_var(&[5, 64], 1), random_var(&[7, 64], 2));
        let seed = random_var(&[5, 7], 3).as_tensor().detach();
        let packed = QTensor::quantize(w.as_tensor(), GgmlDType::Q4_1).unwrap();
        let packed = crate::model::ops::PackedMatrix::new(packed).unwrap();
        assert_eq!(packed.bytes(), 7 * 64 / 32 * 20, "5 bits a number");
        let packed = MapWeight::Packed(std::sync::Arc::new(packed));
        let dense = packed.dense().unwrap();
        assert_same_gradients(
            &[&x],
            || (map_linear(&x, &packed)? * &seed)?.sum_all(),
            || (x.matmul(&dense.t()?)? * &seed)?.sum_all(),
        );
    }

    #[test]
    fn shapes_that_disagree_are_an_error() {
        let (x, w) = (random_var(&[5, 10], 1), random_var(&[7, 11], 2));
        assert!(linear(&x, &w).is_err());
        assert!(frozen_linear(&x, &w).is_err());
    }
}
