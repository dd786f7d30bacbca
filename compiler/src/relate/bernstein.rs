//! Whether a polynomial is non-negative on the unit cube, decided exactly.
//!
//! In the Bernstein basis of a box a polynomial is a mean of its coefficients with non-negative
//! weights: no negative coefficient means no negative value, and the coefficients at the corners are
//! values. Halving the box brings the coefficients ever nearer to the values. All of it is done in
//! whole numbers: every box carries a positive scale of its own.
//!
//! Undecided are only polynomials that touch 0 inside the cube without the tests below seeing it, and
//! those beyond the bounds.

use super::certificate::{Certificate, Powers, divided, parts};
use super::tensor::Tensor;
use crate::logic::{MAX_TERMS, MAX_VARIABLES, Polynomial, Rational};
use std::fmt;

/// How many coefficients the search may compute.
pub const MAX_WORK: usize = 1_000_000;

/// How often a box may be halved.
pub const MAX_HALVINGS: u32 = 36;

/// What was found about a polynomial on the cube.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sign {
    /// Non-negative everywhere.
    NonNegative(Certificate),
    /// Negative at this point of the open cube, by variable; 1/2 where the polynomial has no say.
    Negative(Vec<Rational>),
    /// Not settled within the bounds.
    Undecided(Limit),
}

/// Which bound ended a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// [`MAX_WORK`]
    Work,
    /// [`MAX_HALVINGS`]
    Halvings,
    /// Numbers beyond 128 bits.
    Size,
    /// More monomials than [`MAX_TERMS`].
    Terms,
    /// More atoms together than there are variables.
    Atoms,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Work => write!(f, "{MAX_WORK} Bernstein coefficients"),
            Limit::Halvings => write!(f, "{MAX_HALVINGS} halvings of the cube"),
            Limit::Size => f.write_str("128-bit numbers"),
            Limit::Terms => write!(f, "{MAX_TERMS} monomials"),
            Limit::Atoms => write!(f, "{MAX_VARIABLES} atoms"),
        }
    }
}

/// Decides whether `p` is non-negative on the unit cube.
pub fn non_negative(p: &Polynomial) -> Sign {
    let mut search = Search { work: MAX_WORK };
    let Some((powers, rest)) = stripped(p) else { return Sign::Undecided(Limit::Size) };
    let Some(tensor) = Tensor::of(&rest) else { return Sign::Undecided(Limit::Size) };
    match search.prove(&tensor, 0) {
        Ok(certificate) if powers.is_empty() => Sign::NonNegative(certificate),
        Ok(certificate) => {
            Sign::NonNegative(Certificate::Factors { powers, rest: Box::new(certificate) })
        }
        Err(Stop::Limit(limit)) => Sign::Undecided(limit),
        Err(Stop::Negative(corner)) => match inside(p, &corner) {
            Some(point) => Sign::Negative(point),
            None => Sign::Undecided(Limit::Size),
        },
    }
}

/// A point of the open cube near `corner`, which may lie on its boundary, where `p` is negative too.
fn inside(p: &Polynomial, corner: &[Rational]) -> Option<Vec<Rational>> {
    let half = Rational::new(1, 2)?;
    let is_inner = |x: &Rational| x.signum() > 0 && *x < Rational::ONE;
    (1..60).find_map(|k| {
        let step = Rational::new(1, 1 << k)?;
        let point: Option<Vec<Rational>> = corner
            .iter()
            .map(|x| if is_inner(x) { Some(*x) } else { x.plus(half.minus(*x)?.times(step)?) })
            .collect();
        point.filter(|point| p.eval(point).is_some_and(|v| v.signum() < 0))
    })
}

