//! The search against brute force.

use super::needs::reduced;
use super::problem::{Graph, Node, Plan, Price, Problem};
use super::{greedy::greedy, search::search};
use crate::mir::Dice;

const CLASSES: usize = 6;

/// A problem with circles, shared operands, ties and classes without a term.
fn random(dice: &mut Dice) -> Problem {
    let classes = (0..CLASSES).map(|class| {
        let mut nodes: Vec<Node> = (0..1 + dice.below(3))
            .map(|_| {
                // The later a class, the more of its nodes are leaves; some operands point back.
                let arity = if dice.below(CLASSES) < class { 0 } else { 1 + dice.below(3) };
                let operand = |_| match dice.below(5) {
                    0 => dice.below(CLASSES),
                    _ => (class + 1 + dice.below(3)).min(CLASSES - 1),
                };
                let operands: Vec<usize> = (0..arity).map(operand).collect();
                let hazard = if dice.below(4) == 0 { 1 + dice.below(2) } else { 0 };
                let price = [hazard as i64, dice.below(6) as i64, 1, dice.below(2) as i64];
                Node { price, operands, name: 0 }
            })
            .filter(|n| !n.operands.contains(&class))
            .collect();
        nodes.sort_by_key(|n| n.price);
        nodes.iter_mut().enumerate().for_each(|(k, n)| n.name = k);
        nodes
    });
    Problem { classes: classes.collect(), roots: vec![0, 1 + dice.below(2)] }
}

/// The price of the cheapest graph of all plans.
fn brute(problem: &Problem) -> Option<Price> {
    let mut plan: Plan = vec![None; CLASSES];
    let mut best = None;
    let plans: usize = problem.classes.iter().map(|c| c.len() + 1).product();
    for mut number in 0..plans {
        for (class, nodes) in problem.classes.iter().enumerate() {
            let k = number % (nodes.len() + 1);
            number /= nodes.len() + 1;
            plan[class] = k.checked_sub(1);
        }
        if let Some(Graph { price, .. }) = problem.graph(&plan) {
            best = Some(best.map_or(price, |b: Price| b.min(price)));
        }
    }
    best
}

#[test]
fn the_search_finds_the_cheapest_graph() {
    let mut dice = Dice(1);
    let (mut solved, mut improved, mut steps) = (0, 0, 0);
    for case in 0..400 {
        let problem = random(&mut dice);
        let exact = brute(&problem);
        let start = greedy(&problem);
        assert_eq!(start.is_some(), exact.is_some(), "case {case}: {problem:?}");
        let (Some(start), Some(exact)) = (start, exact) else { continue };
        let (small, needs) = reduced(problem.clone(), start.price);
        let found = search(&small, &needs, start.clone(), usize::MAX);
        assert!(!found.exhausted);
        assert_eq!(found.best.price, exact, "case {case}: {problem:?}");
        // The greedy graph is often the best; from a worse one the search has to find it.
        let worse = Graph { price: [9, 0, 0, 0], ..start.clone() };
        let (small, needs) = reduced(problem.clone(), worse.price);
        let anew = search(&small, &needs, worse, usize::MAX);
        assert_eq!(anew.best.price, exact, "case {case}: {problem:?}");
        solved += 1;
        improved += usize::from(exact < start.price);
        steps += anew.steps;
    }
    assert!(solved > 200 && improved > 2 && steps > 1000, "{solved} {improved} {steps}");
}
