//! Attention in composed tensor operations.

use candle_core::{D, Result, Tensor};

use super::{Heads, Span};

/// As [`super::attention`], for any device.
pub(crate) fn composed(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    heads: Heads,
    spans: &[Span],
) -> Result<Tensor> {
    let group = heads.queries / heads.keys;
    let mut parts = Vec::new();
    let mut covered = 0;
    let gap =
        |rows: usize| Tensor::zeros((rows, heads.queries * heads.size), q.dtype(), q.device());
    for span in spans {
        if span.queries.start > covered {
            parts.push(gap(span.queries.start - covered)?);
        }
        covered = span.queries.end;
        let (n, c) = (span.queries.len(), span.context.len());
        if n == 0 {
            continue;
        }
        let keys = |t: &Tensor| -> Result<Tensor> {
            let own = t.narrow(0, span.own.start, n)?;
            let all = match c {
                0 => own,
                _ => Tensor::cat(&[t.narrow(0, span.context.start, c)?, own], 0)?,
            };
            all.reshape((c + n, heads.keys, 1, heads.size))?
                .broadcast_as((c + n, heads.keys, group, heads.size))?
                .reshape((c + n, heads.queries, heads.size))?
                .transpose(0, 1)?
                .contiguous()
        };
        let queries = q
            .narrow(0, span.queries.start, n)?
            .reshape((n, heads.queries, heads.size))?
            .transpose(0, 1)?
            .contiguous()?;
        let scores = (queries.matmul(&keys(k)?.t()?)? / (heads.size as f64).sqrt())?;
        let hidden = |i: usize, j: usize| j > c + i || heads.window.is_some_and(|w| j + w <= c + i);
        let mask: Vec<f32> = (0..n)
            .flat_map(|i| {
                (0..c + n).map(move |j| if hidden(i, j) { f32::NEG_INFINITY } else { 0.0 })
            })
            .collect();
        let scores = scores.broadcast_add(&Tensor::from_vec(mask, (1, n, c + n), q.device())?)?;
        let e = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?.detach())?.exp()?;
        let p = e.broadcast_div(&e.sum_keepdim(D::Minus1)?)?;
        let y = p.matmul(&keys(v)?)?.transpose(0, 1)?.contiguous()?;
        parts.push(y.reshape((n, heads.queries * heads.size))?);
    }
    if covered < q.dim(0)? {
        parts.push(gap(q.dim(0)? - covered)?);
    }
    Tensor::cat(&parts, 0)
}
