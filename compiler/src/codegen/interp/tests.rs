//! Laws of the evaluators on random graphs, and worked examples of every operation.

use super::{Batch, Big, EvalError, Real, Scratch, Tape, directional_derivative, evaluate};
use crate::mir::testing::{columns, graphs};
use crate::mir::{
    Binary, Direction, Graph, Input, Interval, Level, NodeId, Op, Reduce, Root, Stage, Unary,
};
use proptest::prelude::*;

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|x| if x.is_nan() { f64::NAN.to_bits() } else { x.to_bits() }).collect()
}

fn graph_and_columns(stage: Stage) -> impl Strategy<Value = (Graph, crate::mir::testing::Columns)> {
    graphs(stage, 24).prop_flat_map(|g| {
        let columns = columns(&g, 5);
        (Just(g), columns)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_tape_gives_the_plain_evaluators_values((graph, columns) in graph_and_columns(Stage::Written)) {
        let tape = Tape::new(&graph).unwrap();
        let plain = evaluate(&graph, &columns.params, &columns.batch::<f64>(&graph, false).unwrap());
        let batch = columns.batch::<f64>(&graph, false).unwrap();
        let mut scratch = Scratch::default();
        for _ in 0..2 {
            let fast = tape.run(&columns.params, &batch, &mut scratch);
            match (&plain, &fast) {
                (Ok(plain), Ok(fast)) => {
                    for (a, b) in plain.iter().zip(fast) {
                        prop_assert_eq!(bits(a), bits(b));
                    }
                }
                (a, b) => prop_assert_eq!(a.as_ref().err(), b.as_ref().err()),
            }
        }
        prop_assert!(plain.is_ok(), "{:?}", plain);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn chunks_join_without_a_seam(
        (graph, columns) in graphs(Stage::Written, 24).prop_flat_map(|g| {
            let columns = columns(&g, 700);
            (Just(g), columns)
        })
    ) {
        let batch = columns.batch::<f32>(&graph, false).unwrap();
        let plain = evaluate(&graph, &columns.params, &batch).unwrap();
        let mut scratch = Scratch::default();
        let tape = Tape::new(&graph).unwrap();
        let fast = tape.run(&columns.params, &batch, &mut scratch).unwrap();
        for (a, b) in plain.iter().zip(fast) {
            let wide = |v: &[f32]| v.iter().map(|x| f64::from(*x)).collect::<Vec<_>>();
            prop_assert_eq!(bits(&wide(a)), bits(&wide(b)));
        }
    }
}

/// A graph with one input a level, evaluated on three examples, the second of which is empty inside.
struct Nest {
    graph: Graph,
    example: NodeId,
    candidate: NodeId,
    token: NodeId,
}

fn nest() -> Nest {
    let mut graph = Graph::new("nest");
    let levels = [("e", Level::Example), ("c", Level::Candidate), ("t", Level::Token)];
    for (name, level) in levels {
        let (name, range) = (name.to_owned(), Interval::REAL);
        graph.inputs.push(Input { name, level, range, differentiable: true });
    }
    let [example, candidate, token] = [0, 1, 2].map(|i| graph.add(Op::Input(i)));
    Nest { graph, example, candidate, token }
}

impl Nest {
    fn check(&mut self, op: Op, level: Level, expected: &[f64]) {
        let node = self.graph.add_at(op, level);
        self.graph.roots = vec![Root { name: "loss".to_owned(), node }];
        let mut batch = Batch::<f64>::new(3).with_candidates(&[2, 0, 1]).unwrap();
        batch.set(&self.graph, 0, &[3.0, 1.0, 2.0]).unwrap();
        batch.set(&self.graph, 1, &[10.0, 20.0, 5.0]).unwrap();
        let tokens = [1.0, 2.0, 3.0, 4.0, 5.0];
        batch.set_tokens(&self.graph, 2, &tokens, Level::Candidate, &[3, 0, 2]).unwrap();
        let plain = evaluate(&self.graph, &[], &batch).unwrap();
        assert_eq!(plain[0], expected, "{op:?}");
        let mut scratch = Scratch::default();
        let tape = Tape::new(&self.graph).unwrap();
        assert_eq!(tape.run(&[], &batch, &mut scratch).unwrap()[0], expected, "{op:?}");
    }
}

#[test]
fn every_loop_operation_at_every_level() {
    let mut n = nest();
    let (e, c, t) = (n.example, n.candidate, n.token);
    let neg_inf = f64::NEG_INFINITY;
    n.check(Op::Reduce(Reduce::Sum, t), Level::Candidate, &[6.0, 0.0, 9.0]);
    n.check(Op::Reduce(Reduce::Sum, t), Level::Example, &[6.0, 0.0, 9.0]);
    n.check(Op::Reduce(Reduce::Sum, t), Level::Batch, &[15.0]);
    n.check(Op::Reduce(Reduce::Sum, t), Level::Token, &[1.0, 2.0, 3.0, 4.0, 5.0]);
    n.check(Op::Reduce(Reduce::Mean, c), Level::Example, &[15.0, 0.0, 5.0]);
    n.check(Op::Reduce(Reduce::Max, c), Level::Example, &[20.0, neg_inf, 5.0]);
    n.check(Op::Reduce(Reduce::Max, e), Level::Batch, &[3.0]);
    n.check(Op::Count(t), Level::Candidate, &[3.0, 0.0, 2.0]);
    n.check(Op::Count(t), Level::Example, &[3.0, 0.0, 2.0]);
    n.check(Op::Count(c), Level::Example, &[2.0, 0.0, 1.0]);
    n.check(Op::Count(e), Level::Batch, &[3.0]);
    n.check(Op::Sort(e), Level::Example, &[1.0, 2.0, 3.0]);
    n.check(Op::Unsort(e, e), Level::Example, &[2.0, 3.0, 1.0]);
    n.check(Op::SuffixSum(t), Level::Token, &[6.0, 5.0, 3.0, 9.0, 5.0]);
    n.check(Op::PrefixSum(t), Level::Token, &[1.0, 3.0, 6.0, 4.0, 9.0]);
    n.check(Op::SuffixSum(c), Level::Candidate, &[30.0, 20.0, 5.0]);
    n.check(Op::PrefixSum(e), Level::Example, &[3.0, 4.0, 6.0]);
    n.check(Op::Shift(t, 1), Level::Token, &[2.0, 3.0, 0.0, 5.0, 0.0]);
    n.check(Op::Shift(t, -1), Level::Token, &[0.0, 1.0, 2.0, 0.0, 4.0]);
    n.check(Op::Shift(e, 2), Level::Example, &[2.0, 0.0, 0.0]);
    n.check(Op::Position(t), Level::Token, &[0.0, 1.0, 2.0, 0.0, 1.0]);
    n.check(Op::Position(e), Level::Example, &[0.0, 1.0, 2.0]);
    let (earlier, later) = (Direction::Earlier, Direction::Later);
    n.check(Op::Recurrence(later, t, t), Level::Token, &[9.0, 8.0, 3.0, 24.0, 5.0]);
    n.check(Op::Recurrence(earlier, t, t), Level::Token, &[1.0, 4.0, 15.0, 4.0, 25.0]);
    n.check(Op::Recurrence(later, e, c), Level::Candidate, &[70.0, 20.0, 5.0]);
    n.check(Op::Recurrence(earlier, c, e), Level::Candidate, &[3.0, 63.0, 2.0]);
    n.check(Op::LogSumExps(later, c), Level::Candidate, &[20.0, neg_inf, neg_inf]);
    n.check(Op::LogSumExps(earlier, c), Level::Candidate, &[neg_inf, 10.0, neg_inf]);
    n.check(Op::Binary(Binary::Add, e, t), Level::Token, &[4.0, 5.0, 6.0, 6.0, 7.0]);
    n.check(Op::Binary(Binary::Mul, c, t), Level::Token, &[10.0, 20.0, 30.0, 20.0, 25.0]);
    n.check(Op::Select(e, c, e), Level::Candidate, &[10.0, 20.0, 5.0]);
    let lse = n.graph.add_at(Op::Reduce(Reduce::LogSumExp, c), Level::Example);
    let exp = n.graph.unary(Unary::Exp, lse);
    let total = 10_f64.exp() + 20_f64.exp();
    let node = n.graph.add(Op::Binary(Binary::Div, exp, e));
    n.graph.roots = vec![Root { name: "loss".to_owned(), node }];
    let mut batch = Batch::<f64>::new(3).with_candidates(&[2, 0, 1]).unwrap();
    batch.set(&n.graph, 0, &[1.0, 1.0, 1.0]).unwrap();
    batch.set(&n.graph, 1, &[10.0, 20.0, 5.0]).unwrap();
    let values = evaluate(&n.graph, &[], &batch).unwrap();
    assert!((values[0][0] / total - 1.0).abs() < 1e-14 && values[0][1] == 0.0);
}

#[test]
fn probability_one_is_approached_from_below() {
    let mut graph = Graph::new("edge");
    let name = "logp(pi,w)".to_owned();
    let (level, range) = (Level::Example, Interval::LOG_PROB);
    graph.inputs.push(Input { name, level, range, differentiable: true });
    let a = graph.add(Op::Input(0));
    let one = graph.constant(1.0);
    let e = graph.unary(Unary::Expm1, a);
    let node = graph.binary(Binary::Div, one, e);
    graph.roots.push(Root { name: "loss".to_owned(), node });
    fn check<T: Real>(graph: &Graph) {
        let mut batch = Batch::<T>::new(1);
        batch.set(graph, 0, &[0.0]).unwrap();
        assert_eq!(evaluate(graph, &[], &batch).unwrap()[0][0].to_f64(), f64::NEG_INFINITY);
    }
    check::<f32>(&graph);
    check::<f64>(&graph);
    check::<Big>(&graph);
}

#[test]
fn differences_are_derivatives() {
    let mut graph = Graph::new("log1mexp");
    let name = "logp(pi,w)".to_owned();
    let (level, range) = (Level::Example, Interval::LOG_PROB);
    graph.inputs.push(Input { name, level, range, differentiable: true });
    let a = graph.add(Op::Input(0));
    let node = graph.unary(Unary::Log1mExp, a);
    graph.roots.push(Root { name: "loss".to_owned(), node });
    let points = [-1e-12, -0.5, -3.0, -700.0];
    let mut batch = Batch::<Big>::new(points.len());
    batch.set(&graph, 0, &points).unwrap();
    let slopes = directional_derivative(&graph, &[], &batch, |_, _| 1.0, 1e-25).unwrap();
    for (slope, x) in slopes[0].iter().zip(points) {
        let exact = Big::<256>::from_f64(-1.0).div(&Big::from_f64(-x).exp_m1());
        let relative = slope.sub(&exact).div(&exact).abs().to_f64();
        assert!(relative < 1e-20, "at {x}: {relative:e}");
    }
}

#[test]
fn misfits_are_errors() {
    let n = nest();
    let mut graph = n.graph.clone();
    let node = graph.binary(Binary::Add, n.example, n.token);
    graph.roots.push(Root { name: "loss".to_owned(), node });
    let mut batch = Batch::<f64>::new(2);
    let missing = EvalError::MissingInput("e".to_owned());
    assert_eq!(evaluate(&graph, &[], &batch), Err(missing.clone()));
    assert_eq!(Tape::new(&graph).unwrap().run(&[], &batch, &mut Scratch::default()), Err(missing));
    let short = EvalError::Length { input: "e".to_owned(), expected: 2, given: 1 };
    assert_eq!(batch.set(&graph, 0, &[1.0]), Err(short));
    assert_eq!(batch.set(&graph, 1, &[1.0]), Err(EvalError::NoLoop(Level::Candidate)));
    assert_eq!(batch.set(&graph, 9, &[1.0]), Err(EvalError::UnknownInput(9)));
    assert_eq!(evaluate(&graph, &[1.0], &batch), Err(EvalError::Params { expected: 0, given: 1 }));
    let broken = crate::mir::Node { op: Op::Unary(Unary::Neg, NodeId(99)), level: Level::Example };
    graph.nodes.push(broken);
    graph.roots[0].node = NodeId(graph.nodes.len() as u32 - 1);
    assert!(matches!(Tape::new(&graph), Err(EvalError::Malformed(_))));
    assert!(matches!(evaluate(&graph, &[], &batch), Err(EvalError::Malformed(_))));
}

#[test]
fn tokens_of_two_responses_do_not_mix() {
    let mut graph = Graph::new("two responses");
    for name in ["kl(w)", "kl(l)"] {
        let (name, level, range) = (name.to_owned(), Level::Token, Interval::NONNEG);
        graph.inputs.push(Input { name, level, range, differentiable: true });
    }
    let (w, l) = (graph.add(Op::Input(0)), graph.add(Op::Input(1)));
    let sums = [w, l].map(|x| graph.add_at(Op::Reduce(Reduce::Sum, x), Level::Example));
    let node = graph.binary(Binary::Sub, sums[0], sums[1]);
    graph.roots.push(Root { name: "loss".to_owned(), node });
    let mut batch = Batch::<f64>::new(2);
    batch.set_tokens(&graph, 0, &[1.0, 2.0, 3.0], Level::Example, &[1, 2]).unwrap();
    batch.set_tokens(&graph, 1, &[4.0, 8.0], Level::Example, &[2, 0]).unwrap();
    assert_eq!(evaluate(&graph, &[], &batch).unwrap()[0], [-11.0, 5.0]);
    let node = graph.binary(Binary::Sub, w, l);
    graph.roots[0].node = node;
    assert_eq!(evaluate(&graph, &[], &batch), Err(EvalError::Levels(node)));
    let tape = Tape::new(&graph).unwrap();
    assert_eq!(tape.run(&[], &batch, &mut Scratch::default()), Err(EvalError::Levels(node)));
}
