//! Counting and listing the answers of a query.
//!
//! In: a [`Query`]. Out: a number, or a stream of structures that holds the answers of one winning
//! function at a time. Invariant: `count` is the length of `stream` without a limit, whichever way
//! of counting is taken.

use rayon::prelude::*;

use super::error::LandscapeError;
use super::filter::{Each, Query};
use super::plan::Plan;
use super::products::Products;
use super::universe::POLICY;
use super::{atom, cube};
use crate::logic::{Atom, Structure};

/// How many winning functions are searched between two calls of the progress function.
const CHUNK: usize = 512;

/// Counts what a query would list, its limit aside. `progress` is told the steps done and the steps in
/// all, from this thread.
///
/// # Errors
///
/// A number of atoms other than 2, 3 or 4; a `Between` over foreign atoms; a raised cancel flag.
pub fn count(query: &Query, progress: &dyn Fn(u64, u64)) -> Result<u64, LandscapeError> {
    let mut plan = Plan::new(query)?;
    if !plan.about_rho {
        return Ok(plan.winners().size() * plan.losers().size());
    }
    // Structures of one rho pass alike, so they are counted by their reduced one, and those of the
    // losses to leave out are subtracted; not where the structure itself must lie between two others.
    let by_rho = plan.each == Each::DistinctRho || !plan.between;
    let excluded = if by_rho { std::mem::take(&mut plan.excluded) } else { Vec::new() };
    let listed =
        if plan.separates() { separately(&plan, progress)? } else { by_search(&plan, progress)? };
    let left_out = excluded.iter().filter(|&&(t, b)| plan.would_list(t, b));
    let left_out: u64 = left_out.map(|&(t, b)| weight(&plan, plan.universe.union(t, b))).sum();
    match Products::get().undecided() {
        0 => Ok(listed - left_out),
        pairs => Err(LandscapeError::Undecided { pairs }),
    }
}

/// The weight of a reduced fraction in the count.
fn weight(plan: &Plan, support: u8) -> u64 {
    match plan.each {
        Each::DistinctRho => 1,
        Each::Structure => plan.universe.structures_of_support(support),
    }
}

/// Coprime pairs by Moebius inversion over common divisors, both sides grouped by support: for each
/// divisor the pairs of its multiples are counted, not visited.
fn separately(plan: &Plan, progress: &dyn Fn(u64, u64)) -> Result<u64, LandscapeError> {
    let universe = plan.universe;
    let supports = 1_usize << universe.atoms;
    let tally = |side: cube::Between| {
        let mut multiples = vec![0_i64; (usize::from(universe.full) + 1) * supports];
        for f in side.map(|f| f as u16).filter(|&f| f != 0) {
            for (d, _) in universe.divisors(f) {
                multiples[usize::from(d) * supports + usize::from(universe.support(f))] += 1;
            }
        }
        multiples
    };
    let (wins, loses) = (tally(plan.winners()), tally(plan.losers()));
    let mut total = 0_i64;
    let steps = u64::from(universe.full);
    for d in 1..=universe.full {
        let of = |side: &'_ [i64]| {
            let start = usize::from(d) * supports;
            let found = side[start..start + supports].iter().copied().enumerate();
            found.filter(|&(_, n)| n != 0).collect::<Vec<_>>()
        };
        let sign = if universe.factors(d).len().is_multiple_of(2) { 1 } else { -1 };
        for (s, n) in of(&wins) {
            for (r, m) in of(&loses) {
                let support = (s | r) as u8;
                if !plan.both || support & POLICY == POLICY {
                    total += sign * n * m * weight(plan, support) as i64;
                }
            }
        }
        if d % 4096 == 0 {
            progress(u64::from(d), steps);
            if plan.cancelled() {
                return Err(LandscapeError::Cancelled { done: u64::from(d), total: steps });
            }
        }
    }
    progress(steps, steps);
    Ok(total.unsigned_abs())
}

