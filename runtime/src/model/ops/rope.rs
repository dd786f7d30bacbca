//! Rotary position embedding (Su et al. 2021, arXiv 2104.09864), rotating halves as Llama does.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, D, Device, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::slices::contiguous;

/// Cosines and sines of every position and frequency.
#[derive(Clone, Debug)]
pub struct RotaryTable {
    cos: Arc<Vec<f32>>,
    sin: Arc<Vec<f32>>,
    half: usize,
}

impl RotaryTable {
    /// Angles `position * frequency` for positions below `positions`; one frequency for each pair of
    /// features.
    #[must_use]
    pub fn new(frequencies: &[f32], positions: usize) -> Self {
        let angles = || (0..positions).flat_map(|p| frequencies.iter().map(move |f| p as f32 * f));
        Self {
            cos: Arc::new(angles().map(f32::cos).collect()),
            sin: Arc::new(angles().map(f32::sin).collect()),
            half: frequencies.len(),
        }
    }

    /// Number of positions.
    #[must_use]
    pub fn positions(&self) -> usize {
        self.cos.len() / self.half.max(1)
    }
}

/// Rotates each head of each token by its position: `x [N, heads * head_dim]`, `positions [N]`.
///
/// # Errors
/// If shapes disagree, a position is outside the table, or the device fails.
pub fn rope(x: &Tensor, table: &RotaryTable, positions: &Arc<Vec<u32>>) -> Result<Tensor> {
    let (n, features) = x.dims2()?;
    if positions.len() != n || table.half == 0 || features % (2 * table.half) != 0 {
        bail!(
            "rope of {:?} with {} positions, {} frequencies",
            x.dims(),
            positions.len(),
            table.half
        )
    }
    if let Some(p) = positions.iter().find(|&&p| p as usize >= table.positions()) {
        bail!("position {p} is outside the rotary table of {}", table.positions())
    }
    match x.device() {
        Device::Cpu => x.contiguous()?.apply_op1(Rope {
            table: table.clone(),
            positions: positions.clone(),
            inverse: false,
        }),
        _ => composed(x, table, positions),
    }
}

/// The same in composed tensor operations.
pub(crate) fn composed(x: &Tensor, table: &RotaryTable, positions: &[u32]) -> Result<Tensor> {
    let (n, features) = x.dims2()?;
    let heads = features / (2 * table.half);
    let pick = |values: &[f32]| {
        let rows: Vec<f32> = positions
            .iter()
            .flat_map(|&p| values[p as usize * table.half..][..table.half].iter().copied())
            .collect();
        Tensor::from_vec(rows, (n, 1, table.half), x.device())
    };
    let (cos, sin) = (pick(&table.cos)?, pick(&table.sin)?);
    let x = x.reshape((n, heads, 2 * table.half))?;
    let (a, b) = (x.narrow(2, 0, table.half)?, x.narrow(2, table.half, table.half)?);
    let first = (a.broadcast_mul(&cos)? - b.broadcast_mul(&sin)?)?;
    let second = (b.broadcast_mul(&cos)? + a.broadcast_mul(&sin)?)?;
    Tensor::cat(&[first, second], D::Minus1)?.reshape((n, features))
}

struct Rope {
    table: RotaryTable,
    positions: Arc<Vec<u32>>,
    inverse: bool,
}

impl CustomOp1 for Rope {
    fn name(&self) -> &'static str {
        "rope"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = contiguous(storage, layout)?;
        let (_, features) = layout.shape().dims2()?;
        let half = self.table.half;
        let sign = if self.inverse { -1.0 } else { 1.0 };
        let mut out = vec![0f32; x.len()];
        out.par_chunks_mut(features)
            .zip(x.par_chunks(features))
            .zip(self.positions.par_iter())
            .with_min_len(32)
            .for_each(|((out, x), &position)| {
                let at = position as usize * half;
                let (cos, sin) = (&self.table.cos[at..at + half], &self.table.sin[at..at + half]);
                for (out, x) in out.chunks_mut(2 * half).zip(x.chunks(2 * half)) {
                    let (first, second) = out.split_at_mut(half);
                    let (a, b) = x.split_at(half);
                    for i in 0..half {
                        first[i] = a[i] * cos[i] - sign * b[i] * sin[i];
                        second[i] = b[i] * cos[i] + sign * a[i] * sin[i];
                    }
                }
            });
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    /// A rotation is orthogonal: its transpose is the rotation by the opposite angle.
    fn bwd(&self, _arg: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let inverse = Rope {
            table: self.table.clone(),
            positions: self.positions.clone(),
            inverse: !self.inverse,
        };
        Ok(Some(grad.contiguous()?.apply_op1_no_bwd(&inverse)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ops::check::{assert_same_gradients, random_var};

    #[test]
    fn equals_the_composed_version_with_gradients() {
        let table = RotaryTable::new(&[1.0, 0.3, 0.01], 40);
        let positions = Arc::new(vec![0, 1, 2, 39, 0, 7]);
        let x = random_var(&[6, 12], 1);
        let seed = random_var(&[6, 12], 2).as_tensor().detach();
        let loss = |y: Tensor| (y * &seed)?.sum_all();
        assert_same_gradients(
            &[&x],
            || loss(rope(&x, &table, &positions)?),
            || loss(composed(&x, &table, &positions)?),
        );
    }

    #[test]
    fn a_position_outside_the_table_is_an_error() {
        let table = RotaryTable::new(&[1.0], 4);
        let x = random_var(&[1, 2], 1);
        assert!(rope(&x, &table, &Arc::new(vec![4])).is_err());
        assert!(rope(&x, &table, &Arc::new(vec![3])).is_ok());
    }
}
