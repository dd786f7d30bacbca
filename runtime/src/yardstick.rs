//! What the benchmark holds the kernels against: the memory traffic and the matrix products that no
//! implementation can do without, on the same threads and the same matrix library.

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use crate::logprob::vector::{LANES, Vector, dispatched};
use crate::model::ops::matmul::{Matrix, MatrixMut, matmul};
use crate::model::ops::slices::with_slice;

#[inline(always)]
fn read_body<V: Vector>(x: &[f32]) -> f64 {
    let mut sum = [V::splat(0.0); 8];
    for group in x.as_chunks::<{ 8 * LANES }>().0 {
        V::prefetch(group.as_ptr().wrapping_add(1024));
        V::prefetch(group.as_ptr().wrapping_add(1024 + 32));
        for (i, x) in group.as_chunks::<LANES>().0.iter().enumerate() {
            sum[i] = sum[i].plus(V::load(x));
        }
    }
    sum.map(Vector::sum).iter().sum()
}

#[inline(always)]
fn scale_body<V: Vector>(x: &mut [f32], factor: f32) {
    let factor = V::splat(factor);
    for group in x.as_chunks_mut::<{ 4 * LANES }>().0 {
        V::prefetch(group.as_ptr().wrapping_add(512));
        for x in group.as_chunks_mut::<LANES>().0 {
            V::load(x).times(factor).store(x);
        }
    }
}

dispatched! { fn read(x: &[f32]) -> f64 = read_body }
dispatched! { fn scale(x: &mut [f32], factor: f32) = scale_body }

/// Reads `[N, V]` numbers once, then reads and writes them once, row by row on all threads; gives the sum
/// that was read, so that the reading cannot be left out.
pub fn read_twice_write_once(x: &mut [f32], row: usize) -> f64 {
    let sum = x.par_chunks(row.max(1)).map(read).sum();
    x.par_chunks_mut(row.max(1)).for_each(|row| scale(row, 0.999_999_9));
    sum
}

/// A matrix product of the head, by what goes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    /// hidden `[N, H]` times head transposed: `[N, V]`.
    Logits,
    /// Something `[N, V]` times the head: `[N, H]`.
    Hidden,
    /// Something `[N, V]`, transposed, times hidden: `[V, H]`.
    Weight,
}

/// Runs one product into memory that is there: `hidden [N, H]`, `head [V, H]`, `of_logits` with N V numbers
/// (written by [`Product::Logits`], else read), `of_hidden` with N H, `of_weight` with V H.
///
/// # Errors
/// If a tensor is no f32 matrix on the CPU.
///
/// # Panics
/// If the memory does not fit the shapes.
pub fn product(
    which: Product,
    hidden: &Tensor,
    head: &Tensor,
    of_logits: &mut [f32],
    of_hidden: &mut [f32],
    of_weight: &mut [f32],
) -> Result<()> {
    let ((n, width), (vocabulary, _)) = (hidden.dims2()?, head.dims2()?);
    with_slice(hidden, |hidden| {
        with_slice(head, |head| {
            let (hidden, head) =
                (Matrix::new(hidden, n, width), Matrix::new(head, vocabulary, width));
            match which {
                Product::Logits => {
                    let out = MatrixMut::new(of_logits, n, vocabulary);
                    matmul(out, hidden, head.transposed(), false);
                }
                Product::Hidden => {
                    let out = MatrixMut::new(of_hidden, n, width);
                    matmul(out, Matrix::new(of_logits, n, vocabulary), head, false);
                }
                Product::Weight => {
                    let lhs = Matrix::new(of_logits, n, vocabulary).transposed();
                    matmul(MatrixMut::new(of_weight, vocabulary, width), lhs, hidden, false);
                }
            }
        })
    })?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_read_and_written() {
        let mut x: Vec<f32> = (0..192).map(|i| i as f32).collect();
        assert_eq!(read_twice_write_once(&mut x, 64), 192.0 * 191.0 / 2.0);
        assert!(
            x.iter()
                .enumerate()
                .all(|(i, x)| (x / (i as f32).max(1.0) - 1.0).abs() < 2e-7 || i == 0)
        );
    }

    #[test]
    fn products_have_their_shapes() -> Result<()> {
        let device = &candle_core::Device::Cpu;
        let hidden = Tensor::new(&[[1f32, 2.0], [3.0, 4.0]], device)?;
        let head = Tensor::new(&[[1f32, 0.0], [0.0, 1.0], [1.0, 1.0]], device)?;
        let (mut logits, mut back, mut weight) = (vec![0.0; 6], vec![0.0; 4], vec![0.0; 6]);
        for which in [Product::Logits, Product::Hidden, Product::Weight] {
            product(which, &hidden, &head, &mut logits, &mut back, &mut weight)?;
        }
        assert_eq!(logits, [1.0, 2.0, 3.0, 3.0, 4.0, 7.0]);
        assert_eq!(back, [4.0, 5.0, 10.0, 11.0]);
        assert_eq!(weight, [10.0, 14.0, 14.0, 20.0, 24.0, 34.0]);
        Ok(())
    }
}
