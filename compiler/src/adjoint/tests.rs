//! Adjoints against dual numbers and against differences, on random graphs, in high precision.

use super::{Wrt, differentiate};
use crate::codegen::interp::{Big, Dual, Real, directional_derivative, evaluate, forward};
use crate::mir::testing::{Columns, columns, graphs};
use crate::mir::{Graph, Input, Interval, Level, Op, Root, Stage, Unary};
use proptest::prelude::*;

type Fine = Big<512>;
type Coarse = Big<320>;

/// One gradient's element by the adjoint; `None` where it is undefined, or where its digits cancel.
struct Gradient {
    input: usize,
    element: usize,
    value: Fine,
}

fn gradients(graph: &Graph, columns: &Columns) -> Vec<Gradient> {
    let both = differentiate(graph, Wrt::AllReal);
    let fine = columns.batch::<Fine>(&both, false).expect("a batch");
    let coarse = columns.batch::<Coarse>(&both, false).expect("a batch");
    let fine = evaluate(&both, &columns.params, &fine).expect("evaluates");
    let coarse = evaluate(&both, &columns.params, &coarse).expect("evaluates");
    let mut out = Vec::new();
    for (r, root) in both.roots.iter().enumerate().skip(graph.roots.len()) {
        let name = root.name.strip_prefix("d/").expect("a gradient");
        let input = both.inputs.iter().position(|i| i.name == name).expect("an input");
        // A gradient that nothing depends on is a constant, and stands at the outermost level.
        if both.node(root.node).level != both.inputs[input].level {
            continue;
        }
        for (element, (f, c)) in fine[r].iter().zip(&coarse[r]).enumerate() {
            let (x, y) = (f.to_f64(), c.to_f64());
            if x.is_finite() && (x - y).abs() <= 1e-12 * x.abs() {
                out.push(Gradient { input, element, value: f.clone() });
            }
        }
    }
    out
}

fn near(a: &Fine, b: &Fine, tolerance: f64) -> bool {
    let scale = a.to_f64().abs().max(b.to_f64().abs());
    a.sub(b).abs().to_f64() <= tolerance * scale + 1e-60
}

fn total(values: impl Iterator<Item = Fine>) -> Fine {
    values.fold(Fine::from_f64(0.0), |sum, x| sum.add(&x))
}

/// Moves every value a little, so that no two are equal: at a tie there is no derivative.
fn apart(mut columns: Columns) -> Columns {
    let mut step = 1.0;
    for x in columns.values.iter_mut().flatten() {
        step += 1.0;
        *x *= 1.0 - 1e-6 * step;
    }
    columns
}

/// Dual numbers know no stop_gradient, and there is no second derivative of a sort.
fn is_smooth(graph: &Graph) -> bool {
    let stops = |op: &Op| matches!(op, Op::Unary(Unary::StopGradient, _) | Op::Unsort(..));
    !graph.nodes.iter().any(|n| stops(&n.op))
}

fn cases() -> impl Strategy<Value = (Graph, Columns)> {
    graphs(Stage::Total, 12).prop_filter("smooth", is_smooth).prop_flat_map(|graph| {
        let columns = columns(&graph, 3);
        (Just(graph), columns.prop_map(apart))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn adjoints_are_what_dual_numbers_say((graph, columns) in cases()) {
        let batch = columns.batch::<Dual<Fine>>(&graph, false).expect("a batch");
        for g in gradients(&graph, &columns) {
            let roots = forward(&graph, &columns.params, &batch, (g.input, g.element)).expect("evaluates");
            let slope = total(roots[0].iter().map(|d| d.slope.clone()));
            if !slope.to_f64().is_finite() {
                continue;
            }
            prop_assert!(
                near(&g.value, &slope, 1e-50),
                "{}[{}]: {} by the adjoint, {} by dual numbers, at {:?} {:?}\n{}",
                graph.inputs[g.input].name, g.element, g.value.to_f64(), slope.to_f64(),
                columns.params, columns.values, graph
            );
        }
    }

    #[test]
    fn adjoints_are_the_limit_of_differences((graph, columns) in cases()) {
        let batch = columns.batch::<Fine>(&graph, false).expect("a batch");
        for g in gradients(&graph, &columns) {
            let along = |i: usize, e: usize| f64::from((i, e) == (g.input, g.element));
            let slope = |beside: f64, step: f64| {
                let mut moved = batch.clone();
                moved.perturb(|input, values| {
                    for (e, x) in values.iter_mut().enumerate() {
                        *x = x.add(&Fine::from_f64(beside * along(input, e)));
                    }
                });
                let roots = directional_derivative(&graph, &columns.params, &moved, along, step);
                total(roots.expect("evaluates").remove(0).into_iter())
            };
            let narrow = slope(0.0, 1e-42);
            // Where they differ there is a kink, or a pole, within 1e-38; on a kink the two sides do.
            let others = [slope(0.0, 1e-38), slope(3e-38, 1e-42), slope(-3e-38, 1e-42)];
            if !narrow.to_f64().is_finite() || !others.iter().all(|o| near(o, &narrow, 1e-25)) {
                continue;
            }
            prop_assert!(
                near(&g.value, &narrow, 1e-20) || narrow.to_f64().abs() < 1e-40,
                "{}[{}]: {} by the adjoint, {} by differences, at {:?} {:?}\n{}",
                graph.inputs[g.input].name, g.element, g.value.to_f64(), narrow.to_f64(),
                columns.params, columns.values, graph
            );
        }
    }
}

/// x sg(x): the derivative is that of x c with c = x, and a second one is 0.
#[test]
fn stopped_gradients_stop() {
    let mut graph = Graph::new("stopped");
    graph.inputs.push(Input {
        name: "logp(pi,w)".to_owned(),
        level: Level::Example,
        range: Interval::LOG_PROB,
        differentiable: true,
    });
    let x = graph.add(Op::Input(0));
    let stopped = graph.unary(Unary::StopGradient, x);
    let node = graph.binary(crate::mir::Binary::Mul, x, stopped);
    graph.roots.push(Root { name: "loss".to_owned(), node });
    let columns =
        Columns { candidates: vec![0], tokens: vec![0], values: vec![vec![-3.0]], params: vec![] };
    let at = |g: &Graph| {
        evaluate(g, &[], &columns.batch::<f64>(g, false).expect("a batch")).expect("evaluates")
    };
    let once = differentiate(&graph, Wrt::Policy);
    assert_eq!(at(&once), [[9.0], [-3.0]]);
    let mut slope = once;
    slope.roots.remove(0);
    let twice = differentiate(&slope, Wrt::Policy);
    assert_eq!(at(&twice)[1], [0.0]);
}
