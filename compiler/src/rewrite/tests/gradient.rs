//! Reverse mode for tests: the gradient of a graph's loss with respect to every differentiable input.

use crate::mir::{Binary, Graph, NodeId, Op, Root, Unary};

/// The graph with a root `d/NAME` for every differentiable input that it uses.
pub(super) fn with_gradients(written: &Graph) -> Graph {
    let mut graph = written.clone();
    let mut adjoint: Vec<Option<NodeId>> = vec![None; written.nodes.len()];
    let one = graph.constant(1.0);
    adjoint[written.roots[0].node.0 as usize] = Some(one);
    for i in (0..written.nodes.len()).rev() {
        let Some(g) = adjoint[i] else { continue };
        let node = NodeId(i as u32);
        for (operand, part) in parts(&mut graph, written.nodes[i].op, node, g) {
            let place = &mut adjoint[operand.0 as usize];
            *place = Some(match *place {
                Some(sum) => graph.binary(Binary::Add, sum, part),
                None => part,
            });
        }
    }
    for (i, input) in written.inputs.iter().enumerate().filter(|(_, x)| x.differentiable) {
        let place = written.nodes.iter().position(|n| n.op == Op::Input(i as u16));
        if let Some(node) = place.and_then(|p| adjoint[p]) {
            graph.roots.push(Root { name: format!("d/{}", input.name), node });
        }
    }
    graph
}

fn parts(graph: &mut Graph, op: Op, y: NodeId, g: NodeId) -> Vec<(NodeId, NodeId)> {
    match op {
        Op::Unary(u, x) => unary(graph, u, x, y, g).map(|part| (x, part)).into_iter().collect(),
        Op::Binary(Binary::Add, a, b) => vec![(a, g), (b, g)],
        Op::Binary(Binary::Sub, a, b) => vec![(a, g), (b, graph.unary(Unary::Neg, g))],
        Op::Binary(Binary::Mul, a, b) => {
            vec![(a, graph.binary(Binary::Mul, g, b)), (b, graph.binary(Binary::Mul, g, a))]
        }
        Op::Binary(Binary::Div, a, b) => {
            let left = graph.binary(Binary::Div, g, b);
            let back = graph.binary(Binary::Mul, left, y);
            vec![(a, left), (b, graph.unary(Unary::Neg, back))]
        }
        Op::Binary(Binary::Max, a, b) | Op::Binary(Binary::Min, a, b) => {
            // Each side has slope 1 where it alone is chosen; both have 0 at the kink.
            let max = matches!(op, Op::Binary(Binary::Max, ..));
            let slope = |graph: &mut Graph, x, y| {
                let (hi, lo) = if max { (x, y) } else { (y, x) };
                let d = graph.binary(Binary::Sub, hi, lo);
                let step = graph.unary(Unary::Step, d);
                graph.binary(Binary::Mul, g, step)
            };
            vec![(a, slope(graph, a, b)), (b, slope(graph, b, a))]
        }
        Op::Binary(Binary::LogAddExp, a, b) => {
            let d = graph.binary(Binary::Sub, a, b);
            let s = graph.unary(Unary::Sigmoid, d);
            let e = graph.binary(Binary::Sub, b, a);
            let t = graph.unary(Unary::Sigmoid, e);
            vec![(a, graph.binary(Binary::Mul, g, s)), (b, graph.binary(Binary::Mul, g, t))]
        }
        Op::Select(c, a, b) => {
            let zero = graph.constant(0.0);
            vec![(a, graph.add(Op::Select(c, g, zero))), (b, graph.add(Op::Select(c, zero, g)))]
        }
        _ => Vec::new(),
    }
}

fn unary(graph: &mut Graph, u: Unary, x: NodeId, y: NodeId, g: NodeId) -> Option<NodeId> {
    let one = graph.constant(1.0);
    let slope = match u {
        Unary::Neg => return Some(graph.unary(Unary::Neg, g)),
        Unary::Exp => y,
        Unary::Log => return Some(graph.binary(Binary::Div, g, x)),
        Unary::Log1p => {
            let d = graph.binary(Binary::Add, one, x);
            return Some(graph.binary(Binary::Div, g, d));
        }
        Unary::Expm1 => graph.unary(Unary::Exp, x),
        Unary::Log1mExp => {
            let n = graph.unary(Unary::Neg, x);
            let e = graph.unary(Unary::Expm1, n);
            let minus = graph.unary(Unary::Neg, one);
            graph.binary(Binary::Div, minus, e)
        }
        Unary::Softplus => graph.unary(Unary::Sigmoid, x),
        Unary::Sigmoid => {
            let n = graph.unary(Unary::Neg, x);
            let t = graph.unary(Unary::Sigmoid, n);
            graph.binary(Binary::Mul, y, t)
        }
        Unary::Abs => graph.unary(Unary::Sign, x),
        Unary::Step | Unary::Sign | Unary::StopGradient => return None,
    };
    Some(graph.binary(Binary::Mul, g, slope))
}
