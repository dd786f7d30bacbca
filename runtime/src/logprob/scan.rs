//! One pass over a row, or a part of one: maximum and sums of exponentials.
//!
//! In: logits as f32. Out: a [`Scan`], or [`Moments`] and [`PairMoments`] for the losses that read
//! entropy, `log sum p^2` or a divergence. Invariants: each part of a row can be scanned by itself and
//! merged; sums are relative to the maximum, in f32 within a block and in f64 beyond; the same input
//! gives the same bits on every call, and maximum and sum have the same bits whatever else is summed.

use super::vector::{LANES, Vector, dispatched};

/// Elements between two updates of the running maximum: they stay in the first-level cache.
pub(super) const BLOCK: usize = 1024;
const GROUP: usize = 4 * LANES;

/// The factor between sums relative to one maximum and to another, at least as large, one.
fn rescale(from: f32, to: f32) -> f64 {
    match from {
        _ if from == to => 1.0,
        f32::NEG_INFINITY => 0.0,
        _ => f64::from(from - to).exp(),
    }
}

/// Maximum and sum of exponentials.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scan {
    /// The largest number; -inf for none.
    pub(crate) max: f32,
    /// Sum of `exp(x - max)`; NaN if a number is NaN or +inf.
    pub(crate) sum: f64,
    /// Whether all numbers are finite.
    pub(crate) finite: bool,
}

impl Scan {
    /// Of no number.
    pub(crate) const EMPTY: Self = Self { max: f32::NEG_INFINITY, sum: 0.0, finite: true };

    /// The scan of both parts.
    pub(crate) fn merge(self, other: Self) -> Self {
        let max = if other.max > self.max { other.max } else { self.max };
        let sum = self.sum * rescale(self.max, max) + other.sum * rescale(other.max, max);
        Self { max, sum, finite: self.finite && other.finite }
    }
}

/// The largest number of a block, and whether all are finite.
#[inline(always)]
fn extent<V: Vector>(block: &[f32]) -> (f32, bool) {
    let (groups, rest) = block.as_chunks::<GROUP>();
    let mut max = [V::splat(f32::NEG_INFINITY); 4];
    // 0 * x is NaN for all that is not finite, and stays so in a sum.
    let mut zero = [V::splat(0.0); 2];
    for group in groups {
        for (i, x) in group.as_chunks::<LANES>().0.iter().enumerate() {
            let x = V::load(x);
            max[i] = x.or_greater(max[i]);
            zero[i & 1] = x.mul_add(V::splat(0.0), zero[i & 1]);
        }
    }
    let largest = max[0].or_greater(max[1]).or_greater(max[2].or_greater(max[3])).largest();
    let largest = rest.iter().fold(largest, |m, &v| if v > m { v } else { m });
    let finite = zero[0].plus(zero[1]).sum() == 0.0 && rest.iter().all(|v| v.is_finite());
    (largest, finite)
}

/// Places of partial sums: two for whole vectors in turn, one for the rest.
const SLOTS: usize = 3;

/// What is done with every vector. No closure, because only functions that are always inlined become part
/// of the function that is compiled for wide vectors.
trait Visit<V> {
    /// Takes a vector, and the place where its contribution is summed.
    fn visit(&mut self, slot: usize, x: V);
}

/// Visits every vector of a block; what follows the block in memory is asked for meanwhile. Missing lanes
/// are -inf.
#[inline(always)]
fn each<V: Vector>(block: &[f32], visitor: &mut impl Visit<V>) {
    let (groups, rest) = block.as_chunks::<GROUP>();
    for group in groups {
        V::prefetch(group.as_ptr().wrapping_add(BLOCK));
        for (i, x) in group.as_chunks::<LANES>().0.iter().enumerate() {
            visitor.visit(i & 1, V::load(x));
        }
    }
    for part in rest.chunks(LANES) {
        visitor.visit(2, V::load_partly(part, f32::NEG_INFINITY));
    }
}

#[inline(always)]
fn total<V: Vector>(parts: [V; SLOTS]) -> f64 {
    parts[0].plus(parts[1]).sum() + parts[2].sum()
}

struct SumExp<V> {
    shift: V,
    sum: [V; SLOTS],
}

impl<V: Vector> Visit<V> for SumExp<V> {
    #[inline(always)]
    fn visit(&mut self, slot: usize, x: V) {
        self.sum[slot] = self.sum[slot].plus(x.minus(self.shift).exp());
    }
}

#[inline(always)]
fn sum_exp<V: Vector>(block: &[f32], shift: f32) -> f64 {
    let mut visitor = SumExp { shift: V::splat(shift), sum: [V::splat(0.0); SLOTS] };
    each(block, &mut visitor);
    total(visitor.sum)
}

