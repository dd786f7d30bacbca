//! Of which columns the sign of a zero shows.
//!
//! Why: a column's zero gets the sign of the side that it is approached from, which costs an operation or two
//! a value; where no result can tell the signs apart that is left out. In: a graph. Out: for each input
//! whether its zeros must be given their sign. Invariant: left as they are, the zeros of the others change
//! no bit of a result; what is not known to swallow the sign shows it.

use crate::mir::{Binary, Graph, NodeId, Op, Unary};

/// True for each input whose zeros need their sign, one input given up after the other.
pub(super) fn signed(graph: &Graph, needed: &[bool]) -> Vec<bool> {
    let mut signed = vec![true; graph.inputs.len()];
    for i in 0..signed.len() {
        signed[i] = false;
        signed[i] = shows(graph, needed, &signed);
    }
    signed
}

/// What is known of a node where some inputs keep their zeros as they are.
#[derive(Clone, Copy, Default)]
struct Zero {
    /// It may be 0.0.
    plus: bool,
    /// It may be -0.0.
    minus: bool,
    /// A zero may have the other sign than it should.
    astray: bool,
}

/// True if a result may differ when only the `signed` inputs have the sign of their zeros put right.
fn shows(graph: &Graph, needed: &[bool], signed: &[bool]) -> bool {
    let mut known: Vec<Zero> = Vec::with_capacity(graph.nodes.len());
    for (i, node) in graph.nodes.iter().enumerate() {
        let of = |id: NodeId| known.get(id.0 as usize).copied().unwrap_or_default();
        let either = |astray: bool| Zero { plus: true, minus: true, astray };
        let zero = match node.op {
            _ if !needed[i] => Zero::default(),
            Op::Const(c) => {
                let minus = c.is_sign_negative();
                Zero { plus: c == 0.0 && !minus, minus: c == 0.0 && minus, astray: false }
            }
            Op::Param(_) => either(false),
            Op::Input(column) => {
                let column = usize::from(column);
                match graph.inputs.get(column) {
                    Some(input) if signed[column] => {
                        let minus = input.range.is_nonpos();
                        Zero { plus: !minus, minus, astray: false }
                    }
                    _ => either(true),
                }
            }
            Op::Unary(Unary::Neg, a) => {
                let Zero { plus, minus, astray } = of(a);
                Zero { plus: minus, minus: plus, astray }
            }
            Op::Unary(Unary::Log1p | Unary::Expm1 | Unary::StopGradient, a) => either(of(a).astray),
            // e^0, ln 0, ln(1 - e^0), ln 2, 1/2, |0|, and 0 > 0 have no sign of zero in them.
            Op::Unary(..) | Op::Binary(Binary::Pow | Binary::LogAddExp, ..) => either(false),
            // Two zeros add up to -0.0 only where both are negative.
            Op::Binary(Binary::Add, a, b) => {
                let (a, b) = (of(a), of(b));
                let astray = (a.astray && (b.minus || b.astray)) || (b.astray && a.minus);
                Zero { plus: true, minus: a.minus && b.minus, astray }
            }
            Op::Binary(Binary::Sub, a, b) => {
                let (a, b) = (of(a), of(b));
                let astray = (a.astray && (b.plus || b.astray)) || (b.astray && a.minus);
                Zero { plus: true, minus: a.minus && b.plus, astray }
            }
            Op::Binary(Binary::Mul | Binary::Max | Binary::Min, a, b) => {
                either(of(a).astray || of(b).astray)
            }
            // An infinity has the sign of the zero that it was divided by.
            Op::Binary(Binary::Div, _, b) if of(b).astray => return true,
            Op::Binary(Binary::Div, a, _) => either(of(a).astray),
            Op::Select(_, a, b) => either(of(a).astray || of(b).astray),
            _ if node.op.operands().any(|o| of(o).astray) => return true,
            _ => either(false),
        };
        known.push(zero);
    }
    graph.roots.iter().any(|r| known.get(r.node.0 as usize).is_none_or(|z| z.astray))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mir::{Input, Interval, Level, Root};

    fn graph(columns: usize) -> (Graph, Vec<NodeId>) {
        let mut g = Graph::new("signs");
        let input = |i| Input {
            name: format!("x{i}"),
            level: Level::Example,
            range: Interval::LOG_PROB,
            differentiable: true,
        };
        g.inputs = (0..columns).map(input).collect();
        let ids = (0..columns as u16).map(|i| g.add(Op::Input(i))).collect();
        (g, ids)
    }

    fn signed_of(mut g: Graph, root: NodeId) -> Vec<bool> {
        g.roots = vec![Root { name: "loss".into(), node: root }];
        signed(&g, &vec![true; g.nodes.len()])
    }

    #[test]
    fn a_sign_shows_in_quotients_and_results_only() {
        let (mut g, x) = graph(4);
        let gap = g.binary(Binary::Sub, x[0], x[1]);
        let value = g.unary(Unary::Softplus, gap);
        let odds = g.unary(Unary::Expm1, x[2]);
        let quotient = g.binary(Binary::Div, value, odds);
        let product = g.binary(Binary::Mul, quotient, x[3]);
        assert_eq!(signed_of(g, product), [false, false, true, true]);
    }

    /// 0 - 0 is 0.0 whatever the first sign, as long as the second is the minus of a log-probability; and
    /// what is never -0.0 takes a zero of either sign away.
    #[test]
    fn one_sign_is_enough_for_a_difference() {
        let (mut g, x) = graph(4);
        let chosen = g.binary(Binary::Sub, x[0], x[2]);
        let rejected = g.binary(Binary::Sub, x[1], x[3]);
        let gap = g.binary(Binary::Sub, chosen, rejected);
        assert_eq!(signed_of(g, gap), [false, false, true, false]);
    }

    #[test]
    fn a_result_itself_shows_its_sign() {
        let (g, x) = graph(1);
        assert_eq!(signed_of(g, x[0]), [true]);
    }
}
