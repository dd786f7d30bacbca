//! The log-ratio of two weighted model counts, with everything common cancelled.
//!
//! Why: rho is a difference of two logs that can be huge and close to each other, so the difference must
//! be formed before the logs. In: the tables of T (wins) and B (loses). Out: the node of
//! log WMC(T) - log WMC(B).
//!
//! Both sides are split into factors over disjoint atoms; common factors go, and factors that share no atom
//! with the other side are handled on their own. What remains is one of six cases, each with an
//! absolute error of a few units of 1 + |rho|:
//!
//! * T | B is a tautology: one of the logs is at least -ln 2, so the difference cannot cancel;
//! * B is a cube: log-sum-exp of T's terms divided by B literal by literal; the same with T and B swapped;
//! * B implies T: log(1 + (T - B) / B) = softplus of the log-ratio of two exclusive functions;
//!   the same with T and B swapped;
//! * T and B share the rows C: the difference of two such softplus;
//! * T and B exclude each other: the difference of their logs. Only here, and where both softplus of the
//!   case before are large, can the logs be much larger than rho: with three atoms or more.

use super::build::build;
use super::function::{Cube, Function, sides};
use super::literals::{Quotient, Terms};
use super::lower::{impossible, lower_log};
use crate::logic::Table;
use crate::mir::{Binary, Graph, NodeId, Unary};
use std::collections::HashMap;

/// Adds log WMC(`wins`) - log WMC(`loses`) to a graph and returns its node.
///
/// `atoms` are the nodes of the atoms' log-probabilities, each in (-inf, 0], at most six of them; bit i of a
/// row is the value of atom i. Where both are inputs, `logp(pi,w)` and `logp(ref,w)` are recognised as
/// one response under policy and reference by their names, and subtracted from each other first.
///
/// Equal tables give 0; an impossible `wins` alone gives -inf, an impossible `loses` alone inf.
pub fn lower_ratio(wins: Table, loses: Table, graph: &mut Graph, atoms: &[NodeId]) -> NodeId {
    let (t, b) = (Function::of(wins, atoms.len()), Function::of(loses, atoms.len()));
    let mut lowering = Lowering { graph, atoms };
    match lowering.ratio(t, b) {
        Some(node) => node,
        None => graph.constant(0.0),
    }
}

struct Lowering<'a> {
    graph: &'a mut Graph,
    atoms: &'a [NodeId],
}

impl Lowering<'_> {
    /// log T - log B; `None` when it is 0.
    fn ratio(&mut self, t: Function, b: Function) -> Option<NodeId> {
        if t == b {
            return None;
        }
        if t == Function::FALSE || b == Function::FALSE {
            let log = impossible(self.graph);
            let infinite =
                if t == Function::FALSE { log } else { self.graph.unary(Unary::Neg, log) };
            return Some(infinite);
        }
        let mut literals = Quotient::default();
        let mut terms = Terms::default();
        for (t, b) in components(t, b) {
            match (t.as_cube(), b.as_cube()) {
                (Some(over), Some(under)) => {
                    literals.over.extend(over);
                    literals.under.extend(under);
                }
                _ => self.component(t, b, &mut terms),
            }
        }
        if let Some(node) = literals.lower(self.graph, self.atoms) {
            terms.plus.insert(0, node);
        }
        terms.sum(self.graph)
    }

    /// One component, which is not a quotient of cubes.
    fn component(&mut self, t: Function, b: Function, terms: &mut Terms) {
        if t.or(b) == Function::TRUE {
            // A tautology's log is 0.
            if t != Function::TRUE {
                terms.plus.push(self.log(t));
            }
            if b != Function::TRUE {
                terms.minus.push(self.log(b));
            }
        } else if let Some(under) = b.as_cube() {
            terms.plus.extend(self.sum_over_cube(t, &under));
        } else if let Some(under) = t.as_cube() {
            terms.minus.extend(self.sum_over_cube(b, &under));
        } else {
            let common = t.and(b);
            let (t_rest, b_rest) = (t.and(b.not()), b.and(t.not()));
            if common == Function::FALSE {
                terms.plus.push(self.log(t));
                terms.minus.push(self.log(b));
            } else {
                terms.plus.extend(self.excess(t_rest, common));
                terms.minus.extend(self.excess(b_rest, common));
            }
        }
    }

    /// log((rest + base) / base) for exclusive functions.
    fn excess(&mut self, rest: Function, base: Function) -> Option<NodeId> {
        if rest == Function::FALSE {
            return None;
        }
        // Exclusive functions are never equal, so there is a node.
        let ratio = self.ratio(rest, base)?;
        Some(self.graph.unary(Unary::Softplus, ratio))
    }

    fn log(&mut self, f: Function) -> NodeId {
        lower_log(&build(Table(f.0), self.atoms.len()), self.graph, self.atoms)
    }

    /// log(f / cube): the log-sum-exp of exclusive terms.
    fn sum_over_cube(&mut self, f: Function, under: &Cube) -> Option<NodeId> {
        let cubes = Cover::new(under).cubes(f);
        let mut one = false;
        let mut sum: Option<NodeId> = None;
        for over in cubes {
            match (Quotient { over, under: under.clone() }).lower(self.graph, self.atoms) {
                None => one = true,
                Some(term) => {
                    sum = Some(match sum {
                        Some(sum) => self.graph.binary(Binary::LogAddExp, sum, term),
                        None => term,
                    });
                }
            }
        }
        match sum {
            Some(sum) if one => Some(self.graph.unary(Unary::Softplus, sum)),
            sum => sum,
        }
    }
}

