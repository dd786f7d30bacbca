//! Chooses one node for every class that the roots need, so that the whole graph costs least.
//!
//! Why: the value and all gradients share sub-terms, and a sum of separately best terms is not the best
//! graph. In: a saturated e-graph, costs, roots. Out: a [`Choice`]. Invariants: the chosen nodes form an
//! acyclic graph that covers the roots; the result depends on the e-graph alone; unless
//! [`Choice::exhausted`] says otherwise it is the cheapest such graph.
//!
//! Method: bottom-up costs of terms and of graphs give two upper bounds, and exchanging single nodes improves
//! on them; [`super::needs`] leaves out the nodes that no better graph can hold; branch and bound over the open
//! classes ends the search. Its lower bounds are sums over the classes that the open ones need whatever is
//! chosen ([`Needs`]).

use super::analysis::Egraph;
use super::cost::{Cost, Model};
use super::language::Expr;
use super::needs::{Bits, Needs, Price, price as priced, reduced, sum};
use egg::{Id, Language};
use std::collections::{BTreeMap, BTreeSet};

/// One node a class.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Choice {
    /// The node chosen for each class that the roots need.
    pub(super) nodes: BTreeMap<Id, Expr>,
    /// The cost of the chosen graph.
    pub(super) cost: Cost,
    /// Steps of the search.
    pub(super) steps: usize,
    /// True when the budget ended the search before it was complete.
    pub(super) exhausted: bool,
}

/// The nodes of one class with their costs, cheapest first.
pub(super) type Options = Vec<(Cost, Expr)>;

/// Why no graph could be chosen: a root has no term that is free of cycles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NoTerm;

/// Chooses for the roots with at most `budget` steps of search.
pub(super) fn extract(
    egraph: &Egraph,
    model: &Model<'_>,
    roots: &[Id],
    budget: usize,
) -> Result<Choice, NoTerm> {
    let options = options(egraph, model);
    let roots: BTreeSet<Id> = roots.iter().map(|r| egraph.find(*r)).collect();
    let best = bottom_up(&options);
    let trees = closure(&roots, &best).ok_or(NoTerm)?;
    let greedy = greedy_graph(&options);
    let mut incumbent = (price(&options, &trees), trees);
    if let Some(graph) = closure(&roots, &greedy) {
        let cost = price(&options, &graph);
        if cost < incumbent.0 {
            incumbent = (cost, graph);
        }
    }
    exchange(&options, &roots, &greedy, &mut incumbent);
    let (options, needs) = reduced(options, &roots, incumbent.0);
    let mut search = Search { options: &options, needs: &needs, incumbent, steps: 0, budget };
    let open: Vec<Id> = roots.iter().copied().collect();
    search.visit(&mut BTreeMap::new(), &mut needs.none(), open, Spent::default());
    Ok(Choice {
        cost: search.incumbent.0,
        nodes: search.incumbent.1,
        steps: search.steps,
        exhausted: search.steps >= budget,
    })
}

/// The nodes of each class, without those that another node makes useless.
fn options(egraph: &Egraph, model: &Model<'_>) -> BTreeMap<Id, Options> {
    let mut out = BTreeMap::new();
    for class in egraph.classes() {
        let mut list: Options = class
            .nodes
            .iter()
            .map(|n| n.map_children(|c| egraph.find(c)))
            .filter(|n| !n.children().contains(&class.id))
            .map(|n| (model.cost(class.id, &n), n))
            .collect();
        // Ties fall to the values of the operands, which do not depend on the way of writing.
        let prints =
            |n: &Expr| -> Vec<f64> { n.children().iter().map(|c| egraph[*c].data.print).collect() };
        list.sort_by(|(ca, a), (cb, b)| {
            let values = || {
                let (x, y) = (prints(a), prints(b));
                let unequal = x.iter().zip(&y).map(|(p, q)| p.total_cmp(q)).find(|o| o.is_ne());
                unequal.unwrap_or(std::cmp::Ordering::Equal)
            };
            ca.cmp(cb).then(a.operator().cmp(&b.operator())).then_with(values).then(a.cmp(b))
        });
        list.dedup_by(|a, b| a.1 == b.1);
        out.insert(class.id, undominated(list));
    }
    out
}

