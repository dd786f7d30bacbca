//! Circuits and log-ratios of functions of more than six atoms.
//!
//! In: binary decision diagrams. Out: the same as for tables. What splits into parts of up to six atoms is
//! lowered as these are; a larger part is split on the first atom of its diagram, so that a node of the
//! diagram is at most one sum of the circuit.

use super::build::build;
use super::function::Literal;
use super::literals::{Quotient, Terms};
use super::lower::{impossible, lower_log};
use super::ratio::lower_ratio;
use super::{Circuit, Node};
use crate::logic::{Function, MAX_ATOMS, MAX_VARIABLES};
use crate::mir::{Graph, NodeId, Unary};
use std::collections::HashMap;

fn atoms_of(mask: u32) -> Vec<usize> {
    (0..MAX_VARIABLES).filter(|i| mask >> i & 1 == 1).collect()
}

/// The circuit of a Boolean function of up to [`MAX_VARIABLES`] atoms.
pub fn from_function(f: &Function) -> Circuit {
    let mut builder = Builder { nodes: Vec::new(), index: HashMap::new(), of: HashMap::new() };
    let root = builder.function(f);
    Circuit { nodes: builder.nodes, root }
}

struct Builder {
    nodes: Vec<Node>,
    index: HashMap<Node, usize>,
    of: HashMap<Function, usize>,
}

impl Builder {
    fn node(&mut self, node: Node) -> usize {
        if let Some(&i) = self.index.get(&node) {
            return i;
        }
        self.nodes.push(node.clone());
        self.index.insert(node, self.nodes.len() - 1);
        self.nodes.len() - 1
    }

    fn function(&mut self, f: &Function) -> usize {
        if let Some(&i) = self.of.get(f) {
            return i;
        }
        let node = self.fresh(f);
        self.of.insert(f.clone(), node);
        node
    }

    fn fresh(&mut self, f: &Function) -> usize {
        let atoms = atoms_of(f.support());
        if atoms.len() <= MAX_ATOMS
            && let Some(table) = f.table(&atoms)
        {
            return self.part(&build(table, atoms.len()), &atoms);
        }
        let factors = f.conjuncts();
        if factors.len() > 1 {
            let parts = factors.iter().map(|g| self.function(g)).collect();
            return self.node(Node::Product(parts));
        }
        let size = |i: usize| f.cofactor(i, true).size() + f.cofactor(i, false).size();
        let atom = atoms.into_iter().min_by_key(|i| (size(*i), *i)).unwrap_or(0);
        let sides = [true, false].map(|positive| {
            let literal = self.node(Node::Literal { atom, positive });
            let rest = self.function(&f.cofactor(atom, positive));
            self.node(Node::Product(vec![literal, rest]))
        });
        self.node(Node::Sum(sides.to_vec()))
    }

    /// The nodes of a circuit over other numbers of atoms.
    fn part(&mut self, circuit: &Circuit, atoms: &[usize]) -> usize {
        let mut place: Vec<usize> = Vec::with_capacity(circuit.nodes().len());
        for node in circuit.nodes() {
            let moved = |parts: &[usize]| parts.iter().map(|i| place[*i]).collect();
            let node = match node {
                Node::Constant(b) => Node::Constant(*b),
                Node::Literal { atom, positive } => {
                    Node::Literal { atom: atoms[*atom], positive: *positive }
                }
                Node::Product(parts) => Node::Product(moved(parts)),
                Node::Sum(parts) => Node::Sum(moved(parts)),
                Node::Complement(part) => Node::Complement(place[*part]),
            };
            place.push(self.node(node));
        }
        place[circuit.root()]
    }
}

/// Adds log WMC(`wins`) - log WMC(`loses`) to a graph and returns its node, as
/// [`lower_ratio`] does, for up to [`MAX_VARIABLES`] atoms.
pub fn lower_large_ratio(
    wins: &Function,
    loses: &Function,
    graph: &mut Graph,
    atoms: &[NodeId],
) -> NodeId {
    if wins == loses {
        return graph.constant(0.0);
    }
    if wins.is_false() || loses.is_false() {
        let log = impossible(graph);
        return if wins.is_false() { log } else { graph.unary(Unary::Neg, log) };
    }
    let (mut pool, mut terms) = (Quotient::default(), Terms::default());
    for (over, under) in components(wins, loses) {
        let support = atoms_of(over.support() | under.support());
        if let Some((over, under)) = cube(&over).zip(cube(&under)) {
            pool.multiply(over, under);
        } else if let Some((t, b)) = over.table(&support).zip(under.table(&support)) {
            let own: Vec<NodeId> = support.iter().filter_map(|i| atoms.get(*i).copied()).collect();
            terms.plus.push(lower_ratio(t, b, graph, &own));
        } else {
            terms.plus.push(lower_log(&from_function(&over), graph, atoms));
            terms.minus.push(lower_log(&from_function(&under), graph, atoms));
        }
    }
    if let Some(node) = pool.lower(graph, atoms) {
        terms.plus.insert(0, node);
    }
    match terms.sum(graph) {
        Some(node) => node,
        None => graph.constant(0.0),
    }
}

/// The literals whose conjunction a function is; empty for true.
fn cube(f: &Function) -> Option<Vec<Literal>> {
    let literal = |part: &Function| match atoms_of(part.support())[..] {
        [atom] => Some(Literal { atom, positive: *part == Function::atom(atom) }),
        _ => None,
    };
    f.conjuncts().iter().map(literal).collect()
}

/// Splits a quotient into quotients that share no atoms, without the common factors.
fn components(wins: &Function, loses: &Function) -> Vec<(Function, Function)> {
    let (mut over, mut under) = (wins.conjuncts(), loses.conjuncts());
    over.retain(|f| match under.iter().position(|g| g == f) {
        Some(i) => {
            under.remove(i);
            false
        }
        None => true,
    });
    let mut parts: Vec<(Function, Function)> = Vec::new();
    let yes = || Function::constant(true);
    let factors = over.into_iter().map(|f| (f, yes()));
    for (f, g) in factors.chain(under.into_iter().map(|g| (yes(), g))) {
        let support = f.support() | g.support();
        let meets =
            |part: &(Function, Function)| (part.0.support() | part.1.support()) & support != 0;
        let (joined, apart): (Vec<_>, Vec<_>) = parts.into_iter().partition(meets);
        let start = (f, g);
        let merged = joined.into_iter().fold(start, |m, p| (m.0.and(&p.0), m.1.and(&p.1)));
        parts = apart;
        parts.push(merged);
    }
    parts
}
