//! Branch and bound over the classes that are needed and not decided.
//!
//! Why: it ends with a proof that no graph is cheaper. In: a reduced [`Problem`], its [`Needs`], a graph to
//! beat. Out: the cheapest graph, and how the search ended. Invariants: the steps do not depend on the machine; a
//! graph is taken only where it is cheaper than the one before.
//!
//! Two things keep the search short beside its bounds. Classes are decided from the roots downwards, so that
//! what is decided soon cannot matter any more; and what is left to decide is looked up in a table: two ways
//! to the same rest have the same cheapest completion, and independent choices add up where they would
//! multiply.

use super::landmarks::Landmarks;
use super::needs::Needs;
use super::problem::{Bits, Graph, Price, Problem, difference, sum};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// How a search ended.
pub(super) struct Outcome {
    pub(super) best: Graph,
    pub(super) steps: usize,
    /// True when the budget ended the search before it was complete.
    pub(super) exhausted: bool,
}

pub(super) fn search(problem: &Problem, needs: &Needs, best: Graph, budget: usize) -> Outcome {
    let size = problem.len();
    let below = below(problem);
    let landmarks = Landmarks::new(problem);
    let mut search = Search {
        problem,
        needs,
        hits: vec![0; landmarks.amounts.len()],
        due: landmarks.total,
        landmarks,
        order: order(problem, &below),
        below,
        chosen: vec![None; size],
        decided: Bits::none(size),
        known: BTreeMap::new(),
        out: Outcome { best, steps: 0, exhausted: false },
        budget,
    };
    let mut open = Bits::none(size);
    problem.roots.iter().for_each(|r| open.set(*r, true));
    search.visit(&open, Spent::default());
    search.out
}

/// Each class with all classes that can lie below it.
fn below(problem: &Problem) -> Vec<Bits> {
    let mut below: Vec<Bits> = (0..problem.len())
        .map(|class| {
            let mut own = Bits::none(problem.len());
            own.set(class, true);
            own
        })
        .collect();
    let mut changed = true;
    while changed {
        changed = false;
        for (class, list) in problem.classes.iter().enumerate() {
            let mut all = below[class].clone();
            list.iter().flat_map(|n| &n.operands).for_each(|c| all.unite(&below[*c]));
            if all != below[class] {
                below[class] = all;
                changed = true;
            }
        }
    }
    below
}

/// When a class is decided: those with more below them first; of those that can lie below each other, the one
/// with fewer nodes.
type Turn = (Reverse<u32>, usize, usize, usize);

fn order(problem: &Problem, below: &[Bits]) -> Vec<Turn> {
    let turn = |class: usize| {
        let circle = below[class].places().find(|c| below[*c].has(class)).unwrap_or(class);
        (Reverse(below[class].count()), circle, problem.classes[class].len(), class)
    };
    (0..problem.len()).map(turn).collect()
}

/// What the decided classes cost, and their shifted prices ([`Needs::shifted`]).
#[derive(Clone, Copy, Default)]
struct Spent {
    price: Price,
    shifted: Price,
}

struct Search<'a> {
    problem: &'a Problem,
    needs: &'a Needs,
    landmarks: Landmarks,
    /// How many chosen nodes each landmark holds, and the amounts of those that hold none.
    hits: Vec<usize>,
    due: Price,
    order: Vec<Turn>,
    below: Vec<Bits>,
    /// The nodes of the decided classes, as places in their lists.
    chosen: Vec<Option<usize>>,
    decided: Bits,
    /// The least price of what completes a state.
    known: BTreeMap<Vec<u64>, Price>,
    out: Outcome,
    budget: usize,
}

impl Search<'_> {
    /// Tries every completion of what is chosen; `open` is needed and undecided.
    fn visit(&mut self, open: &Bits, spent: Spent) {
        let mut needed = Bits::none(self.problem.len());
        open.places().for_each(|c| needed.unite(self.needs.of_class(c)));
        let (plain, shifted) = self.needs.bound(&needed, &self.decided);
        let best = self.out.best.price;
        let due = sum(spent.price, self.due);
        if due.max(sum(spent.price, plain)).max(sum(spent.shifted, shifted)) >= best {
            return;
        }
        let state = self.state(open);
        if self.known.get(&state).is_some_and(|least| sum(spent.price, *least) >= best) {
            return;
        }
        if self.out.steps >= self.budget {
            self.out.exhausted = true;
            return;
        }
        self.out.steps += 1;
        let Some(class) = open.places().min_by_key(|c| self.order[*c]) else {
            self.take();
            return;
        };
        let problem = self.problem;
        self.decided.set(class, true);
        for (k, node) in problem.classes[class].iter().enumerate() {
            if self.reaches(&node.operands, class) {
                continue;
            }
            let mut next = open.clone();
            next.set(class, false);
            node.operands
                .iter()
                .filter(|c| !self.decided.has(**c))
                .for_each(|c| next.set(*c, true));
            self.choose(class, k);
            let spent = Spent {
                price: sum(spent.price, node.price),
                shifted: sum(spent.shifted, self.needs.shifted[class][k]),
            };
            self.visit(&next, spent);
            self.leave(class, k);
        }
        self.decided.set(class, false);
        if !self.out.exhausted {
            self.known.insert(state, difference(self.out.best.price, spent.price));
        }
    }

    fn choose(&mut self, class: usize, k: usize) {
        self.chosen[class] = Some(k);
        for mark in &self.landmarks.of[class][k] {
            if self.hits[*mark] == 0 {
                self.due = difference(self.due, self.landmarks.amounts[*mark]);
            }
            self.hits[*mark] += 1;
        }
    }

    fn leave(&mut self, class: usize, k: usize) {
        self.chosen[class] = None;
        for mark in &self.landmarks.of[class][k] {
            self.hits[*mark] -= 1;
            if self.hits[*mark] == 0 {
                self.due = sum(self.due, self.landmarks.amounts[*mark]);
            }
        }
    }

    /// Takes what is chosen as the best graph: the bound has found it cheaper.
    fn take(&mut self) {
        if let Some(graph) = self.problem.graph(&self.chosen) {
            self.out.best = graph;
        }
    }

    /// True when the chosen nodes lead from some classes back to `target`.
    fn reaches(&self, from: &[usize], target: usize) -> bool {
        let mut found = false;
        self.walk(from, |class| found |= class == target);
        found
    }

    /// Every class that the chosen nodes lead to.
    fn walk(&self, from: &[usize], mut see: impl FnMut(usize)) {
        let mut seen = Bits::none(self.problem.len());
        let mut stack = from.to_vec();
        while let Some(class) = stack.pop() {
            if seen.has(class) {
                continue;
            }
            seen.set(class, true);
            see(class);
            if let Some(k) = self.chosen[class] {
                stack.extend(&self.problem.classes[class][k].operands);
            }
        }
    }

    /// All that the completions of a state depend on: what is open, which decided classes can still be used,
    /// and which open classes lie under each of those, for a completion must not close a circle.
    fn state(&self, open: &Bits) -> Vec<u64> {
        let mut usable = Bits::none(self.problem.len());
        open.places().for_each(|c| usable.unite(&self.below[c]));
        usable.intersect(&self.decided);
        let mut state = open.words().to_vec();
        for class in usable.places() {
            let mut under = Bits::none(self.problem.len());
            self.walk(&[class], |c| {
                if open.has(c) && self.below[c].has(class) {
                    under.set(c, true);
                }
            });
            state.push(class as u64);
            state.extend_from_slice(under.words());
        }
        state
    }
}
