//! Losses of labelled responses: terms, mismatched responses, what is left out of the backward pass.

use super::*;
use crate::data::add_mismatched;
use crate::op::GraphKernel;
use ponens_compiler::hir::{NoLibrary, Program};
use ponens_compiler::session;
use std::collections::HashMap;

const BETA: f64 = 0.4;

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// KTO by hand, weights 1; with `leak` the baseline has a gradient, as it has in no published loss.
fn kto(leak: bool) -> Custom {
    let inputs =
        ["label", "logp(pi,y)", "logp(ref,y)", "mismatched_logp(pi)", "mismatched_logp(ref)"];
    Custom::new(&inputs, move |c| {
        let n = c[0].len();
        let z = (0..n).map(|e| c[3][e] - c[4][e]).sum::<f64>() / n as f64;
        let inside = z > 0.0;
        let z = z.max(0.0);
        let sign = |e: usize| if c[0][e] == 1.0 { 1.0 } else { -1.0 };
        let at = |e: usize| sigmoid(BETA * sign(e) * (c[1][e] - c[2][e] - z));
        let loss = (0..n).map(|e| 1.0 - at(e)).collect();
        let slope: Vec<f64> = (0..n).map(|e| -BETA * sign(e) * at(e) * (1.0 - at(e))).collect();
        let shared = -slope.iter().sum::<f64>() / n as f64;
        let baseline = if leak && inside { shared } else { 0.0 };
        let grads = vec![None, Some(slope), None, Some(vec![baseline; n]), None];
        Evaluated { loss, grads }
    })
}

fn names() -> Names {
    let responses = ResponseNames::Labelled { response: "y".into() };
    Names { responses, ..Names::default() }
}

/// Two pairs and two single responses.
fn examples() -> Vec<EncodedExample> {
    let mut out = pairs(4);
    for (i, good) in [(2, false), (3, true)] {
        let response = out[i].responses[0].clone();
        out[i] = EncodedExample::single(i, response, good, vec![0.0]);
    }
    add_mismatched(&mut out, 20);
    out
}

#[test]
fn a_pair_is_two_terms() {
    let kernel = kto(false);
    let binding = Binding::new(&kernel, &names()).expect("binds");
    assert!(binding.needs_mismatched() && binding.needs_reference());
    let data = examples();
    let batch: Vec<&EncodedExample> = data.iter().collect();
    // Reference sums: -1 for each response, -2 for each mismatched one.
    let reference: Vec<Vec<f64>> = data
        .iter()
        .map(|e| [vec![-1.0; e.responses.len()], vec![-2.0; e.mismatched.len()]].concat())
        .collect();
    let columns = binding.columns(&batch, Some(&reference)).expect("columns");
    let sums: Vec<f64> = (0..12).map(|i| -f64::from(i)).collect();
    let got = resolve(&columns, &sums);
    assert_eq!(got[0], [1.0, 0.0, 1.0, 0.0, 0.0, 1.0]);
    // Sequences: chosen 0, rejected 1, their mismatched 2, 3; the second pair 4 to 7; 8, 9; 10, 11.
    assert_eq!(got[1], [0.0, -1.0, -4.0, -5.0, -8.0, -10.0]);
    assert_eq!(got[2], [-1.0; 6]);
    assert_eq!(got[3], [-2.0, -3.0, -6.0, -7.0, -9.0, -11.0]);
    assert_eq!(got[4], [-2.0; 6]);
    // Without mismatched responses, and for a pair loss, the same data are refused.
    let bare = pairs(1);
    assert!(binding.columns(&[&bare[0]], Some(&reference)).is_err());
    let pair = Binding::new(&Dpo::new(0.5), &Names::default()).expect("binds");
    let single = pair.columns(&[&data[2]], Some(&reference)).expect_err("a single response");
    assert!(single.to_string().contains("row 2"), "{single}");
}

