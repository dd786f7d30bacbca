//! Robust DPO under label flips: its expectation over flips of rate e is DPO on the true labels, value and
//! gradient (Chowdhury et al. 2024, arXiv 2403.00409, lemma 3.1). Smoothing (cDPO) has no such property.

use super::{catalogue, evaluate, gradient, pair};

const BETA: f64 = 0.3;

/// Some pairs, near and far, chosen more and less likely.
fn pairs() -> Vec<[f64; 4]> {
    let mut out = Vec::new();
    for gap in [-60.0, -8.0, -1.5, -0.01, 0.0, 0.2, 3.0, 12.0, 90.0] {
        out.push([-100.0 + gap / 2.0, -100.0 - gap / 2.0, -101.0, -100.5]);
    }
    out
}

#[test]
fn robust_dpo_is_unbiased() {
    for epsilon in [0.0, 0.05, 0.1, 0.3, 0.45] {
        let noisy = [("beta", BETA), ("epsilon", epsilon)];
        let robust = catalogue("rdpo_robust", &noisy);
        let dpo = catalogue("dpo", &[("beta", BETA)]);
        let smooth = catalogue("cdpo", &noisy);
        let straight: Vec<_> = pairs().iter().map(|p| pair(p[0], p[1], p[2], p[3])).collect();
        let flipped: Vec<_> = pairs().iter().map(|p| pair(p[1], p[0], p[3], p[2])).collect();
        let truth = evaluate(&dpo, &straight);
        let expected = |kernel: &ponens_runtime::op::GraphKernel| {
            let (s, f) = (evaluate(kernel, &straight), evaluate(kernel, &flipped));
            let mix = |a: &[f64], b: &[f64]| -> Vec<f64> {
                a.iter().zip(b).map(|(a, b)| (1.0 - epsilon) * a + epsilon * b).collect()
            };
            // A flipped pair's loser is the true winner.
            let by_winner =
                mix(&gradient(kernel, &s, "logp(pi,w)"), &gradient(kernel, &f, "logp(pi,l)"));
            (mix(&s.loss, &f.loss), by_winner)
        };
        let (loss, slope) = expected(&robust);
        let true_slope = gradient(&dpo, &truth, "logp(pi,w)");
        for i in 0..pairs().len() {
            let size = 1.0 + truth.loss[i].abs() / (1.0 - 2.0 * epsilon);
            assert!((loss[i] - truth.loss[i]).abs() < 1e-12 * size, "{epsilon}: pair {i}");
            assert!((slope[i] - true_slope[i]).abs() < 1e-12, "{epsilon}: slope of pair {i}");
        }
        let (biased, _) = expected(&smooth);
        let bias = biased.iter().zip(&truth.loss).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert_eq!(bias > 0.1, epsilon > 0.0, "smoothing at rate {epsilon} is off by {bias}");
    }
}
