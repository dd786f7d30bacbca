//! From a truth table to a circuit.

use super::function::{Function, Literal, sides};
use super::{Circuit, Node};
use crate::logic::Table;
use std::collections::HashMap;

/// Builds circuits with shared nodes.
pub(super) struct Builder {
    nodes: Vec<Node>,
    index: HashMap<Node, usize>,
    of: HashMap<Function, usize>,
    costs: HashMap<Function, u32>,
}

pub(super) fn build(table: Table, atoms: usize) -> Circuit {
    let mut builder = Builder {
        nodes: Vec::new(),
        index: HashMap::new(),
        of: HashMap::new(),
        costs: HashMap::new(),
    };
    let root = builder.function(Function::of(table, atoms));
    Circuit { nodes: builder.nodes, root }
}

/// The cube whose complement a function is, where its count is best taken from the complement.
///
/// With a positive literal in it the cube's count stays away from 0 and 1 as far as its atoms do, and
/// so 1 minus it is accurate. A cube of negative literals only (a disjunction of atoms) has a
/// count that rounds to 1 where the atoms are improbable: it is summed instead.
pub(super) fn complement_cube(f: Function) -> Option<Vec<Literal>> {
    let cube = f.not().as_cube()?;
    (cube.len() > 1 && cube.iter().any(|l| l.positive)).then_some(cube)
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

    fn literal(&mut self, literal: Literal) -> usize {
        self.node(Node::Literal { atom: literal.atom, positive: literal.positive })
    }

    fn function(&mut self, f: Function) -> usize {
        if let Some(&i) = self.of.get(&f) {
            return i;
        }
        let node = self.fresh(f);
        self.of.insert(f, node);
        node
    }

    fn fresh(&mut self, f: Function) -> usize {
        if f == Function::FALSE || f == Function::TRUE {
            return self.node(Node::Constant(f == Function::TRUE));
        }
        let factors = f.factors();
        if factors.len() > 1 {
            let parts = factors.into_iter().map(|g| self.function(g)).collect();
            return self.node(Node::Product(parts));
        }
        if let Some(literal) = f.as_literal() {
            return self.literal(literal);
        }
        if let Some(cube) = complement_cube(f) {
            let literals = cube.into_iter().map(|l| self.literal(l)).collect();
            let product = self.node(Node::Product(literals));
            return self.node(Node::Complement(product));
        }
        let atom = self.split(f);
        let sides = sides(atom).map(|side| {
            let product = side.function().and(f.cofactor(side));
            self.function(product)
        });
        self.node(Node::Sum(sides.to_vec()))
    }

    /// The atom on which to split a function that has no factors: the one that leaves least.
    fn split(&mut self, f: Function) -> usize {
        let atoms = f.support();
        let cost = |builder: &mut Self, atom: usize| -> u32 {
            sides(atom).map(|s| builder.cost(f.cofactor(s))).iter().sum()
        };
        atoms.into_iter().min_by_key(|atom| cost(self, *atom)).unwrap_or(0)
    }

    /// The number of operations of a function's circuit, counted without sharing.
    fn cost(&mut self, f: Function) -> u32 {
        if let Some(&cost) = self.costs.get(&f) {
            return cost;
        }
        let factors = f.factors();
        let cost = if factors.len() > 1 {
            factors.iter().map(|g| 1 + self.cost(*g)).sum()
        } else if let Some(literal) = f.as_literal() {
            if literal.positive { 0 } else { 2 }
        } else if let Some(cube) = complement_cube(f) {
            2 + cube.len() as u32
        } else {
            let best = f.support().into_iter().map(|atom| {
                let parts = sides(atom).map(|s| self.cost(f.cofactor(s)));
                5 + parts.iter().sum::<u32>()
            });
            best.min().unwrap_or(0)
        };
        self.costs.insert(f, cost);
        cost
    }
}
