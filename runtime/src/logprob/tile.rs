//! Hidden states through the head, one tile of logits at a time.
//!
//! In: hidden states `[N, H]`, the head `[V, H]`. Out: calls with the logits of some rows and some words,
//! in one reused buffer. Invariants: the buffer has at most [`TILE`] floats whatever N and V are; tiles
//! come in the same order with the same bits on every call of one shape.

use std::ops::Range;

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::head::Head;
use crate::model::ops::matmul::{Matrix, MatrixMut, matmul};
use crate::model::ops::slices::with_slice;

/// Logits that exist at a time: 8 MiB, a share of the last cache.
const TILE: usize = 2 << 20;
/// Rows of a tile at most: enough for a matrix product to run at full speed.
const ROWS: usize = 512;

/// What is on the outside of the loop over tiles.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// All words of some rows before the next rows: statistics of a row finish one after another.
    Rows,
    /// All rows of some words before the next words: so does the gradient of the head.
    Words,
}

/// A tile of logits.
pub(super) struct Tile<'a> {
    /// Which hidden states.
    pub(super) rows: Range<usize>,
    /// Which words.
    pub(super) words: Range<usize>,
    /// `[rows, H]`
    pub(super) hidden: Matrix<'a>,
    /// `[words, H]`
    pub(super) weight: Matrix<'a>,
    /// `[rows, words]`, row-major.
    pub(super) logits: &'a mut [f32],
}

impl Tile<'_> {
    /// The rows' logits, in parallel.
    pub(super) fn par_rows(&mut self) -> impl IndexedParallelIterator<Item = &mut [f32]> {
        self.logits.par_chunks_mut(self.words.len())
    }

    /// The logits as a matrix that is read.
    pub(super) fn matrix(&self) -> Matrix<'_> {
        Matrix::new(self.logits, self.rows.len(), self.words.len())
    }

    /// The place of a word in the tile's rows, if it is there.
    pub(super) fn place(words: &Range<usize>, word: u32) -> Option<usize> {
        words.contains(&(word as usize)).then(|| word as usize - words.start)
    }
}

fn parts(n: usize, most: usize) -> impl Iterator<Item = Range<usize>> + Clone {
    (0..n).step_by(most.max(1)).map(move |start| start..(start + most).min(n))
}

/// Some rows of a matrix.
fn part<'a>(matrix: &'a [f32], rows: &Range<usize>, width: usize) -> Matrix<'a> {
    Matrix::new(&matrix[rows.start * width..rows.end * width], rows.len(), width)
}

/// Calls `visit` with the logits of every tile.
pub(super) fn each_tile(
    hidden: &Tensor,
    head: &Head,
    order: Order,
    mut visit: impl FnMut(Tile<'_>),
) -> Result<()> {
    let (vocabulary, width) = head.dims()?;
    let (n, _) = hidden.dims2()?;
    let most_rows = ROWS.min(n).max(1);
    let most_words = (TILE / most_rows).clamp(1, vocabulary.max(1));
    let mut buffer = vec![0f32; most_rows * most_words];
    let bias = head.bias.as_ref().map(Tensor::to_vec1::<f32>).transpose()?;
    with_slice(hidden, |hidden| {
        with_slice(&head.weight, |weight| {
            let mut tile = |rows: Range<usize>, words: Range<usize>| {
                let (hidden, weight) = (part(hidden, &rows, width), part(weight, &words, width));
                let logits = &mut buffer[..rows.len() * words.len()];
                let out = MatrixMut::new(logits, rows.len(), words.len());
                matmul(out, hidden, weight.transposed(), false);
                if bias.is_some() || !head.transform.is_identity() {
                    let bias = bias.as_ref().map(|b| &b[words.clone()]);
                    logits.par_chunks_mut(words.len()).for_each(|row| head.finish_row(row, bias));
                }
                visit(Tile { rows, words, hidden, weight, logits });
            };
            let (rows, words) = (parts(n, most_rows), parts(vocabulary, most_words));
            match order {
                Order::Rows => {
                    for r in rows {
                        words.clone().for_each(|w| tile(r.clone(), w));
                    }
                }
                Order::Words => {
                    for w in words {
                        rows.clone().for_each(|r| tile(r, w.clone()));
                    }
                }
            }
        })
    })?
}
