//! Vocabulary to token: the statistics of one token's logits, and their gradients.
//!
//! Why: the definition that the streaming kernels are tested against, short and in two passes. In: the
//! logits of one position under a model, under another one for divergences, and the token that stands
//! there. Out: the statistics; and d/d logits of a weighted sum of them. Any [`Real`] type.

use super::Statistic;
use crate::codegen::interp::{Real, fold};
use crate::mir::Reduce;

/// The logits of one position.
#[derive(Debug)]
pub struct Position<'a, T> {
    /// Of the model that the statistics belong to: `[vocabulary]`.
    pub logits: &'a [T],
    /// Of the other model, for divergences: `[vocabulary]`, else empty.
    pub other: &'a [T],
    /// The token that stands there; `None` for a position that does not count.
    pub target: Option<usize>,
}

impl<T> Clone for Position<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Position<'_, T> {}

/// log sum_v e^{z_v}
pub fn normaliser<T: Real>(logits: &[T]) -> T {
    fold::reduce(Reduce::LogSumExp, logits)
}

fn log_probs<T: Real>(logits: &[T]) -> Vec<T> {
    let z = normaliser(logits);
    logits.iter().map(|x| x.sub(&z)).collect()
}

/// sum_v e^{a_v} (a_v - b_v), where a probability of 0 contributes nothing.
fn divergence<T: Real>(a: &[T], b: &[T]) -> T {
    let term = |(a, b): (&T, &T)| {
        let p = a.exp();
        if p.is_positive() { p.mul(&a.sub(b)) } else { T::from_f64(0.0) }
    };
    let terms: Vec<T> = a.iter().zip(b).map(term).collect();
    fold::sum(&terms)
}

/// One statistic of a position; 0 where it does not count.
pub fn statistic<T: Real>(kind: &Statistic, at: Position<'_, T>) -> T {
    let zero = T::from_f64(0.0);
    let Some(target) = at.target else { return zero };
    let own = log_probs(at.logits);
    match kind {
        Statistic::TargetLogp => own.get(target).cloned().unwrap_or_else(|| T::from_f64(f64::NAN)),
        Statistic::LogSumP2 => {
            let doubled: Vec<T> = own.iter().map(|x| x.add(x)).collect();
            normaliser(&doubled)
        }
        Statistic::Entropy => divergence(&own, &vec![zero.clone(); own.len()]).neg(),
        Statistic::KlTo(_) => divergence(&own, &log_probs(at.other)),
        Statistic::KlFrom(_) => divergence(&log_probs(at.other), &own),
    }
}

/// d/d logits of `sum_i weight_i statistic_i`: `[vocabulary]`.
pub fn gradient<T: Real>(weighted: &[(Statistic, T)], at: Position<'_, T>) -> Vec<T> {
    let zero = || T::from_f64(0.0);
    let mut total = vec![zero(); at.logits.len()];
    let Some(target) = at.target else { return total };
    let own = log_probs(at.logits);
    for (kind, weight) in weighted {
        let value = statistic(kind, at);
        let other = if kind.other().is_some() { log_probs(at.other) } else { Vec::new() };
        for (v, to) in total.iter_mut().enumerate() {
            let p = own[v].exp();
            let slope = match kind {
                Statistic::TargetLogp => T::from_f64(f64::from(v == target)).sub(&p),
                Statistic::LogSumP2 => {
                    let two = T::from_f64(2.0);
                    two.mul(&p).mul(&p.mul(&value.neg().exp()).sub(&T::from_f64(1.0)))
                }
                _ if !p.is_positive() && !matches!(kind, Statistic::KlFrom(_)) => zero(),
                Statistic::Entropy => p.mul(&own[v].add(&value)).neg(),
                Statistic::KlTo(_) => p.mul(&own[v].sub(&other[v]).sub(&value)),
                Statistic::KlFrom(_) => p.sub(&other[v].exp()),
            };
            *to = to.add(&weight.mul(&slope));
        }
    }
    total
}
