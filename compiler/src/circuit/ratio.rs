//! The log-ratio of two weighted model counts, with everything common cancelled.
//!
//! Why: rho is a difference of two logs that can be huge and close to each other, so the difference must
//! be formed before the logs. In: the tables of T (wins) and B (loses). Out: the node of
//! log WMC(T) - log WMC(B).
//!
//! Both sides are split into factors over disjoint atoms; common factors go, and factors that share no atom
//! with the other side are handled on their own. What remains is one of these cases, each with an absolute
//! error of a few units of 1 + |rho| plus the errors of the logs of 1 - p that it holds:
//!
//! * T and B are cubes: the sum of their literals' logs, in pairs;
//! * T | B is a tautology: one of the logs is at least -ln 2, so their difference cannot cancel;
//! * B is a cube: log-sum-exp of T's terms divided by B literal by literal; the same with T and B swapped;
//! * B implies T: log(1 + (T - B) / B) = softplus of the log-ratio of two exclusive functions;
//!   the same with T and B swapped;
//! * T and B overlap: softplus(log (T - B) / B) - softplus(log (B - T) / T), of which one is at most ln 2;
//! * T and B exclude each other: log-sum-exp of the log-ratios of T's cubes to B. Where the cubes are very
//!   many (five atoms or more) it is the difference of the logs, which can be much larger than rho.
//!
//! Cubes of all components are multiplied into one pool, so that the reference's log-probability of a
//! response meets the policy's wherever they come from; the pool is multiplied into the terms of a sum.

use super::build::build;
use super::function::{Cube, Function, sides};
use super::literals::{Quotient, Terms};
use super::lower::{impossible, lower_log};
use crate::logic::Table;
use crate::mir::{Binary, Graph, NodeId, Unary};
use std::collections::HashMap;

/// Above this many quotients of cubes their log-sum-exp is not worth its cost.
const QUOTIENTS: usize = 48;

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
        // The quotient of cubes by which everything else is to be multiplied.
        let mut pool = Quotient::default();
        let mut terms = Terms::default();
        let mut sums = Vec::new();
        for (t, b) in components(t, b) {
            match (t.as_cube(), b.as_cube()) {
                (Some(over), Some(under)) => pool.multiply(over, under),
                _ if t.or(b) == Function::TRUE => self.tautology(t, b, &mut pool, &mut terms),
                _ => sums.push((t, b)),
            }
        }
        for (t, b) in sums {
            self.component(t, b, &mut pool, &mut terms);
        }
        if let Some(node) = pool.lower(self.graph, self.atoms) {
            terms.plus.insert(0, node);
        }
        terms.sum(self.graph)
    }

    /// log T - log B where T | B is a tautology. A cube joins the pool, where its literals find partners.
    fn tautology(&mut self, t: Function, b: Function, pool: &mut Quotient, terms: &mut Terms) {
        match t.as_cube() {
            Some(over) => pool.multiply(over, Cube::new()),
            None => terms.plus.push(self.log(t)),
        }
        match b.as_cube() {
            Some(under) => pool.multiply(Cube::new(), under),
            None => terms.minus.push(self.log(b)),
        }
    }

    /// One component that is neither a quotient of cubes nor covers everything. It may take the pool into
    /// its terms, because a sum and the pool can be large and of opposite sign.
    fn component(&mut self, t: Function, b: Function, pool: &mut Quotient, terms: &mut Terms) {
        if let Some(under) = b.as_cube() {
            let pool = std::mem::take(pool);
            terms.plus.extend(self.sum_over_cube(t, &under, &pool));
            return;
        }
        if let Some(under) = t.as_cube() {
            let pool = std::mem::take(pool).inverse();
            terms.minus.extend(self.sum_over_cube(b, &under, &pool));
            return;
        }
        let (t_rest, b_rest) = (t.and(b.not()), b.and(t.not()));
        let alone = std::mem::take(pool).cancelled();
        let overlap = t_rest != t;
        if overlap && alone == Quotient::default() {
            terms.plus.extend(self.excess(t_rest, b));
            terms.minus.extend(self.excess(b_rest, t));
        } else if let Some(sum) = self.sum_of_quotients(t, b, &alone) {
            terms.plus.push(sum);
        } else {
            *pool = alone;
            terms.plus.push(self.log(t));
            terms.minus.push(self.log(b));
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

    /// log(pool T / B): the log-sum-exp over T's cubes of their log-ratios to B. `None` when there are too
    /// many.
    fn sum_of_quotients(&mut self, t: Function, b: Function, pool: &Quotient) -> Option<NodeId> {
        let none = Cube::new();
        let (over, under) = (Cover::new(&none).cubes(t), Cover::new(&none).cubes(b));
        if over.len() * under.len() > QUOTIENTS {
            return None;
        }
        let mut sum: Option<NodeId> = None;
        for cube in over {
            let inverse = self.sum_over_cube(b, &cube, &pool.clone().inverse());
            let term = match inverse {
                Some(inverse) => self.graph.unary(Unary::Neg, inverse),
                None => self.graph.constant(0.0),
            };
            sum = Some(match sum {
                Some(sum) => self.graph.binary(Binary::LogAddExp, sum, term),
                None => term,
            });
        }
        sum
    }

    fn log(&mut self, f: Function) -> NodeId {
        lower_log(&build(Table(f.0), self.atoms.len()), self.graph, self.atoms)
    }

    /// log(pool f / cube): the log-sum-exp of exclusive terms; `None` when it is 0.
    fn sum_over_cube(&mut self, f: Function, under: &Cube, pool: &Quotient) -> Option<NodeId> {
        let cubes = Cover::new(under).cubes(f);
        let mut one = false;
        let mut sum: Option<NodeId> = None;
        for over in cubes {
            let mut term = pool.clone();
            term.multiply(over, under.clone());
            match term.lower(self.graph, self.atoms) {
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
