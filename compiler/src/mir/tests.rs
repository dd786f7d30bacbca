//! Laws of the interval analysis and the verifier, on random points and random graphs.

use super::testing::{Dice, columns, graphs};
use super::transfer::{analyse, operand_facts, transfer, undefined};
use super::verify::{hazards, verify};
use super::{Binary, Graph, Input, Interval, Level, Node, NodeId, Op, Param, Root, Stage};
use super::{Unary, Violation};
use crate::codegen::interp::{Big, Real, evaluate};
use proptest::prelude::*;

type B = Big<256>;

/// `x` lies between the ends; an open end is excluded only if `strict`.
fn encloses(interval: &Interval, x: &B, strict: bool) -> bool {
    let (lo, hi) = (B::from_f64(interval.lo), B::from_f64(interval.hi));
    let inside = !lo.exceeds(x) && !x.exceeds(&hi);
    let above = x.exceeds(&lo) || !interval.lo_open;
    let below = hi.exceeds(x) || !interval.hi_open;
    inside && !x.is_nan() && (!strict || (above && below))
}

/// A random interval around a value, with ends at the value itself, near it, or far.
fn around(dice: &mut Dice, x: f64) -> Interval {
    let mut end = |sign: f64| match dice.below(5) {
        0 => (x, false),
        1 => (sign * f64::INFINITY, true),
        2 if x * sign <= 0.0 => (0.0, x == 0.0 && dice.below(1) == 1),
        3 => (x + sign * dice.unit(), false),
        _ => (x + sign * (1.0 + x.abs()), true),
    };
    let ((lo, lo_open), (hi, hi_open)) = (end(-1.0), end(1.0));
    let interval = Interval { lo, hi, lo_open, hi_open };
    if interval.contains(x) { interval } else { Interval::point(x) }
}

fn operations() -> Vec<Op> {
    let (a, b) = (NodeId(0), NodeId(1));
    let unary = [
        Unary::Neg,
        Unary::Exp,
        Unary::Log,
        Unary::Log1p,
        Unary::Expm1,
        Unary::Log1mExp,
        Unary::Softplus,
        Unary::Sigmoid,
        Unary::Abs,
        Unary::Step,
        Unary::Sign,
        Unary::StopGradient,
    ];
    let binary = [
        Binary::Add,
        Binary::Sub,
        Binary::Mul,
        Binary::Div,
        Binary::Max,
        Binary::Min,
        Binary::Pow,
        Binary::LogAddExp,
    ];
    let unary = unary.into_iter().map(|u| Op::Unary(u, a));
    let both = binary.into_iter().flat_map(|u| [Op::Binary(u, a, b), Op::Binary(u, a, a)]);
    unary.chain(both).chain([Op::Select(a, b, NodeId(2))]).collect()
}

