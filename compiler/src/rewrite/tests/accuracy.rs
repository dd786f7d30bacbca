//! Every loss at extreme inputs in f32 and f64, against high precision.

use super::losses::cases;
use crate::codegen::interp::{Batch, Big, Real, evaluate};
use crate::mir::Graph;
use crate::mir::testing::Dice;

const LOG_PROBS: &[f64] = &[
    -1e5,
    -1e4,
    -708.5,
    -104.0,
    -88.5,
    -17.0,
    -3.0,
    -1.0,
    -std::f64::consts::LN_2,
    -0.1,
    -1e-4,
    -3e-8,
    -1e-12,
    -1e-20,
    -0.0,
];

/// A point: parameters and inputs of a graph, exact in f32.
fn point(graph: &Graph, dice: &mut Dice, zero: bool) -> (Vec<f64>, Vec<f64>) {
    let single = |x: f64| f64::from(x as f32);
    let pick = |dice: &mut Dice, list: &[f64]| list[dice.below(list.len())];
    let params = graph.params.iter().map(|p| match p.name.as_str() {
        "e" => pick(dice, &[1e-3, 0.1, 0.25]),
        "k" => pick(dice, &[0.25, 0.5]),
        "tau" => pick(dice, &[0.05, 1.0]),
        _ => pick(dice, &[0.01, 0.1, 1.0, 10.0]),
    });
    let params: Vec<f64> = params.map(single).collect();
    let inputs = graph.inputs.iter().map(|i| match i.name.as_str() {
        "len(w)" | "len(l)" => pick(dice, &[1.0, 7.0, 1024.0]),
        "advantage" => pick(dice, &[0.0, 1.0, -2.5]),
        "kl" => pick(dice, &[0.0, 0.3, 50.0]),
        _ if !zero => pick(dice, &LOG_PROBS[..LOG_PROBS.len() - 1]),
        _ => pick(dice, LOG_PROBS) * if dice.below(2) == 0 { 1.0 } else { 0.5 + 0.5 * dice.unit() },
    });
    (params, inputs.map(single).collect())
}

fn values<T: Real>(graph: &Graph, params: &[f64], inputs: &[f64]) -> Vec<T> {
    let mut batch = Batch::new(1);
    for (i, x) in inputs.iter().enumerate() {
        batch.set(graph, i as u16, &[*x]).expect("a column");
    }
    let roots = evaluate(graph, params, &batch).expect("evaluates");
    roots.into_iter().map(|mut r| r.remove(0)).collect()
}

/// The exact values, and how far they move when every input moves by a few units in the last place.
fn exact(graph: &Graph, params: &[f64], inputs: &[f64], epsilon: f64) -> (Vec<f64>, Vec<f64>) {
    type Exact = Big<384>;
    let middle: Vec<f64> =
        values::<Exact>(graph, params, inputs).iter().map(Real::to_f64).collect();
    let mut spread = vec![0.0_f64; middle.len()];
    for i in 0..inputs.len() + params.len() {
        let (mut p, mut x) = (params.to_vec(), inputs.to_vec());
        let place = if i < x.len() { &mut x[i] } else { &mut p[i - inputs.len()] };
        *place *= 1.0 + epsilon;
        for (s, (moved, m)) in
            spread.iter_mut().zip(values::<Exact>(graph, &p, &x).iter().zip(&middle))
        {
            let moved = moved.to_f64();
            if moved != *m {
                *s += (moved - m).abs();
            }
        }
    }
    (middle, spread)
}

fn check<T: Real>(
    name: &str,
    reference: &Graph,
    stable: &Graph,
    points: usize,
    epsilon: f64,
    largest: f64,
) -> Vec<String> {
    let mut dice =
        Dice(name.bytes().fold(7_u64, |s, b| s.wrapping_mul(31).wrapping_add(u64::from(b))));
    let mut failures = Vec::new();
    for _ in 0..points {
        // 1 - q(1 - p) with q = 1 exactly and p below the smallest number: see RULES.md.
        let zero = !name.contains('+');
        let (params, inputs) = point(stable, &mut dice, zero);
        let (exact, spread) = exact(reference, &params, &inputs, epsilon);
        // The slopes of two sigmoids of nearly equal size cancel in its gradient: see RULES.md.
        let slack = if name == "apo_down" { 1.0 } else { 0.0 };
        let got = values::<T>(stable, &params, &inputs);
        for (i, root) in stable.roots.iter().enumerate() {
            let (e, g) = (exact[i], got[i].to_f64());
            let allowed = 64.0 * spread[i] + 64.0 * epsilon * (e.abs() + slack) + 1e-36;
            let fine = if e.is_nan() {
                // The chain rule fails at the border; the limit is what counts.
                let near: Vec<f64> =
                    inputs.iter().map(|x| if *x == 0.0 { -1e-60 } else { *x }).collect();
                let limit = values::<Big<384>>(reference, &params, &near)[i].to_f64();
                let one = inputs.iter().filter(|x| **x == 0.0).count() == 1;
                !one || limit.abs() > 0.5 * largest
                    || (g - limit).abs() <= 1e-4 * limit.abs() + 1e-36
            } else if e.abs() > 0.5 * largest {
                g.is_infinite() && g.signum() == e.signum() || (g - e).abs() <= allowed
            } else {
                (g - e).abs() <= allowed || (spread[i].is_infinite() && !g.is_nan())
            };
            if !fine {
                failures.push(format!(
                    "{name} {}: {g:e} instead of {e:e} (allowed {allowed:e}) at {params:?} {inputs:?}",
                    root.name
                ));
            }
        }
    }
    failures
}

#[test]
fn no_loss_fails_at_extreme_inputs() {
    let (e32, max32) = (f64::from(f32::EPSILON), f64::from(f32::MAX));
    let mut failures = Vec::new();
    for case in cases() {
        let (name, reference, stable) = (&case.name, &case.chain_rule, &case.gradients.graph);
        failures.extend(check::<f32>(name, reference, stable, 40, e32, max32));
        failures.extend(check::<f64>(name, reference, stable, 20, f64::EPSILON, f64::MAX));
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

/// The measure is sharp enough to find what is known to go wrong.
#[test]
fn unstable_forms_fail_at_extreme_inputs() {
    let (e32, max32) = (f64::from(f32::EPSILON), f64::from(f32::MAX));
    let naive = [
        "-log(sigmoid(beta * (lw - ll)))",
        "1 - sigmoid(beta * ((lw - rw) - kl))",
        "log((pw / (1 - pw)) / (pl / (1 - pl)))",
        "z = beta * ((lw - rw) - (ll - rl)); exp(-z) * sigmoid(z / tau)",
    ];
    for text in naive {
        let graph = super::text::written(text);
        assert!(!check::<f32>(text, &graph, &graph, 200, e32, max32).is_empty(), "{text}");
    }
}
