//! A query made ready: which pairs to try, and what to ask of each.
//!
//! In: a [`Query`]. Out: for each winning function the losing functions that pass, in ascending
//! order. Invariant: the candidates are a superset of what passes, and every candidate is asked
//! every condition that its generation does not already imply.
//!
//! Generation prunes. `Between` bounds both sides by intervals. `Symmetric` leaves at most one losing
//! function for each way to pad. `Monotone` builds the losing function from the two facets of the
//! last atom, each monotone already: of the 2^32 pairs over four atoms it tries about 2 %.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::LandscapeError;
use super::filter::{Each, Filter, Query};
use super::gradient::{Scale, Weighted};
use super::universe::{POLICY, Universe};
use super::{atom, cube};

/// The weights of all functions under one gradient filter.
struct Gradient {
    scale: Scale,
    weighted: Vec<Weighted>,
    /// Whether the condition looks at all atoms alike.
    all_inputs: bool,
}

/// The conditions of a query over one universe.
pub(super) struct Plan {
    pub(super) universe: &'static Universe,
    pub(super) each: Each,
    /// Least and greatest winning function.
    wins: (u64, u64),
    /// Least and greatest losing function.
    loses: (u64, u64),
    /// Whether `Between` was asked.
    pub(super) between: bool,
    /// Whether any filter speaks of rho, so that both sides must be non-empty.
    pub(super) about_rho: bool,
    pub(super) monotone: bool,
    pub(super) both: bool,
    pub(super) symmetric: bool,
    gradients: Vec<Gradient>,
    /// The reduced fractions of `NotIn`, sorted, each once.
    pub(super) excluded: Vec<(u16, u16)>,
    cancel: Option<Arc<AtomicBool>>,
}

impl Plan {
    pub(super) fn new(query: &Query) -> Result<Self, LandscapeError> {
        let universe = Universe::get(query.atoms)?;
        let full = u64::from(universe.full);
        let mut plan = Self {
            universe,
            each: query.each,
            wins: (0, full),
            loses: (0, full),
            between: false,
            about_rho: query.each == Each::DistinctRho,
            monotone: false,
            both: false,
            symmetric: false,
            gradients: Vec::new(),
            excluded: Vec::new(),
            cancel: query.cancel.clone(),
        };
        for filter in &query.filters {
            plan.add(filter, query.atoms)?;
        }
        plan.excluded.sort_unstable();
        plan.excluded.dedup();
        Ok(plan)
    }

    fn add(&mut self, filter: &Filter, atoms: usize) -> Result<(), LandscapeError> {
        self.about_rho |= !matches!(filter, Filter::Between { .. });
        match filter {
            Filter::NonEmpty => {}
            Filter::Monotone => self.monotone = true,
            Filter::DependsOnBoth => self.both = true,
            Filter::Symmetric => self.symmetric = true,
            Filter::Between { lower, upper } => {
                let ((least, most), (low, high)) =
                    (atom::tables(lower, atoms)?, atom::tables(upper, atoms)?);
                self.between = true;
                self.wins = (self.wins.0 | least, self.wins.1 & low);
                self.loses = (self.loses.0 | high, self.loses.1 & most);
            }
            Filter::UsableGradient { aggregate, inputs } => {
                let scale = Scale::new(*aggregate, *inputs, atoms);
                let weighted =
                    (0..=u64::from(self.universe.full)).map(|f| scale.weigh(f, atoms)).collect();
                let all_inputs = *inputs == super::gradient::Inputs::All;
                self.gradients.push(Gradient { scale, weighted, all_inputs });
            }
            Filter::NotIn(losses) => {
                for loss in losses {
                    let Ok((t, b)) = atom::tables(&super::factor::reduced(loss), atoms) else {
                        continue;
                    };
                    if t != 0 && b != 0 {
                        self.excluded.push((t as u16, b as u16));
                    }
                }
            }
        }
        Ok(())
    }

    /// The winning functions to try, in ascending order.
    pub(super) fn winners(&self) -> cube::Between {
        cube::Between::new(self.wins.0, self.wins.1)
    }

    /// The losing functions within the interval, in ascending order.
    pub(super) fn losers(&self) -> cube::Between {
        cube::Between::new(self.loses.0, self.loses.1)
    }

    /// Whether the losing function `b` is within the interval.
    fn within(&self, b: u16) -> bool {
        let b = u64::from(b);
        self.loses.0 & !b == 0 && b & !self.loses.1 == 0
    }