#[inline(always)]
fn scan_body<V: Vector>(x: &[f32]) -> Scan {
    let mut all = Scan::EMPTY;
    for block in x.chunks(BLOCK) {
        let (largest, finite) = extent::<V>(block);
        let max = if largest > all.max { largest } else { all.max };
        // Where no finite maximum exists the sum is 0, and NaN with a NaN among the numbers.
        let part = match max {
            f32::NEG_INFINITY if block.iter().all(|v| !v.is_nan()) => 0.0,
            f32::NEG_INFINITY => f64::NAN,
            _ => sum_exp::<V>(block, max),
        };
        all.sum = all.sum * rescale(all.max, max) + part;
        all.max = max;
        all.finite &= finite;
    }
    all
}

/// [`Scan`] with the sums behind entropy and `log sum p^2`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Moments {
    /// Maximum and sum.
    pub(crate) scan: Scan,
    /// Sum of `exp(x - max) (x - max)`.
    pub(crate) first: f64,
    /// Sum of `exp(x - max)^2`.
    pub(crate) second: f64,
}

impl Moments {
    /// Of no number.
    pub(crate) const EMPTY: Self = Self { scan: Scan::EMPTY, first: 0.0, second: 0.0 };

    /// Of one number.
    pub(crate) fn of(x: f32) -> Self {
        if x == f32::NEG_INFINITY {
            return Self { scan: Scan { finite: false, ..Scan::EMPTY }, ..Self::EMPTY };
        }
        let scan = Scan { max: x, sum: 1.0 + 0.0 * f64::from(x), finite: x.is_finite() };
        Self { scan, first: 0.0, second: 1.0 }
    }

    fn relative_to(self, max: f32) -> Self {
        let factor = rescale(self.scan.max, max);
        let moved = if factor == 0.0 { 0.0 } else { f64::from(self.scan.max - max) };
        Self {
            scan: Scan { max, sum: self.scan.sum * factor, ..self.scan },
            first: (self.first + moved * self.scan.sum) * factor,
            second: self.second * factor * factor,
        }
    }

    /// The moments of both parts.
    pub(crate) fn merge(self, other: Self) -> Self {
        let max = if other.scan.max > self.scan.max { other.scan.max } else { self.scan.max };
        let (a, b) = (self.relative_to(max), other.relative_to(max));
        let finite = a.scan.finite && b.scan.finite;
        Self {
            scan: Scan { max, sum: a.scan.sum + b.scan.sum, finite },
            first: a.first + b.first,
            second: a.second + b.second,
        }
    }
}

struct SumMoments<V> {
    shift: V,
    sum: [V; SLOTS],
    first: [V; SLOTS],
    second: [V; SLOTS],
}

impl<V: Vector> Visit<V> for SumMoments<V> {
    #[inline(always)]
    fn visit(&mut self, slot: usize, x: V) {
        let d = x.minus(self.shift);
        let e = d.exp();
        self.sum[slot] = self.sum[slot].plus(e);
        self.first[slot] = self.first[slot].plus(e.times(d).where_weighty(e));
        self.second[slot] = e.mul_add(e, self.second[slot]);
    }
}

#[inline(always)]
fn moments_block<V: Vector>(block: &[f32], max: f32, finite: bool) -> Moments {
    let zero = [V::splat(0.0); SLOTS];
    let mut sums = SumMoments { shift: V::splat(max), sum: zero, first: zero, second: zero };
    each(block, &mut sums);
    Moments {
        scan: Scan { max, sum: total(sums.sum), finite },
        first: total(sums.first),
        second: total(sums.second),
    }
}

#[inline(always)]
fn moments_body<V: Vector>(x: &[f32]) -> Moments {
    let mut all = Moments::EMPTY;
    for block in x.chunks(BLOCK) {
        let (largest, finite) = extent::<V>(block);
        let max = if largest > all.scan.max { largest } else { all.scan.max };
        let part = match max {
            f32::NEG_INFINITY => Moments { scan: scan_body::<V>(block), ..Moments::EMPTY },
            _ => moments_block::<V>(block, max, finite),
        };
        all = all.merge(part);
    }
    all
}

/// The sums behind the divergences between two rows x and y.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct PairMoments {
    /// Of x.
    pub(crate) x: Scan,
    /// Of y.
    pub(crate) y: Scan,
    /// Sum of `exp(x - max x) ((x - max x) - (y - max y))`.
    pub(crate) under_x: f64,
    /// Sum of `exp(y - max y) ((y - max y) - (x - max x))`.
    pub(crate) under_y: f64,
}

impl PairMoments {
    /// Of no number.
    pub(crate) const EMPTY: Self =
        Self { x: Scan::EMPTY, y: Scan::EMPTY, under_x: 0.0, under_y: 0.0 };