/// A visit to every winning function, or to one of each orbit under the permutations of atoms that
/// the query does not see.
fn by_search(plan: &Plan, progress: &dyn Fn(u64, u64)) -> Result<u64, LandscapeError> {
    let padded = plan.each == Each::Structure && !plan.between;
    let orbits = orbits(plan);
    let steps = orbits.len() as u64;
    let (mut total, mut done) = (0, 0);
    for chunk in orbits.chunks(CHUNK) {
        total += chunk
            .par_iter()
            .map(|&(t, size)| {
                let mut found = 0;
                if padded {
                    plan.reduced_partners(t, |b| found += weight(plan, plan.universe.union(t, b)));
                } else {
                    plan.partners(t, |_| found += 1);
                }
                size * found
            })
            .sum::<u64>();
        done += chunk.len() as u64;
        progress(done, steps);
        if plan.cancelled() && done < steps {
            return Err(LandscapeError::Cancelled { done, total: steps });
        }
    }
    Ok(total)
}

/// The winning functions to visit, each with the size of the orbit for which it stands.
fn orbits(plan: &Plan) -> Vec<(u16, u64)> {
    let relabellings: Vec<Vec<Option<usize>>> = plan
        .relabellings()
        .into_iter()
        .map(|order| order.into_iter().map(Some).collect())
        .collect();
    let mut found = Vec::new();
    for t in plan.winners() {
        // The stabiliser of t tells the size of its orbit.
        let (mut least, mut fixed) = (true, 0_u64);
        for to in &relabellings {
            let image = cube::relabel(t, to, plan.universe.atoms);
            fixed += u64::from(image == t);
            if image < t {
                least = false;
                break;
            }
        }
        if least {
            found.push((t as u16, relabellings.len() as u64 / fixed));
        }
    }
    found
}

/// Lists what a query asks for, in ascending order of the winning, then of the losing table.
///
/// The answers of one winning function are held at a time, 65,536 at most.
///
/// # Errors
///
/// A number of atoms other than 2, 3 or 4; a `Between` over foreign atoms.
pub fn stream(query: &Query) -> Result<Stream, LandscapeError> {
    let plan = Plan::new(query)?;
    let winners = plan.winners();
    let total = winners.size();
    Ok(Stream {
        atoms: atom::atoms(query.atoms),
        winners,
        current: 0,
        losers: Vec::new().into_iter(),
        plan,
        limit: query.limit,
        given: 0,
        done: 0,
        total,
        stopped: None,
    })
}

/// The answers of a query, one by one.
pub struct Stream {
    plan: Plan,
    atoms: Vec<Atom>,
    winners: cube::Between,
    current: u64,
    losers: std::vec::IntoIter<u16>,
    limit: Option<u64>,
    given: u64,
    done: u64,
    total: u64,
    stopped: Option<LandscapeError>,
}

impl Stream {
    /// How many winning functions have been searched, and how many there are.
    #[must_use]
    pub fn progress(&self) -> (u64, u64) {
        (self.done, self.total)
    }

    /// Why the stream ended before its last answer: its limit, its cancel flag, or an undecided
    /// comparison. `None` while it runs, and when it listed everything.
    #[must_use]
    pub fn stopped(&self) -> Option<&LandscapeError> {
        self.stopped.as_ref()
    }
}

impl Iterator for Stream {
    type Item = Structure;

    fn next(&mut self) -> Option<Structure> {
        if self.stopped.is_some() {
            return None;
        }
        if let Some(limit) = self.limit.filter(|&limit| self.given >= limit) {
            self.stopped = Some(LandscapeError::Limit { limit });
            return None;
        }
        loop {
            if self.plan.cancelled() {
                let (done, total) = self.progress();
                self.stopped = Some(LandscapeError::Cancelled { done, total });
                return None;
            }
            if let Some(loser) = self.losers.next() {
                self.given += 1;
                return Some(atom::structure(&self.atoms, self.current, u64::from(loser)));
            }
            let Some(winner) = self.winners.next() else {
                let pairs = Products::get().undecided();
                self.stopped = (pairs > 0).then_some(LandscapeError::Undecided { pairs });
                return None;
            };
            let mut losers = Vec::new();
            self.plan.partners(winner as u16, |loser| losers.push(loser));
            (self.current, self.losers) = (winner, losers.into_iter());
            self.done += 1;
        }
    }
}
