//! Causal attention with grouped key and value heads, sequence by sequence.
//!
//! Score matrices exist for one head of one sequence at a time, in both directions: the backward pass
//! recomputes them, so memory grows with the number of tokens and not with its square.

mod composed;
#[cfg(test)]
mod tests;

use std::{ops::Range, sync::Arc};

use candle_core::{CpuStorage, CustomOp3, Device, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::{
    matmul::{Matrix, MatrixMut, matmul_here},
    slices::{contiguous, with_slice},
};
use crate::logprob::simd;

/// A run of tokens that attend to a context and, causally, to themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Rows of the query tensor.
    pub queries: Range<usize>,
    /// Rows of the key and value tensors that every query sees; may be empty.
    pub context: Range<usize>,
    /// Rows of the key and value tensors that belong to the queries: query `i` sees the first `i + 1`.
    pub own: Range<usize>,
}

/// Numbers of heads and the size of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Query heads.
    pub queries: usize,
    /// Key and value heads; divides `queries`.
    pub keys: usize,
    /// Features of one head.
    pub size: usize,
    /// How many keys a query sees, the last ones and its own; all if there is no bound.
    pub window: Option<usize>,
}

/// `softmax(q k^T / sqrt(size), causal) v` for each head of each span:
/// `q [N, queries * size]`, `k` and `v` `[M, keys * size]`, result like `q`.
/// Queries outside every span give zeros.
///
/// # Errors
/// If shapes disagree, a span is out of bounds, or the device fails.
pub fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    heads: Heads,
    spans: &Arc<Vec<Span>>,
) -> Result<Tensor> {
    check(q, k, v, heads, spans)?;
    match q.device() {
        Device::Cpu => {
            let op = Attention { heads, spans: spans.clone() };
            q.contiguous()?.apply_op3(&k.contiguous()?, &v.contiguous()?, op)
        }
        _ => composed::composed(q, k, v, heads, spans),
    }
}

fn check(q: &Tensor, k: &Tensor, v: &Tensor, heads: Heads, spans: &[Span]) -> Result<()> {
    let ((n, q_features), (m, k_features)) = (q.dims2()?, k.dims2()?);
    if heads.keys == 0
        || heads.size == 0
        || heads.window == Some(0)
        || !heads.queries.is_multiple_of(heads.keys)
        || q_features != heads.queries * heads.size
        || k_features != heads.keys * heads.size
        || v.dims() != k.dims()
    {
        bail!("attention of {:?}, {:?}, {:?} with {heads:?}", q.dims(), k.dims(), v.dims())
    }
    let mut next = 0;
    for span in spans {
        if span.queries.start < next
            || span.queries.start > span.queries.end
            || span.queries.end > n
            || span.own.len() != span.queries.len()
            || span.own.end > m
            || span.context.start > span.context.end
            || span.context.end > m
        {
            bail!("attention span {span:?} is out of order or outside {n} queries and {m} keys")
        }
        next = span.queries.end;
    }
    Ok(())
}

struct Attention {
    heads: Heads,
    spans: Arc<Vec<Span>>,
}

/// One head of one span.
struct Unit<'a> {
    span: &'a Span,
    head: usize,
    heads: Heads,
}

impl<'a> Unit<'a> {
    fn scale(&self) -> f32 {
        1.0 / (self.heads.size as f32).sqrt()
    }

    fn keys(&self) -> usize {
        self.span.context.len() + self.span.own.len()
    }

    /// The columns that query `i` sees.
    fn seen(&self, i: usize) -> Range<usize> {
        let end = self.span.context.len() + i + 1;
        self.heads.window.map_or(0, |w| end.saturating_sub(w))..end
    }

