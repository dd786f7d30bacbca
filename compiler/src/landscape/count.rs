//! The size of the landscape, counted exactly.
//!
//! In: the number of atoms. Out: how many structures, distinct rho and monotone rho there are.
//! Invariant: every reduced fraction is counted once, because a distinct rho is a coprime pair of
//! non-zero functions (see [`super`] for the argument) and each pair is met once.

use rayon::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::LandscapeError;
use super::products::Products;
use super::universe::{POLICY, Universe};

/// The counts of SEMANTICS section 5 for one number of atoms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Counts {
    /// The number of atoms.
    pub atoms: usize,
    /// All structures: pairs of functions, 4^(2^atoms).
    pub structures: u64,
    /// Those with at least one winning and one losing row.
    pub nonempty: u64,
    /// Distinct rho: reduced fractions of non-empty structures.
    pub distinct_rho: u64,
    /// Distinct rho that are not constant in (w, l), nowhere fall with w and nowhere rise with l.
    pub monotone: u64,
    /// The monotone ones that depend on both w and l.
    pub monotone_in_both: u64,
}

/// Counts the landscape of two, three or four atoms.
///
/// # Errors
///
/// Another number of atoms, or a monotonicity that stayed undecided within its bounds (there is
/// none; it is reported rather than assumed).
///
/// ```
/// let counts = ponens_compiler::landscape::counts(2)?;
/// assert_eq!((counts.structures, counts.nonempty, counts.distinct_rho), (256, 225, 187));
/// assert_eq!((counts.monotone, counts.monotone_in_both), (40, 34));
/// # Ok::<(), ponens_compiler::landscape::LandscapeError>(())
/// ```
pub fn counts(atoms: usize) -> Result<Counts, LandscapeError> {
    counts_until(atoms, &AtomicBool::new(false), &|_, _| ())
}

/// [`counts`] that stops as soon as `cancel` is raised. `progress` is told the steps done and the steps
/// in all, from this thread.
///
/// # Errors
///
/// As [`counts`], and [`LandscapeError::Cancelled`].
pub fn counts_until(
    atoms: usize,
    cancel: &AtomicBool,
    progress: &dyn Fn(u64, u64),
) -> Result<Counts, LandscapeError> {
    let universe = Universe::get(atoms)?;
    let functions = u64::from(universe.full) + 1;
    let (monotone, monotone_in_both) = monotone(universe, cancel, progress)?;
    match Products::get().undecided() {
        0 => Ok(Counts {
            atoms,
            structures: functions * functions,
            nonempty: (functions - 1) * (functions - 1),
            distinct_rho: distinct(universe),
            monotone,
            monotone_in_both,
        }),
        pairs => Err(LandscapeError::Undecided { pairs }),
    }
}

/// The number of coprime pairs, by Moebius inversion over the functions that divide both sides: with
/// M(d) the number of non-zero functions that d divides, the sum over d of mu(d) M(d)^2. The factors
/// of a function are distinct, so mu(d) is -1 to the number of them.
fn distinct(universe: &Universe) -> u64 {
    let functions = usize::from(universe.full) + 1;
    let mut multiples = vec![0_i64; functions];
    let mut sign = vec![0_i64; functions];
    for f in 1..=universe.full {
        for (d, factors) in universe.divisors(f) {
            multiples[usize::from(d)] += 1;
            sign[usize::from(d)] = if factors % 2 == 0 { 1 } else { -1 };
        }
    }
    let total: i64 = multiples.iter().zip(&sign).map(|(m, mu)| mu * m * m).sum();
    total.unsigned_abs()
}

/// How many winning functions are looked at between two calls of the progress function.
const CHUNK: usize = 512;

/// The number of monotone coprime pairs that depend on w or l, and on both.
fn monotone(
    universe: &Universe,
    cancel: &AtomicBool,
    progress: &dyn Fn(u64, u64),
) -> Result<(u64, u64), LandscapeError> {
    let winners: Vec<u16> = (1..=universe.full).collect();
    let total = winners.len() as u64;
    let (mut sum, mut done) = ((0, 0), 0);
    for chunk in winners.chunks(CHUNK) {
        let found = chunk.par_iter().map(|&t| partners(universe, t));
        let (any, both) = found.reduce(|| (0, 0), |x, y| (x.0 + y.0, x.1 + y.1));
        sum = (sum.0 + any, sum.1 + both);
        done += chunk.len() as u64;
        progress(done, total);
        if done < total && cancel.load(Ordering::Relaxed) {
            return Err(LandscapeError::Cancelled { done, total });
        }
    }
    Ok(sum)
}

/// The same for one winning function.
fn partners(universe: &Universe, t: u16) -> (u64, u64) {
    let mut found = (0, 0);
    universe.monotone_partners(t, |b| {
        let on = universe.union(t, b) & POLICY;
        if b != 0 && on != 0 && universe.coprime(t, b) {
            found.0 += 1;
            found.1 += u64::from(on == POLICY);
        }
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raised_flag_stops_the_count() {
        let cancel = AtomicBool::new(true);
        let told = std::cell::Cell::new(0);
        let stopped = counts_until(4, &cancel, &|done, _| told.set(done));
        assert_eq!(stopped, Err(LandscapeError::Cancelled { done: 512, total: 65_535 }));
        assert_eq!(told.get(), 512);
        // Two atoms are done before anyone looks.
        assert_eq!(counts_until(2, &cancel, &|_, _| ()).map(|c| c.monotone), Ok(40));
    }
}