/// Whatever the micro-batch, and whether or not the mismatched responses take part in the backward pass,
/// the gradient is that of the whole batch: held to central differences of the policy's own loss.
#[test]
fn the_gradient_is_that_of_the_whole_batch() {
    for leak in [false, true] {
        let kernel = kto(leak);
        let binding = Binding::new(&kernel, &names()).expect("binds");
        let data = examples();
        let batch: Vec<&EncodedExample> = data.iter().collect();
        let model = full();
        // A reference that makes the baseline positive.
        let reference: Vec<Vec<f64>> = reference_log_probs(&model, &data, 3, |_| {})
            .expect("reference")
            .iter()
            .map(|r| r.iter().map(|v| v - 0.7).collect())
            .collect();
        let at = |micro: usize| match gradient(
            &model,
            &kernel,
            &binding,
            &batch,
            Some(&reference),
            &[],
            micro,
        ) {
            Ok(r) => (r.loss, r.sums.logp.len(), flat(&r.gradients)),
            Err(_) => panic!("a valid batch"),
        };
        let (loss, sums, whole) = at(4);
        assert_eq!((loss.len(), sums), (6, 12));
        for micro in [1, 3] {
            let (l, _, parts) = at(micro);
            for (a, b) in loss.iter().zip(&l) {
                assert!((a - b).abs() < 2e-6, "{a} {b}");
            }
            for (a, b) in whole.iter().zip(&parts) {
                assert!((a - b).abs() < 2e-5, "{a} {b}");
            }
        }
        // Along the gradient itself the loss falls as the gradient says. The baseline is held fixed
        // where it has no gradient.
        let value = || {
            let scores = score(
                &model,
                &kernel,
                &binding,
                Beside::default(),
                &data,
                Some(&reference),
                (4, 4),
            );
            summarise(&scores.expect("scores")).loss
        };
        if leak {
            let norm: f64 = whole.iter().map(|g| f64::from(*g).powi(2)).sum();
            let step = 2e-3 / norm.sqrt();
            let shift = |by: f64| {
                let mut rest = whole.as_slice();
                for (_, v) in model.trainable() {
                    let (mine, after) = rest.split_at(v.elem_count());
                    rest = after;
                    let d = candle_core::Tensor::from_slice(mine, v.dims(), v.device()).unwrap();
                    v.set(&(v.as_tensor() + (d * by).unwrap()).unwrap()).unwrap();
                }
            };
            shift(step);
            let up = value();
            shift(-2.0 * step);
            let down = value();
            let slope = (up - down) / (2.0 * step);
            assert!((slope - norm).abs() < 2e-3 * norm, "{slope} {norm}");
        }
    }
}

/// A loss of labelled responses from its text.
fn written(text: &str) -> GraphKernel {
    let mut program = Program::new();
    let (_, found) = program.add_text("<test>", text);
    assert!(found.is_empty(), "{found:?}");
    let compiled = session::compile(&mut program, "x", &NoLibrary, &session::Options::default());
    let compiled = compiled.unwrap_or_else(|e| panic!("{e:?}"));
    let values = HashMap::new();
    let kernel = GraphKernel::new(compiled.graph(), &values).expect("a kernel");
    kernel.with_running(&compiled.running, &values).expect("its means")
}

/// BCO: the shift is the mean reward of the run so far.
fn bco() -> GraphKernel {
    written(
        "loss x() {
            data labelled(y, good)
            model pi = policy
            model ref = reference
            let r = 0.4 * (logp(pi, y) - logp(ref, y))
            let shift = running_mean(r)
            minimize if good { logistic(r - shift) } else { logistic(shift - r) }
        }",
    )
}

#[test]
fn a_running_mean_goes_on_from_batch_to_batch() {
    let kernel = bco();
    assert!(kernel.couples_examples());
    let binding = Binding::new(&kernel, &names()).expect("binds");
    assert!(binding.data_columns().is_empty(), "the run fills it, not the data");
    let data = examples();
    let batch: Vec<&EncodedExample> = data.iter().collect();
    let model = full();
    let reference: Vec<Vec<f64>> = data.iter().map(|e| vec![-3.0; e.sequence_count()]).collect();
    let step = |past: &[Running], micro: usize| match gradient(
        &model,
        &kernel,
        &binding,
        &batch,
        Some(&reference),
        past,
        micro,
    ) {
        Ok(r) => (r.loss, r.sums.logp, r.running),
        Err(_) => panic!("a valid batch"),
    };
    // Terms in order: two of each pair, one of each single response. Mismatched ones are not read.
    let terms = |sums: &[f64]| -> Vec<(bool, f64)> {
        let mut first = 0;
        let mut terms = Vec::new();
        for e in &data {
            let own = &sums[first..first + e.good.len()];
            terms.extend(e.good.iter().zip(own).map(|(good, s)| (*good, 0.4 * (s + 3.0))));
            first += e.sequence_count();
        }
        terms
    };
    let expected = |terms: &[(bool, f64)], shift: f64| -> Vec<f64> {
        let margin = |(good, r): &(bool, f64)| if *good { r - shift } else { shift - r };
        terms.iter().map(|t| (-margin(t)).exp().ln_1p()).collect()
    };
    let close = |a: &[f64], b: &[f64], tolerance: f64| {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).for_each(|(a, b)| assert!((a - b).abs() < tolerance, "{a} {b}"));
    };
    let (mut sum, mut count, mut state) = (0.0, 0, Vec::new());
    // Whatever the micro-batch; each batch counts in the mean that its own loss reads.
    for micro in [4, 1, 3] {
        let (loss, sums, after) = step(&state, micro);
        let terms = terms(&sums);
        sum += terms.iter().map(|t| t.1).sum::<f64>();
        count += terms.len();
        let mean = sum / count as f64;
        close(&loss, &expected(&terms, mean), 1e-12);
        close(&[after[0].mean()], &[mean], 1e-12);
        state = after;
        // Scoring reads the mean and leaves it; a model without a run has none.
        for (running, shift) in [(&state[..], mean), (&[], 0.0)] {
            let beside = Beside { running, ..Beside::default() };
            let scores = score(&model, &kernel, &binding, beside, &data, Some(&reference), (4, 2));
            let scores = scores.expect("scores");
            let total: f64 = scores.iter().map(|s| s.loss * s.terms as f64).sum();
            close(&[total], &[expected(&terms, shift).iter().sum()], 1e-4);
        }
    }
    assert_eq!(count, 3 * 6);
}

