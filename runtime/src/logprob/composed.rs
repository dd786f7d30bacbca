//! The same passes in composed tensor operations, for devices without the streamed CPU path, and the
//! second opinion that the tests hold against it.

use candle_core::{D, Result, Tensor};

use super::{head::Head, row::RowStats, statistics::RowStatistics, stream::HeadGradients};

/// Rows of logits that exist at a time.
const CHUNK_ROWS: usize = 128;

struct Logits {
    logits: Tensor,
    log_probs: Tensor,
    lse: Tensor,
    max: Tensor,
}

fn logits(hidden: &Tensor, head: &Head) -> Result<Logits> {
    let raw = hidden.matmul(&head.weight.t()?)?;
    let raw = match &head.bias {
        Some(bias) => raw.broadcast_add(bias)?,
        None => raw,
    };
    let scaled = (raw * f64::from(head.transform.scale))?;
    let capped = match head.transform.softcap {
        Some(cap) => ((scaled / f64::from(cap))?.tanh()? * f64::from(cap))?,
        None => scaled,
    };
    let logits = (capped / f64::from(head.transform.temperature))?;
    let max = logits.max_keepdim(D::Minus1)?;
    let shifted = logits.broadcast_sub(&max)?;
    let log_sum = shifted.exp()?.sum_keepdim(D::Minus1)?.log()?;
    let log_probs = shifted.broadcast_sub(&log_sum)?;
    let lse = (&max + log_sum)?;
    Ok(Logits { logits, log_probs, lse, max })
}

fn column(values: &Tensor) -> Result<Vec<f32>> {
    values.flatten_all()?.to_vec1::<f32>()
}

fn chunks(n: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..n).step_by(CHUNK_ROWS).map(move |start| (start, CHUNK_ROWS.min(n - start)))
}

fn target_column(targets: &[u32], hidden: &Tensor) -> Result<Tensor> {
    Tensor::from_slice(targets, (targets.len(), 1), hidden.device())
}

pub(super) fn forward(hidden: &Tensor, head: &Head, targets: &[u32]) -> Result<Vec<RowStats>> {
    Ok(statistics(hidden, head, targets)?.into_iter().map(|s| s.row).collect())
}

pub(super) fn statistics(
    hidden: &Tensor,
    head: &Head,
    targets: &[u32],
) -> Result<Vec<RowStatistics>> {
    let mut out = Vec::with_capacity(targets.len());
    for (start, rows) in chunks(targets.len()) {
        let l = logits(&hidden.narrow(0, start, rows)?, head)?;
        let index = target_column(&targets[start..start + rows], hidden)?;
        let p = l.log_probs.exp()?;
        let logp = column(&l.log_probs.gather(&index, 1)?)?;
        let target_logit = column(&l.logits.gather(&index, 1)?)?;
        let entropy = column(&(&p * &l.log_probs)?.sum_keepdim(1)?.neg()?)?;
        let log_sum_p2 = column(&p.sqr()?.sum_keepdim(1)?.log()?)?;
        let (lse, max) = (column(&l.lse)?, column(&l.max)?);
        // The sum of exponentials does not show a logit of -inf.
        let min = column(&l.logits.min_keepdim(D::Minus1)?)?;
        for i in 0..rows {
            let row = RowStats {
                logp: logp[i],
                lse: lse[i],
                max: max[i],
                excess: lse[i] - max[i],
                target_logit: target_logit[i],
                finite: lse[i].is_finite() && min[i].is_finite(),
            };
            out.push(RowStatistics {
                row,
                entropy: entropy[i],
                log_sum_p2: log_sum_p2[i],
                is_top1: row.target_logit >= row.max,
            });
        }
    }
    Ok(out)
}

