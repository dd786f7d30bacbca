//! Matrix products on plain memory, with strides and accumulation.

// The matrix library takes raw pointers; `matmul` checks every bound that its contract needs.
#![allow(unsafe_code)]

use gemm::Parallelism;

/// A matrix that is read: element (i, j) is `data[i * row_stride + j * column_stride]`.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Row-major and dense.
    pub(crate) fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// Rows `row_stride` elements apart.
    pub(crate) fn strided(data: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert!(fits(data.len(), rows, columns, row_stride), "matrix outside its memory");
        Self { data, rows, columns, row_stride, column_stride: 1 }
    }

    pub(crate) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// A row-major matrix that is written.
pub(crate) struct MatrixMut<'a> {
    data: &'a mut [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
}

impl<'a> MatrixMut<'a> {
    /// Row-major and dense.
    pub(crate) fn new(data: &'a mut [f32], rows: usize, columns: usize) -> Self {
        assert!(fits(data.len(), rows, columns, columns), "matrix outside its memory");
        Self { data, rows, columns, row_stride: columns }
    }
}

fn fits(len: usize, rows: usize, columns: usize, row_stride: usize) -> bool {
    if rows == 0 || columns == 0 {
        return true;
    }
    row_stride >= columns
        && (rows - 1)
            .checked_mul(row_stride)
            .and_then(|n| n.checked_add(columns))
            .is_some_and(|n| n <= len)
}

/// `out = lhs rhs`, or `out += lhs rhs`, on all threads of the current pool.
///
/// # Panics
/// If the shapes disagree: they follow from the callers' own, checked shapes.
pub(crate) fn matmul(out: MatrixMut<'_>, lhs: Matrix<'_>, rhs: Matrix<'_>, accumulate: bool) {
    scaled_matmul(out, lhs, rhs, 1.0, accumulate, Parallelism::Rayon(0));
}

/// [`matmul`] on the calling thread, for callers that are parallel themselves.
pub(crate) fn matmul_here(out: MatrixMut<'_>, lhs: Matrix<'_>, rhs: Matrix<'_>, accumulate: bool) {
    scaled_matmul(out, lhs, rhs, 1.0, accumulate, Parallelism::None);
}

/// `out = scale * lhs rhs`, or `out += scale * lhs rhs`.
pub(crate) fn scaled_matmul(
    out: MatrixMut<'_>,
    lhs: Matrix<'_>,
    rhs: Matrix<'_>,
    scale: f32,
    accumulate: bool,
    parallelism: Parallelism,
) {
    assert!(
        lhs.columns == rhs.rows && out.rows == lhs.rows && out.columns == rhs.columns,
        "matrix shapes disagree"
    );
    if out.rows == 0 || out.columns == 0 {
        return;
    }
    if lhs.columns == 0 {
        if !accumulate {
            for row in out.data.chunks_mut(out.row_stride).take(out.rows) {
                row[..out.columns].fill(0.0);
            }
        }
        return;
    }
    // Strides of live slices: below isize::MAX.
    let stride = |n: usize| n as isize;
    // SAFETY: the constructors checked that every addressed element of the three matrices lies inside
    // its slice; `out` is borrowed mutably, so it overlaps neither input, and its rows do not overlap
    // because the row stride is at least the number of columns.
    unsafe {
        gemm::gemm(
            out.rows,
            out.columns,
            lhs.columns,
            out.data.as_mut_ptr(),
            1,
            stride(out.row_stride),
            accumulate,
            lhs.data.as_ptr(),
            stride(lhs.column_stride),
            stride(lhs.row_stride),
            rhs.data.as_ptr(),
            stride(rhs.column_stride),
            stride(rhs.row_stride),
            1.0,
            scale,
            false,
            false,
            false,
            parallelism,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naive(a: Matrix<'_>, b: Matrix<'_>) -> Vec<f32> {
        let mut out = Vec::new();
        for i in 0..a.rows {
            for j in 0..b.columns {
                out.push(
                    (0..a.columns)
                        .map(|k| {
                            a.data[i * a.row_stride + k * a.column_stride]
                                * b.data[k * b.row_stride + j * b.column_stride]
                        })
                        .sum(),
                );
            }
        }
        out
    }

    #[test]
    fn products_of_strided_and_transposed_matrices() {
        let a: Vec<f32> = (0..60).map(|i| (i as f32 * 0.7).sin()).collect();
        let b: Vec<f32> = (0..60).map(|i| (i as f32 * 0.3).cos()).collect();
        let lhs = Matrix::strided(&a[2..], 5, 7, 12);
        for rhs in [Matrix::new(&b[..28], 7, 4), Matrix::strided(&b, 4, 7, 9).transposed()] {
            let mut out = vec![1f32; 20];
            matmul(MatrixMut::new(&mut out, 5, 4), lhs, rhs, true);
            for (o, n) in out.iter().zip(naive(lhs, rhs)) {
                assert!((o - 1.0 - n).abs() < 1e-5);
            }
            matmul_here(MatrixMut::new(&mut out, 5, 4), lhs, rhs, false);
            for (o, n) in out.iter().zip(naive(lhs, rhs)) {
                assert!((o - n).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn an_empty_inner_dimension_gives_zero() {
        let mut out = vec![3f32; 4];
        matmul(
            MatrixMut::new(&mut out, 2, 2),
            Matrix::new(&[], 2, 0),
            Matrix::new(&[], 0, 2),
            true,
        );
        assert_eq!(out, [3.0; 4]);
        matmul(
            MatrixMut::new(&mut out, 2, 2),
            Matrix::new(&[], 2, 0),
            Matrix::new(&[], 0, 2),
            false,
        );
        assert_eq!(out, [0.0; 4]);
    }

    #[test]
    #[should_panic(expected = "outside its memory")]
    fn a_matrix_larger_than_its_memory_is_refused() {
        let _ = Matrix::new(&[0.0; 5], 2, 3);
    }
}
