//! Points of the open cube where one rho lies below the other.

use super::side::{Rows, Side};
use crate::logic::{Atom, MAX_VARIABLES, Polynomial, Rational};

/// A point where the two rho differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Witness {
    /// The weight of every atom, strictly between 0 and 1.
    pub point: Vec<(Atom, Rational)>,
    /// rho of the first structure there.
    pub rho_first: f64,
    /// rho of the second structure there.
    pub rho_second: f64,
}

impl Witness {
    /// `None` where a number outgrows 128 bits.
    pub(super) fn at(
        point: &[Rational],
        first: &Side<'_>,
        second: &Side<'_>,
        atoms: &[Atom],
    ) -> Option<Self> {
        let rho = |side: &Side<'_>| {
            let [top, bottom] = [Rows::Wins, Rows::Loses]
                .map(|rows| side.weight(rows, point).map(Rational::to_f64));
            Some(top?.ln() - bottom?.ln())
        };
        Some(Self {
            point: atoms.iter().cloned().zip(point.iter().copied()).collect(),
            rho_first: rho(first)?,
            rho_second: rho(second)?,
        })
    }

    /// The sign of rho_first - rho_second at the point, in exact arithmetic; `None` where the point is
    /// not one of the open cube over the atoms, or the stated values are not those of it.
    pub(super) fn judged(
        &self,
        first: &Side<'_>,
        second: &Side<'_>,
        atoms: &[Atom],
    ) -> Option<i32> {
        let named = self.point.iter().map(|(a, _)| a).eq(atoms);
        let inner = |x: Rational| x.signum() > 0 && x < Rational::ONE;
        let point: Vec<Rational> = self.point.iter().map(|(_, x)| *x).collect();
        if !named || !point.iter().all(|x| inner(*x)) {
            return None;
        }
        let value = |side: &Side<'_>, rows| side.weight(rows, &point);
        let (t, b) = (value(first, Rows::Wins)?, value(first, Rows::Loses)?);
        let (u, c) = (value(second, Rows::Wins)?, value(second, Rows::Loses)?);
        let again = Self::at(&point, first, second, atoms)?;
        let near = |x: f64, y: f64| (x - y).abs() <= 1e-12 * (1.0 + x.abs());
        let stated =
            near(again.rho_first, self.rho_first) && near(again.rho_second, self.rho_second);
        stated.then_some(())?;
        Some(t.times(c)?.minus(u.times(b)?)?.signum())
    }
}

/// Points to try, by the variables in `mask`: a grid for up to four of them, scattered ones beyond.
/// Numerators over [`GRID`].
fn candidates(mask: u32) -> impl Iterator<Item = [i128; MAX_VARIABLES]> {
    let variables: Vec<usize> = (0..MAX_VARIABLES).filter(|i| mask >> i & 1 == 1).collect();
    let values: &[i128] = match variables.len() {
        0..=2 => &[8, 4, 12, 2, 14, 6, 10, 1, 15],
        3 => &[8, 4, 12, 1, 15],
        _ => &[8, 2, 14, 5],
    };
    let grid = variables.len() <= 4;
    let count = if grid { values.len().pow(variables.len() as u32) } else { 512 };
    let mut state = 0x2545_F491_4F6C_DD1Du64;
    (0..count).map(move |index| {
        let mut point = [8; MAX_VARIABLES];
        let mut rest = index;
        for &i in &variables {
            if grid {
                point[i] = values[rest % values.len()];
                rest /= values.len();
            } else {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                point[i] = i128::from(1 + (state >> 33) % 15);
            }
        }
        point
    })
}

/// The same for structures whose polynomials are too large: the first points tried where the rho of the
/// first is lower, and where it is higher.
pub(super) fn sides(first: &Side<'_>, second: &Side<'_>, n: usize) -> [Option<Vec<Rational>>; 2] {
    let mut found = [None, None];
    for numerators in candidates((1u32 << n.min(MAX_VARIABLES)) - 1) {
        let point: Option<Vec<Rational>> =
            numerators.iter().map(|k| Rational::new(*k, GRID)).collect();
        let Some(point) = point else { continue };
        let cross = |over: &Side<'_>, under: &Side<'_>| {
            over.weight(Rows::Wins, &point)?.times(under.weight(Rows::Loses, &point)?)
        };
        let Some((up, down)) = cross(second, first).zip(cross(first, second)) else { continue };
        let slot = match up.cmp(&down) {
            std::cmp::Ordering::Greater => &mut found[0],
            std::cmp::Ordering::Less => &mut found[1],
            std::cmp::Ordering::Equal => continue,
        };
        slot.get_or_insert(point);
        if found.iter().all(Option::is_some) {
            break;
        }
    }
    found
}

/// The denominator of the points tried.
const GRID: i128 = 16;

/// The first points tried where `p` is positive and where it is negative.
pub(super) fn signs(p: &Polynomial) -> [Option<Vec<Rational>>; 2] {
    let mask = p.support();
    let degrees: Vec<u32> = (0..MAX_VARIABLES).map(|i| u32::from(p.degree(i))).collect();
    // The value times a power of GRID.
    let value = |point: &[i128; MAX_VARIABLES]| -> Option<i128> {
        p.terms().try_fold(0i128, |sum, (monomial, c)| {
            let mut term = c;
            for (i, &d) in degrees.iter().enumerate().filter(|(_, d)| **d > 0) {
                let e = u32::from(monomial.0[i]);
                let factor = point[i].checked_pow(e)?.checked_mul(GRID.checked_pow(d - e)?)?;
                term = term.checked_mul(factor)?;
            }
            sum.checked_add(term)
        })
    };
    let mut found = [None, None];
    for point in candidates(mask) {
        let Some(value) = value(&point) else { continue };
        let slot = match value.signum() {
            1 => &mut found[0],
            -1 => &mut found[1],
            _ => continue,
        };
        if slot.is_none() {
            *slot = point.iter().map(|k| Rational::new(*k, GRID)).collect();
        }
        if found.iter().all(Option::is_some) {
            break;
        }
    }
    found
}
