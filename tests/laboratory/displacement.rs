//! Likelihood displacement in four tokens (Razin et al. 2024, arXiv 2410.08847): "No" is preferred to
//! "Never", their embeddings are alike, and DPO moves the hidden state along their difference. That lies
//! along "Yes": the margin grows at every step while "Yes" takes the probability of both.

use super::{catalogue, evaluate, gradient, pair};

const NO: usize = 0;
const NEVER: usize = 1;
const YES: usize = 2;

/// Unembeddings in two dimensions, fixed: No, Never, Yes, and a token apart.
const ALIKE: [[f64; 2]; 4] = [[1.0, 1.0], [0.9, 1.0], [3.0, -1.0], [-1.0, 0.0]];
/// The same, with chosen and rejected pointing apart.
const APART: [[f64; 2]; 4] = [[1.0, 1.0], [-1.0, -1.0], [-0.5, 0.2], [0.0, -1.0]];

fn log_probabilities(words: &[[f64; 2]; 4], hidden: [f64; 2]) -> [f64; 4] {
    let logits = words.map(|w| w[0] * hidden[0] + w[1] * hidden[1]);
    let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = logits.iter().map(|z| (z - top).exp()).sum();
    logits.map(|z| z - top - total.ln())
}

/// Trains the hidden state; returns the log-probabilities at every step.
fn train(words: &[[f64; 2]; 4], steps: usize) -> Vec<[f64; 4]> {
    let dpo = catalogue("dpo", &[("beta", 1.0)]);
    let mut hidden = [0.0, 1.0];
    let start = log_probabilities(words, hidden);
    let mut course = vec![start];
    for _ in 0..steps {
        let now = log_probabilities(words, hidden);
        let value = evaluate(&dpo, &[pair(now[NO], now[NEVER], start[NO], start[NEVER])]);
        let slopes =
            [gradient(&dpo, &value, "logp(pi,w)")[0], gradient(&dpo, &value, "logp(pi,l)")[0]];
        // d logp(y) / d hidden = W_y - E[W].
        for axis in 0..2 {
            let mean: f64 = (0..4).map(|t| now[t].exp() * words[t][axis]).sum();
            let along =
                slopes[0] * (words[NO][axis] - mean) + slopes[1] * (words[NEVER][axis] - mean);
            hidden[axis] -= 0.5 * along;
        }
        course.push(log_probabilities(words, hidden));
    }
    course
}

#[test]
fn the_opposite_of_the_chosen_answer_rises_while_the_margin_grows() {
    let course = train(&ALIKE, 400);
    let margin = |p: &[f64; 4]| p[NO] - p[NEVER];
    assert!(course.windows(2).all(|s| margin(&s[1]) > margin(&s[0])), "the loss is doing its work");
    let (first, last) = (&course[0], &course[course.len() - 1]);
    assert!(first[NO].exp() > 0.25 && last[NO].exp() < 0.1, "the chosen answer loses");
    assert!(first[YES].exp() < 0.2 && last[YES].exp() > 0.9, "its opposite wins");
}

#[test]
fn responses_that_point_apart_are_not_displaced() {
    let course = train(&APART, 400);
    let (first, last) = (&course[0], &course[course.len() - 1]);
    assert!(last[NO] > first[NO] && last[NO].exp() > 0.9, "{first:?} {last:?}");
    assert!(last[YES] < first[YES]);
}
