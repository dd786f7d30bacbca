//! What the counting knows about every function of two, three or four atoms, computed once.
//!
//! In: the number of atoms. Out: for each of the 2^(2^n) functions its support, its irreducible
//! factors and its cofactors in `pi(w)` and `pi(l)`; and the two exact questions about pairs on which
//! everything rests, "coprime" and "monotone". Invariant: tables are indexed by the function itself.

use std::sync::OnceLock;

use super::error::LandscapeError;
use super::products::Products;
use super::{cube, factor};

/// The position of `pi(w)` among the atoms.
pub(super) const W: usize = 0;
/// The position of `pi(l)` among the atoms.
pub(super) const L: usize = 1;
/// Both policy atoms, as a mask of supports.
pub(super) const POLICY: u8 = 1 << W | 1 << L;

/// The cofactors of one function, as functions of three atoms.
#[derive(Clone, Copy)]
struct Cofactors {
    w: [u8; 2],
    l: [u8; 2],
}

/// The functions of `atoms` atoms.
pub(super) struct Universe {
    /// The number of atoms: 2, 3 or 4.
    pub(super) atoms: usize,
    /// The function that is true everywhere.
    pub(super) full: u16,
    supports: Vec<u8>,
    factors: Vec<[u16; 4]>,
    cofactors: Vec<Cofactors>,
    products: &'static Products,
    /// For each function of one atom less, the functions with which it makes a pair that nowhere
    /// falls with w or rises with l: the shape of every facet of such a pair. Empty for two atoms.
    facets: &'static [Vec<u8>],
}

impl Universe {
    /// The universe of 2, 3 or 4 atoms.
    pub(super) fn get(atoms: usize) -> Result<&'static Self, LandscapeError> {
        static UNIVERSES: [OnceLock<Universe>; 3] = [const { OnceLock::new() }; 3];
        match atoms.checked_sub(2).and_then(|i| UNIVERSES.get(i)) {
            Some(universe) => {
                // The facets come from the universe below: built first, never from within.
                let facets = if atoms > 2 { facets_of(atoms - 1)? } else { &[] };
                Ok(universe.get_or_init(|| Self::build(atoms, facets)))
            }
            None => Err(LandscapeError::Atoms { atoms }),
        }
    }

    fn build(atoms: usize, facets: &'static [Vec<u8>]) -> Self {
        let full = cube::full(atoms) as u16;
        let each = || 0..=u64::from(full);
        let supports = each().map(|f| cube::support(f, atoms)).collect();
        let factors = each()
            .map(|f| {
                let mut slots = [0; 4];
                for (slot, g) in slots.iter_mut().zip(factor::factors(f, atoms)) {
                    *slot = g as u16;
                }
                slots
            })
            .collect();
        // A function of fewer atoms is the same function of three that ignores the others.
        let repeat = |f: u64| (f * [0x55, 0x11, 0x01][atoms - 2]) as u8;
        let pair = |f, i| {
            let (high, low) = cube::cofactors(f, i, atoms);
            [repeat(low), repeat(high)]
        };
        let cofactors = each().map(|f| Cofactors { w: pair(f, W), l: pair(f, L) }).collect();
        Self { atoms, full, supports, factors, cofactors, products: Products::get(), facets }
    }

    /// The atoms on which `f` depends.
    pub(super) fn support(&self, f: u16) -> u8 {
        self.supports[usize::from(f)]
    }

    /// The irreducible factors of `f`.
    pub(super) fn factors(&self, f: u16) -> &[u16] {
        let slots = &self.factors[usize::from(f)];
        let used = slots.iter().position(|&g| g == 0).unwrap_or(slots.len());
        &slots[..used]
    }

    /// Every function that divides `f`, with the number of its irreducible factors; 1 first.
    pub(super) fn divisors(&self, f: u16) -> impl Iterator<Item = (u16, u32)> + '_ {
        let factors = self.factors(f);
        (0..1_u32 << factors.len()).map(move |chosen| {
            let product = factors
                .iter()
                .enumerate()
                .filter(|(i, _)| chosen >> i & 1 == 1)
                .fold(self.full, |product, (_, g)| product & g);
            (product, chosen.count_ones())
        })
    }

    /// Whether the fraction `t / b` of two non-zero functions is in lowest terms.
    pub(super) fn coprime(&self, t: u16, b: u16) -> bool {
        let below = &self.factors[usize::from(b)];
        self.factors(t).iter().all(|f| !below.contains(f))
    }

    /// The fraction `t / b` in lowest terms; both are non-zero.
    pub(super) fn cancel(&self, t: u16, b: u16) -> (u16, u16) {
        let keep = |f, other| {
            let other = self.factors(other);
            let own = self.factors(f).iter().filter(|g| !other.contains(g));
            own.fold(self.full, |product, g| product & g)
        };
        (keep(t, b), keep(b, t))
    }

    /// The atoms on which the pair depends.
    pub(super) fn union(&self, t: u16, b: u16) -> u8 {
        self.support(t) | self.support(b)
    }

    /// How many structures denote the rho of a fraction in lowest terms with this support: both sides
    /// may be multiplied by any non-zero function of the other atoms.
    pub(super) fn structures_of_support(&self, support: u8) -> u64 {
        cube::full(self.atoms - support.count_ones() as usize)
    }

    /// Whether `T/B` nowhere falls with w and nowhere rises with l. For an empty side the polynomial
    /// conditions are still asked, which is what a facet of a larger pair needs.
    pub(super) fn is_monotone(&self, t: u16, b: u16) -> bool {
        let (over, under) = (&self.cofactors[usize::from(t)], &self.cofactors[usize::from(b)]);
        let at_least = |p: (u8, u8), q: (u8, u8)| {
            let products = self.products;
            products.at_least(products.number(p.0, p.1), products.number(q.0, q.1))
        };
        at_least((over.w[1], under.w[0]), (over.w[0], under.w[1]))
            && at_least((over.l[0], under.l[1]), (over.l[1], under.l[0]))
    }

    /// Calls `visit` with every `b` that makes a monotone pair with `t`, in ascending order, zero
    /// included; constant pairs too.
    pub(super) fn monotone_partners(&self, t: u16, mut visit: impl FnMut(u16)) {
        if self.facets.is_empty() {
            (0..=self.full).filter(|&b| self.is_monotone(t, b)).for_each(visit);
            return;
        }
        // On either facet of the last atom the pair is a pair of one atom less, and the conditions
        // hold on the facet because they hold on the cube.
        let rows = 1 << (self.atoms - 1);
        let low = &self.facets[usize::from(t & ((1 << rows) - 1))];
        for &high in &self.facets[usize::from(t >> rows)] {
            for &low in low {
                let b = u16::from(high) << rows | u16::from(low);
                if self.is_monotone(t, b) {
                    visit(b);
                }
            }
        }
    }
}

fn facets_of(atoms: usize) -> Result<&'static [Vec<u8>], LandscapeError> {
    static FACETS: [OnceLock<Vec<Vec<u8>>>; 2] = [const { OnceLock::new() }; 2];
    let universe = Universe::get(atoms)?;
    let facets = FACETS.get(atoms - 2).ok_or(LandscapeError::Atoms { atoms })?;
    Ok(facets.get_or_init(|| {
        (0..=universe.full)
            .map(|t| {
                let mut partners = Vec::new();
                universe.monotone_partners(t, |b| partners.push(b as u8));
                partners
            })
            .collect()
    }))
}
