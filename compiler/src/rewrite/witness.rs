//! A point at which an operation is undefined.
//!
//! Why: an interval proves that something may go wrong; a point shows it. In: a graph and the operation that
//! is not proved. Out: values of the parameters and inputs, and of the operand there. Invariant: a point
//! that is shown lies in the declared ranges, and the operation is undefined at it; where none is found
//! the reason stays the interval.

use crate::codegen::interp::{Batch, EvalError, evaluate};
use crate::mir::transfer::Undefined;
use crate::mir::{Binary, Dice, Graph, Interval, Level, NodeId, Op, Root, Stage, Unary};

/// Points that are tried.
const TRIES: usize = 4_000;

/// Numbers that read well, tried first.
const PLAIN: [f64; 13] =
    [-1.0, 1.0, -2.0, 2.0, 0.5, -0.5, 0.0, -10.0, 10.0, 0.1, -0.1, -100.0, 100.0];

/// A point as a sentence; `None` where none is found.
pub(super) fn witness(graph: &Graph, node: NodeId, reason: Undefined) -> Option<String> {
    let (operand, what) = operand(graph, node, reason)?;
    let mut search = Search { graph: probe(graph, operand), dice: Dice(1), operand: what };
    let shift = matches!(graph.node(node).op, Op::Unary(Unary::Log1p, _));
    let wrong = |x: f64| match reason {
        Undefined::NegativeLog => x < if shift { -1.0 } else { 0.0 },
        Undefined::PositiveLog1mExp => x > 0.0,
        _ => x == 0.0,
    };
    if reason == Undefined::DivisorSign {
        // Somewhere between a positive and a negative divisor it is 0.
        let low = search.find(|x| x < 0.0)?;
        let high = search.find(|x| x > 0.0)?;
        return Some(format!("{low}, and {high}: in between it is 0"));
    }
    search.find(wrong).map(|point| format!("it happens: {point}"))
}

/// The operand that decides, and what it is called.
fn operand(graph: &Graph, node: NodeId, reason: Undefined) -> Option<(NodeId, &'static str)> {
    match (graph.node(node).op, reason) {
        (Op::Unary(_, a), Undefined::NegativeLog | Undefined::PositiveLog1mExp) => {
            Some((a, "the argument"))
        }
        (Op::Binary(Binary::Pow, a, _), Undefined::NegativeLog) => Some((a, "the base")),
        (Op::Binary(Binary::Div, _, b), Undefined::DivisorSign) => Some((b, "the divisor")),
        _ => None,
    }
}

/// The graph of one node.
fn probe(graph: &Graph, node: NodeId) -> Graph {
    let roots = vec![Root { name: "operand".to_owned(), node }];
    Graph { roots, stage: Stage::Written, ..graph.clone() }
}

struct Search {
    graph: Graph,
    dice: Dice,
    operand: &'static str,
}

impl Search {
    /// The first point whose operand is as wanted.
    fn find(&mut self, wanted: impl Fn(f64) -> bool) -> Option<String> {
        for attempt in 0..TRIES {
            let params: Vec<f64> = (0..self.graph.params.len())
                .map(|i| {
                    let p = &self.graph.params[i];
                    // The default says most to a reader.
                    let usual = p.default.filter(|_| attempt < TRIES / 4);
                    usual.unwrap_or_else(|| draw(&p.range, attempt, &mut self.dice))
                })
                .collect();
            let inputs: Vec<f64> = (0..self.graph.inputs.len())
                .map(|i| draw(&self.graph.inputs[i].range, attempt, &mut self.dice))
                .collect();
            let value = self.value(&params, &inputs).ok()?;
            if value.is_finite() && wanted(value) {
                return Some(self.shown(value, &params, &inputs));
            }
        }
        None
    }

    /// The operand with one example, one candidate and one token.
    fn value(&self, params: &[f64], inputs: &[f64]) -> Result<f64, EvalError> {
        let graph = &self.graph;
        let mut batch = Batch::<f64>::new(1);
        let mut owner = Level::Example;
        if graph.inputs.iter().any(|i| i.level == Level::Candidate) {
            batch = batch.with_candidates(&[1])?;
            owner = Level::Candidate;
        }
        for (i, x) in inputs.iter().enumerate() {
            match graph.inputs[i].level {
                Level::Token => batch.set_tokens(graph, i as u16, &[*x], owner, &[1])?,
                _ => batch.set(graph, i as u16, &[*x])?,
            }
        }
        let roots = evaluate(graph, params, &batch)?;
        Ok(roots.first().and_then(|r| r.first()).copied().unwrap_or(f64::NAN))
    }

    fn shown(&self, value: f64, params: &[f64], inputs: &[f64]) -> String {
        let read = self.leaves();
        let params = self.graph.params.iter().zip(params).enumerate();
        let params = params.filter(|(i, _)| read.contains(&Op::Param(*i as u16)));
        let inputs = self.graph.inputs.iter().zip(inputs).enumerate();
        let inputs = inputs.filter(|(i, _)| read.contains(&Op::Input(*i as u16)));
        let all: Vec<String> = params
            .map(|(_, (p, x))| format!("{} = {x}", p.name))
            .chain(inputs.map(|(_, (i, x))| format!("{} = {x}", i.name)))
            .collect();
        format!("{} is {value} at {}", self.operand, all.join(", "))
    }

    /// The leaves that the operand reads.
    fn leaves(&self) -> Vec<Op> {
        let graph = &self.graph;
        let mut live = vec![false; graph.nodes.len()];
        graph.roots.iter().for_each(|r| live[r.node.0 as usize] = true);
        let mut out = Vec::new();
        for i in (0..graph.nodes.len()).rev() {
            if live[i] {
                let op = graph.nodes[i].op;
                op.operands().for_each(|o| live[o.0 as usize] = true);
                if matches!(op, Op::Param(_) | Op::Input(_)) {
                    out.push(op);
                }
            }
        }
        out
    }
}

/// A number of a range: at first one that reads well, later any.
fn draw(range: &Interval, attempt: usize, dice: &mut Dice) -> f64 {
    for _ in 0..32 {
        let x = if attempt < TRIES / 2 {
            // The first few read best.
            PLAIN[dice.below(if attempt < TRIES / 8 { 7 } else { PLAIN.len() })]
        } else {
            let sign = if dice.below(2) == 0 { 1.0 } else { -1.0 };
            sign * 10_f64.powf(8.0 * dice.unit() - 4.0)
        };
        if range.contains(x) {
            return x;
        }
    }
    let (lo, hi) = (range.lo.max(-1.0), range.hi.min(1.0));
    lo + (hi - lo) * (0.01 + 0.98 * dice.unit())
}
