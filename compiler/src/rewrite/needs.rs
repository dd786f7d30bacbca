//! What every graph of a class contains, and which nodes can be left out of the search.
//!
//! Why: branch and bound is as fast as its bounds are close and its choices few. In: the nodes of every class
//! with their costs, and a graph that is already found. Out: the nodes that a cheaper graph may hold.
//! Invariant: no graph that costs less than the given one is lost, but for graphs of the same cost.

use super::cost::Cost;
use super::extract::Options;
use super::language::Expr;
use egg::{Id, Language};
use std::collections::{BTreeMap, BTreeSet};

/// A set of classes, by their places.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    pub(super) fn new(size: usize) -> Bits {
        Bits(vec![0; size.div_ceil(64)])
    }

    pub(super) fn set(&mut self, i: usize, on: bool) {
        if on {
            self.0[i / 64] |= 1 << (i % 64);
        } else {
            self.0[i / 64] &= !(1 << (i % 64));
        }
    }

    fn has(&self, i: usize) -> bool {
        self.0[i / 64] >> (i % 64) & 1 == 1
    }

    pub(super) fn unite(&mut self, other: &Bits) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a |= b);
    }

    fn intersect(&mut self, other: &Bits) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a &= b);
    }

    /// The places that are in this set and not in the other.
    pub(super) fn without<'a>(&'a self, other: &'a Bits) -> impl Iterator<Item = usize> + 'a {
        self.0.iter().zip(&other.0).enumerate().flat_map(|(word, (a, b))| {
            let mut left = a & !b;
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros() as usize)?;
                left &= left - 1;
                Some(64 * word + bit)
            })
        })
    }
}

/// A cost, or a difference of costs, in the order of importance.
pub(super) type Price = [i64; 4];

/// The price of a cost. A cost beyond 2^62 counts as that, which keeps bounds below the truth.
pub(super) fn price(cost: Cost) -> Price {
    let part = |x: u64| i64::try_from(x).unwrap_or(i64::MAX).min(1 << 62);
    [part(cost.hazard), part(cost.work), part(cost.size), part(cost.unusual)]
}

pub(super) fn sum(a: Price, b: Price) -> Price {
    std::array::from_fn(|i| a[i].saturating_add(b[i]))
}

fn difference(a: Price, b: Price) -> Price {
    std::array::from_fn(|i| a[i].saturating_sub(b[i]))
}

/// How often prices are moved: some move on only after others have.
const PASSES: usize = 3;

/// The classes that every term of a class contains, and bounds on costs.
pub(super) struct Needs {
    pub(super) place: BTreeMap<Id, usize>,
    /// The least cost of a node of each class.
    cheapest: Vec<Price>,
    needs: Vec<Bits>,
    /// The prices of the nodes of each class, in the order of the options, where a class has passed the least
    /// price of its nodes on to the nodes of one other class that use it: no graph has a higher price than
    /// cost, and the least prices are closer to what is unavoidable.
    pub(super) shifted: Vec<Vec<Price>>,
    least: Vec<Price>,
}

impl Needs {
    /// The greatest solution of: a class needs itself and what all of its nodes need.
    fn new(options: &BTreeMap<Id, Options>, roots: &BTreeSet<Id>) -> Needs {
        let place: BTreeMap<Id, usize> =
            options.keys().enumerate().map(|(i, id)| (*id, i)).collect();
        let cost = |list: &Options| list.iter().map(|x| price(x.0)).min().unwrap_or_default();
        let cheapest: Vec<Price> = options.values().map(cost).collect();
        let full = Bits(vec![u64::MAX; place.len().div_ceil(64)]);
        let mut needs = vec![full.clone(); place.len()];
        loop {
            let mut changed = false;
            for (id, list) in options {
                let mut common = full.clone();
                for (_, node) in list {
                    let mut below = Bits::new(place.len());
                    node.children().iter().for_each(|c| below.unite(&needs[place[c]]));
                    common.intersect(&below);
                }
                common.set(place[id], true);
                if needs[place[id]] != common {
                    needs[place[id]] = common;
                    changed = true;
                }
            }
            if !changed {
                break;
            }
        }
        let prices = |list: &Options| list.iter().map(|x| price(x.0)).collect();
        let shifted = options.values().map(prices).collect();
        let least = cheapest.clone();
        let mut out = Needs { place, cheapest, needs, shifted, least };
        out.shift(options, &out.of(roots.iter()));
        out
    }