pub(super) fn backward(
    hidden: &Tensor,
    head: &Head,
    targets: &[u32],
    _rows: &[RowStats],
    grad: &[f32],
    train_head: bool,
) -> Result<HeadGradients> {
    let mut d_hidden = Vec::new();
    let mut d_weight: Option<Tensor> = None;
    let mut d_bias: Option<Tensor> = None;
    let linear = f64::from(head.transform.scale / head.transform.temperature);
    for (start, rows) in chunks(targets.len()) {
        let h = hidden.narrow(0, start, rows)?;
        let l = logits(&h, head)?;
        let index = target_column(&targets[start..start + rows], hidden)?;
        let one = Tensor::ones((rows, 1), h.dtype(), h.device())?;
        let onehot = l.logits.zeros_like()?.scatter_add(&index, &one, 1)?;
        let g = Tensor::from_slice(&grad[start..start + rows], (rows, 1), h.device())?;
        let mut d = ((onehot - l.log_probs.exp()?)?.broadcast_mul(&g)? * linear)?;
        if let Some(cap) = head.transform.softcap {
            let tanh = (l.logits * f64::from(head.transform.temperature / cap))?;
            d = (d * tanh.sqr()?.affine(-1.0, 1.0)?)?;
        }
        d_hidden.push(d.matmul(&head.weight)?);
        if train_head {
            let part = d.t()?.matmul(&h)?;
            d_weight = Some(match d_weight {
                Some(sum) => (sum + part)?,
                None => part,
            });
            if head.bias.is_some() {
                let part = d.sum(0)?;
                d_bias = Some(match d_bias {
                    Some(sum) => (sum + part)?,
                    None => part,
                });
            }
        }
    }
    let hidden =
        if d_hidden.is_empty() { hidden.zeros_like()? } else { Tensor::cat(&d_hidden, 0)? };
    Ok(HeadGradients { hidden, weight: d_weight, bias: d_bias })
}

#[cfg(test)]
mod tests {
    use candle_core::Tensor;

    use super::{Head, backward, statistics};
    use crate::{
        logprob::{LogitTransform, stream},
        model::ops::check::random_var,
    };

    fn assert_close(a: &Tensor, b: &Tensor) {
        let worst = (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(worst < 1e-5, "{worst}");
    }

    #[test]
    fn composed_and_streamed_passes_agree() {
        // More rows than one composed chunk.
        let (n, width, vocabulary) = (150, 12, 40);
        let hidden = random_var(&[n, width], 1).as_tensor().detach();
        let transform = LogitTransform { scale: 3.0, softcap: Some(4.0), temperature: 0.8 };
        let head = Head {
            weight: random_var(&[vocabulary, width], 2).as_tensor().detach(),
            bias: Some(random_var(&[vocabulary], 3).as_tensor().detach()),
            transform,
        };
        for head in [Head::new(head.weight.clone()), head] {
            let targets: Vec<u32> = (0..n as u32).map(|i| i * 7 % 40).collect();
            let grad: Vec<f32> = (0..n).map(|i| (i as f32).sin()).collect();
            let own = stream::statistics(&hidden, &head, &targets).unwrap();
            let other = statistics(&hidden, &head, &targets).unwrap();
            for (a, b) in own.iter().zip(&other) {
                assert!((a.row.logp - b.row.logp).abs() < 1e-5, "{a:?} {b:?}");
                assert!((a.row.lse - b.row.lse).abs() < 1e-5, "{a:?} {b:?}");
                assert!((a.entropy - b.entropy).abs() < 1e-5, "{a:?} {b:?}");
                assert!((a.log_sum_p2 - b.log_sum_p2).abs() < 1e-5, "{a:?} {b:?}");
                assert_eq!(a.is_top1, b.is_top1);
            }
            let rows = stream::forward(&hidden, &head, &targets).unwrap();
            let own = stream::backward(&hidden, &head, &targets, &rows, &grad, true).unwrap();
            let other = backward(&hidden, &head, &targets, &rows, &grad, true).unwrap();
            assert_close(&own.hidden, &other.hidden);
            assert_close(&own.weight.unwrap(), &other.weight.unwrap());
            match (own.bias, other.bias) {
                (Some(a), Some(b)) => assert_close(&a, &b),
                (a, b) => assert!(a.is_none() && b.is_none()),
            }
        }
    }
}