/// One operation on three uniform values, in high precision.
fn apply(op: Op, x: [f64; 3]) -> B {
    let mut graph = Graph::new("one");
    for i in 0..3 {
        let name = format!("p{i}");
        graph.params.push(Param { name, default: None, range: Interval::REAL });
        graph.add(Op::Param(i));
    }
    let node = graph.add(op);
    graph.roots.push(Root { name: "loss".to_owned(), node });
    let batch = crate::codegen::interp::Batch::<B>::new(1);
    evaluate(&graph, &x, &batch).unwrap()[0][0].clone()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn transfer_encloses_random_points(seed in any::<u64>()) {
        let mut dice = Dice(seed);
        let ranges = [Interval::REAL, Interval::LOG_PROB, Interval::closed(-700.0, 700.0)];
        let x = [0; 3].map(|_| { let i = dice.below(3); dice.value(&ranges[i]) });
        let facts = x.map(|x| around(&mut dice, x));
        for op in operations() {
            let operands = operand_facts(&op, &facts);
            // e^x of these saturates, and 2 e^x would.
            if matches!(op, Op::Binary(Binary::Pow, ..)) && x.iter().any(|x| x.abs() > 1e3) {
                continue;
            }
            let value = apply(op, x);
            if matches!(op, Op::Binary(Binary::Div, _, NodeId(1))) && x[1] == 0.0 {
                // The sign of the zero is that of its interval's side: see the next law.
                continue;
            }
            let interval = transfer(&op, &operands, &[], &[]);
            prop_assert!(interval.is_valid(), "{op:?} of {operands:?}: {interval}");
            if value.is_nan() {
                let reason = undefined(&op, &operands);
                prop_assert!(reason.is_some(), "{op:?} of {x:?} in {operands:?} is undefined");
                continue;
            }
            // Elsewhere 256 bits round onto an open end.
            let strict = x.iter().all(|x| (1e-20..100.0).contains(&x.abs()));
            prop_assert!(
                encloses(&interval, &value, strict),
                "{op:?} of {x:?} in {operands:?}: {} not in {interval}", value.to_f64()
            );
        }
    }

    #[test]
    fn hull_and_intersection_are_exact(seed in any::<u64>()) {
        let mut dice = Dice(seed);
        let mut value = || { let i = dice.below(7); [0.0, -1.0, 1.0, 2.0, -2.0, 0.5, 3.0][i] };
        let (x, y, z) = (value(), value(), value());
        let (a, b) = (around(&mut dice, x), around(&mut dice, y));
        let both = a.contains(z) && b.contains(z);
        prop_assert_eq!(a.intersect(&b).is_some_and(|i| i.contains(z)), both);
        let hull = a.hull(&b);
        prop_assert!(a.is_within(&hull) && b.is_within(&hull));
        prop_assert!(hull.contains(z) || !(a.contains(z) || b.contains(z)));
        if let Some(i) = a.intersect(&b) {
            prop_assert!(i.is_within(&a) && i.is_within(&b));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn every_node_of_a_graph_stays_in_its_interval(
        (graph, columns) in prop_oneof![graphs(Stage::Written, 16), graphs(Stage::Total, 16)]
            .prop_flat_map(|g| { let c = columns(&g, 3); (Just(g), c) })
    ) {
        let mut all = graph.clone();
        all.roots = (0..graph.nodes.len() as u32)
            .map(|i| Root { name: i.to_string(), node: NodeId(i) })
            .collect();
        let batch = columns.batch::<B>(&all, false).unwrap();
        let values = evaluate(&all, &columns.params, &batch).unwrap();
        let facts = analyse(&graph);
        // In high precision rounding and saturation can reach an open end, but not pass it.
        let mut sound = vec![true; graph.nodes.len()];
        for (i, node) in graph.nodes.iter().enumerate() {
            let operands_sound = node.op.operands().all(|o| sound[o.0 as usize]);
            let defined = undefined(&node.op, &operand_facts(&node.op, &facts)).is_none();
            for x in &values[i] {
                prop_assert!(!operands_sound || !defined || !x.is_nan(), "node {i} is NaN: {graph:?}");
                prop_assert!(x.is_nan() || !operands_sound || encloses(&facts[i], x, false),
                    "node {i} = {} not in {}: {graph:?}", x.to_f64(), facts[i]);
            }
            sound[i] = operands_sound && values[i].iter().all(|x| encloses(&facts[i], x, true));
        }
    }
}

proptest! {
    #[test]
    fn random_graphs_are_well_formed(graph in prop_oneof![graphs(Stage::Written, 40), graphs(Stage::Total, 40)]) {
        prop_assert_eq!(verify(&graph), Ok(()));
        if graph.stage == Stage::Total {
            prop_assert_eq!(hazards(&graph), vec![]);
        }
    }
}

/// A small total graph with one of everything that the verifier looks at.
fn valid() -> Graph {
    let mut g = Graph::new("valid");
    g.stage = Stage::Total;
    g.params.push(Param { name: "beta".to_owned(), default: Some(0.1), range: Interval::POS });
    let name = "logp(pi,w)".to_owned();
    let (level, range) = (Level::Example, Interval::LOG_PROB);
    g.inputs.push(Input { name, level, range, differentiable: true });
    let (beta, a) = (g.add(Op::Param(0)), g.add(Op::Input(0)));
    let scaled = g.binary(Binary::Mul, beta, a);
    let node = g.unary(Unary::Log1mExp, scaled);
    g.roots.push(Root { name: "loss".to_owned(), node });
    g
}

#[test]
fn each_broken_invariant_is_reported() {
    let broken = |change: fn(&mut Graph)| {
        let mut graph = valid();
        change(&mut graph);
        let found = verify(&graph).unwrap_err();
        assert_eq!(found.len(), 1, "{found:?}");
        found.into_iter().next().unwrap()
    };
    assert_eq!(verify(&valid()), Ok(()));
    let order = broken(|g| g.nodes[2].op = Op::Unary(Unary::Neg, NodeId(2)));
    assert_eq!(order, Violation::Order { node: NodeId(2), operand: NodeId(2) });
    assert_eq!(broken(|g| g.nodes[0].op = Op::Param(7)), Violation::Index(NodeId(0)));
    let constant =
        broken(|g| g.nodes.push(Node { op: Op::Const(f64::NAN), level: Level::Uniform }));
    assert_eq!(constant, Violation::Constant(NodeId(4)));
    let level = broken(|g| g.nodes[3].level = Level::Token);
    let (found, expected) = (Level::Token, Level::Example);
    assert_eq!(level, Violation::Level { node: NodeId(3), found, expected });
    let deeper = broken(|g| {
        g.nodes.push(Node { op: Op::Count(NodeId(1)), level: Level::Candidate });
    });
    assert!(matches!(deeper, Violation::Level { node: NodeId(4), .. }));
    assert!(matches!(
        broken(|g| g.params[0].range = Interval::REAL),
        Violation::Partial { node: NodeId(3), .. }
    ));
    assert_eq!(broken(|g| g.roots[0].node = NodeId(9)), Violation::Root("loss".to_owned()));
    let twice = broken(|g| g.roots.push(g.roots[0].clone()));
    assert_eq!(twice, Violation::Duplicate("loss".to_owned()));
    let empty = broken(|g| g.inputs[0].range = Interval::open(-1.0, -1.0));
    assert_eq!(empty, Violation::Range("logp(pi,w)".to_owned()));
    let default = broken(|g| g.params[0].default = Some(-1.0));
    assert_eq!(default, Violation::Default("beta".to_owned()));
    let above = broken(|g| {
        g.inputs[0].level = Level::Batch;
        for i in 1..4 {
            g.nodes[i].level = Level::Batch;
        }
    });
    assert_eq!(above, Violation::InputLevel("logp(pi,w)".to_owned()));
}
