//! Losses over the tokens after the divergence point.

use super::*;
use crate::data::after_divergence;

/// DPO on margins of the given aggregate.
fn dpo(aggregate: &str) -> Custom {
    let names: Vec<String> = ["(pi,w)", "(pi,l)", "(ref,w)", "(ref,l)"]
        .iter()
        .map(|s| format!("{aggregate}{s}"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Custom::new(&names, |c| {
        let z: Vec<f64> =
            (0..c[0].len()).map(|e| 0.5 * ((c[0][e] - c[2][e]) - (c[1][e] - c[3][e]))).collect();
        let loss = z.iter().map(|z| (-z).exp().ln_1p()).collect();
        let up: Vec<f64> = z.iter().map(|z| -0.5 / (1.0 + z.exp())).collect();
        let down = up.iter().map(|g| -g).collect();
        Evaluated { loss, grads: vec![Some(up), Some(down), None, None] }
    })
}

/// Pairs whose responses share their first two tokens.
fn data() -> Vec<EncodedExample> {
    let one = |i: usize| {
        let a = i as u32 % 5 + 3;
        let side = |tail: &[u32]| Sequence { ids: [&[1, a, 7, a], tail, &[0]].concat(), start: 2 };
        EncodedExample::pair(i, side(&[a + 1, 2]), side(&[a + 2]), vec![])
    };
    (0..4).map(one).collect()
}

/// In the margin of a pair the shared tokens cancel: the loss and its gradient are those of whole
/// responses, from fewer tokens.
#[test]
fn shared_tokens_cancel_in_a_margin() {
    let model = full();
    let run = |aggregate: &str, cut: bool| {
        let kernel = dpo(aggregate);
        let binding = Binding::new(&kernel, &Names::default()).expect("binds");
        assert_eq!(binding.after_divergence(), cut);
        let mut examples = data();
        if cut {
            assert_eq!(after_divergence(&mut examples), 4);
            assert_eq!(examples[0].responses[0].response_len(), 3);
        }
        let reference: Vec<Vec<f64>> = reference_log_probs(&model, &examples, 2, |_| {})
            .expect("reference")
            .iter()
            .map(|r| vec![r[0] - 0.3, r[1]])
            .collect();
        let batch: Vec<&EncodedExample> = examples.iter().collect();
        match gradient(&model, &kernel, &binding, &batch, Some(&reference), &[], 3) {
            Ok(r) => (r.loss, r.sums.logp, flat(&r.gradients)),
            Err(_) => panic!("a valid batch"),
        }
    };
    let (whole_loss, whole_sums, whole) = run("logp", false);
    let (loss, sums, part) = run("diverged_logp", true);
    for (a, b) in whole_loss.iter().zip(&loss) {
        assert!((a - b).abs() < 1e-6, "{a} {b}");
    }
    // A sum without its shared tokens is another one.
    assert!(whole_sums.iter().zip(&sums).all(|(a, b)| *b > a + 1.0));
    let size = whole.iter().fold(0f32, |m, v| m.max(v.abs()));
    let gap = whole.iter().zip(&part).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
    assert!(size > 1e-3 && gap < 1e-5 * size.max(1.0), "{gap} of {size}");
}

#[test]
fn whole_and_diverged_responses_in_one_loss_are_refused() {
    let kernel = Custom::new(&["logp(pi,w)", "diverged_logp(pi,l)"], |c| Evaluated {
        loss: c[0].clone(),
        grads: vec![None, None],
    });
    let error = Binding::new(&kernel, &Names::default()).expect_err("both");
    assert!(error.to_string().contains("not both"), "{error}");
}
