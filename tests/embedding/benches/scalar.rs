//! The generated code against hand-written Rust of the same loss: value and gradients of 4,096 pairs.
//!
//! ```text
//! cargo bench -p ponens-embedding-tests --bench scalar
//! ```
//!
//! Both take the same slices and give the same numbers, which is checked first. They run in turn, many
//! times; what counts is the ratio within one turn, so that a busy machine slows both. The hand-written
//! code is what somebody writes who knows the stable forms: one exponential for the loss and its slope,
//! log1mexp by its two branches. Where it divides zero by zero at a probability of one, the generated code
//! does not; the data keep away from there.

// A measuring program stops at the first error.
#![allow(clippy::unwrap_used)]

use ponens_macros::catalogue_loss;
use std::hint::black_box;
use std::time::Instant;

catalogue_loss!(dpo);
catalogue_loss!(cdpo);
catalogue_loss!(ipo);
catalogue_loss!(simpo);
catalogue_loss!(orpo);

const PAIRS: usize = 4096;
const TURNS: usize = 400;

/// The hand-written losses in one float type.
macro_rules! by_hand {
    ($module:ident, $t:ident) => {
        mod $module {
            /// ln(1 - e^a)
            fn log1mexp(a: $t) -> $t {
                if a > -core::$t::consts::LN_2 { (-a.exp_m1()).ln() } else { (-a.exp()).ln_1p() }
            }

            /// softplus(-x) and sigmoid(-x)
            fn logistic(x: $t) -> ($t, $t) {
                let e = (-x.abs()).exp();
                let value = (-x).max(0.0) + e.ln_1p();
                (value, if x < 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) })
            }

            pub(crate) fn dpo(p: &[$t], c: [&[$t]; 4], out: [&mut [$t]; 3]) {
                let ([w, l, rw, rl], [loss, dw, dl]) = (c, out);
                let beta = p[0];
                for i in 0..loss.len() {
                    let (value, slope) = logistic(beta * ((w[i] - rw[i]) - (l[i] - rl[i])));
                    loss[i] = value;
                    dw[i] = -beta * slope;
                    dl[i] = beta * slope;
                }
            }

            pub(crate) fn cdpo(p: &[$t], c: [&[$t]; 4], out: [&mut [$t]; 3]) {
                let ([w, l, rw, rl], [loss, dw, dl]) = (c, out);
                let (beta, epsilon) = (p[0], p[1]);
                for i in 0..loss.len() {
                    let x = beta * ((w[i] - rw[i]) - (l[i] - rl[i]));
                    let (value, slope) = logistic(x);
                    // softplus(x) = softplus(-x) + x and sigmoid(x) = 1 - sigmoid(-x)
                    loss[i] = value + epsilon * x;
                    dw[i] = beta * (epsilon - slope);
                    dl[i] = beta * (slope - epsilon);
                }
            }

            pub(crate) fn ipo(p: &[$t], c: [&[$t]; 4], out: [&mut [$t]; 3]) {
                let ([w, l, rw, rl], [loss, dw, dl]) = (c, out);
                let target = 1.0 / (2.0 * p[0]);
                for i in 0..loss.len() {
                    let d = (w[i] - rw[i]) - (l[i] - rl[i]) - target;
                    loss[i] = d * d;
                    dw[i] = 2.0 * d;
                    dl[i] = -2.0 * d;
                }
            }

            pub(crate) fn simpo(p: &[$t], c: [&[$t]; 2], out: [&mut [$t]; 3]) {
                let ([w, l], [loss, dw, dl]) = (c, out);
                let (beta, gamma) = (p[0], p[1]);
                for i in 0..loss.len() {
                    let (value, slope) = logistic(beta * (w[i] - l[i]) - gamma);
                    loss[i] = value;
                    dw[i] = -beta * slope;
                    dl[i] = beta * slope;
                }
            }

            pub(crate) fn orpo(p: &[$t], c: [&[$t]; 2], out: [&mut [$t]; 3]) {
                let ([w, l], [loss, dw, dl]) = (c, out);
                let lambda = p[0];
                for i in 0..loss.len() {
                    let (w, l) = (w[i], l[i]);
                    let (value, slope) = logistic((w - log1mexp(w)) - (l - log1mexp(l)));
                    loss[i] = lambda * value - w;
                    // d/da (a - log1mexp(a)) = 1 / (1 - e^a)
                    dw[i] = lambda * slope / w.exp_m1() - 1.0;
                    dl[i] = -lambda * slope / l.exp_m1();
                }
            }
        }
    };
}

by_hand!(wide, f64);
by_hand!(narrow, f32);

