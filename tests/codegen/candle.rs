//! `ponens emit --target candle` and `--target rust`, compiled and run: value, gradients and what the tape
//! makes of them against the interpreter, at ordinary values, at ties and at the ends of the domain.

use candle_core::{DType, Device, Result, Tensor, Var};
use ponens_compiler::codegen::interp::{Batch, evaluate};
use ponens_compiler::mir::{Graph, Interval, Level};

type Run = fn(&[f64], &[Tensor]) -> Result<(Tensor, Vec<Tensor>)>;

/// What the build script generated.
#[allow(missing_docs, unreachable_pub, dead_code, unused_imports, unused_variables)]
#[allow(clippy::derivable_impls)]
mod generated {
    use super::{Result, Run, Tensor};
    include!(concat!(env!("OUT_DIR"), "/candle.rs"));
}

/// The same losses as plain functions.
#[allow(missing_docs, unreachable_pub, dead_code, unused_variables, clippy::all)]
mod plain {
    type Run = fn(&[f64], &[Vec<f64>]) -> Vec<Vec<f64>>;
    include!(concat!(env!("OUT_DIR"), "/plain.rs"));
}

const EXAMPLES: usize = 5;

/// Columns of some sizes; number `k` of them is all zeros where the domain has zero, where training starts.
fn columns(graph: &Graph, k: usize) -> Vec<Vec<f64>> {
    let one = |(i, input): (usize, &ponens_compiler::mir::Input)| {
        let value = |e: usize| {
            let roll = ((e * 7 + i * 13 + k * 29) % 17) as f64 / 17.0;
            match input.range {
                _ if input.name == "label" => (e % 2) as f64,
                r if r == Interval::LOG_PROB => match k {
                    0 => -0.0,
                    1 => -1e-12 * (1.0 + roll),
                    2 => -900.0 * (1.0 + roll),
                    _ => -10f64.powf(roll * 3.0 - 1.0),
                },
                r => {
                    let lo = if r.lo.is_finite() { r.lo } else { -2.0 };
                    let hi = if r.hi.is_finite() { r.hi } else { lo + 40.0 };
                    (lo + (hi - lo) * (0.05 + 0.9 * roll)).round().clamp(lo, hi)
                }
            }
        };
        (0..EXAMPLES).map(value).collect()
    };
    graph.inputs.iter().enumerate().map(one).collect()
}

fn interpreted(graph: &Graph, params: &[f64], columns: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut batch = Batch::<f64>::new(EXAMPLES);
    for (i, c) in columns.iter().enumerate() {
        batch.set(graph, i as u16, c).expect("a column an input");
    }
    evaluate(graph, params, &batch).expect("total")
}

fn numbers(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64)
        .and_then(|t| t.flatten_all())
        .and_then(|t| t.to_vec1())
        .expect("a tensor")
}

fn check(what: &str, got: &[f64], want: &[f64], tolerance: f64) {
    let spread: Vec<f64> = match want {
        [one] => vec![*one; got.len()],
        _ => want.to_vec(),
    };
    assert_eq!(got.len(), spread.len(), "{what}");
    let scale = spread.iter().filter(|x| x.is_finite()).fold(1e-3, |m: f64, x| m.max(x.abs()));
    for (g, w) in got.iter().zip(&spread) {
        let largest = if tolerance < 1e-9 { f64::MAX } else { f64::from(f32::MAX) };
        let near = g == w || (g - w).abs() <= tolerance * scale;
        // Odds of one certainty against another are undefined, here as there.
        let undefined = g.is_nan() && w.is_nan();
        let same = near || undefined || w.abs() > largest && g.abs() >= largest;
        assert!(same, "{what}: {got:?} where {spread:?} is right");
    }
}

#[test]
fn generated_files_compute_what_the_interpreter_does() {
    for (name, run) in generated::ALL {
        let compiled = ponens_losses::compile(name, &Default::default()).expect("a catalogue loss");
        let (graph, params) = (compiled.graph(), compiled.bind(&[]).expect("defaults"));
        for k in 0..6 {
            let columns = columns(graph, k);
            let want = interpreted(graph, &params, &columns);
            for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 3e-4)] {
                // A loss of thousands of nats has no five digits left in f32.
                if dtype == DType::F32 && k == 2 {
                    continue;
                }
                let what = format!("{name}, columns {k}, {dtype:?}");
                let vars: Vec<Var> = columns
                    .iter()
                    .map(|c| Tensor::new(c.as_slice(), &Device::Cpu)?.to_dtype(dtype))
                    .map(|t| t.and_then(|t| Var::from_tensor(&t)).expect("a column"))
                    .collect();
                let tensors: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
                let (loss, roots) = run(&params, &tensors).expect("runs");
                check(&what, &numbers(&loss), &want[0], tolerance);
                check(&what, &numbers(&roots[0]), &want[0], tolerance);
                let grads = loss.sum_all().and_then(|l| l.backward()).expect("a scalar");
                for (root, (got, want)) in graph.roots.iter().zip(roots.iter().zip(&want)).skip(1) {
                    let what = format!("{what}, {}", root.name);
                    check(&what, &numbers(got), want, tolerance);
                    let column = root.name.strip_prefix("d/").expect("a gradient");
                    let i = graph.inputs.iter().position(|c| c.name == column).expect("a column");
                    let on_tape = grads.get(&vars[i]).map(numbers).expect("a gradient on the tape");
                    check(&format!("{what} on the tape"), &on_tape, want, tolerance);
                }
                // A frozen column has none.
                for (i, c) in graph.inputs.iter().enumerate() {
                    let has = graph.root(&format!("d/{}", c.name)).is_some();
                    assert_eq!(grads.get(&vars[i]).is_some(), has, "{what}, {}", c.name);
                }
            }
        }
        assert!(graph.roots.iter().all(|r| graph.node(r.node).level <= Level::Example));
    }
}

#[test]
fn the_plain_file_computes_what_the_interpreter_does_to_the_last_bit() {
    let bits = |v: &[Vec<f64>]| -> Vec<Vec<u64>> {
        v.iter().map(|c| c.iter().map(|x| x.to_bits()).collect()).collect()
    };
    for (name, run) in plain::ALL {
        let compiled = ponens_losses::compile(name, &Default::default()).expect("a catalogue loss");
        let (graph, params) = (&compiled.reduced, compiled.bind(&[]).expect("defaults"));
        for k in 0..6 {
            let columns = columns(graph, k);
            let (got, want) = (run(&params, &columns), interpreted(graph, &params, &columns));
            // A loss that the batch has once stands at every example, and its gradients are of the sum.
            let whole = graph.node(graph.roots[0].node).level < Level::Example;
            let copies = if whole { EXAMPLES as f64 } else { 1.0 };
            let spread = |(r, c): (usize, &Vec<f64>)| -> Vec<f64> {
                let times = if r == 0 { 1.0 } else { copies };
                (0..EXAMPLES).map(|e| times * c[if c.len() == 1 { 0 } else { e }]).collect()
            };
            let want: Vec<Vec<f64>> = want.iter().enumerate().map(spread).collect();
            assert_eq!(bits(&got), bits(&want), "{name}, columns {k}: {got:?} {want:?}");
        }
    }
}
