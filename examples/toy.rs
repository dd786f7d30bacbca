//! A loss written in the source file, compiled by rustc, and a toy that learns by it.
//!
//! Four answers, each with one logit; the data say that the earlier letter is better. After training the
//! answers stand in the order of the alphabet.
//!
//! ```text
//! cargo run -p ponens --example toy
//! ```

use ponens_macros::loss;

loss! {
    /// DPO with labels that are wrong at a known rate. The claims are checked while this is compiled.
    #[ponens(equals = "dpo", monotone, gradient_in_f32)]
    pub(crate) loss careful(beta = 1 in >0..inf, epsilon = 0.1 in 0..0.5) {
        data  pair(w > l)
        model pi = policy
        model ref = reference

        prefer pi(l) & ref(w) -> pi(w) & ref(l)
        given  pi(l) & ref(w) | pi(w) & ref(l)
        tie    pi(l) & ref(w) & pi(w) & ref(l)
        minimize smooth(epsilon, logistic(beta * rho))
    }
}

/// Log-probabilities of the four answers.
fn log_softmax(logits: &[f64; 4]) -> [f64; 4] {
    let sum: f64 = logits.iter().map(|x| x.exp()).sum();
    logits.map(|x| x - sum.ln())
}

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let loss = Careful::default().with_beta(0.5)?;
    println!("{}: {}", Careful::NAME, Careful::FORMULA);
    let reference = (0.25_f64).ln();
    let mut logits = [0.0; 4];
    for step in 0..=200 {
        let logp = log_softmax(&logits);
        let (mut value, mut by_logp) = (0.0, [0.0; 4]);
        for (w, l) in (0..4).flat_map(|w| (w + 1..4).map(move |l| (w, l))) {
            let one = loss.example(logp[w], logp[l], reference, reference);
            value += one.loss / 6.0;
            by_logp[w] += one.d_logp_pi_w / 6.0;
            by_logp[l] += one.d_logp_pi_l / 6.0;
        }
        if step % 50 == 0 {
            println!("step {step:3}: loss {value:.4}, probabilities {:.3?}", logp.map(f64::exp));
        }
        let total: f64 = by_logp.iter().sum();
        for i in 0..4 {
            logits[i] -= 2.0 * (by_logp[i] - total * logp[i].exp());
        }
    }
    let sorted = logits.is_sorted_by(|a, b| a > b);
    if sorted { Ok(()) } else { Err("the answers are not in order".into()) }
}