    /// This head's rows of a query-shaped array.
    fn queries<'d>(&self, data: &'d [f32]) -> Matrix<'d> {
        let width = self.heads.queries * self.heads.size;
        self.block(data, width, self.head, &self.span.queries)
    }

    /// This head's rows of a key-shaped array.
    fn rows<'d>(&self, data: &'d [f32], rows: &Range<usize>) -> Matrix<'d> {
        let group = self.heads.queries / self.heads.keys;
        self.block(data, self.heads.keys * self.heads.size, self.head / group, rows)
    }

    fn block<'d>(
        &self,
        data: &'d [f32],
        width: usize,
        head: usize,
        rows: &Range<usize>,
    ) -> Matrix<'d> {
        let size = self.heads.size;
        let start = if rows.is_empty() { 0 } else { rows.start * width + head * size };
        Matrix::strided(&data[start..], rows.len(), size, width)
    }

    /// `queries x keys` products of two arrays: context columns first, then own columns.
    fn products(&self, rows: &[f32], columns: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let n = self.span.queries.len();
        let product = |range: &Range<usize>| {
            let mut out = vec![0f32; n * range.len()];
            let columns = self.rows(columns, range).transposed();
            matmul_here(
                MatrixMut::new(&mut out, n, range.len()),
                self.queries(rows),
                columns,
                false,
            );
            out
        };
        (product(&self.span.context), product(&self.span.own))
    }

    /// Attention probabilities, `[queries, keys]`, zero where a query does not see.
    fn probabilities(&self, q: &[f32], k: &[f32]) -> Vec<f32> {
        let (context, own) = self.products(q, k);
        let mut p = self.join(&context, &own);
        for (i, row) in p.chunks_mut(self.keys().max(1)).enumerate() {
            let seen = self.seen(i);
            row[..seen.start].fill(0.0);
            row[seen.end..].fill(0.0);
            simd::softmax(&mut row[seen], self.scale());
        }
        p
    }

    fn join(&self, context: &[f32], own: &[f32]) -> Vec<f32> {
        let (n, c) = (self.span.own.len(), self.span.context.len());
        if c == 0 {
            return own.to_vec();
        }
        let rows = context.chunks(c).zip(own.chunks(n));
        rows.flat_map(|(c, o)| c.iter().chain(o).copied()).collect()
    }

    /// Splits `[queries, keys]` into its context and own columns.
    fn columns<'d>(&self, p: &'d [f32]) -> (Matrix<'d>, Matrix<'d>) {
        let (n, c, keys) = (self.span.queries.len(), self.span.context.len(), self.keys());
        (Matrix::strided(p, n, c, keys), Matrix::strided(&p[c.min(p.len())..], n, n, keys))
    }

    /// `weights [queries, keys] x data [keys, size]`.
    fn weighted(&self, weights: &[f32], data: &[f32]) -> Vec<f32> {
        let (n, size) = (self.span.queries.len(), self.heads.size);
        let mut out = vec![0f32; n * size];
        let (context, own) = self.columns(weights);
        let rows = self.rows(data, &self.span.own);
        matmul_here(MatrixMut::new(&mut out, n, size), own, rows, false);
        let rows = self.rows(data, &self.span.context);
        matmul_here(MatrixMut::new(&mut out, n, size), context, rows, true);
        out
    }

    /// `weights^T [keys, queries] x data [queries, size]`.
    fn gathered(&self, weights: &[f32], data: &[f32]) -> Vec<f32> {
        let (c, size) = (self.span.context.len(), self.heads.size);
        let mut out = vec![0f32; self.keys() * size];
        let (context, own) = self.columns(weights);
        let (first, second) = out.split_at_mut(c * size);
        let rows = self.queries(data);
        matmul_here(MatrixMut::new(first, c, size), context.transposed(), rows, false);
        let n = self.span.own.len();
        matmul_here(MatrixMut::new(second, n, size), own.transposed(), rows, false);
        out
    }
}

