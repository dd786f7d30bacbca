//! Where the sign of a zero shows.
//!
//! Why: a column's zero gets the sign of the side that it is approached from, which costs a comparison a
//! value; where no result can tell the signs apart that is left out. In: a graph. Out: for each node whether
//! some result may have other bits when the node is -0.0 in the place of 0.0. Invariant: what is not known
//! to swallow the sign shows it.

use crate::mir::{Binary, Graph, Op, Unary};

/// True for each needed node of which the sign of a zero may reach a root.
pub(super) fn shows(graph: &Graph, needed: &[bool]) -> Vec<bool> {
    let mut shows = vec![false; graph.nodes.len()];
    for root in &graph.roots {
        shows[root.node.0 as usize] = true;
    }
    for (i, node) in graph.nodes.iter().enumerate().rev().filter(|(i, _)| needed[*i]) {
        let own = shows[i];
        let mut pass = |id: crate::mir::NodeId, shown: bool| shows[id.0 as usize] |= shown;
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
                Binary::Add | Binary::Sub | Binary::Mul | Binary::Max | Binary::Min => {
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
    use crate::mir::{Input, Interval, Level, Root};

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
}
