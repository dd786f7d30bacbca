//! Weighted model counting of Boolean functions, in any semiring and in log space.
//!
//! Why: the weight of a formula is a polynomial in the probabilities of its atoms; how it is written
//! decides what it costs and how accurate it is. In: truth tables of up to six atoms, and diagrams of more. Out: a
//! [`Circuit`], the MIR of a log-count ([`lower_log`]) and of the log-ratio of two counts
//! ([`lower_ratio`]), which is rho.
//!
//! Invariants:
//! * products are decomposable: their parts share no atom;
//! * sums are deterministic: no row satisfies two of their parts;
//! * hence the value over any semiring is the weighted model count, in one pass.

#[cfg(test)]
mod accuracy;
mod build;
#[cfg(test)]
mod demand;
mod function;
mod large;
mod literals;
mod lower;
mod ratio;
mod semiring;
#[cfg(test)]
mod tests;

pub use large::{from_function, lower_large_ratio};
pub use lower::lower_log;
pub use ratio::lower_ratio;
pub use semiring::{Fraction, LogProb, PrimeField, Probability, Semiring};

use crate::logic::Table;

/// A node of a circuit. Parts are indices of earlier nodes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Node {
    /// Always true, or always false.
    Constant(bool),
    /// An atom, or its negation.
    Literal {
        /// The atom's index.
        atom: usize,
        /// False for the negation.
        positive: bool,
    },
    /// The conjunction of parts that share no atom.
    Product(Vec<usize>),
    /// The disjunction of parts that exclude each other.
    Sum(Vec<usize>),
    /// The negation of a conjunction of literals: 1 minus its count.
    Complement(usize),
}

/// A decomposable, deterministic circuit with shared nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Circuit {
    nodes: Vec<Node>,
    root: usize,
}

impl Circuit {
    /// The circuit of a Boolean function of `atoms` atoms, at most six: more are taken as six.
    ///
    /// Common factors are split off first, then literals, complements of cubes, and at last the
    /// function is split on the atom that leaves least.
    pub fn from_table(table: Table, atoms: usize) -> Self {
        build::build(table, atoms)
    }

    /// The nodes, each after its parts.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The index of the node of the whole function.
    pub fn root(&self) -> usize {
        self.root
    }

    /// The weighted model count, given the weight of each atom. An atom beyond the weights has weight one.
    pub fn evaluate<S: Semiring>(&self, weights: &[S]) -> S {
        let mut values: Vec<S> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let value = match node {
                Node::Constant(true) => S::one(),
                Node::Constant(false) => S::zero(),
                Node::Literal { atom, positive } => {
                    let weight = weights.get(*atom).cloned().unwrap_or_else(S::one);
                    if *positive { weight } else { weight.complement() }
                }
                Node::Product(parts) => parts.iter().fold(S::one(), |p, i| p.mul(&values[*i])),
                Node::Sum(parts) => parts.iter().fold(S::zero(), |s, i| s.add(&values[*i])),
                Node::Complement(part) => values[*part].complement(),
            };
            values.push(value);
        }
        values.get(self.root).cloned().unwrap_or_else(S::zero)
    }
}
