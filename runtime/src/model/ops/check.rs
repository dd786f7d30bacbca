//! How the tests judge a differentiable operation.

use candle_core::{Device, Result, Tensor, Var};
use rand::{Rng, SeedableRng, rngs::StdRng};

/// A variable of independent uniform values in [-1, 1).
pub(crate) fn random_var(shape: &[usize], seed: u64) -> Var {
    let mut rng = StdRng::seed_from_u64(seed);
    let n = shape.iter().product();
    let values: Vec<f32> = (0..n).map(|_| rng.random_range(-1.0f32..1.0)).collect();
    Var::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn flat(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

fn close(got: &[f32], want: &[f32], tolerance: f32, what: &str) {
    assert_eq!(got.len(), want.len());
    let size = want.iter().fold(0f32, |m, v| m.max(v.abs())).max(1e-3);
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((g - w).abs() <= tolerance * size, "{what}[{i}]: {g}, expected {w}");
    }
}

/// The two scalar losses agree, and their gradients with respect to all variables, and the first
/// agrees with central differences of the second.
pub(crate) fn assert_same_gradients(
    vars: &[&Var],
    own: impl Fn() -> Result<Tensor>,
    reference: impl Fn() -> Result<Tensor>,
) {
    let (a, b) = (own().unwrap(), reference().unwrap());
    close(&flat(&a), &flat(&b), 1e-5, "value");
    let (ga, gb) = (a.backward().unwrap(), b.backward().unwrap());
    for (i, var) in vars.iter().enumerate() {
        let ours = flat(ga.get(var).unwrap());
        close(&ours, &flat(gb.get(var).unwrap()), 2e-5, &format!("gradient {i}"));
        assert_directional_difference(var, &ours, || {
            f64::from(reference().unwrap().to_scalar::<f32>().unwrap())
        });
    }
}

/// The gradient's own norm equals the central difference of `loss` along its direction.
pub(crate) fn assert_directional_difference(var: &Var, gradient: &[f32], loss: impl Fn() -> f64) {
    let norm = gradient.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
    assert!(norm > 0.0, "the gradient is zero");
    let base = flat(var);
    let h = 5e-3;
    let moved = |sign: f64| {
        let values: Vec<f32> = base
            .iter()
            .zip(gradient)
            .map(|(&v, &g)| (f64::from(v) + sign * h * f64::from(g) / norm) as f32)
            .collect();
        var.set(&Tensor::from_vec(values, var.shape(), var.device()).unwrap()).unwrap();
        loss()
    };
    let numeric = (moved(1.0) - moved(-1.0)) / (2.0 * h);
    var.set(&Tensor::from_vec(base.clone(), var.shape(), var.device()).unwrap()).unwrap();
    assert!(
        (numeric - norm).abs() <= 1e-2 * norm.max(1e-2),
        "difference {numeric}, gradient norm {norm}"
    );
}
