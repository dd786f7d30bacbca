//! The interpreter's kernel, and the tensor back end against the interpreter on random graphs.

use std::collections::HashMap;

use candle_core::{Device, Tensor};
use ponens_compiler::codegen::interp::evaluate;
use ponens_compiler::mir::testing::{columns, graphs};
use ponens_compiler::mir::{Binary, Graph, Input, Interval, Level, Op, Reduce, Root, Stage, Unary};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::emit::emit;
use super::fixture::{Dpo, dpo_graph, spread};
use super::{GraphKernel, LossKernel, RuntimeError};

fn beta(value: f64) -> HashMap<String, f64> {
    HashMap::from([("beta".to_owned(), value)])
}

#[test]
fn the_graph_is_the_loss_written_by_hand() {
    let kernel = GraphKernel::new(&dpo_graph(0.1), &beta(0.7)).expect("valid");
    assert!(!kernel.couples_examples());
    let data = vec![
        vec![-10.0, 0.0, -3000.0],
        vec![-12.0, -700.0, -5.0],
        vec![-9.0, -2.0, -1.0],
        vec![-9.0, -2.0, -1.0],
    ];
    let (got, want) = (kernel.evaluate(&data).expect("value"), Dpo::new(0.7).evaluate(&data));
    let want = want.expect("value");
    for (g, w) in got.loss.iter().zip(&want.loss) {
        assert!((g - w).abs() <= 1e-14 * w.abs(), "{g} {w}");
    }
    for (g, w) in got.grads.iter().flatten().flatten().zip(want.grads.iter().flatten().flatten()) {
        assert!((g - w).abs() <= 1e-14 * w.abs().max(1e-300), "{g} {w}");
    }
    assert_eq!(got.grads[2..], [None, None]);
    let text = kernel.evaluate(&data[..3]).expect_err("a column short").to_string();
    assert!(text.contains("4 columns wanted, 3 given"), "{text}");
    assert_eq!(kernel.evaluate(&vec![vec![]; 4]).expect("no examples").loss, Vec::<f64>::new());
}

#[test]
fn parameters_are_checked() {
    let graph = dpo_graph(0.1);
    assert_eq!(GraphKernel::new(&graph, &HashMap::new()).expect("default").params(), [0.1]);
    let refuse = |graph: &Graph, values: &HashMap<String, f64>, part: &str| {
        let text = GraphKernel::new(graph, values).expect_err(part).to_string();
        assert!(text.contains(part), "{text}");
    };
    let gamma = HashMap::from([("gamma".to_owned(), 1.0)]);
    refuse(&graph, &gamma, "unknown parameter `gamma`; it has: beta");
    refuse(&graph, &beta(f64::NAN), "outside");
    let mut open = graph.clone();
    open.params[0].default = None;
    refuse(&open, &HashMap::new(), "`beta` has no value");
    let mut lost = graph.clone();
    lost.roots.remove(2);
    refuse(&lost, &HashMap::new(), "no root `d/logp(pi,l)`");
    lost.roots.remove(0);
    refuse(&lost, &HashMap::new(), "no root `loss`");
    let mut deep = graph;
    deep.inputs[0].level = Level::Token;
    assert!(GraphKernel::new(&deep, &HashMap::new()).is_err());
}

/// The loss of [`spread`] as a graph, averaged over the batch when `whole`.
fn spread_graph(whole: bool) -> Graph {
    let mut g = Graph::new("custom");
    for name in ["logp(pi,w)", "logp(pi,l)"] {
        let (level, range) = (Level::Example, Interval::LOG_PROB);
        g.inputs.push(Input { name: name.into(), level, range, differentiable: true });
    }
    let (w, l) = (g.add(Op::Input(0)), g.add(Op::Input(1)));
    let x = g.binary(Binary::Sub, w, l);
    let mean = g.add_at(Op::Reduce(Reduce::Mean, x), Level::Batch);
    let one = g.constant(1.0);
    let centred = g.binary(Binary::Sub, x, mean);
    let r = g.binary(Binary::Sub, centred, one);
    let square = g.binary(Binary::Mul, r, r);
    // d(sum of r^2)/dx = 2 (r - mean r) = 2 (r + 1)
    let back = g.binary(Binary::Add, r, one);
    let two = g.constant(2.0);
    let mut d = g.binary(Binary::Mul, two, back);
    let mut loss = square;
    if whole {
        loss = g.add_at(Op::Reduce(Reduce::Mean, square), Level::Batch);
        let n = g.add_at(Op::Count(square), Level::Batch);
        d = g.binary(Binary::Div, d, n);
    }
    let minus = g.unary(Unary::Neg, d);
    let root = |name: &str, node| Root { name: name.into(), node };
    g.roots = vec![root("loss", loss), root("d/logp(pi,w)", d), root("d/logp(pi,l)", minus)];
    g
}

