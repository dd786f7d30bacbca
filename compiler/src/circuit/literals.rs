//! Signed sums of the logs of literals, with like terms subtracted from each other first.
//!
//! Why: the difference of two log-probabilities of one response under policy and reference is exact where
//! the two are close, and small; the sums that the text suggests are neither. In: the literals above
//! and below a fraction bar. Out: one node, or none where everything cancels.

use super::function::Literal;
use super::lower::literal;
use crate::mir::{Binary, Graph, NodeId, Op, Unary};

/// The literals of a quotient of two cubes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Quotient {
    /// Above the bar.
    pub(super) over: Vec<Literal>,
    /// Below the bar.
    pub(super) under: Vec<Literal>,
}

/// Where a literal's log comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Source {
    /// The response that it speaks of, if its name says so.
    response: Option<String>,
    /// True for the policy.
    trained: bool,
}

impl Quotient {
    /// Multiplies by a quotient of cubes.
    pub(super) fn multiply(&mut self, over: Vec<Literal>, under: Vec<Literal>) {
        self.over.extend(over);
        self.under.extend(under);
    }

    /// One divided by it.
    pub(super) fn inverse(self) -> Self {
        Self { over: self.under, under: self.over }
    }

    /// Cancels what stands on both sides.
    pub(super) fn cancelled(mut self) -> Self {
        let mut over = Vec::new();
        for literal in self.over {
            match self.under.iter().position(|l| *l == literal) {
                Some(i) => {
                    self.under.remove(i);
                }
                None => over.push(literal),
            }
        }
        Self { over, under: self.under }
    }

    /// The node of the quotient's log; `None` when it is 0.
    pub(super) fn lower(self, graph: &mut Graph, atoms: &[NodeId]) -> Option<NodeId> {
        let Quotient { mut over, mut under } = self.cancelled();
        let mut terms = Terms::default();
        // Policy and reference of one response first: (pi - ref), whichever side pi stands on.
        pair(&mut over, &mut under, |a, b| {
            let (a_source, b_source) = (source(graph, atoms, *a), source(graph, atoms, *b));
            a.positive == b.positive
                && a_source.trained != b_source.trained
                && a_source.response.is_some()
                && a_source.response == b_source.response
        })
        .into_iter()
        .for_each(|(a, b)| {
            if source(graph, atoms, a).trained {
                let difference = subtract(graph, atoms, a, b);
                terms.plus.push(difference);
            } else {
                let difference = subtract(graph, atoms, b, a);
                terms.minus.push(difference);
            }
        });
        // Then literals of one sign, then the odds of one atom, then any two.
        let rules: [fn(&Literal, &Literal) -> bool; 4] = [
            |a, b| a.positive && b.positive,
            |a, b| !a.positive && !b.positive,
            |a, b| a.atom == b.atom,
            |_, _| true,
        ];
        for rule in rules {
            for (a, b) in pair(&mut over, &mut under, rule) {
                let difference = subtract(graph, atoms, a, b);
                terms.plus.push(difference);
            }
        }
        terms.plus.extend(over.iter().map(|l| literal(graph, atoms, l.atom, l.positive)));
        terms.minus.extend(under.iter().map(|l| literal(graph, atoms, l.atom, l.positive)));
        terms.sum(graph)
    }
}

/// Nodes to be added and to be subtracted.
#[derive(Debug, Default)]
pub(super) struct Terms {
    pub(super) plus: Vec<NodeId>,
    pub(super) minus: Vec<NodeId>,
}

impl Terms {
    /// The sum, an addition and a subtraction in turn, because what stands in one place of the two lists
    /// is alike; `None` when there is nothing.
    pub(super) fn sum(self, graph: &mut Graph) -> Option<NodeId> {
        let mut sum: Option<NodeId> = None;
        let mut plus = self.plus.into_iter();
        let mut minus = self.minus.into_iter();
        loop {
            let (p, m) = (plus.next(), minus.next());
            if p.is_none() && m.is_none() {
                return sum;
            }
            if let Some(p) = p {
                sum = Some(match sum {
                    Some(sum) => graph.binary(Binary::Add, sum, p),
                    None => p,
                });
            }
            if let Some(m) = m {
                sum = Some(match sum {
                    Some(sum) => graph.binary(Binary::Sub, sum, m),
                    None => graph.unary(Unary::Neg, m),
                });
            }
        }
    }
}

/// Takes out pairs that a rule accepts, each with the first partner that fits.
fn pair(
    over: &mut Vec<Literal>,
    under: &mut Vec<Literal>,
    fits: impl Fn(&Literal, &Literal) -> bool,
) -> Vec<(Literal, Literal)> {
    let mut pairs = Vec::new();
    over.retain(|a| match under.iter().position(|b| fits(a, b)) {
        Some(i) => {
            pairs.push((*a, under.remove(i)));
            false
        }
        None => true,
    });
    pairs
}

fn subtract(graph: &mut Graph, atoms: &[NodeId], a: Literal, b: Literal) -> NodeId {
    let a = literal(graph, atoms, a.atom, a.positive);
    let b = literal(graph, atoms, b.atom, b.positive);
    graph.binary(Binary::Sub, a, b)
}

fn source(graph: &Graph, atoms: &[NodeId], literal: Literal) -> Source {
    let input = atoms.get(literal.atom).and_then(|id| match graph.node(*id).op {
        Op::Input(i) => graph.inputs.get(i as usize),
        _ => None,
    });
    // `logp(pi,w)` speaks of `w`.
    let response = input.and_then(|i| {
        let (_, arguments) = i.name.strip_suffix(')')?.split_once('(')?;
        Some(arguments.rsplit(',').next()?.to_owned())
    });
    Source { response, trained: input.is_some_and(|i| i.differentiable) }
}