    /// Of one pair of finite numbers.
    pub(crate) fn of(x: f32, y: f32) -> Self {
        Self { x: Moments::of(x).scan, y: Moments::of(y).scan, under_x: 0.0, under_y: 0.0 }
    }

    fn relative_to(self, x: f32, y: f32) -> Self {
        let (fx, fy) = (rescale(self.x.max, x), rescale(self.y.max, y));
        // How much (x - max x) - (y - max y) grows.
        let moved = if fx == 0.0 || fy == 0.0 {
            0.0
        } else {
            f64::from(self.x.max - x) - f64::from(self.y.max - y)
        };
        Self {
            x: Scan { max: x, sum: self.x.sum * fx, ..self.x },
            y: Scan { max: y, sum: self.y.sum * fy, ..self.y },
            under_x: (self.under_x + moved * self.x.sum) * fx,
            under_y: (self.under_y - moved * self.y.sum) * fy,
        }
    }

    /// The sums of both parts.
    pub(crate) fn merge(self, other: Self) -> Self {
        let max = |a: Scan, b: Scan| if b.max > a.max { b.max } else { a.max };
        let (x, y) = (max(self.x, other.x), max(self.y, other.y));
        let (a, b) = (self.relative_to(x, y), other.relative_to(x, y));
        let add = |a: Scan, b: Scan| Scan {
            max: a.max,
            sum: a.sum + b.sum,
            finite: a.finite && b.finite,
        };
        Self {
            x: add(a.x, b.x),
            y: add(a.y, b.y),
            under_x: a.under_x + b.under_x,
            under_y: a.under_y + b.under_y,
        }
    }
}

struct SumPair<'a, V> {
    shift_x: V,
    shift_y: V,
    rest_of_y: &'a [f32],
    sum_x: [V; SLOTS],
    sum_y: [V; SLOTS],
    under_x: V,
    under_y: V,
}

impl<V: Vector> Visit<V> for SumPair<'_, V> {
    #[inline(always)]
    fn visit(&mut self, slot: usize, x: V) {
        let (now, later) = self.rest_of_y.split_at(LANES.min(self.rest_of_y.len()));
        self.rest_of_y = later;
        let y = match <&[f32; LANES]>::try_from(now) {
            Ok(now) => V::load(now),
            Err(_) => V::load_partly(now, f32::NEG_INFINITY),
        };
        let (dx, dy) = (x.minus(self.shift_x), y.minus(self.shift_y));
        let (ex, ey, gap) = (dx.exp(), dy.exp(), dx.minus(dy));
        self.sum_x[slot] = self.sum_x[slot].plus(ex);
        self.sum_y[slot] = self.sum_y[slot].plus(ey);
        self.under_x = self.under_x.plus(ex.times(gap).where_weighty(ex));
        self.under_y = self.under_y.minus(ey.times(gap).where_weighty(ey));
    }
}

#[inline(always)]
fn pair_block<V: Vector>(x: &[f32], y: &[f32], of_x: Scan, of_y: Scan) -> PairMoments {
    let zero = [V::splat(0.0); SLOTS];
    let mut sums = SumPair {
        shift_x: V::splat(of_x.max),
        shift_y: V::splat(of_y.max),
        rest_of_y: y,
        sum_x: zero,
        sum_y: zero,
        under_x: zero[0],
        under_y: zero[0],
    };
    each(x, &mut sums);
    PairMoments {
        x: Scan { sum: total(sums.sum_x), ..of_x },
        y: Scan { sum: total(sums.sum_y), ..of_y },
        under_x: sums.under_x.sum(),
        under_y: sums.under_y.sum(),
    }
}

/// The largest number up to the end of a block, and whether all of the block are finite.
#[inline(always)]
fn reach<V: Vector>(block: &[f32], before: Scan) -> Scan {
    let (largest, finite) = extent::<V>(block);
    Scan { max: if largest > before.max { largest } else { before.max }, sum: 0.0, finite }
}

#[inline(always)]
fn pair_body<V: Vector>(x: &[f32], y: &[f32]) -> PairMoments {
    let mut all = PairMoments::EMPTY;
    for (x, y) in x.chunks(BLOCK).zip(y.chunks(BLOCK)) {
        let part = pair_block::<V>(x, y, reach::<V>(x, all.x), reach::<V>(y, all.y));
        all = all.merge(part);
    }
    all
}

dispatched! {
    /// Maximum and sum of exponentials; [`Scan::EMPTY`] for an empty slice.
    pub(crate) fn scan(x: &[f32]) -> Scan = scan_body
}
dispatched! {
    /// The sums behind entropy and `log sum p^2`.
    pub(crate) fn moments(x: &[f32]) -> Moments = moments_body
}
dispatched! {
    /// The sums behind the divergences between two rows of equal length.
    pub(crate) fn pair_moments(x: &[f32], y: &[f32]) -> PairMoments = pair_body
}