/// Leaves out a node when a cheaper one needs no class that it does not need.
fn undominated(list: Options) -> Options {
    let mut kept: Options = Vec::new();
    for (cost, node) in list {
        let useless = kept
            .iter()
            .any(|(c, k)| *c <= cost && k.children().iter().all(|x| node.children().contains(x)));
        if !useless {
            kept.push((cost, node));
        }
    }
    kept
}

/// The cheapest term of each class, shared parts counted each time.
fn bottom_up(options: &BTreeMap<Id, Options>) -> BTreeMap<Id, Expr> {
    let mut costs: BTreeMap<Id, (Cost, Expr)> = BTreeMap::new();
    loop {
        let mut changed = false;
        for (id, list) in options {
            for (own, node) in list {
                let parts: Option<Vec<Cost>> =
                    node.children().iter().map(|c| costs.get(c).map(|x| x.0)).collect();
                let Some(parts) = parts else { continue };
                let total = parts.into_iter().fold(*own, |sum, c| sum + c);
                if costs.get(id).is_none_or(|(best, _)| total < *best) {
                    costs.insert(*id, (total, *node));
                    changed = true;
                }
            }
        }
        if !changed {
            return costs.into_iter().map(|(id, (_, n))| (id, n)).collect();
        }
    }
}

/// As [`bottom_up`], each class with the set of classes under it, so that shared parts count once.
fn greedy_graph(options: &BTreeMap<Id, Options>) -> BTreeMap<Id, Expr> {
    type Graph = BTreeMap<Id, Cost>;
    let mut found: BTreeMap<Id, (Cost, Expr, Graph)> = BTreeMap::new();
    // A class may improve again and again as others do; each pass only ever lowers costs.
    for _ in 0..options.len() + 1 {
        let mut changed = false;
        for (id, list) in options {
            for (own, node) in list {
                let mut graph: Graph = BTreeMap::from([(*id, *own)]);
                let complete = node.children().iter().all(|c| match found.get(c) {
                    Some((_, _, below)) if !below.contains_key(id) => {
                        graph.extend(below.iter().map(|(k, v)| (*k, *v)));
                        true
                    }
                    _ => false,
                });
                if !complete {
                    continue;
                }
                let total = graph.values().fold(Cost::default(), |sum, c| sum + *c);
                if found.get(id).is_none_or(|(best, _, _)| total < *best) {
                    found.insert(*id, (total, *node, graph));
                    changed = true;
                }
            }
        }
        if !changed {
            break;
        }
    }
    found.into_iter().map(|(id, (_, n, _))| (id, n)).collect()
}

/// The part of a choice that the roots need; `None` where it is incomplete or has a cycle.
fn closure(roots: &BTreeSet<Id>, chosen: &BTreeMap<Id, Expr>) -> Option<BTreeMap<Id, Expr>> {
    let mut out = BTreeMap::new();
    let mut open: Vec<Id> = roots.iter().copied().collect();
    while let Some(id) = open.pop() {
        if out.contains_key(&id) {
            continue;
        }
        let node = chosen.get(&id)?;
        out.insert(id, *node);
        open.extend(node.children());
    }
    order(&out).map(|_| out)
}

/// The classes with operands first; `None` where there is a cycle.
pub(super) fn order(nodes: &BTreeMap<Id, Expr>) -> Option<Vec<Id>> {
    let mut done: BTreeSet<Id> = BTreeSet::new();
    let mut out = Vec::with_capacity(nodes.len());
    loop {
        let ready = nodes
            .iter()
            .filter(|(id, n)| !done.contains(*id) && n.children().iter().all(|c| done.contains(c)));
        let ready: Vec<Id> = ready.map(|(id, _)| *id).collect();
        if ready.is_empty() {
            break;
        }
        done.extend(&ready);
        out.extend(ready);
    }
    (out.len() == nodes.len()).then_some(out)
}