    /// What every graph with these classes contains.
    pub(super) fn of<'a>(&self, ids: impl Iterator<Item = &'a Id>) -> Bits {
        let mut out = self.none();
        ids.for_each(|id| out.unite(&self.needs[self.place[id]]));
        out
    }

    pub(super) fn none(&self) -> Bits {
        Bits::new(self.place.len())
    }

    /// Moves prices towards the roots, the classes with the smallest terms first. What `always` holds counts in
    /// every bound already and stays.
    ///
    /// A class that another one uses does not need that one in turn, because a graph has no circles: what is
    /// moved is the least price of its other nodes.
    fn shift(&mut self, options: &BTreeMap<Id, Options>, always: &Bits) {
        let mut users: BTreeMap<Id, BTreeMap<Id, Vec<usize>>> = BTreeMap::new();
        for (id, list) in options {
            for (k, (_, node)) in list.iter().enumerate() {
                for child in node.children().iter().collect::<BTreeSet<_>>() {
                    users.entry(*child).or_default().entry(*id).or_default().push(k);
                }
            }
        }
        let order = by_height(options);
        for id in (0..PASSES).flat_map(|_| &order) {
            let own = self.place[id];
            if always.has(own) {
                continue;
            }
            // The class of which most nodes use this one; one that every graph holds before others.
            let Some(users) = users.get(id) else { continue };
            let share = |(user, nodes): &(&Id, &Vec<usize>)| {
                let held = always.has(self.place[*user]);
                (held, 1000 * nodes.len() / options[*user].len(), std::cmp::Reverse(**user))
            };
            let found = users.iter().filter(|(u, _)| *u != id).max_by_key(share);
            let Some((user, nodes)) = found else { continue };
            let user = self.place[user];
            let free: Vec<usize> = (0..options[id].len())
                .filter(|k| !self.of(options[id][*k].1.children().iter()).has(user))
                .collect();
            let moved = free.iter().map(|k| self.shifted[own][*k]).min().unwrap_or_default();
            if moved <= Price::default() {
                continue;
            }
            for k in free {
                self.shifted[own][k] = difference(self.shifted[own][k], moved);
            }
            for k in nodes {
                self.shifted[user][*k] = sum(self.shifted[user][*k], moved);
            }
            for place in [own, user] {
                self.least[place] = self.shifted[place].iter().min().copied().unwrap_or_default();
            }
        }
    }

    /// The least that classes cost, without those that are decided: as costs, and as shifted prices.
    pub(super) fn bound(&self, needed: &Bits, decided: &Bits) -> (Price, Price) {
        let mut out = (Price::default(), Price::default());
        // Unused bits of the last word have no class.
        for i in needed.without(decided).filter(|i| *i < self.place.len()) {
            out = (sum(out.0, self.cheapest[i]), sum(out.1, self.least[i]));
        }
        out
    }
}

/// The classes in the order of the height of their smallest terms.
fn by_height(options: &BTreeMap<Id, Options>) -> Vec<Id> {
    let mut done: BTreeSet<Id> = BTreeSet::new();
    let mut out = Vec::new();
    loop {
        let ready = |(id, list): &(&Id, &Options)| {
            let known = |(_, n): &(Cost, Expr)| n.children().iter().all(|c| done.contains(c));
            !done.contains(*id) && list.iter().any(known)
        };
        let next: Vec<Id> = options.iter().filter(ready).map(|(id, _)| *id).collect();
        if next.is_empty() {
            return out;
        }
        done.extend(&next);
        out.extend(next);
    }
}

/// Leaves out every node that no graph cheaper than `best` holds, and every node in the place of which another
/// one would do at no more cost.
pub(super) fn reduced(
    mut options: BTreeMap<Id, Options>,
    roots: &BTreeSet<Id>,
    best: Cost,
) -> (BTreeMap<Id, Options>, Needs) {
    let best = price(best);
    loop {
        let needs = Needs::new(&options, roots);
        let always = needs.of(roots.iter());
        let mut next = BTreeMap::new();
        for (id, list) in &options {
            let possible = |k: usize, node: &Expr| {
                let has_term = |c: &Id| !options[c].is_empty() && !needs.contains(*c, *id);
                node.children().iter().all(has_term)
                    && needs.least_with(*id, k, list, &always) < best
            };
            let mut kept: Options = Vec::new();
            for (k, (cost, node)) in list.iter().enumerate() {
                let covered = |(c, other): &(Cost, Expr)| c <= cost && needs.covers(node, other);
                if possible(k, node) && !kept.iter().any(covered) {
                    kept.push((*cost, *node));
                }
            }
            next.insert(*id, kept);
        }
        if next == options {
            return (options, needs);
        }
        options = next;
    }
}

impl Needs {
    /// The least cost of a graph for the roots in which a class has its k-th node; `always` is what the roots
    /// need.
    fn least_with(&self, id: Id, k: usize, list: &Options, always: &Bits) -> Price {
        let (cost, node) = &list[k];
        let mut needed = self.of(node.children().iter());
        needed.unite(always);
        let own = self.place[&id];
        let mut decided = self.none();
        decided.set(own, true);
        let (plain, shifted) = self.bound(&needed, &decided);
        sum(plain, price(*cost)).max(sum(shifted, self.shifted[own][k]))
    }

    /// True when every graph of a class contains another class.
    fn contains(&self, of: Id, other: Id) -> bool {
        self.needs[self.place[&of]].has(self.place[&other])
    }

    /// True when every graph under `node` contains the operands of `other` already. They lie below `node`, so
    /// that the exchange makes no circle.
    fn covers(&self, node: &Expr, other: &Expr) -> bool {
        let below = self.of(node.children().iter());
        let mut wanted = self.none();
        other.children().iter().for_each(|c| wanted.set(self.place[c], true));
        wanted.without(&below).next().is_none()
    }
}
