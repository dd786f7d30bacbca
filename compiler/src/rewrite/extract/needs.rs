//! What every graph of a class contains, and which nodes can be left out of the search.
//!
//! Why: branch and bound is as fast as its bounds are close and its choices few. In: a [`Problem`], and the price
//! of a graph that is already found. Out: the problem without nodes that no cheaper graph needs, and [`Needs`].
//! Invariant: of the graphs that are cheaper than the given one, one of the cheapest stays.

use super::problem::{Bits, Node, Price, Problem, difference, sum};
use std::collections::{BTreeMap, BTreeSet};

/// How often prices are moved: some move on only after others have.
const MOVES: usize = 3;
/// How often nodes are left out before the search: later passes find little.
const REDUCTIONS: usize = 12;

/// The classes that every term of a class contains, and bounds on prices.
pub(super) struct Needs {
    needs: Vec<Bits>,
    /// The least price of a node of each class.
    cheapest: Vec<Price>,
    /// The prices of the nodes of each class, where a class has passed the least price of its nodes on to the
    /// nodes of one other class that use it: no graph has a higher sum of these than its price, and the least
    /// ones are closer to what is unavoidable.
    pub(super) shifted: Vec<Vec<Price>>,
    least: Vec<Price>,
}

fn least(prices: impl Iterator<Item = Price>) -> Price {
    prices.min().unwrap_or_default()
}

impl Needs {
    pub(super) fn new(problem: &Problem) -> Needs {
        let shifted: Vec<Vec<Price>> =
            problem.classes.iter().map(|list| list.iter().map(|n| n.price).collect()).collect();
        let cheapest: Vec<Price> = shifted.iter().map(|p| least(p.iter().copied())).collect();
        let mut out = Needs { needs: common(problem), least: cheapest.clone(), cheapest, shifted };
        out.shift(problem, &out.of(&problem.roots));
        out
    }

    /// What every graph with these classes contains.
    pub(super) fn of(&self, classes: &[usize]) -> Bits {
        let mut out = Bits::none(self.needs.len());
        classes.iter().for_each(|c| out.unite(&self.needs[*c]));
        out
    }

    /// What a class needs, itself among it.
    pub(super) fn of_class(&self, class: usize) -> &Bits {
        &self.needs[class]
    }

    /// Moves prices towards the roots, the classes with the smallest terms first. What `always` holds counts
    /// in every bound already and stays.
    ///
    /// A class that another one uses does not need that one in turn, because a graph has no circles: what is
    /// moved is the least price of its other nodes.
    fn shift(&mut self, problem: &Problem, always: &Bits) {
        let mut users: Vec<BTreeMap<usize, Vec<usize>>> = vec![BTreeMap::new(); problem.len()];
        for (class, list) in problem.classes.iter().enumerate() {
            for (k, node) in list.iter().enumerate() {
                for operand in node.operands.iter().collect::<BTreeSet<_>>() {
                    users[*operand].entry(class).or_default().push(k);
                }
            }
        }
        let order = by_height(problem);
        for own in (0..MOVES).flat_map(|_| &order).copied().filter(|c| !always.has(*c)) {
            // The class of which most nodes use this one; one that every graph holds before others.
            let share = |(user, nodes): &(&usize, &Vec<usize>)| {
                let part = 1000 * nodes.len() / problem.classes[**user].len();
                (always.has(**user), part, std::cmp::Reverse(**user))
            };
            let found = users[own].iter().filter(|(u, _)| **u != own).max_by_key(share);
            let Some((user, nodes)) = found else { continue };
            let free: Vec<usize> = (0..problem.classes[own].len())
                .filter(|k| !self.of(&problem.classes[own][*k].operands).has(*user))
                .collect();
            let moved = least(free.iter().map(|k| self.shifted[own][*k]));
            if moved <= Price::default() {
                continue;
            }
            for k in free {
                self.shifted[own][k] = difference(self.shifted[own][k], moved);
            }
            for k in nodes {
                self.shifted[*user][*k] = sum(self.shifted[*user][*k], moved);
            }
            for class in [own, *user] {
                self.least[class] = least(self.shifted[class].iter().copied());
            }
        }
    }

