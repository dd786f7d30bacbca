//! Statistics of whole distributions, with gradients: entropy, `log sum p^2`, divergences from a reference.
//!
//! In: hidden states `[N, H]` and the head, and those of the reference where a divergence is asked for. Out:
//! one number a token and statistic, and back the gradients of hidden states and head. Invariant: logits
//! exist for some rows at a time, whole, because these statistics need a row's normaliser before any of its
//! words; the backward pass makes them again.

use std::ops::Range;

use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;

use super::head::Head;
use super::statistics::{Each, RowForward, Statistic, row_forward};
use super::stream::HeadGradients;
use crate::model::ops::matmul::{Matrix, MatrixMut, matmul};
use crate::model::ops::slices::with_slice;

/// Logits that exist at a time, of each model: 8 MiB.
const LOGITS: usize = 2 << 20;

/// Hidden states `[N, H']` of the reference at the same positions, and its head `[V, H']`.
pub type ReferenceStates<'a> = Option<(&'a Tensor, &'a Head)>;

fn check(
    hidden: &Tensor,
    head: &Head,
    reference: ReferenceStates<'_>,
    targets: &[u32],
    wanted: Each<bool>,
) -> Result<(usize, usize, usize)> {
    let (n, width, vocabulary) = head.check(hidden, targets)?;
    let divergence = wanted[Statistic::KlFromReference] || wanted[Statistic::KlToReference];
    if let Some((states, other)) = reference {
        let (m, _, words) = other.check(states, targets)?;
        if (m, words) != (n, vocabulary) {
            bail!("the reference has {m} states over {words} words, not {n} over {vocabulary}")
        }
    } else if divergence {
        bail!("a divergence needs the reference's hidden states")
    }
    let plain = |h: &Head| h.is_streamed() && h.bias.is_none() && h.transform.is_identity();
    if !plain(head) || !reference.is_none_or(|(_, h)| plain(h)) {
        bail!(
            "statistics of whole distributions are taken on the CPU, of heads without a transform"
        )
    }
    Ok((n, width, vocabulary))
}

/// Calls `visit` with the logits of some rows of the policy and, where there is one, of the reference.
fn each_part(
    hidden: &Tensor,
    head: &Head,
    reference: ReferenceStates<'_>,
    mut visit: impl FnMut(Range<usize>, &mut [f32], &[f32]),
) -> Result<()> {
    let (n, _) = hidden.dims2()?;
    let (vocabulary, _) = head.dims()?;
    let most = (LOGITS / vocabulary.max(1)).clamp(1, n.max(1));
    let mut logits = vec![0f32; most * vocabulary];
    let mut others = if reference.is_some() { vec![0f32; most * vocabulary] } else { Vec::new() };
    for start in (0..n).step_by(most) {
        let rows = start..(start + most).min(n);
        project(hidden, head, &rows, &mut logits)?;
        if let Some((states, other)) = reference {
            project(states, other, &rows, &mut others)?;
        }
        let count = rows.len() * vocabulary;
        let others = if reference.is_some() { &others[..count] } else { &[] as &[f32] };
        visit(rows, &mut logits[..count], others);
    }
    Ok(())
}

/// The logits of some rows.
fn project(hidden: &Tensor, head: &Head, rows: &Range<usize>, out: &mut [f32]) -> Result<()> {
    let (vocabulary, width) = head.dims()?;
    with_slice(hidden, |hidden| {
        with_slice(&head.weight, |weight| {
            let hidden = &hidden[rows.start * width..rows.end * width];
            let hidden = Matrix::new(hidden, rows.len(), width);
            let weight = Matrix::new(weight, vocabulary, width).transposed();
            let out = &mut out[..rows.len() * vocabulary];
            matmul(MatrixMut::new(out, rows.len(), vocabulary), hidden, weight, false);
        })
    })?
}