impl Attention {
    fn units(&self) -> Vec<Unit<'_>> {
        let spans = self.spans.iter().filter(|s| !s.queries.is_empty());
        spans
            .flat_map(|span| {
                (0..self.heads.queries).map(move |head| Unit { span, head, heads: self.heads })
            })
            .collect()
    }

    /// Adds the rows of one head to an array of rows of `width` features.
    fn scatter(
        &self,
        out: &mut [f32],
        width: usize,
        head: usize,
        rows: &Range<usize>,
        data: &[f32],
    ) {
        let size = self.heads.size;
        for (row, data) in rows.clone().zip(data.chunks(size)) {
            let at = row * width + head * size;
            for (o, d) in out[at..at + size].iter_mut().zip(data) {
                *o += d;
            }
        }
    }
}

struct UnitGradients {
    dq: Vec<f32>,
    dk: Vec<f32>,
    dv: Vec<f32>,
}

impl CustomOp3 for Attention {
    fn name(&self) -> &'static str {
        "attention"
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
        let (q, k, v) = (contiguous(s1, l1)?, contiguous(s2, l2)?, contiguous(s3, l3)?);
        let units = self.units();
        let results: Vec<Vec<f32>> =
            units.par_iter().map(|unit| unit.weighted(&unit.probabilities(q, k), v)).collect();
        let mut out = vec![0f32; q.len()];
        let width = self.heads.queries * self.heads.size;
        for (unit, result) in units.iter().zip(&results) {
            self.scatter(&mut out, width, unit.head, &unit.span.queries, result);
        }
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let units = self.units();
        let gradients: Vec<UnitGradients> = with_slice(q, |q| {
            with_slice(k, |k| {
                with_slice(v, |v| {
                    with_slice(grad, |g| {
                        units.par_iter().map(|unit| unit_gradients(unit, q, k, v, g)).collect()
                    })
                })
            })
        })????;
        let mut dq = vec![0f32; q.elem_count()];
        let (mut dk, mut dv) = (vec![0f32; k.elem_count()], vec![0f32; v.elem_count()]);
        let (q_width, k_width) =
            (self.heads.queries * self.heads.size, self.heads.keys * self.heads.size);
        let group = self.heads.queries / self.heads.keys;
        // Units share keys; adding them up in a fixed order keeps the result independent of threads.
        for (unit, unit_gradients) in units.iter().zip(&gradients) {
            self.scatter(&mut dq, q_width, unit.head, &unit.span.queries, &unit_gradients.dq);
            let at = unit.span.context.len() * self.heads.size;
            for (out, data) in [(&mut dk, &unit_gradients.dk), (&mut dv, &unit_gradients.dv)] {
                let head = unit.head / group;
                self.scatter(out, k_width, head, &unit.span.context, &data[..at]);
                self.scatter(out, k_width, head, &unit.span.own, &data[at..]);
            }
        }
        Ok((
            Some(Tensor::from_vec(dq, q.shape(), q.device())?),
            Some(Tensor::from_vec(dk, k.shape(), k.device())?),
            Some(Tensor::from_vec(dv, v.shape(), v.device())?),
        ))
    }
}

fn unit_gradients(unit: &Unit<'_>, q: &[f32], k: &[f32], v: &[f32], grad: &[f32]) -> UnitGradients {
    let p = unit.probabilities(q, k);
    let dv = unit.gathered(&p, grad);
    let (context, own) = unit.products(grad, v);
    let mut ds = unit.join(&context, &own);
    let keys = unit.keys();
    for (i, (p, ds)) in p.chunks(keys).zip(ds.chunks_mut(keys)).enumerate() {
        let seen = unit.seen(i);
        ds[..seen.start].fill(0.0);
        ds[seen.end..].fill(0.0);
        let (p, ds) = (&p[seen.clone()], &mut ds[seen]);
        let mean = simd::dot(p, ds);
        simd::softmax_backward(p, ds, mean, unit.scale());
    }
    UnitGradients { dq: unit.weighted(&ds, k), dk: unit.gathered(&ds, q), dv }
}
