//! From the HIR and its core to MIR as written.
//!
//! Why: everything after this stage speaks one small scalar language. In: a resolved loss. Out: a graph
//! of stage [`Stage::Written`] with the single root `loss`, and the span of every node. Invariant: in
//! exact arithmetic the graph computes what the text says; nothing is stabilised here, except that a
//! logical core comes from its counting circuit and so is in log space from the start.

use crate::circuit;
use crate::hir::{
    BatchFn, Core, ExprId, Fn1, Fn2, Fold, Kind, Link, Loop, Loss, Noise, Running, Scan,
};
use crate::logic::{Function, Table};
use crate::mir::{Binary, Graph, Input, Level, NodeId, Op, Reduce, Root, Stage, Unary};
use ponens_dsl::Span;
use std::collections::HashMap;

/// A graph as written, with the place of each node in the text.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// The graph; its root is `loss`.
    pub graph: Graph,
    /// The node of rho, if the loss has a core that `minimize` uses.
    pub rho: Option<NodeId>,
    /// The first expression that each node was made for.
    pub spans: HashMap<NodeId, Span>,
}

/// Exponents up to this one are unfolded into products.
const UNFOLDED_POWER: f64 = 4.0;

/// Lowers a resolved loss.
pub fn lower(loss: &Loss) -> Lowered {
    root(loss, loss.minimize)
}

/// By the column of each running mean, what it is the mean of: a graph over the same inputs, with the root
/// `loss` and without anything to differentiate.
pub fn running(loss: &Loss) -> Vec<(String, Graph)> {
    let graph = |r: &Running| {
        let mut graph = root(loss, r.of).graph;
        graph.inputs.iter_mut().for_each(|i| i.differentiable = false);
        (r.name.clone(), graph)
    };
    loss.running.iter().map(graph).collect()
}

fn root(loss: &Loss, minimize: ExprId) -> Lowered {
    let mut graph = Graph::new(&loss.name);
    graph.stage = Stage::Written;
    graph.params = loss.params.clone();
    graph.inputs = loss
        .columns
        .iter()
        .map(|c| Input {
            name: c.name(),
            level: c.level,
            range: c.range,
            differentiable: c.differentiable,
        })
        .collect();
    let mut l = Lowering {
        loss,
        graph,
        done: vec![None; loss.exprs.len()],
        rho: None,
        spans: HashMap::new(),
    };
    let node = l.expr(minimize);
    l.graph.roots.push(Root { name: "loss".to_owned(), node });
    Lowered { graph: l.graph, rho: l.rho, spans: l.spans }
}

/// rho alone: a graph with the root `rho`. `None` when `minimize` does not use rho.
pub fn rho(lowered: &Lowered) -> Option<Graph> {
    let root = Root { name: "rho".to_owned(), node: lowered.rho? };
    Some(Graph { roots: vec![root], ..lowered.graph.clone() })
}

struct Lowering<'a> {
    loss: &'a Loss,
    graph: Graph,
    done: Vec<Option<NodeId>>,
    rho: Option<NodeId>,
    spans: HashMap<NodeId, Span>,
}

