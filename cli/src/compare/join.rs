//! Two losses as one graph with a root for each.
//!
//! Why: both are to be evaluated at the same example, and the rewriter is to find them equal; so they
//! must read the same columns and have no parameters left. In: a graph of each, its columns and its
//! parameter values. Out: a graph with the roots `first` and `second`. Invariant: means are sums over
//! lengths, a sum that either loss takes apart is the sum of its parts, parameters are numbers. The graph
//! has the values of the losses wherever these are finite.

use super::rename::Renaming;
use crate::value::is_batch_coupled;
use ponens_compiler::hir::{Column, Quantity};
use ponens_compiler::mir::{Binary, Graph, Input, Interval, Level, NodeId, Op, Reduce, Root};

/// One of the two losses.
pub(super) struct Part<'a> {
    /// Its root is the first one.
    pub(super) graph: &'a Graph,
    /// The meaning of the graph's inputs, in order.
    pub(super) columns: &'a [Column],
    pub(super) params: &'a [f64],
    pub(super) names: Option<&'a Renaming>,
}

impl Part<'_> {
    fn quantity(&self, input: usize) -> Option<Quantity> {
        let q = &self.columns.get(input)?.quantity;
        Some(self.names.map_or_else(|| q.clone(), |n| n.quantity(q)))
    }

    fn quantities(&self) -> impl Iterator<Item = Quantity> {
        (0..self.graph.inputs.len()).filter_map(|i| self.quantity(i))
    }
}

/// The graph of both; `None` where a graph reads a column that its loss does not have.
pub(super) fn join(first: &Part<'_>, second: &Part<'_>) -> Option<Graph> {
    let mut all: Vec<Quantity> = first.quantities().collect();
    all.extend(second.quantities());
    let mut join = Join { graph: Graph::new("comparison"), all };
    let coupled = is_batch_coupled(first.graph) || is_batch_coupled(second.graph);
    for (name, part) in [("first", first), ("second", second)] {
        let mut node = join.add(part)?;
        // The loss of a batch is the mean over its examples.
        if coupled && join.graph.node(node).level >= Level::Example {
            node = join.graph.add_at(Op::Reduce(Reduce::Mean, node), Level::Batch);
        }
        join.graph.roots.push(Root { name: name.to_owned(), node });
    }
    Some(join.graph)
}

struct Join {
    graph: Graph,
    /// What either loss reads.
    all: Vec<Quantity>,
}

impl Join {
    fn add(&mut self, part: &Part<'_>) -> Option<NodeId> {
        let mut place: Vec<NodeId> = Vec::with_capacity(part.graph.nodes.len());
        for node in &part.graph.nodes {
            let id = match node.op {
                Op::Input(i) => {
                    let input = part.graph.inputs.get(usize::from(i))?;
                    self.quantity(&part.quantity(usize::from(i))?, input.range, input.level)
                }
                Op::Param(p) => self.graph.constant(*part.params.get(usize::from(p))?),
                op => self.operation(op.map(|o| place[o.0 as usize]), node.level),
            };
            place.push(id);
        }
        place.get(part.graph.roots.first()?.node.0 as usize).copied()
    }

    /// An operation; what a parameter of 0 or 1 makes of it where its operands are finite. The rewriter
    /// has no such law, because 0 times infinity is not 0.
    fn operation(&mut self, op: Op, level: Level) -> NodeId {
        let constant = |id: NodeId| match self.graph.node(id).op {
            Op::Const(c) => Some(c),
            _ => None,
        };
        if let Op::Binary(binary, a, b) = op {
            match (binary, constant(a), constant(b)) {
                (Binary::Sub, Some(x), Some(y)) if x == y => return self.graph.constant(0.0),
                (Binary::Sub, Some(x), Some(0.0)) => return self.graph.constant(x),
                (Binary::Mul, Some(0.0), _) | (Binary::Mul, _, Some(0.0)) => {
                    return self.graph.constant(0.0);
                }
                (Binary::Mul | Binary::Div, _, Some(1.0)) => return a,
                (Binary::Add | Binary::Sub, _, Some(0.0)) => return a,
                (Binary::Mul, Some(1.0), _) | (Binary::Add, Some(0.0), _) => return b,
                _ => {}
            }
        }
        self.graph.add_at(op, level)
    }

    /// A quantity as a node.
    fn quantity(&mut self, q: &Quantity, range: Interval, level: Level) -> NodeId {
        match q {
            Quantity::MeanLogp { model, response } => {
                let (model, response) = (model.clone(), response.clone());
                let len = Quantity::Len { response: response.clone() };
                let sum = Quantity::Logp { model, response };
                let sum = self.quantity(&sum, sum.domain(), level);
                let len = self.quantity(&len, len.domain(), level);
                let one = self.graph.constant(1.0);
                let tokens = self.graph.binary(Binary::Max, len, one);
                self.graph.binary(Binary::Div, sum, tokens)
            }
            Quantity::Logp { model, response } => {
                let of = |tail: bool| {
                    let (model, response) = (model.clone(), response.clone());
                    if tail {
                        Quantity::TailLogp { model, response }
                    } else {
                        Quantity::SharedLogp { model, response }
                    }
                };
                let parts = [of(false), of(true)];
                if !parts.iter().any(|p| self.all.contains(p)) {
                    return self.input(q, range, level);
                }
                let [shared, tail] = parts.map(|p| self.input(&p, p.domain(), level));
                self.graph.binary(Binary::Add, shared, tail)
            }
            q => self.input(q, range, level),
        }
    }

    fn input(&mut self, q: &Quantity, range: Interval, level: Level) -> NodeId {
        let name = q.to_string();
        let known = self.graph.inputs.iter().position(|i| i.name == name);
        let index = match known {
            Some(i) => {
                let own = &mut self.graph.inputs[i].range;
                *own = own.intersect(&range).unwrap_or(*own);
                i
            }
            None => {
                self.graph.inputs.push(Input { name, level, range, differentiable: true });
                self.graph.inputs.len() - 1
            }
        };
        self.graph.add(Op::Input(index as u16))
    }
}
