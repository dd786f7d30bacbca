//! The streamed head against exact values (f64) of six small cases: log-probabilities, statistics and
//! gradients, with bias, softcap, temperature and scale.

// Helpers of a test fail as the test does.
#![allow(clippy::unwrap_used)]

use candle_core::{Device, Tensor};
use ponens_runtime::logprob::{self, Head, LogitTransform};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    name: String,
    temperature: f32,
    softcap: Option<f32>,
    logit_scale: f32,
    hidden: Vec<Vec<f32>>,
    weight: Vec<Vec<f32>>,
    bias: Option<Vec<f32>>,
    targets: Vec<u32>,
    grad_out: Vec<f32>,
    expected: Expected,
}

#[derive(Deserialize)]
struct Expected {
    log_probs: Vec<f64>,
    entropy: Vec<f64>,
    log_sum_sq_probs: Vec<f64>,
    is_top1: Vec<bool>,
    grad_hidden: Vec<Vec<f64>>,
    grad_weight: Vec<Vec<f64>>,
    grad_bias: Option<Vec<f64>>,
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("fixtures/streamed_logprob.json")).unwrap()
}

fn matrix(rows: &[Vec<f32>]) -> Tensor {
    Tensor::new(rows.to_vec(), &Device::Cpu).unwrap()
}

fn head(case: &Case) -> Head {
    Head {
        weight: matrix(&case.weight),
        bias: case.bias.as_ref().map(|b| Tensor::new(b.as_slice(), &Device::Cpu).unwrap()),
        transform: LogitTransform {
            scale: case.logit_scale,
            softcap: case.softcap,
            temperature: case.temperature,
        },
    }
}

fn close(name: &str, what: &str, got: &[f32], want: &[f64]) {
    assert_eq!(got.len(), want.len(), "{name} {what}");
    let size = want.iter().fold(1f64, |m, v| m.max(v.abs()));
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        let error = (f64::from(*g) - w).abs();
        assert!(error <= 2e-6 * size, "{name} {what}[{i}]: {g}, expected {w}");
    }
}

fn flat(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn log_probabilities_and_statistics() {
    for case in cases() {
        let (hidden, head) = (matrix(&case.hidden), head(&case));
        let rows = logprob::forward(&hidden, &head, &case.targets).unwrap();
        let logps: Vec<f32> = rows.iter().map(|r| r.logp).collect();
        close(&case.name, "log_probs", &logps, &case.expected.log_probs);
        let stats = logprob::statistics(&hidden, &head, &case.targets).unwrap();
        let entropy: Vec<f32> = stats.iter().map(|s| s.entropy).collect();
        close(&case.name, "entropy", &entropy, &case.expected.entropy);
        let squares: Vec<f32> = stats.iter().map(|s| s.log_sum_p2).collect();
        close(&case.name, "log_sum_p2", &squares, &case.expected.log_sum_sq_probs);
        let top: Vec<bool> = stats.iter().map(|s| s.is_top1).collect();
        assert_eq!(top, case.expected.is_top1, "{}", case.name);
    }
}

#[test]
fn gradients_of_hidden_states_head_and_bias() {
    for case in cases() {
        let (hidden, head) = (matrix(&case.hidden), head(&case));
        let rows = logprob::forward(&hidden, &head, &case.targets).unwrap();
        let back =
            logprob::backward(&hidden, &head, &case.targets, &rows, &case.grad_out, true).unwrap();
        let expected = &case.expected;
        close(&case.name, "grad_hidden", &flat(&back.hidden), &expected.grad_hidden.concat());
        let weight = back.weight.unwrap();
        close(&case.name, "grad_weight", &flat(&weight), &expected.grad_weight.concat());
        match (&back.bias, &expected.grad_bias) {
            (Some(bias), Some(want)) => close(&case.name, "grad_bias", &flat(bias), want),
            (bias, want) => assert!(bias.is_none() && want.is_none(), "{}", case.name),
        }
        let frozen = logprob::forward_frozen(&hidden, &head, &case.targets).unwrap();
        assert_eq!(frozen.rows, rows, "{}", case.name);
        let d_hidden = frozen.backward(&case.grad_out).unwrap();
        close(&case.name, "frozen", &flat(&d_hidden), &expected.grad_hidden.concat());
    }
}

#[test]
fn chunks_of_rows_give_what_one_row_gives() {
    let (n, width, vocabulary) = (5000, 4, 23);
    let value = |i: usize, k: f32| (i as f32 * k).sin();
    let hidden: Vec<f32> = (0..n * width).map(|i| value(i, 0.37)).collect();
    let weight: Vec<f32> = (0..vocabulary * width).map(|i| value(i, 1.7)).collect();
    let hidden = Tensor::from_vec(hidden, (n, width), &Device::Cpu).unwrap();
    let head = Head::new(Tensor::from_vec(weight, (vocabulary, width), &Device::Cpu).unwrap());
    let targets: Vec<u32> = (0..n as u32).map(|i| i * 7 % vocabulary as u32).collect();
    let all = logprob::forward(&hidden, &head, &targets).unwrap();
    for i in [0, 4095, 4096, 4999] {
        let one =
            logprob::forward(&hidden.narrow(0, i, 1).unwrap(), &head, &targets[i..=i]).unwrap();
        assert!((all[i].logp - one[0].logp).abs() < 1e-6);
    }
}

#[test]
fn shapes_that_disagree_are_errors() {
    let case = &cases()[0];
    let (hidden, head) = (matrix(&case.hidden), head(case));
    assert!(logprob::forward(&hidden, &head, &case.targets[1..]).is_err());
    let mut outside = case.targets.clone();
    outside[0] = 17;
    assert!(logprob::forward(&hidden, &head, &outside).is_err());
    let narrow = hidden.narrow(1, 0, 4).unwrap().contiguous().unwrap();
    assert!(logprob::forward(&narrow, &head, &case.targets).is_err());
}
