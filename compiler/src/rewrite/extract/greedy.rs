//! Good graphs without a search.
//!
//! Why: a search ends early when the graph to beat is good. In: a [`Problem`]. Out: the best of three graphs:
//! cheapest terms, cheapest terms with shared parts counted once, and the better one of both after exchanges of
//! single nodes.

use super::problem::{Graph, Plan, Price, Problem, sum};

/// A graph; `None` where a root has no term that is free of circles.
pub(super) fn greedy(problem: &Problem) -> Option<Graph> {
    let trees = cheapest_terms(problem);
    let mut best = (problem.graph(&trees)?, trees);
    let shared = cheapest_graphs(problem);
    if let Some(graph) = problem.graph(&shared).filter(|g| g.price < best.0.price) {
        best = (graph, shared);
    }
    Some(exchanged(problem, best))
}

/// The cheapest term of each class, shared parts counted each time.
fn cheapest_terms(problem: &Problem) -> Plan {
    let mut costs: Vec<Option<Price>> = vec![None; problem.len()];
    let mut plan: Plan = vec![None; problem.len()];
    loop {
        let mut changed = false;
        for (class, nodes) in problem.classes.iter().enumerate() {
            for (k, node) in nodes.iter().enumerate() {
                let total = node.operands.iter().try_fold(node.price, |total, operand| {
                    // A term can hold a class exponentially often.
                    costs[*operand].map(|c| std::array::from_fn(|i| total[i].saturating_add(c[i])))
                });
                let Some(total) = total else { continue };
                if costs[class].is_none_or(|best| total < best) {
                    costs[class] = Some(total);
                    plan[class] = Some(k);
                    changed = true;
                }
            }
        }
        if !changed {
            return plan;
        }
    }
}

/// Classes with the prices of their nodes, in the order of the classes.
type Priced = Vec<(usize, Price)>;

/// As [`cheapest_terms`], each class with the classes under it, so that shared parts count once.
fn cheapest_graphs(problem: &Problem) -> Plan {
    let mut found: Vec<Option<(Price, Priced)>> = vec![None; problem.len()];
    let mut plan: Plan = vec![None; problem.len()];
    // A class may improve again and again as others do; each pass only ever lowers costs.
    for _ in 0..problem.len() + 1 {
        let mut changed = false;
        for (class, nodes) in problem.classes.iter().enumerate() {
            for (k, node) in nodes.iter().enumerate() {
                let mut all: Option<Priced> = Some(vec![(class, node.price)]);
                for operand in &node.operands {
                    let below = found[*operand].as_ref().map(|(_, below)| below);
                    let free = below.filter(|b| b.binary_search_by_key(&class, |x| x.0).is_err());
                    all = all.zip(free).map(|(all, below)| merged(&all, below));
                }
                let Some(all) = all else { continue };
                let total = all.iter().fold(Price::default(), |total, (_, p)| sum(total, *p));
                if found[class].as_ref().is_none_or(|(best, _)| total < *best) {
                    found[class] = Some((total, all));
                    plan[class] = Some(k);
                    changed = true;
                }
            }
        }
        if !changed {
            break;
        }
    }
    plan
}

/// Both lists, each class once.
fn merged(a: &Priced, b: &Priced) -> Priced {
    let mut out = Vec::with_capacity(a.len() + b.len());
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        let left = j == b.len() || (i < a.len() && a[i].0 < b[j].0);
        if left {
            out.push(a[i]);
            i += 1;
        } else {
            i += usize::from(i < a.len() && a[i].0 == b[j].0);
            out.push(b[j]);
            j += 1;
        }
    }
    out
}

/// Exchanges single nodes as long as that makes the graph cheaper. Classes that come in anew keep what the
/// plan says of them.
fn exchanged(problem: &Problem, (mut best, mut plan): (Graph, Plan)) -> Graph {
    loop {
        let before = best.price;
        for (class, _) in best.nodes.clone() {
            for k in 0..problem.classes[class].len() {
                let old = plan[class].replace(k);
                match problem.graph(&plan).filter(|g| g.price < best.price) {
                    Some(graph) => best = graph,
                    None => plan[class] = old,
                }
            }
        }
        if best.price == before {
            return best;
        }
    }
}
