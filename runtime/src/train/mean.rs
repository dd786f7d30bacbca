//! Whether a loss divides log-probabilities by the lengths of their responses.
//!
//! The text of a loss may write the mean over tokens out, and then reads sums and lengths. Lengths alone do
//! not say so: they also stand beside a sum (a price a token) or inside a weight without a gradient.

use ponens_compiler::mir::{Binary, Graph, Op, Unary};

use super::{Names, ResponseNames};
use crate::op::LossKernel;

/// How a value depends on one input, through what a gradient passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum By {
    Nothing,
    /// On the input over a length, wherever it comes from.
    Quotient,
    /// On the input itself, in one place at least.
    Itself,
}

/// What a value is made of.
#[derive(Clone, Copy, Default)]
struct Made {
    /// Of lengths, constants and parameters only, and of one length at least.
    length: bool,
    /// Of other inputs.
    other: bool,
    /// Such a value under a fraction's line.
    reciprocal: bool,
}

/// Whether the loss depends on each of these inputs, and on none of them but over a length.
fn quotients(graph: &Graph, inputs: &[&str]) -> Option<bool> {
    let loss = graph.root("loss")?;
    let mut made: Vec<Made> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let at = |id: ponens_compiler::mir::NodeId| made[id.0 as usize];
        let mut one = Made::default();
        if let Op::Input(i) = node.op {
            one.length = graph.inputs[i as usize].name.starts_with("len(");
            one.other = !one.length;
        }
        for operand in node.op.operands() {
            one.length |= at(operand).length;
            one.other |= at(operand).other;
        }
        one.length &= !one.other;
        one.reciprocal = one.length
            && match node.op {
                Op::Binary(Binary::Div, _, b) => at(b).length,
                Op::Binary(Binary::Mul, a, b) => at(a).reciprocal || at(b).reciprocal,
                Op::Unary(Unary::Neg, a) => at(a).reciprocal,
                _ => false,
            };
        made.push(one);
    }
    let by = |input: &str| {
        let mut by: Vec<By> = Vec::with_capacity(graph.nodes.len());
        for node in &graph.nodes {
            let at = |id: ponens_compiler::mir::NodeId| by[id.0 as usize];
            let over = |a: By| a.min(By::Quotient);
            let is = |id: ponens_compiler::mir::NodeId| made[id.0 as usize];
            let one = match node.op {
                Op::Input(i) if graph.inputs[i as usize].name == input => By::Itself,
                Op::Unary(Unary::StopGradient | Unary::Step | Unary::Sign, _) => By::Nothing,
                Op::Select(_, a, b) => at(a).max(at(b)),
                Op::Binary(Binary::Div, a, b) if is(b).length => over(at(a)),
                Op::Binary(Binary::Mul, a, b) if is(b).reciprocal => over(at(a)),
                Op::Binary(Binary::Mul, a, b) if is(a).reciprocal => over(at(b)),
                op => op.operands().map(at).max().unwrap_or(By::Nothing),
            };
            by.push(one);
        }
        by[loss.0 as usize]
    };
    Some(inputs.iter().all(|i| by(i) == By::Quotient))
}

/// Whether a loss that reads sums and lengths is one of means over tokens. Of a loss without a graph the
/// lengths are all there is to see.
pub(super) fn averages(kernel: &dyn LossKernel, names: &Names) -> bool {
    let Some(graph) = kernel.definition() else { return true };
    let sum = |response: &str| format!("logp({},{response})", names.policy);
    let is_wanted = |name: &str| match &names.responses {
        // Rewards are those of the two, not of further responses.
        ResponseNames::Pair { chosen, rejected, .. } => {
            name == sum(chosen) || name == sum(rejected)
        }
        _ => name.starts_with(&format!("logp({},", names.policy)),
    };
    let inputs: Vec<&str> =
        graph.inputs.iter().map(|i| i.name.as_str()).filter(|n| is_wanted(n)).collect();
    quotients(graph, &inputs).unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ponens_compiler::mir::{Input, Interval, Level, NodeId, Root};

    fn graph(build: impl Fn(&mut Graph, [NodeId; 4]) -> NodeId) -> Graph {
        let mut g = Graph::new("test");
        let named = |name: &str| Input {
            name: name.into(),
            level: Level::Example,
            range: Interval::REAL,
            differentiable: name.starts_with("logp"),
        };
        g.inputs = ["logp(pi,w)", "logp(pi,l)", "len(w)", "len(l)"].map(named).to_vec();
        let inputs = [0, 1, 2, 3].map(|i| g.add(Op::Input(i)));
        let loss = build(&mut g, inputs);
        g.roots = vec![Root { name: "loss".into(), node: loss }];
        g
    }

    fn answer(build: impl Fn(&mut Graph, [NodeId; 4]) -> NodeId) -> bool {
        quotients(&graph(build), &["logp(pi,w)", "logp(pi,l)"]).expect("a loss")
    }

    fn gap(g: &mut Graph, [w, l, ..]: [NodeId; 4]) -> NodeId {
        g.binary(Binary::Sub, w, l)
    }

    fn means(g: &mut Graph, [w, l, nw, nl]: [NodeId; 4]) -> NodeId {
        let one = g.constant(1.0);
        let least = g.binary(Binary::Max, nw, one);
        let chosen = g.binary(Binary::Div, w, least);
        let share = g.binary(Binary::Div, one, nl);
        let rejected = g.binary(Binary::Mul, share, l);
        g.binary(Binary::Sub, chosen, rejected)
    }

    #[test]
    fn means_are_told_from_sums_beside_lengths() {
        assert!(answer(means));
        assert!(!answer(gap));
        // A price a token beside the sums (R-DPO).
        assert!(!answer(|g, x| {
            let sums = gap(g, x);
            let lengths = g.binary(Binary::Sub, x[2], x[3]);
            g.binary(Binary::Add, sums, lengths)
        }));
        // Means in a weight without a gradient (WPO).
        assert!(!answer(|g, x| {
            let inner = means(g, x);
            let weight = g.unary(Unary::StopGradient, inner);
            let sums = gap(g, x);
            g.binary(Binary::Mul, weight, sums)
        }));
        // And the reverse: sums in such a weight, means in the loss.
        assert!(answer(|g, x| {
            let inner = gap(g, x);
            let weight = g.unary(Unary::StopGradient, inner);
            let means = means(g, x);
            g.binary(Binary::Mul, weight, means)
        }));
        // One of the two divided.
        assert!(!answer(|g, [w, l, nw, _]| {
            let chosen = g.binary(Binary::Div, w, nw);
            g.binary(Binary::Sub, chosen, l)
        }));
    }
}
