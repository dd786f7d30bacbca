//! Sets of nodes of which every graph holds one.
//!
//! Why: where each of several ways costs something, none of their classes is needed, and yet the least of the
//! costs is unavoidable; of a class and its negation, each made of the other one, one has to be made of something
//! else. In: a [`Problem`]. Out: [`Landmarks`]. Invariant: every graph has a node of every set, and over the sets that
//! hold a node their amounts sum to no more than its price, so that the amounts of all sets are a lower bound.
//!
//! The sets are cuts, as in planning (Helmert and Domshlak, Landmarks, Critical Paths and Abstractions, ICAPS
//! 2009): a node is made dear by the dearest of its operands; between what costs nothing more up to a root and
//! the leaves lies a set of nodes, one of which is on every way. Its least price counts, is taken off the prices
//! of the set, and the next cut is looked for.

use super::problem::{Bits, Price, Problem, difference, sum};

/// What every graph has to pay.
pub(super) struct Landmarks {
    /// The amount of each set.
    pub(super) amounts: Vec<Price>,
    /// The sets that hold each node of each class.
    pub(super) of: Vec<Vec<Vec<usize>>>,
    /// The sum of the amounts.
    pub(super) total: Price,
}

/// Most sets: each takes a node its price, so that there are no more than nodes; a large problem stops before.
const MOST: usize = 600;

impl Landmarks {
    pub(super) fn new(problem: &Problem) -> Landmarks {
        let mut left: Vec<Vec<Price>> =
            problem.classes.iter().map(|list| list.iter().map(|n| n.price).collect()).collect();
        let of = problem.classes.iter().map(|list| vec![Vec::new(); list.len()]).collect();
        let mut out = Landmarks { amounts: Vec::new(), of, total: Price::default() };
        while out.amounts.len() < MOST {
            let Some(cut) = cut(problem, &left) else { break };
            let Some(amount) = cut.iter().map(|(c, k)| left[*c][*k]).min() else { break };
            for (class, k) in cut {
                left[class][k] = difference(left[class][k], amount);
                out.of[class][k].push(out.amounts.len());
            }
            out.amounts.push(amount);
            out.total = sum(out.total, amount);
        }
        out
    }
}

/// The least price of the dearest way down from each class; `None` where there is no way.
fn depths(problem: &Problem, left: &[Vec<Price>]) -> Vec<Option<Price>> {
    let mut depths: Vec<Option<Price>> = vec![None; problem.len()];
    let mut changed = true;
    while changed {
        changed = false;
        for (class, list) in problem.classes.iter().enumerate() {
            for (k, node) in list.iter().enumerate() {
                let dearest = node.operands.iter().try_fold(Price::default(), |most, operand| {
                    depths[*operand].map(|d| most.max(d))
                });
                let Some(dearest) = dearest else { continue };
                let depth = sum(left[class][k], dearest);
                if depths[class].is_none_or(|d| depth < d) {
                    depths[class] = Some(depth);
                    changed = true;
                }
            }
        }
    }
    depths
}

/// The nodes of one cut; `None` where the roots cost nothing more.
fn cut(problem: &Problem, left: &[Vec<Price>]) -> Option<Vec<(usize, usize)>> {
    let depths = depths(problem, left);
    let root = problem.roots.iter().copied().max_by_key(|r| depths[*r])?;
    if depths[root]? <= Price::default() {
        return None;
    }
    // The operand that makes a node dear; `None` for a leaf, and no entry for a node without a way.
    let mut supported: Vec<(usize, usize, Option<usize>)> = Vec::new();
    for (class, list) in problem.classes.iter().enumerate() {
        for (k, node) in list.iter().enumerate() {
            if node.operands.iter().all(|o| depths[*o].is_some()) {
                let dearest = node.operands.iter().copied().max_by_key(|o| depths[*o]);
                supported.push((class, k, dearest));
            }
        }
    }
    let spread =
        |from: &mut Bits, steps: &dyn Fn(&Bits, usize, usize, Option<usize>) -> Option<usize>| {
            let mut changed = true;
            while changed {
                changed = false;
                for (class, k, by) in &supported {
                    if let Some(next) = steps(from, *class, *k, *by).filter(|c| !from.has(*c)) {
                        from.set(next, true);
                        changed = true;
                    }
                }
            }
        };
    let mut upper = Bits::none(problem.len());
    upper.set(root, true);
    spread(&mut upper, &|upper, class, k, by| {
        by.filter(|_| upper.has(class) && left[class][k] <= Price::default())
    });
    let mut lower = Bits::none(problem.len());
    spread(&mut lower, &|lower, class, _, by| {
        (!upper.has(class) && by.is_none_or(|b| lower.has(b))).then_some(class)
    });
    let crosses = |(class, _, by): &&(usize, usize, Option<usize>)| {
        upper.has(*class) && by.is_none_or(|b| lower.has(b))
    };
    Some(supported.iter().filter(crosses).map(|(class, k, _)| (*class, *k)).collect())
}