    /// The least that classes cost, without those that are decided: as prices, and as shifted prices.
    pub(super) fn bound(&self, needed: &Bits, decided: &Bits) -> (Price, Price) {
        needed.without(decided).fold((Price::default(), Price::default()), |(plain, shifted), i| {
            (sum(plain, self.cheapest[i]), sum(shifted, self.least[i]))
        })
    }

    /// The least price of a graph in which a class has its k-th node; `always` is what the roots need.
    fn least_with(&self, class: usize, k: usize, node: &Node, always: &Bits) -> Price {
        let mut needed = self.of(&node.operands);
        needed.unite(always);
        let mut decided = Bits::none(self.needs.len());
        decided.set(class, true);
        let (plain, shifted) = self.bound(&needed, &decided);
        sum(plain, node.price).max(sum(shifted, self.shifted[class][k]))
    }

    /// True when every graph under `node` contains the operands of `other` already. They lie below `node`, so
    /// that the exchange makes no circle.
    fn covers(&self, node: &Node, other: &Node) -> bool {
        let below = self.of(&node.operands);
        other.operands.iter().all(|c| below.has(*c))
    }
}

/// The greatest solution of: a class needs itself and what all of its nodes need.
fn common(problem: &Problem) -> Vec<Bits> {
    let full = Bits::all(problem.len());
    let mut needs = vec![full.clone(); problem.len()];
    let mut changed = true;
    while changed {
        changed = false;
        for (class, list) in problem.classes.iter().enumerate() {
            let mut common = full.clone();
            for node in list {
                let mut below = Bits::none(problem.len());
                node.operands.iter().for_each(|c| below.unite(&needs[*c]));
                common.intersect(&below);
            }
            common.set(class, true);
            if needs[class] != common {
                needs[class] = common;
                changed = true;
            }
        }
    }
    needs
}

/// The classes in the order of the height of their smallest terms.
fn by_height(problem: &Problem) -> Vec<usize> {
    let mut done = Bits::none(problem.len());
    let mut out = Vec::new();
    loop {
        let known = |n: &Node| n.operands.iter().all(|c| done.has(*c));
        let ready = |c: &usize| !done.has(*c) && problem.classes[*c].iter().any(known);
        let next: Vec<usize> = (0..problem.len()).filter(ready).collect();
        if next.is_empty() {
            return out;
        }
        next.iter().for_each(|c| done.set(*c, true));
        out.extend(next);
    }
}

/// Leaves out every node that no graph cheaper than `best` holds, and every node in the place of which another
/// one would do at no more cost.
pub(super) fn reduced(mut problem: Problem, best: Price) -> (Problem, Needs) {
    for _ in 0..REDUCTIONS {
        let needs = Needs::new(&problem);
        let always = needs.of(&problem.roots);
        let mut next = Problem { classes: Vec::new(), roots: problem.roots.clone() };
        for (class, list) in problem.classes.iter().enumerate() {
            let mut kept: Vec<Node> = Vec::new();
            for (k, node) in list.iter().enumerate() {
                let has_term =
                    |c: &usize| !problem.classes[*c].is_empty() && !needs.of_class(*c).has(class);
                let possible = node.operands.iter().all(has_term)
                    && needs.least_with(class, k, node, &always) < best;
                let replaced =
                    |other: &Node| other.price <= node.price && needs.covers(node, other);
                if possible && !kept.iter().any(replaced) {
                    kept.push(node.clone());
                }
            }
            next.classes.push(kept);
        }
        if next == problem {
            return (problem, needs);
        }
        problem = next;
    }
    let needs = Needs::new(&problem);
    (problem, needs)
}