/// What the forward pass keeps of each row.
fn forwards(
    logits: &[f32],
    others: &[f32],
    vocabulary: usize,
    targets: &[u32],
    wanted: Each<bool>,
) -> Vec<RowForward> {
    let one = |(i, row): (usize, &[f32])| {
        let other = (!others.is_empty()).then(|| &others[i * vocabulary..(i + 1) * vocabulary]);
        row_forward(row, other, targets[i] as usize, wanted)
    };
    logits.par_chunks(vocabulary).enumerate().map(one).collect()
}

/// The statistics asked for, by token; lists of the others are empty.
///
/// # Errors
/// If shapes disagree, a target is outside the vocabulary, a divergence lacks its reference, the head has a
/// transform or a bias, or the device is not the CPU.
pub fn whole_statistics(
    hidden: &Tensor,
    head: &Head,
    reference: ReferenceStates<'_>,
    targets: &[u32],
    wanted: Each<bool>,
) -> Result<Each<Vec<f32>>> {
    let (n, _, vocabulary) = check(hidden, head, reference, targets, wanted)?;
    let mut out = Each::new(|s| Vec::with_capacity(if wanted[s] { n } else { 0 }));
    each_part(hidden, head, reference, |rows, logits, others| {
        for row in forwards(logits, others, vocabulary, &targets[rows], wanted) {
            for s in Statistic::ALL.into_iter().filter(|s| wanted[*s]) {
                out[s].push(row.values[s] as f32);
            }
        }
    })?;
    Ok(out)
}

/// Gradients from `grad`, d loss / d statistic of each token, empty where the loss has none; the head's only
/// if it is trained.
///
/// # Errors
/// As [`whole_statistics`]; if a list that is not empty has another length.
pub fn whole_backward(
    hidden: &Tensor,
    head: &Head,
    reference: ReferenceStates<'_>,
    targets: &[u32],
    grad: &Each<Vec<f32>>,
    train_head: bool,
) -> Result<HeadGradients> {
    let wanted = Each::new(|s| !grad[s].is_empty());
    let (n, width, vocabulary) = check(hidden, head, reference, targets, wanted)?;
    if let Some(s) = Statistic::ALL.into_iter().find(|s| wanted[*s] && grad[*s].len() != n) {
        bail!("{} gradients of {s:?} for {n} tokens", grad[s].len())
    }
    let mut d_hidden = vec![0f32; n * width];
    let mut d_weight = train_head.then(|| vec![0f32; vocabulary * width]);
    let mut failed = None;
    each_part(hidden, head, reference, |rows, logits, others| {
        let targets = &targets[rows.clone()];
        let known = forwards(logits, others, vocabulary, targets, wanted);
        let rewritten = logits.par_chunks_mut(vocabulary).zip(&known).enumerate();
        rewritten.for_each(|(i, (row, known))| {
            let other = (!others.is_empty()).then(|| &others[i * vocabulary..(i + 1) * vocabulary]);
            let at = rows.start + i;
            let of = Each::new(|s| grad[s].get(at).map_or(0.0, |g| f64::from(*g)));
            known.backward(row, other, targets[i] as usize, of);
        });
        let d_logits = Matrix::new(logits, rows.len(), vocabulary);
        let product = with_slice(&head.weight, |weight| {
            let out = &mut d_hidden[rows.start * width..rows.end * width];
            let out = MatrixMut::new(out, rows.len(), width);
            matmul(out, d_logits, Matrix::new(weight, vocabulary, width), false);
        });
        let outer = d_weight.as_mut().map_or(Ok(()), |d_weight| {
            with_slice(hidden, |hidden| {
                let hidden = &hidden[rows.start * width..rows.end * width];
                let hidden = Matrix::new(hidden, rows.len(), width);
                let out = MatrixMut::new(d_weight, vocabulary, width);
                matmul(out, d_logits.transposed(), hidden, rows.start > 0);
            })
        });
        if let Err(e) = product.and(outer) {
            failed.get_or_insert(e);
        }
    })?;
    if let Some(e) = failed {
        return Err(e);
    }
    let device = hidden.device();
    Ok(HeadGradients {
        hidden: Tensor::from_vec(d_hidden, (n, width), device)?,
        weight: d_weight.map(|w| Tensor::from_vec(w, (vocabulary, width), device)).transpose()?,
        bias: None,
    })
}