#[test]
fn it_trains_on_single_responses_and_resumes() {
    trains_and_resumes(&kto(false));
}

#[test]
fn a_run_that_resumes_finds_its_running_mean_again() {
    let state = trains_and_resumes(&bco());
    let running = state["running"][0].clone();
    assert!(running["count"].as_u64().is_some_and(|n| n >= 7 * 6), "{state}");
    assert!(running["sum"].as_f64().is_some_and(|x| x != 0.0), "{state}");
}

/// Returns the state of the checkpoint that the run was resumed from.
fn trains_and_resumes(kernel: &dyn LossKernel) -> serde_json::Value {
    let run = |stop_after: Option<usize>, from: Option<&Path>, output: Option<&Path>| {
        let model = adapter(0.1);
        let names = names();
        let mut data = pairs(24);
        for e in &mut data[12..] {
            let good = e.row % 2 == 0;
            let response = e.responses[usize::from(!good)].clone();
            *e = EncodedExample::single(e.row, response, good, vec![0.0]);
        }
        add_mismatched(&mut data, 20);
        let (held, train_part) = data.split_at(4);
        let stop = AtomicBool::new(false);
        let mut records = Vec::new();
        let mut observe = |r: &Record| {
            if let (Record::Step(s), Some(last)) = (r, stop_after) {
                stop.store(s.step >= last, std::sync::atomic::Ordering::Relaxed);
            }
            records.push(r.clone());
        };
        let config =
            TrainConfig { schedule: Schedule { peak: 2e-2, ..config(1).schedule }, ..config(80) };
        let run = Run {
            policy: &model,
            kernel,
            names: &names,
            config: &config,
            train: &train_part,
            held_out: held,
            reference: Reference::Initial,
            beside: Beside::default(),
            output,
            stop: &stop,
            observe: &mut observe,
        };
        let outcome = match from {
            None => train(run),
            Some(checkpoint) => resume(run, checkpoint),
        };
        (outcome.expect("trains"), weights(&model), records)
    };
    let (outcome, straight, records) = run(None, None, None);
    let (first, last) = (outcome.first_eval.expect("eval"), outcome.last_eval.expect("eval"));
    assert_eq!(first.summary.accuracy, 0.5, "policy and reference are the same");
    assert!(last.summary.accuracy > 0.9, "{last:?}");
    assert!(last.summary.loss < first.summary.loss);
    // Settings that are not given are null in a run's first record.
    let figures: Vec<&Record> = records.iter().filter(|r| !matches!(r, Record::Run(_))).collect();
    let text = serde_json::to_string(&figures).expect("JSON");
    assert!(!text.contains("null"), "a figure that a batch lacks is absent");

    let dir = folder();
    run(Some(7), None, Some(dir.path()));
    let from = latest_checkpoint(dir.path()).expect("readable").expect("one");
    // The reference is in the checkpoint: the policy that is given now is not asked.
    let state = std::fs::read_to_string(from.join("state.json")).expect("a state");
    let (_, resumed, _) = run(None, Some(&from), Some(dir.path()));
    assert_eq!(resumed, straight);
    serde_json::from_str(&state).expect("JSON")
}

/// Of a NaN the first quantity is named: here the log-probability, before the loss that it spoils.
#[test]
fn the_quantity_that_went_first_is_named() {
    let kernel = Dpo::new(0.5);
    let model = full();
    let (_, v) = &model.trainable()[0];
    v.set(&(v.as_tensor() * f64::NAN).unwrap()).unwrap();
    let binding = Binding::new(&kernel, &Names::default()).expect("binds");
    let data = pairs(3);
    let batch: Vec<&EncodedExample> = data.iter().collect();
    let reference = vec![vec![-5.0, -5.0]; 3];
    match gradient(&model, &kernel, &binding, &batch, Some(&reference), &[], 2) {
        Err(BatchError::NotFinite { what, value }) => {
            assert_eq!(what, "the policy's log-probability of the chosen response of row 0");
            assert!(value.is_nan());
        }
        _ => panic!("NaN weights give NaN"),
    }
}
