//! rho and the pull on both responses, over the square of their probabilities.

use super::Response;
use super::points::{Point, Points, Side};
use crate::session::Compiled;

/// The probability that every model but the policy gives to either response.
pub const FROZEN_PROBABILITY: f64 = 0.5;

/// What a picture of a loss shows. Cells and arrows lie at the middles of an even grid, the chosen
/// probability running fastest.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Cells a side.
    pub cells: usize,
    /// What they hold: `rho`, or `loss` where there is no rho.
    pub what: &'static str,
    /// The values; not finite where there is none.
    pub values: Vec<f64>,
    /// Arrows a side.
    pub arrows: usize,
    /// The pull on the chosen and on the rejected log-probability.
    pub pulls: Vec<[f64; 2]>,
}

/// Samples a loss of pairs with its default parameters.
///
/// # Errors
/// Why there is no picture.
pub fn field(compiled: &Compiled, cells: usize, arrows: usize) -> Result<Field, String> {
    let params = compiled.bind(&[]).map_err(|_| "a parameter has no default value".to_owned())?;
    let points = Points::new(compiled, params)?;
    if points.sides() != [Side::Pair] {
        return Err("a picture needs a chosen and a rejected response in one example".to_owned());
    }
    let columns = points.pulled(Side::Pair);
    let at = |i: usize, n: usize| ((i % n) as f64 + 0.5, (i / n) as f64 + 0.5);
    let point = |i: usize, n: usize| {
        let (w, l) = at(i, n);
        let frozen = FROZEN_PROBABILITY.ln();
        Point { policy: [(w / n as f64).ln(), (l / n as f64).ln()], frozen: [frozen; 2] }
    };
    let pull = |p: &Point, wanted: Response| -> f64 {
        let own = columns.iter().filter(|(_, r)| *r == wanted);
        own.filter_map(|(c, _)| Some(points.pull(Side::Pair, p, c)? * points.share(c))).sum()
    };
    let value = |p: &Point| points.background(p).unwrap_or(f64::NAN);
    Ok(Field {
        cells,
        what: if points.has_rho() { "rho" } else { "loss" },
        values: (0..cells * cells).map(|i| value(&point(i, cells))).collect(),
        arrows,
        pulls: (0..arrows * arrows)
            .map(|i| {
                let p = point(i, arrows);
                [pull(&p, Response::Chosen), pull(&p, Response::Rejected)]
            })
            .collect(),
    })
}