impl Lowering<'_> {
    fn expr(&mut self, id: ExprId) -> NodeId {
        if let Some(n) = self.done[id.0 as usize] {
            return n;
        }
        let e = *self.loss.expr(id);
        let first = self.graph.nodes.len();
        let node = self.kind(e.kind);
        for n in first..self.graph.nodes.len() {
            self.spans.entry(NodeId(n as u32)).or_insert(e.span);
        }
        self.done[id.0 as usize] = Some(node);
        node
    }

    fn input(&mut self, column: usize) -> NodeId {
        self.graph.add(Op::Input(column as u16))
    }

    fn kind(&mut self, kind: Kind) -> NodeId {
        match kind {
            Kind::Number(x) => self.graph.constant(x),
            Kind::Param(p) => self.graph.add(Op::Param(p as u16)),
            Kind::Column(c) => self.input(c),
            Kind::Probability(a) => {
                let logp = self.log_weight(a);
                self.graph.unary(Unary::Exp, logp)
            }
            Kind::Rho => {
                let node = match self.rho {
                    Some(n) => n,
                    None => self.core(),
                };
                self.rho = Some(node);
                node
            }
            Kind::Call1(f, a) => {
                let a = self.expr(a);
                self.call1(f, a)
            }
            Kind::Call2(Fn2::Pow, a, b) => self.power(a, b),
            Kind::Call2(f, a, b) => {
                let (a, b) = (self.expr(a), self.expr(b));
                let op = match f {
                    Fn2::Add => Binary::Add,
                    Fn2::Sub => Binary::Sub,
                    Fn2::Mul => Binary::Mul,
                    Fn2::Div => Binary::Div,
                    Fn2::Pow => Binary::Pow,
                    Fn2::Max => Binary::Max,
                    Fn2::Min => Binary::Min,
                    Fn2::LogAddExp => Binary::LogAddExp,
                };
                self.graph.binary(op, a, b)
            }
            Kind::If(c, a, b) => {
                let (c, a, b) = (self.expr(c), self.expr(a), self.expr(b));
                self.graph.add(Op::Select(c, a, b))
            }
            Kind::Link(link, x, extra) => {
                let x = self.expr(x);
                let extra = extra.map(|e| self.expr(e));
                self.link(link, x, extra)
            }
            Kind::Noise(noise, rate, plain, flipped) => {
                let (rate, plain, flipped) =
                    (self.expr(rate), self.expr(plain), self.expr(flipped));
                self.noise(noise, rate, plain, flipped)
            }
            Kind::Batch(f, x) => {
                let x = self.expr(x);
                match f {
                    BatchFn::Mean => self.graph.add_at(Op::Reduce(Reduce::Mean, x), Level::Batch),
                    BatchFn::Sum => self.graph.add_at(Op::Reduce(Reduce::Sum, x), Level::Batch),
                    BatchFn::Sort => self.graph.add(Op::Sort(x)),
                }
            }
            Kind::Fold(f, x, to) => {
                let x = self.expr(x);
                let op = match f {
                    Fold::Sum => Reduce::Sum,
                    Fold::Mean => Reduce::Mean,
                    Fold::Max => Reduce::Max,
                    Fold::LogSumExp => Reduce::LogSumExp,
                };
                self.graph.add_at(Op::Reduce(op, x), to)
            }
            Kind::Scan(scan, x) => {
                let x = self.expr(x);
                self.graph.add(match scan {
                    Scan::SuffixSum => Op::SuffixSum(x),
                    Scan::PrefixSum => Op::PrefixSum(x),
                    Scan::Shift(n) => Op::Shift(x, n),
                    Scan::LogSumExps(d) => Op::LogSumExps(d, x),
                })
            }
            Kind::Recurrence(d, a, x) => {
                let (a, x) = (self.expr(a), self.expr(x));
                self.graph.add(Op::Recurrence(d, a, x))
            }
            Kind::Position(inner) => match self.of(inner) {
                Some(x) => self.graph.add(Op::Position(x)),
                None => self.graph.constant(0.0),
            },
            Kind::Size(inner) => match self.of(inner) {
                Some(x) => self.graph.add_at(Op::Count(x), self.loss.shape.outside(inner)),
                None => self.graph.constant(1.0),
            },
        }
    }

    /// A column of a loop. The verifier of the HIR refuses a loop that no column runs over.
    fn of(&mut self, inner: Loop) -> Option<NodeId> {
        self.loss.column_of(inner).map(|c| self.input(c))
    }

    /// The log-weight of an atom.
    fn log_weight(&mut self, atom: usize) -> NodeId {
        let atom = &self.loss.atoms[atom];
        match atom.weight {
            Some(w) => self.expr(w),
            None => self.input(atom.column),
        }
    }

    fn core(&mut self) -> NodeId {
        match &self.loss.core {
            Some(Core::Arithmetic { value, .. }) => self.expr(*value),
            Some(Core::Logical { prefer, given, tie, .. }) => {
                let full = Table::full(self.loss.atoms.len());
                let wins = (*prefer | *tie) & *given;
                let loses = ((full ^ *prefer) | *tie) & *given;
                let atoms = 0..self.loss.atoms.len();
                let atoms: Vec<NodeId> = atoms.map(|a| self.log_weight(a)).collect();
                circuit::lower_ratio(wins, loses, &mut self.graph, &atoms)
            }
            Some(Core::Large { prefer, given, tie, .. }) => {
                let [p, given, tie] = [prefer, given, tie].map(Function::of_formula);
                let (wins, loses) = (p.or(&tie).and(&given), p.not().or(&tie).and(&given));
                let atoms = 0..self.loss.atoms.len();
                let atoms: Vec<NodeId> = atoms.map(|a| self.log_weight(a)).collect();
                circuit::lower_large_ratio(&wins, &loses, &mut self.graph, &atoms)
            }
            // The verifier of the HIR refuses `rho` without a core.
            None => self.graph.constant(0.0),
        }
    }

    fn call1(&mut self, f: Fn1, a: NodeId) -> NodeId {
        let g = &mut self.graph;
        let op = match f {
            Fn1::Neg => Unary::Neg,
            Fn1::Exp => Unary::Exp,
            Fn1::Log => Unary::Log,
            Fn1::Log1p => Unary::Log1p,
            Fn1::Expm1 => Unary::Expm1,
            Fn1::Log1mExp => Unary::Log1mExp,
            Fn1::Softplus => Unary::Softplus,
            Fn1::Sigmoid => Unary::Sigmoid,
            Fn1::Abs => Unary::Abs,
            Fn1::StopGradient => Unary::StopGradient,
            Fn1::Square => return g.binary(Binary::Mul, a, a),
            Fn1::LogSigmoid => {
                let minus = g.unary(Unary::Neg, a);
                let softplus = g.unary(Unary::Softplus, minus);
                return g.unary(Unary::Neg, softplus);
            }
        };
        g.unary(op, a)
    }

    /// Small whole powers are products, so that a negative base keeps its sign.
    fn power(&mut self, base: ExprId, exponent: ExprId) -> NodeId {
        let x = self.expr(base);
        if let Kind::Number(n) = self.loss.expr(exponent).kind
            && n.fract() == 0.0
            && (1.0..=UNFOLDED_POWER).contains(&n)
        {
            return (1..n as u32).fold(x, |y, _| self.graph.binary(Binary::Mul, y, x));
        }
        let n = self.expr(exponent);
        self.graph.binary(Binary::Pow, x, n)
    }

    fn link(&mut self, link: Link, x: NodeId, extra: Option<NodeId>) -> NodeId {
        let g = &mut self.graph;
        match link {
            Link::Logistic => {
                let minus = g.unary(Unary::Neg, x);
                g.unary(Unary::Softplus, minus)
            }
            Link::Hinge => {
                let zero = g.constant(0.0);
                let margin = match extra {
                    Some(m) => m,
                    None => g.constant(1.0),
                };
                let slack = g.binary(Binary::Sub, margin, x);
                g.binary(Binary::Max, zero, slack)
            }
            Link::Squared => {
                let d = match extra {
                    Some(t) => g.binary(Binary::Sub, x, t),
                    None => x,
                };
                g.binary(Binary::Mul, d, d)
            }
        }
    }

    fn noise(&mut self, noise: Noise, rate: NodeId, plain: NodeId, flipped: NodeId) -> NodeId {
        let g = &mut self.graph;
        let one = g.constant(1.0);
        let keep = g.binary(Binary::Sub, one, rate);
        let a = g.binary(Binary::Mul, keep, plain);
        let b = g.binary(Binary::Mul, rate, flipped);
        match noise {
            Noise::Smooth => g.binary(Binary::Add, a, b),
            Noise::Debias => {
                let difference = g.binary(Binary::Sub, a, b);
                let two = g.constant(2.0);
                let twice = g.binary(Binary::Mul, two, rate);
                let scale = g.binary(Binary::Sub, one, twice);
                g.binary(Binary::Div, difference, scale)
            }
        }
    }
}