#[cfg(test)]
mod tests {
    use candle_core::{D, Device};

    use super::*;
    use crate::model::ops::check::random_var;

    /// Each statistic of composed tensor operations, `[N]`.
    fn composed(p: &Tensor, q: &Tensor, s: Statistic) -> Result<Tensor> {
        let log = |x: &Tensor| x.broadcast_sub(&x.exp()?.sum_keepdim(D::Minus1)?.log()?);
        let (lp, lq) = (log(p)?, log(q)?);
        match s {
            Statistic::Entropy => (lp.exp()? * &lp)?.sum(D::Minus1)?.neg(),
            Statistic::LogSumP2 => (&lp * 2.0)?.exp()?.sum(D::Minus1)?.log(),
            Statistic::KlFromReference => (lq.exp()? * (&lq - &lp)?)?.sum(D::Minus1),
            Statistic::KlToReference => (lp.exp()? * (&lp - &lq)?)?.sum(D::Minus1),
            Statistic::LogProb => lp.narrow(1, 0, 1)?.squeeze(1),
        }
    }

    #[test]
    fn equal_the_composed_versions_with_gradients() {
        let (n, width, vocabulary) = (7, 5, 11);
        let (hidden, weight) = (random_var(&[n, width], 1), random_var(&[vocabulary, width], 2));
        let (states, other) = (random_var(&[n, 3], 3), random_var(&[vocabulary, 3], 4));
        let (states, other) = (states.as_tensor().detach(), other.as_tensor().detach());
        let reference = Head::new(other.clone());
        let head = Head::new(weight.as_tensor().detach());
        let targets: Vec<u32> = (0..n as u32).collect();
        let d: Vec<f32> = (0..n).map(|i| (i as f32 * 0.7).sin() + 0.2).collect();
        let seed = Tensor::from_slice(&d, n, &Device::Cpu).unwrap();
        let q = states.matmul(&other.t().unwrap()).unwrap();
        let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for s in Statistic::ALL {
            let p = hidden.matmul(&weight.t().unwrap()).unwrap();
            let value = match s {
                // Its target is the token's own.
                Statistic::LogProb => continue,
                s => composed(&p, &q, s).unwrap(),
            };
            let wanted = Each::new(|o| o == s);
            let plain = hidden.as_tensor().detach();
            let reference = Some((&states, &reference));
            let got = whole_statistics(&plain, &head, reference, &targets, wanted).unwrap();
            for (a, b) in got[s].iter().zip(flat(&value)) {
                assert!((a - b).abs() < 1e-5, "{s:?}: {a} {b}");
            }
            let grads = (value * &seed).unwrap().sum_all().unwrap().backward().unwrap();
            let grad = Each::new(|o| if o == s { d.clone() } else { Vec::new() });
            let own = whole_backward(&plain, &head, reference, &targets, &grad, true).unwrap();
            for (ours, var) in [(&own.hidden, &hidden), (own.weight.as_ref().unwrap(), &weight)] {
                for (a, b) in flat(ours).iter().zip(flat(grads.get(var).unwrap())) {
                    assert!((a - b).abs() < 1e-5, "{s:?}: {a} {b}");
                }
            }
        }
    }

    #[test]
    fn a_divergence_without_a_reference_is_an_error() {
        let hidden = random_var(&[2, 3], 1).as_tensor().detach();
        let head = Head::new(random_var(&[4, 3], 2).as_tensor().detach());
        let wanted = Each::new(|s| s == Statistic::KlToReference);
        assert!(whole_statistics(&hidden, &head, None, &[0, 1], wanted).is_err());
    }
}
