//! AdamW against its definition in f64; schedules and norms against closed forms.

use candle_core::{Device, Tensor, Var};

use super::{AdamW, AdamWConfig, Decay, Schedule, clip_factor};

fn variable(values: &[f32]) -> Var {
    Var::from_slice(values, values.len(), &Device::Cpu).expect("var")
}

fn gradient(values: &[f32]) -> Tensor {
    Tensor::from_slice(values, values.len(), &Device::Cpu).expect("tensor")
}

fn values(v: &Var) -> Vec<f32> {
    v.to_vec1().expect("f32")
}

/// The update as written in the paper, one number at a time, in f64.
fn reference(c: &AdamWConfig, w: &mut [f64], gradients: &[Vec<f64>], rates: &[f64]) {
    let (mut m, mut v) = (vec![0.0; w.len()], vec![0.0; w.len()]);
    for (t, (g, rate)) in gradients.iter().zip(rates).enumerate() {
        let t = t as i32 + 1;
        for i in 0..w.len() {
            m[i] = c.beta1 * m[i] + (1.0 - c.beta1) * g[i];
            v[i] = c.beta2 * v[i] + (1.0 - c.beta2) * g[i] * g[i];
            let mh = m[i] / (1.0 - c.beta1.powi(t));
            let vh = v[i] / (1.0 - c.beta2.powi(t));
            w[i] -= rate * (mh / (vh.sqrt() + c.epsilon) + c.weight_decay * w[i]);
        }
    }
}

fn gradient_at(step: usize, len: usize) -> Vec<f32> {
    (0..len).map(|i| ((step * 37 + i * 11) % 23) as f32 / 7.0 - 1.5).collect()
}

#[test]
fn follows_the_definition() {
    let config = AdamWConfig { weight_decay: 0.1, beta2: 0.99, ..AdamWConfig::default() };
    let start: Vec<f32> = (0..50).map(|i| i as f32 / 10.0 - 2.0).collect();
    let v = variable(&start);
    let mut optimiser = AdamW::new(config, vec![("w".into(), v.clone())]).expect("valid");
    let schedule = Schedule { peak: 0.01, warmup: 3, decay: Decay::Cosine };
    let rates: Vec<f64> = (0..30).map(|s| schedule.rate(s, 30)).collect();
    let mut gradients = Vec::new();
    for (s, &rate) in rates.iter().enumerate() {
        let g = gradient_at(s, 50);
        gradients.push(g.iter().map(|&x| f64::from(x) * 0.5).collect());
        optimiser.step(&[gradient(&g)], rate, 0.5).expect("steps");
    }
    let mut want: Vec<f64> = start.iter().map(|&x| f64::from(x)).collect();
    reference(&config, &mut want, &gradients, &rates);
    for (g, w) in values(&v).iter().zip(want) {
        assert!((f64::from(*g) - w).abs() < 2e-6, "{g} where {w} is right");
    }
    assert_eq!(optimiser.steps(), 30);
}

#[test]
fn decay_is_decoupled_from_the_gradient() {
    let config = AdamWConfig { weight_decay: 0.5, ..AdamWConfig::default() };
    let v = variable(&[2.0]);
    let mut optimiser = AdamW::new(config, vec![("w".into(), v.clone())]).expect("valid");
    optimiser.step(&[gradient(&[0.0])], 0.1, 1.0).expect("steps");
    // Zero gradient: only the decay acts, and it does not pass through the moments.
    assert_eq!(values(&v), [1.9]);
}

#[test]
fn state_continues_bit_for_bit() {
    let run = |stop: Option<usize>| {
        let mut v = variable(&[0.3, -0.7, 1.1]);
        let config = AdamWConfig { weight_decay: 0.01, ..AdamWConfig::default() };
        let make = |v: &Var| AdamW::new(config, vec![("w".into(), v.clone())]).expect("valid");
        let mut optimiser = make(&v);
        for s in 0..10 {
            if Some(s) == stop {
                let (state, steps) = (optimiser.state().expect("state"), optimiser.steps());
                v = variable(&values(&v));
                optimiser = make(&v);
                optimiser.restore(&state, steps).expect("fits");
            }
            optimiser.step(&[gradient(&gradient_at(s, 3))], 0.05, 0.9).expect("steps");
        }
        values(&v)
    };
    assert_eq!(run(None), run(Some(5)));
}

#[test]
fn wrong_gradients_and_states_are_refused_untouched() {
    let v = variable(&[1.0, 2.0]);
    let mut optimiser =
        AdamW::new(AdamWConfig::default(), vec![("w".into(), v.clone())]).expect("valid");
    assert!(optimiser.step(&[], 0.1, 1.0).is_err());
    assert!(optimiser.step(&[gradient(&[1.0])], 0.1, 1.0).is_err());
    assert_eq!((values(&v), optimiser.steps()), (vec![1.0, 2.0], 0));
    assert!(optimiser.restore(&Default::default(), 3).is_err());
    let other = variable(&[1.0]);
    let state = AdamW::new(AdamWConfig::default(), vec![("w".into(), other)])
        .and_then(|o| o.state())
        .expect("state");
    assert!(optimiser.restore(&state, 3).is_err());
    assert_eq!(optimiser.steps(), 0);
    let bad = AdamWConfig { beta1: 1.0, ..AdamWConfig::default() };
    assert!(AdamW::new(bad, vec![]).is_err());
    let bad = AdamWConfig { epsilon: f64::NAN, ..AdamWConfig::default() };
    assert!(AdamW::new(bad, vec![]).is_err());
}

#[test]
fn schedules() {
    let at = |decay, warmup, step| Schedule { peak: 2.0, warmup, decay }.rate(step, 10);
    assert_eq!(at(Decay::Constant, 0, 0), 2.0);
    assert_eq!(at(Decay::Constant, 3, 0), 0.5);
    assert_eq!(at(Decay::Constant, 3, 2), 1.5);
    assert_eq!(at(Decay::Constant, 3, 3), 2.0);
    assert_eq!(at(Decay::Linear, 0, 5), 1.0);
    assert_eq!(at(Decay::Linear, 2, 6), 1.0);
    assert!((at(Decay::Cosine, 0, 5) - 1.0).abs() < 1e-15);
    assert!(at(Decay::Cosine, 0, 9) > 0.0);
    assert!(at(Decay::Cosine, 0, 10).abs() < 1e-15);
    assert!(at(Decay::Cosine, 0, 99).abs() < 1e-15, "past the end it stays at 0");
    assert_eq!(at(Decay::Linear, 10, 10), 2.0, "nothing is left to decay over");
    let rates: Vec<f64> = (0..10).map(|s| at(Decay::Linear, 4, s)).collect();
    assert!(rates[..5].is_sorted() && rates[4..].iter().rev().is_sorted());
}

#[test]
fn clipping() {
    assert_eq!(clip_factor(5.0, Some(1.0)), 0.2);
    assert_eq!(clip_factor(0.5, Some(1.0)), 1.0);
    assert_eq!(clip_factor(5.0, None), 1.0);
}
