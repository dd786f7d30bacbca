//! What a loss may read of the distribution at one position, beside the target's log-probability.
//!
//! In: a row of logits, and the reference's row where a divergence is asked for. Out: the statistics, and
//! from their gradients the gradient of the row. Invariant: the log-probability has the same bits
//! whatever else is asked for.

use std::ops::{Index, IndexMut};

use super::gradient::{Blend, Norm};
use super::head::LogitTransform;
use super::logit::{self, Logit};
use super::row::{RowStats, row_backward, row_blend, row_gradient, row_stats};
use super::scan::{Moments, PairMoments};

/// A number that the distribution at a position has. p is the policy's distribution, q the reference's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Statistic {
    /// log p of the target token.
    LogProb,
    /// `-sum p log p`
    Entropy,
    /// `log sum p^2`
    LogSumP2,
    /// KL(q, p) = `sum q (log q - log p)`
    KlFromReference,
    /// KL(p, q) = `sum p (log p - log q)`
    KlToReference,
}

impl Statistic {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::LogProb, Self::Entropy, Self::LogSumP2, Self::KlFromReference, Self::KlToReference];
}

/// One value a [`Statistic`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Each<T>([T; 5]);

impl<T> Each<T> {
    /// From what each statistic has.
    pub fn new(f: impl FnMut(Statistic) -> T) -> Self {
        Self(Statistic::ALL.map(f))
    }

    /// What the statistics have, in the order of [`Statistic::ALL`].
    pub fn into_array(self) -> [T; 5] {
        self.0
    }
}

impl<T> Index<Statistic> for Each<T> {
    type Output = T;

    fn index(&self, s: Statistic) -> &T {
        &self.0[s as usize]
    }
}

impl<T> IndexMut<Statistic> for Each<T> {
    fn index_mut(&mut self, s: Statistic) -> &mut T {
        &mut self.0[s as usize]
    }
}

/// Statistics of one row's whole distribution, for the losses that ask for them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowStatistics {
    /// The statistics that every loss needs.
    pub row: RowStats,
    /// `-sum p log p`, in nats.
    pub entropy: f32,
    /// `log sum p^2`, at most 0.
    pub log_sum_p2: f32,
    /// Whether no other token has a larger logit than the target.
    pub is_top1: bool,
}

impl RowStatistics {
    /// From the moments of all other logits and the target's.
    pub(super) fn new(others: Moments, target: f32) -> Self {
        let row = RowStats::new(others.scan, target);
        let (entropy, log_sum_p2) = spread(others.merge(Moments::of(target)));
        Self {
            row,
            entropy: entropy as f32,
            log_sum_p2: log_sum_p2 as f32,
            is_top1: target >= row.max,
        }
    }
}

/// Entropy and `log sum p^2`.
fn spread(all: Moments) -> (f64, f64) {
    let log_sum = all.scan.sum.ln();
    (log_sum - all.first / all.scan.sum, all.second.ln() - 2.0 * log_sum)
}

/// [`super::row_stats`] with entropy, `log sum p^2` and whether the target is the most likely token.
///
/// # Panics
/// If `target` is not an index of `row`.
#[must_use]
pub fn row_statistics<L: Logit>(row: &[L], target: usize) -> RowStatistics {
    let others = logit::moments(&row[..target]).merge(logit::moments(&row[target + 1..]));
    RowStatistics::new(others, row[target].to_f32())
}

/// What the forward pass keeps of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RowForward {
    pub(crate) stats: RowStats,
    /// The statistics; 0 for those not asked for.
    pub(crate) values: Each<f64>,
    /// What turns the reference's logits into probabilities, where a divergence was asked for.
    reference: Option<Norm>,
    /// Whether all logits are finite, the reference's included.
    pub(crate) finite: bool,
}

