//! Losses whose examples depend on each other.

use ponens_macros::{catalogue_loss, loss};

loss! {
    /// The winner's likelihood, weighted by how good the batch is at the loser.
    #[ponens(gradient_in_f32)]
    loss coupled() {
        data pair(w > l)
        model pi = policy
        minimize nll(pi, w) * stop_gradient(1 + batch_mean(logp(pi, l)))
    }
}

catalogue_loss!(aot);
catalogue_loss!(kto);
catalogue_loss!(sft);

fn main() {
    let (mut loss, mut w) = ([0.0; 2], [0.0; 2]);
    let columns = coupled::Columns { mean_logp_pi_w: &[-1.0, -2.0], logp_pi_l: &[-3.0, -5.0] };
    let mut l = [0.0; 2];
    let mut out = coupled::Outputs { loss: &mut loss, d_mean_logp_pi_w: &mut w, d_logp_pi_l: &mut l };
    let mut values = [0.0; 2 * Coupled::SCRATCH];
    let mut scratch = coupled::Scratch { values: &mut values, order: &mut [] };
    Coupled::default().value_and_gradient(columns, &mut out, &mut scratch).expect("long enough");
    assert_eq!(out.loss, [-3.0, -6.0]);
    assert_eq!(out.d_mean_logp_pi_w, [3.0, 3.0]);
    let mut scratch = coupled::Scratch { values: &mut [], order: &mut [] };
    let refused = Coupled::default().value_and_gradient(columns, &mut out, &mut scratch);
    assert_eq!(
        refused.expect_err("too short").to_string(),
        format!("`scratch.values` has 0 values where {} are wanted", 2 * Coupled::SCRATCH)
    );
    assert_eq!((Sft::ORDER, Aot::ORDER), (0, 1));
    let _ = Kto::default();
}