/// Splits T/B into quotients that share no atoms, without the common factors.
fn components(t: Function, b: Function) -> Vec<(Function, Function)> {
    let (mut over, mut under) = (t.factors(), b.factors());
    over.retain(|f| match under.iter().position(|g| g == f) {
        Some(i) => {
            under.remove(i);
            false
        }
        None => true,
    });
    let mut parts: Vec<(Function, Function, Vec<usize>)> = Vec::new();
    let factors = over.into_iter().map(|f| (f, Function::TRUE));
    for (f, g) in factors.chain(under.into_iter().map(|g| (Function::TRUE, g))) {
        let mut merged = (f, g, f.and(g).support());
        let meets = |part: &(Function, Function, Vec<usize>), support: &[usize]| {
            part.2.iter().any(|atom| support.contains(atom))
        };
        let (joined, apart): (Vec<_>, Vec<_>) =
            parts.into_iter().partition(|part| meets(part, &merged.2));
        for part in joined {
            merged.0 = merged.0.and(part.0);
            merged.1 = merged.1.and(part.1);
            merged.2.extend(part.2);
        }
        parts = apart;
        parts.push(merged);
    }
    parts.into_iter().map(|(f, g, _)| (f, g)).collect()
}

/// Covers by exclusive cubes, chosen to have few and cheap terms after division by a cube.
struct Cover<'a> {
    under: &'a Cube,
    best: HashMap<Function, (u32, u32, Vec<Cube>)>,
}

impl<'a> Cover<'a> {
    fn new(under: &'a Cube) -> Self {
        Self { under, best: HashMap::new() }
    }

    fn cubes(mut self, f: Function) -> Vec<Cube> {
        self.best(f).2
    }

    /// The number of cubes, what their literals cost, and the cubes.
    fn best(&mut self, f: Function) -> (u32, u32, Vec<Cube>) {
        if f == Function::FALSE {
            return (0, 0, Vec::new());
        }
        if f == Function::TRUE {
            return (1, 0, vec![Vec::new()]);
        }
        if let Some(best) = self.best.get(&f) {
            return best.clone();
        }
        let choices = f.support().into_iter().map(|atom| {
            let mut cover = (0, 0, Vec::new());
            for side in sides(atom) {
                let cost = match (self.under.contains(&side), side.positive) {
                    (true, _) => 0,
                    (false, true) => 1,
                    (false, false) => 3,
                };
                let (count, literals, cubes) = self.best(f.cofactor(side));
                cover.0 += count;
                cover.1 += literals + count * cost;
                cover.2.extend(cubes.into_iter().map(|mut cube: Cube| {
                    cube.insert(0, side);
                    cube
                }));
            }
            cover
        });
        let choices: Vec<_> = choices.collect();
        let best = choices.into_iter().min_by_key(|c| (c.0, c.1)).unwrap_or((0, 0, Vec::new()));
        self.best.insert(f, best.clone());
        best
    }
}
