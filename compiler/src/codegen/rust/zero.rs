//! Where the sign of a zero shows.
//!
//! Why: a column's zero gets the sign of the side that it is approached from, which costs a comparison a
//! value; where no result can tell the signs apart that is left out. In: a graph. Out: for each node whether
//! some result may have other bits when the node is -0.0 in the place of 0.0. Invariant: what is not known
//! to swallow the sign shows it. A number of the run that is proved to be no zero is taken to be none in
//! the working type, too; of other values that is not, because they underflow.

use crate::mir::transfer::analyse;
use crate::mir::{Binary, Graph, Level, NodeId, Op, Unary};

/// True for each needed node of which the sign of a zero may reach a root.
pub(super) fn shows(graph: &Graph, needed: &[bool]) -> Vec<bool> {
    let mut shows = vec![false; graph.nodes.len()];
    let ranges = analyse(graph);
    let zero = |id: NodeId| {
        graph.node(id).level != Level::Uniform || !ranges[id.0 as usize].excludes_zero()
    };
    for root in &graph.roots {
        shows[root.node.0 as usize] = true;
    }
    for (i, node) in graph.nodes.iter().enumerate().rev().filter(|(i, _)| needed[*i]) {
        let own = shows[i];
        let mut pass = |id: NodeId, shown: bool| shows[id.0 as usize] |= shown;
        match node.op {
            Op::Const(_) | Op::Param(_) | Op::Input(_) => {}
            Op::Unary(op, a) => match op {
                Unary::Neg | Unary::Log1p | Unary::Expm1 | Unary::StopGradient => pass(a, own),
                // e^0, ln 0, ln(1 - e^0), ln 2, 1/2, |0|, and 0 > 0 have no sign of zero in them.
                Unary::Exp
                | Unary::Log
                | Unary::Log1mExp
                | Unary::Softplus
                | Unary::Sigmoid
                | Unary::Abs
                | Unary::Step
                | Unary::Sign => {}
            },
            Op::Binary(op, a, b) => match op {
                // 0 + b is b, unless b is a zero itself.
                Binary::Add | Binary::Sub => {
                    pass(a, own && zero(b));
                    pass(b, own && zero(a));
                }
                Binary::Mul | Binary::Max | Binary::Min => {
                    pass(a, own);
                    pass(b, own);
                }
                // An infinity has the sign of the zero that it was divided by.
                Binary::Div => {
                    pass(a, own);
                    pass(b, true);
                }
                Binary::Pow | Binary::LogAddExp => {}
            },
            Op::Select(_, a, b) => {
                pass(a, own);
                pass(b, own);
            }
            _ => node.op.operands().for_each(|o| pass(o, true)),
        }
    }
    shows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mir::{Input, Interval, Root};

    #[test]
    fn a_sign_shows_in_quotients_and_results_only() {
        let mut g = Graph::new("signs");
        g.inputs = (0..4)
            .map(|i| Input {
                name: format!("x{i}"),
                level: Level::Example,
                range: Interval::LOG_PROB,
                differentiable: true,
            })
            .collect();
        let [w, l, x, y] = [0, 1, 2, 3].map(|i| g.add(Op::Input(i)));
        let gap = g.binary(Binary::Sub, w, l);
        let value = g.unary(Unary::Softplus, gap);
        let odds = g.unary(Unary::Expm1, x);
        let quotient = g.binary(Binary::Div, value, odds);
        let sum = g.binary(Binary::Sub, quotient, y);
        g.roots = vec![Root { name: "loss".into(), node: sum }];
        let shown = shows(&g, &vec![true; g.nodes.len()]);
        assert_eq!([w, l, x, y].map(|id| shown[id.0 as usize]), [false, false, true, true]);
    }

    /// The squared distance to a number that is none: the gradient shows no sign of w - l.
    #[test]
    fn a_sum_with_what_is_not_zero_swallows_the_sign() {
        let mut g = Graph::new("distance");
        g.inputs.push(Input {
            name: "x".into(),
            level: Level::Example,
            range: Interval::LOG_PROB,
            differentiable: true,
        });
        let x = g.add(Op::Input(0));
        let (goal, none) = (g.constant(5.0), g.constant(0.0));
        for (other, shown) in [(goal, false), (none, true)] {
            let node = g.binary(Binary::Sub, x, other);
            g.roots = vec![Root { name: "loss".into(), node }];
            assert_eq!(shows(&g, &vec![true; g.nodes.len()])[x.0 as usize], shown, "{other}");
        }
    }
}