/// Numbers in (-size, 0), the same on every run.
fn column(seed: u64, size: f64) -> Vec<f64> {
    let mut x = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        -size * ((x >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    };
    (0..PAIRS).map(|_| next()).collect()
}

/// Runs both in turn and prints a line.
fn race(name: &str, mut generated: impl FnMut(), mut by_hand: impl FnMut()) -> f64 {
    let time = |f: &mut dyn FnMut()| {
        let start = Instant::now();
        f();
        start.elapsed().as_secs_f64() * 1e6
    };
    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 0..TURNS {
        // Whoever runs second finds a warmer cache: they take turns at that, too.
        let (a, b) = if turn % 2 == 0 {
            let a = time(&mut generated);
            (a, time(&mut by_hand))
        } else {
            let b = time(&mut by_hand);
            (time(&mut generated), b)
        };
        ours.push(a);
        theirs.push(b);
        ratios.push(a / b);
    }
    let median = |v: &mut Vec<f64>| {
        v.sort_by(f64::total_cmp);
        v[v.len() / 2]
    };
    let ratio = median(&mut ratios);
    println!("{name:11} {:9.1} us {:9.1} us   {ratio:.3}", median(&mut ours), median(&mut theirs));
    ratio
}

/// Both ways of one loss in both types.
macro_rules! compare {
    ($ratios:ident, $module:ident, $loss:ident, [$($column:ident),*], [$($d:ident),*], $size:expr, [$($param:expr),*]) => {{
        let seeds = 1..;
        let data: Vec<Vec<f64>> =
            [$(stringify!($column)),*].iter().zip(seeds).map(|(_, s)| column(s, $size)).collect();
        compare!($ratios, f64, wide, value_and_gradient, $module, $loss, [$($column),*], [$($d),*], data, [$($param),*], 1e-9);
        let data: Vec<Vec<f32>> = data.iter().map(|c| c.iter().map(|x| *x as f32).collect()).collect();
        compare!($ratios, f32, narrow, value_and_gradient_f32, $module, $loss, [$($column),*], [$($d),*], data, [$($param),*], 1e-2);
    }};
    ($ratios:ident, $t:ident, $hand:ident, $method:ident, $module:ident, $loss:ident, [$($column:ident),*], [$($d:ident),*], $data:ident, [$($param:expr),*], $near:expr) => {{
        let loss = $loss::default();
        let params: Vec<$t> = vec![$($param),*];
        let mut a = vec![vec![0.0 as $t; PAIRS]; 3];
        let mut b = a.clone();
        let ours = |out: &mut [Vec<$t>]| {
            let mut read = $data.iter();
            $(let $column = read.next().unwrap().as_slice();)*
            let columns = $module::Columns { $($column),* };
            let mut write = out.iter_mut();
            let value = write.next().unwrap();
            $(let $d = write.next().unwrap();)*
            let mut out = $module::Outputs { loss: value, $($d),* };
            black_box(&loss).$method(black_box(columns), &mut out).unwrap();
            black_box(&mut out);
        };
        let theirs = |out: &mut [Vec<$t>]| {
            let mut read = $data.iter();
            let columns = [$({ let _ = stringify!($column); read.next().unwrap().as_slice() }),*];
            let [value, w, l] = out else { unreachable!("three results") };
            $hand::$module(black_box(&params), black_box(columns), [value, w, l]);
            black_box(&mut *value);
        };
        ours(&mut a);
        theirs(&mut b);
        for (x, y) in a.iter().flatten().zip(b.iter().flatten()) {
            assert!((x - y).abs() <= $near * y.abs().max(1e-3), "{}: {x:e} for {y:e}", stringify!($loss));
        }
        let name = format!("{} {}", stringify!($module), stringify!($t));
        $ratios.push(race(&name, || ours(&mut a), || theirs(&mut b)));
    }};
}

fn main() {
    println!("{PAIRS} pairs, value and gradients; median of {TURNS} turns");
    println!("loss         generated    by hand        ratio");
    let mut ratios: Vec<f64> = Vec::new();
    compare!(
        ratios,
        dpo,
        Dpo,
        [logp_pi_w, logp_pi_l, logp_ref_w, logp_ref_l],
        [d_logp_pi_w, d_logp_pi_l],
        300.0,
        [0.1]
    );
    compare!(
        ratios,
        cdpo,
        Cdpo,
        [logp_pi_w, logp_pi_l, logp_ref_w, logp_ref_l],
        [d_logp_pi_w, d_logp_pi_l],
        300.0,
        [0.1, 0.1]
    );
    compare!(
        ratios,
        ipo,
        Ipo,
        [mean_logp_pi_w, mean_logp_pi_l, mean_logp_ref_w, mean_logp_ref_l],
        [d_mean_logp_pi_w, d_mean_logp_pi_l],
        3.0,
        [0.1]
    );
    compare!(
        ratios,
        simpo,
        Simpo,
        [mean_logp_pi_w, mean_logp_pi_l],
        [d_mean_logp_pi_w, d_mean_logp_pi_l],
        3.0,
        [2.0, 0.5]
    );
    compare!(
        ratios,
        orpo,
        Orpo,
        [mean_logp_pi_w, mean_logp_pi_l],
        [d_mean_logp_pi_w, d_mean_logp_pi_l],
        3.0,
        [0.1]
    );
    let worst = ratios.iter().copied().fold(0.0, f64::max);
    println!("largest ratio {worst:.3} (1 is the speed of the hand-written code)");
}