/// `p` without its factors x and 1 - x: those vanish on the boundary, where the corners of boxes lie.
fn stripped(p: &Polynomial) -> Option<(Powers, Polynomial)> {
    let (mut powers, mut rest) = (Vec::new(), p.clone());
    for x in (0..MAX_VARIABLES).filter(|x| p.degree(*x) > 0) {
        for complement in [false, true] {
            let mut power = 0;
            while let Some(less) = divided(&rest, x, complement)? {
                rest = less;
                power += 1;
            }
            if power > 0 {
                powers.push((x, complement, power));
            }
        }
    }
    Some((powers, rest))
}

enum Stop {
    /// Negative at this point of the closed cube.
    Negative(Vec<Rational>),
    Limit(Limit),
}

type Pair = (Box<Certificate>, Box<Certificate>);

struct Search {
    work: usize,
}

impl Search {
    fn prove(&mut self, tensor: &Tensor, halvings: u32) -> Result<Certificate, Stop> {
        let size = || Stop::Limit(Limit::Size);
        self.work =
            self.work.checked_sub(tensor.coefficients.len()).ok_or(Stop::Limit(Limit::Work))?;
        if tensor.coefficients.iter().all(|c| *c >= 0) {
            return Ok(Certificate::Coefficients);
        }
        if let Some(corner) = tensor.negative_corner() {
            return Err(Stop::Negative(corner.ok_or_else(size)?));
        }
        if let Some(i) = tensor.axes.iter().position(|a| a.degree == 1) {
            let axis = tensor.axes[i].variable;
            let [low, high] = [false, true].map(|upper| tensor.end(i, upper));
            let (low, high) = (low.ok_or_else(size)?, high.ok_or_else(size)?);
            let (low, high) = self.both(&low, &high, halvings)?;
            return Ok(Certificate::Ends { axis, low, high });
        }
        if let Some(certificate) = self.discriminant(tensor) {
            return Ok(certificate);
        }
        if halvings == MAX_HALVINGS {
            return Err(Stop::Limit(Limit::Halvings));
        }
        let i = tensor.steepest();
        let axis = tensor.axes[i].variable;
        let (low, high) = tensor.halves(i).ok_or_else(size)?;
        let (low, high) = self.both(&low, &high, halvings + 1)?;
        Ok(Certificate::Halves { axis, low, high })
    }

    /// Where the first part comes to no end, the second may still hold a negative point.
    fn both(&mut self, low: &Tensor, high: &Tensor, halvings: u32) -> Result<Pair, Stop> {
        let low = match self.prove(low, halvings) {
            Err(Stop::Limit(Limit::Halvings)) => None,
            settled => Some(settled?),
        };
        let high = self.prove(high, halvings)?;
        let low = low.ok_or(Stop::Limit(Limit::Halvings))?;
        Ok((Box::new(low), Box::new(high)))
    }

    /// A minimum of 0 inside the box is beyond halving; a discriminant may still show it.
    fn discriminant(&mut self, tensor: &Tensor) -> Option<Certificate> {
        let fit = |i: &usize| tensor.axes[*i].degree == 2 && tensor.may_be_definite(*i);
        let mut whole = None;
        for i in (0..tensor.axes.len()).filter(fit) {
            let axis = tensor.axes[i].variable;
            if whole.is_none() {
                whole = tensor.polynomial();
            }
            let [c, b, a] = parts(whole.as_ref()?, axis)?;
            // The products below cost as much as so many coefficients.
            self.work = self.work.checked_sub(b.len() * b.len() / 16)?;
            let four = a.times(&c)?.scaled(4)?.minus(&b.times(&b)?)?;
            let mut shown = [&four, &a, &c].into_iter().map(|part| {
                let tensor = Tensor::of(part)?;
                self.work = self.work.checked_sub(tensor.coefficients.len())?;
                let fine = tensor.coefficients.iter().all(|c| *c >= 0);
                fine.then_some(Box::new(Certificate::Coefficients))
            });
            if let (Some(Some(discriminant)), Some(Some(square)), Some(Some(constant))) =
                (shown.next(), shown.next(), shown.next())
            {
                return Some(Certificate::Discriminant { axis, discriminant, square, constant });
            }
        }
        None
    }
}
