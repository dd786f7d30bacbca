//! Chooses one node for every class that the roots need, so that the whole graph costs least.
//!
//! Why: the value and all gradients share sub-terms, and a sum of separately best terms is not the best
//! graph. In: a saturated e-graph, costs, roots. Out: a [`Choice`]. Invariants: the chosen nodes form an
//! acyclic graph that covers the roots; the result depends on the e-graph alone; unless
//! [`Choice::exhausted`] says otherwise it is the cheapest such graph.
//!
//! The way: [`greedy`] finds a good graph; [`needs`] leaves out the nodes that no better graph can hold;
//! [`landmarks`] says what every graph has to pay; [`search`] finds the best one or proves that there is none.

mod greedy;
mod landmarks;
mod needs;
mod problem;
mod search;
#[cfg(test)]
mod tests;

use super::analysis::Egraph;
use super::cost::{Cost, Model};
use super::language::Expr;
use egg::{Id, Language};
use problem::{Node, Problem};
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
type Options = Vec<(Cost, Expr)>;

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
    let ids: Vec<Id> = options.keys().copied().collect();
    let places: BTreeMap<Id, usize> = ids.iter().enumerate().map(|(i, id)| (*id, i)).collect();
    let node = |(name, (cost, node)): (usize, &(Cost, Expr))| Node {
        price: problem::price(*cost),
        operands: node.children().iter().map(|c| places[c]).collect(),
        name,
    };
    let classes = options.values().map(|list| list.iter().enumerate().map(node).collect());
    let roots: BTreeSet<usize> = roots.iter().map(|r| places[&egraph.find(*r)]).collect();
    let problem = Problem { classes: classes.collect(), roots: roots.into_iter().collect() };
    let best = greedy::greedy(&problem).ok_or(NoTerm)?;
    let (problem, needs) = needs::reduced(problem, best.price);
    let found = search::search(&problem, &needs, best, budget);
    let mut choice = Choice {
        nodes: BTreeMap::new(),
        cost: Cost::default(),
        steps: found.steps,
        exhausted: found.exhausted,
    };
    for (class, name) in found.best.nodes {
        let (cost, node) = options[&ids[class]][name];
        choice.nodes.insert(ids[class], node);
        choice.cost = choice.cost + cost;
    }
    Ok(choice)
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