#[test]
fn a_loss_of_the_whole_batch_has_the_gradient_of_its_mean() {
    let data = vec![vec![-4.0, -3.0, -8.0, -1.0], vec![-5.0, -3.5, -2.0, -9.0]];
    let hand = spread().evaluate(&data).expect("value");
    for whole in [false, true] {
        let kernel = GraphKernel::new(&spread_graph(whole), &HashMap::new()).expect("valid");
        assert!(kernel.couples_examples());
        let got = kernel.evaluate(&data).expect("value");
        let mean = |l: &[f64]| l.iter().sum::<f64>() / l.len() as f64;
        assert_eq!(got.loss.len(), 4);
        assert!((mean(&got.loss) - mean(&hand.loss)).abs() < 1e-12);
        for (g, w) in
            got.grads.iter().flatten().flatten().zip(hand.grads.iter().flatten().flatten())
        {
            assert!((g - w).abs() < 1e-12, "whole {whole}: {g} {w}");
        }
    }
}

/// The tensor back end gives the interpreter's values, to within what rounding does to them: the f32
/// interpreter shows how ill-conditioned a graph is.
#[test]
fn tensors_agree_with_the_interpreter_on_random_graphs() {
    // Fixed choices: where rounding decides a comparison, no tolerance covers the difference.
    let mut runner = TestRunner::deterministic();
    let mut compared = 0;
    for case in 0..600 {
        let stage = if case % 2 == 0 { Stage::Total } else { Stage::Written };
        let graph = graphs(stage, 12).new_tree(&mut runner).expect("a graph").current();
        let data = columns(&graph, 5).new_tree(&mut runner).expect("columns").current();
        let inputs: Vec<Tensor> = graph
            .inputs
            .iter()
            .zip(&data.values)
            .map(|(input, values)| {
                let zero = if input.range.hi <= 0.0 { -0.0 } else { 0.0 };
                let values: Vec<f64> = values
                    .iter()
                    .map(|&x| f64::from(x as f32))
                    .map(|x| if x == 0.0 { zero } else { x })
                    .collect();
                match input.level {
                    Level::Example => Tensor::from_slice(&values, values.len(), &Device::Cpu),
                    _ => Tensor::zeros(1, candle_core::DType::F64, &Device::Cpu),
                }
            })
            .collect::<Result<_, _>>()
            .expect("tensors");
        let params: Vec<f64> = data.params.iter().map(|&p| f64::from(p as f32)).collect();
        let roots: Vec<_> = graph.roots.iter().map(|r| r.node).collect();
        let got = match emit(&graph, &params, &inputs, &roots) {
            Ok(got) => got,
            Err(RuntimeError::Unsupported(_)) => continue,
            Err(e) => panic!("{e}"),
        };
        let exact = evaluate(&graph, &params, &data.batch::<f64>(&graph, true).expect("batch"));
        let rough = evaluate(&graph, &params, &data.batch::<f32>(&graph, true).expect("batch"));
        let (exact, rough) = (exact.expect("values"), rough.expect("values"));
        for (r, tensor) in got.iter().enumerate() {
            let values = tensor.to_vec1::<f64>().expect("f64");
            let at = |i: usize| if values.len() == 1 { values[0] } else { values[i] };
            for (i, (&e, &single)) in exact[r].iter().zip(&rough[r]).enumerate() {
                let (g, single) = (at(i), f64::from(single));
                let same = g == e || (g.is_nan() && e.is_nan());
                let off = (g - e).abs();
                let close = off <= 1e-9 * e.abs() || off <= (single - e).abs();
                // Where even the f32 interpreter leaves its range, f64 near its own may differ.
                let lost = !single.is_finite() && e.abs() > 1e300;
                assert!(
                    same || close || lost,
                    "case {case}: {g} where the interpreter has {e} (f32: {single})\n{graph:?}\n{data:?}"
                );
                compared += 1;
            }
        }
    }
    assert!(compared > 500, "only {compared} values were compared");
}