/// Statistics of a row.
///
/// # Panics
/// If `target` is not an index of `row`, or a divergence is asked for and the reference's row is missing or
/// of another length; the callers check.
pub(crate) fn row_forward<L: Logit>(
    row: &[L],
    reference: Option<&[L]>,
    target: usize,
    wanted: Each<bool>,
) -> RowForward {
    use Statistic::{Entropy, KlFromReference, KlToReference, LogProb, LogSumP2};
    let x = row[target].to_f32();
    let mut values = Each::default();
    let mut forward = None;
    if wanted[Entropy] || wanted[LogSumP2] {
        let others = logit::moments(&row[..target]).merge(logit::moments(&row[target + 1..]));
        let all = others.merge(Moments::of(x));
        (values[Entropy], values[LogSumP2]) = spread(all);
        let stats = RowStats::new(others.scan, x);
        forward = Some((stats, None, stats.finite));
    }
    if wanted[KlFromReference] || wanted[KlToReference] {
        let reference = reference.unwrap_or_default();
        let y = reference[target].to_f32();
        let part = |range: std::ops::Range<usize>| {
            logit::pair_moments(&row[range.clone()], &reference[range])
        };
        let others = part(0..target).merge(part(target + 1..row.len()));
        let all = others.merge(PairMoments::of(x, y));
        let (log_x, log_y) = (all.x.sum.ln(), all.y.sum.ln());
        // Rounding must not make a divergence negative.
        values[KlFromReference] = (all.under_y / all.y.sum + (log_x - log_y)).max(0.0);
        values[KlToReference] = (all.under_x / all.x.sum + (log_y - log_x)).max(0.0);
        let q = Norm { max: all.y.max, excess: log_y as f32, scale: (1.0 / all.y.sum) as f32 };
        let finite = all.x.finite && all.y.finite;
        forward = Some((RowStats::new(others.x, x), Some(q), finite));
    }
    let (stats, reference, finite) = forward.unwrap_or_else(|| {
        let stats = row_stats(row, target);
        (stats, None, stats.finite)
    });
    values[LogProb] = f64::from(stats.logp);
    RowForward { stats, values, reference, finite }
}

impl RowForward {
    /// The blend that the gradients of the statistics amount to.
    fn blend(&self, grad: Each<f64>) -> Blend {
        use Statistic::{Entropy, KlFromReference, KlToReference, LogSumP2};
        let square = 2.0 * grad[LogSumP2];
        let a = -square - grad[Entropy] * self.values[Entropy] + grad[KlFromReference]
            - grad[KlToReference] * self.values[KlToReference];
        Blend {
            a: a as f32,
            b: if square == 0.0 { 0.0 } else { (square / self.values[LogSumP2].exp()) as f32 },
            c: -grad[Entropy] as f32,
            d: grad[KlToReference] as f32,
            k: grad[KlFromReference] as f32,
        }
    }

    /// Replaces the logits by d loss / d logits, from d loss / d statistic.
    pub(crate) fn backward<L: Logit>(
        &self,
        row: &mut [L],
        reference: Option<&[L]>,
        target: usize,
        grad: Each<f64>,
    ) {
        let of_target = grad[Statistic::LogProb] as f32;
        let blend = self.blend(grad);
        if blend == Blend::default() {
            let transform = LogitTransform::default();
            return row_backward(row, target, &self.stats, of_target, &transform);
        }
        let reference = reference.zip(self.reference);
        row_blend(row, reference, target, &self.stats, blend, of_target);
    }

    /// [`RowForward::backward`] into memory of its own.
    pub(crate) fn gradient<L: Logit, O: Logit>(
        &self,
        row: &[L],
        reference: Option<&[L]>,
        target: usize,
        grad: Each<f64>,
        out: &mut [O],
    ) {
        let of_target = grad[Statistic::LogProb] as f32;
        let blend = self.blend(grad);
        if blend == Blend::default() {
            return row_gradient(row, out, target, &self.stats, of_target);
        }
        match O::plain_mut(out) {
            Some(out) => {
                L::read(row, out);
                let other = reference.map(|r| {
                    let mut wide = vec![0.0; r.len()];
                    L::read(r, &mut wide);
                    wide
                });
                let other = other.as_deref().zip(self.reference);
                row_blend(out, other, target, &self.stats, blend, of_target);
            }
            None => {
                let mut wide = row.to_vec();
                self.backward(&mut wide, reference, target, grad);
                for (o, x) in out.iter_mut().zip(&wide) {
                    *o = O::from_f32(x.to_f32());
                }
            }
        }
    }
}
