//! The element types of logits: f32, and the two half types with all arithmetic in f32.
//!
//! A pass reads half logits block by block into f32 that stays in the first-level cache. Invariant: what
//! is stored is the f32 result, rounded to nearest once.

use half::{bf16, f16, slice::HalfFloatSliceExt as _};

use super::scan::{self, BLOCK, Moments, PairMoments, Scan};

/// An element of a row of logits.
pub trait Logit:
    Copy + Send + Sync + PartialEq + std::fmt::Debug + sealed::Sealed + 'static
{
    /// The type's name.
    const NAME: &'static str;

    /// As f32, exactly.
    fn to_f32(self) -> f32;

    /// The nearest value of the type.
    fn from_f32(x: f32) -> Self;

    /// Reads `x` into `out`, of the same length.
    #[doc(hidden)]
    fn read(x: &[Self], out: &mut [f32]);

    /// Writes `x`, rounded to nearest, into `out`, of the same length.
    #[doc(hidden)]
    fn write(x: &[f32], out: &mut [Self]);

    /// The slice itself, if it is f32.
    #[doc(hidden)]
    fn plain(_: &[Self]) -> Option<&[f32]> {
        None
    }

    /// The slice itself, if it is f32.
    #[doc(hidden)]
    fn plain_mut(_: &mut [Self]) -> Option<&mut [f32]> {
        None
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for super::bf16 {}
    impl Sealed for super::f16 {}
}

impl Logit for f32 {
    const NAME: &'static str = "f32";

    fn to_f32(self) -> f32 {
        self
    }

    fn from_f32(x: f32) -> Self {
        x
    }

    fn read(x: &[Self], out: &mut [f32]) {
        out.copy_from_slice(x);
    }

    fn write(x: &[f32], out: &mut [Self]) {
        out.copy_from_slice(x);
    }

    fn plain(x: &[Self]) -> Option<&[f32]> {
        Some(x)
    }

    fn plain_mut(x: &mut [Self]) -> Option<&mut [f32]> {
        Some(x)
    }
}

macro_rules! half_logit {
    ($type:ident, $name:literal) => {
        impl Logit for $type {
            const NAME: &'static str = $name;

            fn to_f32(self) -> f32 {
                $type::to_f32(self)
            }

            fn from_f32(x: f32) -> Self {
                $type::from_f32(x)
            }

            fn read(x: &[Self], out: &mut [f32]) {
                x.convert_to_f32_slice(out);
            }

            fn write(x: &[f32], out: &mut [Self]) {
                out.convert_from_f32_slice(x);
            }
        }
    };
}
half_logit!(bf16, "bf16");
half_logit!(f16, "f16");

fn by_block<L: Logit, R>(x: &[L], empty: R, one: fn(&[f32]) -> R, merge: fn(R, R) -> R) -> R {
    if let Some(x) = L::plain(x) {
        return one(x);
    }
    let mut buffer = [0.0; BLOCK];
    x.chunks(BLOCK).fold(empty, |all, block| {
        let buffer = &mut buffer[..block.len()];
        L::read(block, buffer);
        merge(all, one(buffer))
    })
}

/// [`scan::scan`] of logits of any type.
pub(super) fn scan<L: Logit>(x: &[L]) -> Scan {
    by_block(x, Scan::EMPTY, scan::scan, Scan::merge)
}

/// [`scan::moments`] of logits of any type.
pub(super) fn moments<L: Logit>(x: &[L]) -> Moments {
    by_block(x, Moments::EMPTY, scan::moments, Moments::merge)
}

/// [`scan::pair_moments`] of logits of any type.
pub(super) fn pair_moments<L: Logit>(x: &[L], y: &[L]) -> PairMoments {
    if let (Some(x), Some(y)) = (L::plain(x), L::plain(y)) {
        return scan::pair_moments(x, y);
    }
    let mut buffers = [[0.0; BLOCK]; 2];
    let blocks = x.chunks(BLOCK).zip(y.chunks(BLOCK));
    blocks.fold(PairMoments::EMPTY, |all, (x, y)| {
        let [a, b] = &mut buffers;
        let (a, b) = (&mut a[..x.len()], &mut b[..y.len()]);
        L::read(x, a);
        L::read(y, b);
        all.merge(scan::pair_moments(a, b))
    })
}

/// Replaces each block of the row by what `f` makes of it in f32; `f` also gets the block's place.
pub(super) fn rewrite<L: Logit>(row: &mut [L], mut f: impl FnMut(usize, &mut [f32])) {
    if let Some(row) = L::plain_mut(row) {
        return f(0, row);
    }
    let mut buffer = [0.0; BLOCK];
    for (i, block) in row.chunks_mut(BLOCK).enumerate() {
        let buffer = &mut buffer[..block.len()];
        L::read(block, buffer);
        f(i * BLOCK, buffer);
        L::write(buffer, block);
    }
}

/// Writes what `f` makes of each block of `row` to `out`, of the same length.
pub(super) fn transform<L: Logit, O: Logit>(
    row: &[L],
    out: &mut [O],
    mut f: impl FnMut(usize, &mut [f32]),
) {
    let mut buffer = [0.0; BLOCK];
    for (i, (block, out)) in row.chunks(BLOCK).zip(out.chunks_mut(BLOCK)).enumerate() {
        match O::plain_mut(out) {
            Some(out) => {
                L::read(block, out);
                f(i * BLOCK, out);
            }
            None => {
                let buffer = &mut buffer[..block.len()];
                L::read(block, buffer);
                f(i * BLOCK, buffer);
                O::write(buffer, out);
            }
        }
    }
}
