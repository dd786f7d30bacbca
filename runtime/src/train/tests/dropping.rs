//! Dropout: one set of masks a step, whichever pass reads them.

use super::*;
use crate::data::add_mismatched;
use crate::train::batch::gradient;
use crate::train::policy::Dropping;
use crate::train::problem::{Problem, rows};

const SEED: u64 = 9;

/// Of a loss that couples its examples the gradient is that of the loss with these masks: the same in any
/// micro-batches, and along itself the loss changes by the square of its norm.
#[test]
fn weights_and_gradient_see_the_same_masks() {
    let kernel = spread();
    let names = Names::default();
    let binding = Binding::new(&kernel, &names).expect("binds");
    let model = adapter(0.4);
    // B starts at 0, where masks are not seen.
    for (i, (_, v)) in model.trainable().iter().enumerate() {
        let up = candle_core::Tensor::full(0.05 + 0.01 * i as f32, v.dims(), v.device());
        v.set(&(v.as_tensor() + up.expect("a tensor")).expect("adds")).expect("sets");
    }
    let mut data = pairs(6);
    add_mismatched(&mut data, 20);
    let batch: Vec<&EncodedExample> = data.iter().collect();
    let at = |micro: usize, step: usize| {
        let _dropping = Dropping::new(&model, SEED, step);
        match gradient(&model, Problem::plain(&kernel, &binding), &batch, None, micro) {
            Ok(r) => (r.loss, r.sums.logp, flat(&r.gradients)),
            Err(_) => panic!("a valid batch"),
        }
    };
    let (loss, sums, whole) = at(6, 0);
    for micro in [1, 2, 4] {
        let (l, s, parts) = at(micro, 0);
        for (a, b) in loss.iter().chain(&sums).zip(l.iter().chain(&s)) {
            assert!((a - b).abs() < 1e-5 * (1.0 + a.abs()), "{micro}: {a} {b}");
        }
        for (a, b) in whole.iter().zip(&parts) {
            assert!((a - b).abs() < 1e-4 * (1.0 + a.abs()), "{micro}: {a} {b}");
        }
    }
    let other = at(6, 1).1;
    let apart = |a: &[f64], b: &[f64]| a.iter().zip(b).any(|(a, b)| (a - b).abs() > 1e-3);
    assert!(apart(&sums, &other), "another step has other masks");
    let value = || {
        let _dropping = Dropping::new(&model, SEED, 0);
        let scores = score(&model, &kernel, &binding, Beside::default(), &data, None, (6, 2))
            .expect("scores");
        summarise(&scores).loss
    };
    let norm: f64 = whole.iter().map(|g| f64::from(*g).powi(2)).sum();
    let step = 1e-3 / norm.sqrt();
    let shift = |by: f64| {
        let mut rest = whole.as_slice();
        for (_, v) in model.trainable() {
            let (mine, after) = rest.split_at(v.elem_count());
            rest = after;
            let d = candle_core::Tensor::from_slice(mine, v.dims(), v.device()).expect("fits");
            v.set(&(v.as_tensor() + (d * by).expect("scales")).expect("adds")).expect("sets");
        }
    };
    shift(step);
    let up = value();
    shift(-2.0 * step);
    let slope = (up - value()) / (2.0 * step);
    assert!((slope - norm).abs() < 1e-2 * norm, "{slope} {norm}");
}

/// Runs of other seeds drop other features, and passes outside a step none.
#[test]
fn masks_follow_the_seed_of_the_run() {
    let model = adapter(0.4);
    for (_, v) in model.trainable() {
        let up = candle_core::Tensor::full(0.1f32, v.dims(), v.device()).expect("a tensor");
        v.set(&(v.as_tensor() + up).expect("adds")).expect("sets");
    }
    let data = pairs(3);
    let batch: Vec<&EncodedExample> = data.iter().collect();
    let rows = rows(&batch);
    let sums = || model.completion_logps(&rows).expect("sums");
    let still = sums();
    let under = |seed: u64| {
        let _dropping = Dropping::new(&model, seed, 3);
        sums()
    };
    assert_eq!(under(1), under(1));
    assert_ne!(under(1), under(2));
    assert_ne!(under(1), still);
    assert_eq!(sums(), still);
}
