//! The losses of the crate without `std` compute what the same losses with `std` do.
//!
//! The functions of `libm` and those of the platform may differ in the last bits, so the values are held
//! to a few units in the last place of their largest part.

use ponens_embedding_tests as small;
use ponens_macros::catalogue_loss;

catalogue_loss!(dpo);
catalogue_loss!(orpo);
catalogue_loss!(aot);

/// Numbers in (-size, 0), the same on every run.
fn column(seed: u64, size: f64) -> Vec<f64> {
    let mut x = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        -size * ((x >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    };
    (0..64).map(|_| next()).collect()
}

fn near(a: f64, b: f64, epsilon: f64, what: &str) {
    assert!((a - b).abs() <= 16.0 * epsilon * b.abs().max(1e-3), "{what}: {a:e} for {b:e}");
}

#[test]
fn one_example_at_a_time() {
    let (w, l, rw, rl) = (column(1, 90.0), column(2, 90.0), column(3, 90.0), column(4, 90.0));
    for i in 0..w.len() {
        let a = small::Dpo::default().example(w[i], l[i], rw[i], rl[i]);
        let b = Dpo::default().example(w[i], l[i], rw[i], rl[i]);
        near(a.loss, b.loss, f64::EPSILON, "dpo");
        near(a.d_logp_pi_w, b.d_logp_pi_w, f64::EPSILON, "the gradient of dpo");
        let (w, l) = (w[i] / 30.0, l[i] / 30.0);
        let (a, b) = (small::Orpo::default().example(w, l), Orpo::default().example(w, l));
        near(a.loss, b.loss, f64::EPSILON, "orpo");
        near(a.d_mean_logp_pi_l, b.d_mean_logp_pi_l, f64::EPSILON, "the gradient of orpo");
        let (w, l) = (w as f32, l as f32);
        let (a, b) = (small::Orpo::default().example_f32(w, l), Orpo::default().example_f32(w, l));
        near(a.loss.into(), b.loss.into(), f32::EPSILON.into(), "orpo in f32");
    }
}

#[test]
fn a_batch_in_scratch() {
    let columns = [column(1, 90.0), column(2, 90.0), column(3, 90.0), column(4, 90.0)];
    macro_rules! run {
        ($loss:expr, $module:path) => {{
            use $module as of;
            let n = columns[0].len();
            let [mut loss, mut w, mut l] = [(); 3].map(|()| vec![0.0; n]);
            let mut out = of::Outputs { loss: &mut loss, d_logp_pi_w: &mut w, d_logp_pi_l: &mut l };
            let given = of::Columns {
                logp_pi_w: &columns[0],
                logp_pi_l: &columns[1],
                logp_ref_w: &columns[2],
                logp_ref_l: &columns[3],
            };
            let (mut values, mut order) =
                (vec![0.0; of::Aot::SCRATCH * n], vec![0; of::Aot::ORDER * n]);
            let mut scratch = of::Scratch { values: &mut values, order: &mut order };
            $loss.value_and_gradient(given, &mut out, &mut scratch).expect("one length");
            [loss, w, l]
        }};
    }
    let (a, b) = (run!(small::Aot::default(), small::aot), run!(Aot::default(), aot));
    for (a, b) in a.iter().flatten().zip(b.iter().flatten()) {
        near(*a, *b, f64::EPSILON, "aot");
    }
}
