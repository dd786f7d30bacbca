//! Special values, tails, and agreement with a higher precision.

use super::*;

type B = Big<256>;

fn big(x: f64) -> B {
    B::from_f64(x)
}

/// Arguments at which some formula, branch or exponent range goes wrong.
const EDGES: [f64; 20] = [
    -0.0,
    -5e-324,
    -1e-300,
    -1e-30,
    -1e-16,
    -1e-12,
    -1e-3,
    -0.5,
    -0.693,
    -std::f64::consts::LN_2,
    -0.7,
    -1.0,
    -37.0,
    -88.0,
    -104.0,
    -708.0,
    -746.0,
    -1e4,
    -1e5,
    -1e9,
];

#[test]
fn special_values_follow_ieee() {
    let inf = f64::INFINITY;
    for x in [0.0, -0.0, 1.0, -1.0, 2.5, inf, -inf, f64::NAN] {
        for y in [0.0, -0.0, 1.0, -1.0, 2.5, inf, -inf, f64::NAN] {
            let same = |b: B, f: f64, what: &str| {
                let b = b.to_f64();
                let equal = b.to_bits() == f.to_bits() || (b.is_nan() && f.is_nan());
                assert!(equal, "{what} of {x}, {y}: {b}, not {f}");
            };
            same(big(x).add(&big(y)), x + y, "sum");
            same(big(x).sub(&big(y)), x - y, "difference");
            same(big(x).mul(&big(y)), x * y, "product");
            same(big(f64::from(big(x).exceeds(&big(y)))), f64::from(x > y), "order");
            same(big(x).div(&big(y)), x / y, "quotient");
            if x.is_nan() || x >= 0.0 {
                same(big(x).pow(&big(y)), Real::pow(&x, &y), "power");
            }
        }
        assert_eq!(big(x).to_f64().to_bits(), x.to_bits());
    }
}

#[test]
fn more_bits_change_nothing() {
    type Pair = (&'static str, fn(&B) -> B, fn(&Big<420>) -> Big<420>);
    let functions: [Pair; 6] = [
        ("exp", Real::exp, Real::exp),
        ("exp_m1", Real::exp_m1, Real::exp_m1),
        ("ln_1p", |x| x.exp().ln_1p(), |x| x.exp().ln_1p()),
        ("log1mexp", Real::log1mexp, Real::log1mexp),
        ("softplus", Real::softplus, Real::softplus),
        ("sigmoid", Real::sigmoid, Real::sigmoid),
    ];
    for x in EDGES {
        for (name, at_256, at_420) in &functions {
            let (a, b) = (at_256(&big(x)), at_420(&Big::from_f64(x)));
            let (Finite(a), Finite(b)) = (&a.0, &b.0) else {
                assert_eq!(a.to_f64().to_bits(), b.to_f64().to_bits(), "{name}({x})");
                continue;
            };
            let context = Context::<HalfEven>::new(420);
            let error = context
                .sub(a.repr(), b.repr())
                .and_then(|d| context.div(d.value().repr(), b.repr()));
            let relative = to_f64(&error.map(|e| e.value()).unwrap_or_default()).abs();
            assert!(relative < 2_f64.powi(-250), "{name}({x}): {relative:e}");
        }
    }
}

#[test]
fn tails_keep_their_digits() {
    // ln(1 - e^a) -> ln(-a) as a -> 0, and -> -e^a as a -> -inf.
    assert_eq!(big(-1e-300).log1mexp().to_f64(), 1e-300_f64.ln());
    let far = big(-1e5);
    let ratio = far.log1mexp().div(&far.exp().neg()).sub(&B::one()).abs();
    assert!(ratio.to_f64() < 1e-70);
    assert!(far.exp().is_positive() && far.exp().to_f64() == 0.0);
    assert_eq!(far.exp().ln().to_f64(), -1e5);
    assert_eq!(big(0.0).log1mexp().to_f64(), f64::NEG_INFINITY);
    assert_eq!(big(-1e300).log1mexp().to_f64(), 0.0);
    assert_eq!(big(1e300).softplus().to_f64(), 1e300);
}

#[test]
fn errors_are_measured_in_units_of_the_type() {
    let third = big(1.0).div(&big(3.0));
    assert!(third.error_in_ulps(1.0 / 3.0, Precision::F64) <= 0.5);
    assert!(third.error_in_ulps(f64::from(1.0_f32 / 3.0), Precision::F32) <= 0.5);
    let off = (1.0_f64 / 3.0).next_up().next_up();
    assert!((1.5..2.5).contains(&third.error_in_ulps(off, Precision::F64)));
    assert_eq!(big(1e39).error_in_ulps(f64::INFINITY, Precision::F32), 0.0);
    assert_eq!(big(1.0).error_in_ulps(f64::NAN, Precision::F64), f64::INFINITY);
    assert!(big(1e-50).error_in_ulps(0.0, Precision::F32) < 0.5);
}
