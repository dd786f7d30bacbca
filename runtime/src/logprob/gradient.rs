//! One pass over a row, or a part of one: from logits to the gradient of the loss.
//!
//! In: logits as f32, and what the forward pass left of the row. Out: d loss / d logits in place of the
//! logits. Invariant: a probability is `exp(x - max)` times a factor, never the exponential of a
//! difference with a rounded log-sum-exp, so that large logits cost no accuracy.

use super::scan::BLOCK;
use super::vector::{LANES, Vector, dispatched};

/// `p_v (a + b p_v + c log p_v + d (log p_v - log q_v)) - k q_v` for every word v: the gradient of a sum
/// of statistics of a row's distribution p and a reference's q, but for the target's own term.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Blend {
    /// Weight of `p`.
    pub(crate) a: f32,
    /// Weight of `p^2`.
    pub(crate) b: f32,
    /// Weight of `p log p`.
    pub(crate) c: f32,
    /// Weight of `p (log p - log q)`.
    pub(crate) d: f32,
    /// Weight of `-q`.
    pub(crate) k: f32,
}

/// What turns a logit into a probability: `p = exp(x - max) scale`, `log p = (x - max) - excess`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Norm {
    /// The row's largest logit.
    pub(crate) max: f32,
    /// log-sum-exp less the largest logit.
    pub(crate) excess: f32,
    /// `exp(-excess)`
    pub(crate) scale: f32,
}

#[inline(always)]
fn scaled_exp_body<V: Vector>(x: &mut [f32], shift: f32, scale: f32) {
    let (groups, rest) = x.as_chunks_mut::<{ 4 * LANES }>();
    let (shift_v, scale_v) = (V::splat(shift), V::splat(scale));
    for group in groups {
        V::prefetch(group.as_ptr().wrapping_add(BLOCK / 2));
        for x in group.as_chunks_mut::<LANES>().0 {
            scale_v.times(V::load(x).minus(shift_v).exp()).store(x);
        }
    }
    for part in rest.chunks_mut(LANES) {
        let x = V::load_partly(part, 0.0);
        part.copy_from_slice(&scale_v.times(x.minus(shift_v).exp()).lanes()[..part.len()]);
    }
}

#[inline(always)]
fn blend_vector<V: Vector>(x: V, p: Norm, blend: Blend) -> V {
    let d = x.minus(V::splat(p.max));
    let e = d.exp();
    let probability = e.times(V::splat(p.scale));
    let log_p = d.minus(V::splat(p.excess)).where_weighty(e);
    let inner = probability.mul_add(V::splat(blend.b), V::splat(blend.a));
    probability.times(log_p.mul_add(V::splat(blend.c), inner))
}

#[inline(always)]
fn blend_body<V: Vector>(x: &mut [f32], p: Norm, blend: Blend) {
    let (whole, rest) = x.as_chunks_mut::<LANES>();
    for (i, x) in whole.iter_mut().enumerate() {
        if i % 4 == 0 {
            V::prefetch(x.as_ptr().wrapping_add(BLOCK / 2));
        }
        blend_vector(V::load(x), p, blend).store(x);
    }
    let lanes = blend_vector(V::load_partly(rest, 0.0), p, blend).lanes();
    rest.copy_from_slice(&lanes[..rest.len()]);
}

#[inline(always)]
fn pair_vector<V: Vector>(x: V, y: V, p: Norm, q: Norm, blend: Blend) -> V {
    let (dx, dy) = (x.minus(V::splat(p.max)), y.minus(V::splat(q.max)));
    let (ex, ey) = (dx.exp(), dy.exp());
    let probability = ex.times(V::splat(p.scale));
    let log_p = dx.minus(V::splat(p.excess));
    let ratio = log_p.minus(dy.minus(V::splat(q.excess))).where_weighty(ex);
    let inner = probability.mul_add(V::splat(blend.b), V::splat(blend.a));
    let inner = log_p.where_weighty(ex).mul_add(V::splat(blend.c), inner);
    let inner = ratio.mul_add(V::splat(blend.d), inner);
    let of_q = ey.times(V::splat(-q.scale * blend.k));
    probability.mul_add(inner, of_q)
}

#[inline(always)]
fn pair_body<V: Vector>(x: &mut [f32], y: &[f32], p: Norm, q: Norm, blend: Blend) {
    let ((whole, rest), (whole_y, rest_y)) = (x.as_chunks_mut::<LANES>(), y.as_chunks::<LANES>());
    for (i, (x, y)) in whole.iter_mut().zip(whole_y).enumerate() {
        if i % 4 == 0 {
            V::prefetch(x.as_ptr().wrapping_add(BLOCK / 2));
            V::prefetch(y.as_ptr().wrapping_add(BLOCK / 2));
        }
        pair_vector(V::load(x), V::load(y), p, q, blend).store(x);
    }
    let (last, last_y) = (V::load_partly(rest, 0.0), V::load_partly(rest_y, 0.0));
    let lanes = pair_vector(last, last_y, p, q, blend).lanes();
    rest.copy_from_slice(&lanes[..rest.len()]);
}

dispatched! {
    /// `x = scale * exp(x - shift)` in place, for `x - shift` of at most 88.
    pub(crate) fn scaled_exp(x: &mut [f32], shift: f32, scale: f32) = scaled_exp_body
}
dispatched! {
    /// [`Blend`] without a reference, in place.
    pub(crate) fn blend(x: &mut [f32], p: Norm, blend: Blend) = blend_body
}
dispatched! {
    /// [`Blend`] with the reference's logits `y`, in place of `x`.
    pub(crate) fn blend_pair(x: &mut [f32], y: &[f32], p: Norm, q: Norm, blend: Blend) = pair_body
}