fn price(options: &BTreeMap<Id, Options>, nodes: &BTreeMap<Id, Expr>) -> Cost {
    let own = |(id, node): (&Id, &Expr)| {
        let known = options.get(id).and_then(|o| o.iter().find(|(_, n)| n == node));
        known.map_or(Cost::default(), |(c, _)| *c)
    };
    nodes.iter().map(own).fold(Cost::default(), |sum, c| sum + c)
}

/// Exchanges single nodes of the incumbent as long as that makes it cheaper. Classes that come in anew are
/// decided as in `usual`.
fn exchange(
    options: &BTreeMap<Id, Options>,
    roots: &BTreeSet<Id>,
    usual: &BTreeMap<Id, Expr>,
    incumbent: &mut (Cost, BTreeMap<Id, Expr>),
) {
    let mut chosen = usual.clone();
    loop {
        chosen.extend(incumbent.1.iter().map(|(id, node)| (*id, *node)));
        let mut better = false;
        for id in incumbent.1.keys().copied().collect::<Vec<_>>() {
            for (_, node) in &options[&id] {
                let old = chosen.insert(id, *node);
                let found = closure(roots, &chosen).map(|graph| (price(options, &graph), graph));
                match found.filter(|f| f.0 < incumbent.0) {
                    Some(found) => {
                        *incumbent = found;
                        better = true;
                    }
                    None => {
                        chosen.extend(old.map(|node| (id, node)));
                    }
                }
            }
        }
        if !better {
            return;
        }
    }
}

struct Search<'a> {
    options: &'a BTreeMap<Id, Options>,
    needs: &'a Needs,
    incumbent: (Cost, BTreeMap<Id, Expr>),
    steps: usize,
    budget: usize,
}

/// What the decided classes cost, and their shifted prices ([`Needs::shifted`]).
#[derive(Clone, Copy, Default)]
struct Spent {
    cost: Cost,
    shifted: Price,
}

impl Search<'_> {
    /// True when no graph with these choices is cheaper than the incumbent.
    fn is_hopeless(&self, open: &[Id], decided: &Bits, spent: Spent) -> bool {
        let (plain, shifted) = self.needs.bound(&self.needs.of(open.iter()), decided);
        let least = sum(priced(spent.cost), plain).max(sum(spent.shifted, shifted));
        least >= priced(self.incumbent.0)
    }

    /// `open`: needed and undecided.
    fn visit(
        &mut self,
        chosen: &mut BTreeMap<Id, Expr>,
        decided: &mut Bits,
        mut open: Vec<Id>,
        spent: Spent,
    ) {
        if self.steps >= self.budget || self.is_hopeless(&open, decided, spent) {
            return;
        }
        self.steps += 1;
        // The class with the fewest options first: forced ones cost no branching.
        let fewest = (0..open.len()).min_by_key(|i| (self.options[&open[*i]].len(), open[*i]));
        let Some(place) = fewest else {
            if order(chosen).is_some() {
                self.incumbent = (spent.cost, chosen.clone());
            }
            return;
        };
        let id = open.swap_remove(place);
        let bit = self.needs.place[&id];
        decided.set(bit, true);
        let options = self.options;
        for (k, (own, node)) in options[&id].iter().enumerate() {
            if reaches(chosen, node, id) {
                continue;
            }
            let mut next = open.clone();
            for child in node.children() {
                if !chosen.contains_key(child) && !next.contains(child) {
                    next.push(*child);
                }
            }
            chosen.insert(id, *node);
            let spent = Spent {
                cost: spent.cost + *own,
                shifted: sum(spent.shifted, self.needs.shifted[bit][k]),
            };
            self.visit(chosen, decided, next, spent);
            chosen.remove(&id);
        }
        decided.set(bit, false);
    }
}

/// True when the nodes already chosen lead from `node` back to `target`.
fn reaches(chosen: &BTreeMap<Id, Expr>, node: &Expr, target: Id) -> bool {
    let mut open: Vec<Id> = node.children().to_vec();
    let mut seen = BTreeSet::new();
    while let Some(id) = open.pop() {
        if id == target {
            return true;
        }
        if seen.insert(id)
            && let Some(next) = chosen.get(&id)
        {
            open.extend(next.children());
        }
    }
    false
}