    /// Whether the search should stop.
    pub(super) fn cancelled(&self) -> bool {
        self.cancel.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed))
    }

    /// Calls `visit` with every losing function that passes together with the winning one, in
    /// ascending order.
    pub(super) fn partners(&self, t: u16, visit: impl FnMut(u16)) {
        self.search(t, self.each, visit);
    }

    /// The same for the reduced structures only, whatever the query lists.
    pub(super) fn reduced_partners(&self, t: u16, visit: impl FnMut(u16)) {
        self.search(t, Each::DistinctRho, visit);
    }

    fn search(&self, t: u16, each: Each, mut visit: impl FnMut(u16)) {
        if self.about_rho && t == 0 {
            return;
        }
        let mut offer = |b: u16| {
            if self.within(b) && self.accepts(t, b, each) {
                visit(b);
            }
        };
        if self.symmetric {
            let rises = |b: &u16| !self.monotone || self.universe.is_monotone(t, *b);
            self.mirrored(t, each).into_iter().filter(rises).for_each(offer);
        } else if self.monotone {
            self.universe.monotone_partners(t, offer);
        } else {
            self.losers().for_each(|b| offer(b as u16));
        }
    }

    /// The losing functions that can make a symmetric pair with `t`: the fraction in lowest terms is
    /// that of a function and its mirror image, and `t` is the function times some padding.
    fn mirrored(&self, t: u16, each: Each) -> Vec<u16> {
        let atoms = self.universe.atoms;
        let mirror = |f: u16| atom::swap_responses(u64::from(f), atoms).map(|f| f as u16);
        if each == Each::DistinctRho {
            return mirror(t).into_iter().collect();
        }
        let mut candidates: Vec<u16> = self
            .universe
            .divisors(t)
            .filter_map(|(padding, _)| {
                let (core, _) = self.universe.cancel(t, padding);
                mirror(core).map(|b| b & padding)
            })
            .collect();
        candidates.sort_unstable();
        candidates.dedup();
        candidates
    }

    /// Every condition but the interval.
    fn accepts(&self, t: u16, b: u16, each: Each) -> bool {
        if !self.about_rho {
            return true;
        }
        if t == 0 || b == 0 {
            return false;
        }
        let (t, b) = match each {
            Each::DistinctRho if self.universe.coprime(t, b) => (t, b),
            Each::DistinctRho => return false,
            Each::Structure => self.universe.cancel(t, b),
        };
        self.passes(t, b) && self.excluded.binary_search(&(t, b)).is_err()
    }

    /// The conditions on rho, asked of a fraction in lowest terms; but for `NotIn`, and for the signs of
    /// the slopes, which generation has asked.
    fn passes(&self, t: u16, b: u16) -> bool {
        let on = self.universe.union(t, b) & POLICY;
        if (self.both && on != POLICY) || (self.monotone && on == 0) {
            return false;
        }
        if self.symmetric
            && atom::swap_responses(u64::from(t), self.universe.atoms) != Some(u64::from(b))
        {
            return false;
        }
        let usable =
            |g: &Gradient| g.scale.usable(&g.weighted[usize::from(t)], &g.weighted[usize::from(b)]);
        self.gradients.iter().all(usable) && (!self.monotone || self.universe.is_monotone(t, b))
    }

    /// Whether the reduced fraction of `NotIn` would be listed otherwise.
    pub(super) fn would_list(&self, t: u16, b: u16) -> bool {
        self.wins.0 & !u64::from(t) == 0
            && u64::from(t) & !self.wins.1 == 0
            && self.within(b)
            && self.passes(t, b)
            && (!self.monotone || self.universe.is_monotone(t, b))
    }

    /// Whether the winning and the losing function can be counted apart: the conditions left on the
    /// pair concern only on which atoms it depends.
    pub(super) fn separates(&self) -> bool {
        !self.monotone
            && !self.symmetric
            && self.gradients.is_empty()
            && (self.each == Each::DistinctRho || !self.between)
    }

    /// The permutations of the atoms that change no answer, as targets; more than the identity only
    /// where that spares a search through all pairs.
    pub(super) fn relabellings(&self) -> Vec<Vec<usize>> {
        let n = self.universe.atoms;
        let idle = self.monotone || self.symmetric || self.between || !self.excluded.is_empty();
        if idle {
            return vec![(0..n).collect()];
        }
        let alike = !self.both && self.gradients.iter().all(|g| g.all_inputs);
        let mut found = Vec::new();
        permutations(&mut (0..n).collect(), 0, &mut |order| {
            if alike || order[..2].iter().all(|&i| i < 2) {
                found.push(order.to_vec());
            }
        });
        found
    }
}

fn permutations(order: &mut Vec<usize>, from: usize, visit: &mut impl FnMut(&[usize])) {
    if from == order.len() {
        visit(order);
        return;
    }
    for i in from..order.len() {
        order.swap(from, i);
        permutations(order, from + 1, visit);
        order.swap(from, i);
    }
}
