//! CHES foretells displacement (Razin et al. 2024, arXiv 2410.08847), in a model of four tokens whose hidden
//! states, one a prefix, and unembeddings are all free. The chosen response is "No" and an end, the rejected
//! one "Never" and an end; the pairs differ only in how the hidden state after "Never" lies to that after
//! "No". The more they align, the higher the score, and the more the chosen response is pulled down.

use super::{catalogue, evaluate, gradient, pair};
use ponens_runtime::op::GraphKernel;
use ponens_runtime::train::Ches;

const NO: usize = 0;
const NEVER: usize = 1;
const YES: usize = 2;
const END: usize = 3;

type Vector = [f64; 2];

/// Unembeddings, and the hidden states of the prompt, of the prompt and "No", of the prompt and "Never".
#[derive(Clone)]
struct Model {
    words: [Vector; 4],
    hidden: [Vector; 3],
}

fn dot(a: Vector, b: Vector) -> f64 {
    a[0] * b[0] + a[1] * b[1]
}

/// The states and tokens of a response.
fn steps(first: usize, after: usize) -> [(usize, usize); 2] {
    [(0, first), (after, END)]
}

impl Model {
    fn new(after_never: Vector) -> Self {
        Self {
            words: [[0.3, 0.2], [0.2, 0.3], [0.5, -0.3], [-0.1, 0.1]],
            hidden: [[0.2, 0.2], [1.0, 0.0], after_never],
        }
    }

    fn probabilities(&self, state: usize) -> [f64; 4] {
        let powers = self.words.map(|w| dot(w, self.hidden[state]).exp());
        let total: f64 = powers.iter().sum();
        powers.map(|p| p / total)
    }

    fn logp(&self, response: [(usize, usize); 2]) -> f64 {
        response.iter().map(|&(state, token)| self.probabilities(state)[token].ln()).sum()
    }

    fn ches(&self) -> f64 {
        let sum = |of: [(usize, usize); 2]| {
            let states = of.map(|(state, _)| self.hidden[state]);
            [states[0][0] + states[1][0], states[0][1] + states[1][1]]
        };
        let (chosen, rejected) = (sum(steps(NO, 1)), sum(steps(NEVER, 2)));
        Ches::of(0, [&chosen, &rejected], [2, 2]).ches
    }

    /// One step down the loss; returns the log-probabilities before it.
    fn step(&mut self, dpo: &GraphKernel, start: (f64, f64)) -> (f64, f64) {
        let responses = [steps(NO, 1), steps(NEVER, 2)];
        let now = (self.logp(responses[0]), self.logp(responses[1]));
        let value = evaluate(dpo, &[pair(now.0, now.1, start.0, start.1)]);
        let slopes =
            [gradient(dpo, &value, "logp(pi,w)")[0], gradient(dpo, &value, "logp(pi,l)")[0]];
        let before = self.clone();
        for (response, slope) in responses.iter().zip(slopes) {
            for &(state, token) in response {
                // d logp / d logit.
                let mut error = before.probabilities(state).map(|p| -p);
                error[token] += 1.0;
                for (word, e) in error.iter().enumerate() {
                    for axis in 0..2 {
                        let size = 0.05 * slope * e;
                        self.words[word][axis] -= size * before.hidden[state][axis];
                        self.hidden[state][axis] -= size * before.words[word][axis];
                    }
                }
            }
        }
        now
    }
}

#[test]
fn ches_ranks_the_displaced_pair_worst() {
    let dpo = catalogue("dpo", &[("beta", 1.0)]);
    let after_never = [[3.0, 0.0], [2.0, 0.0], [1.0, 0.0], [0.5, 0.0], [0.0, 1.0], [-1.0, 0.0]];
    let mut ranked: Vec<(f64, f64)> = Vec::new();
    for (i, state) in after_never.into_iter().enumerate() {
        let mut model = Model::new(state);
        let (ches, yes) = (model.ches(), model.probabilities(0)[YES]);
        let start = (model.logp(steps(NO, 1)), model.logp(steps(NEVER, 2)));
        let course: Vec<(f64, f64)> = (0..=100).map(|_| model.step(&dpo, start)).collect();
        let grows = |s: &[(f64, f64)]| s[1].0 - s[1].1 > s[0].0 - s[0].1;
        assert!(course.windows(2).all(grows), "pair {i}: the loss is doing its work");
        let displaced = course[100].0 - course[0].0;
        if i == 0 {
            assert!(displaced < -0.4, "the chosen response loses: {displaced}");
            assert!(model.probabilities(0)[YES] > yes + 0.03, "and its opposite wins");
        }
        ranked.push((ches, displaced));
    }
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    assert!(ranked.windows(2).all(|r| r[0].1 < r[1].1), "{ranked:?}");
    assert!(ranked[5].1 > 1.0, "the best pair's chosen response gains: {ranked:?}");
}
