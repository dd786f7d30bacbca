//! Polynomials, their factors and fractions, and the numbers in them.

use crate::table;
use ponens_compiler::logic::{Fraction, Inadmissible, Polynomial, Rational, Table, conjuncts};
use proptest::prelude::*;

#[test]
fn inadmissible_polynomials_name_their_monomials() {
    let [w, l] = [0, 1].map(|i| Polynomial::variable(i).unwrap());
    let names = ["w", "l"];
    let square = w.times(&w).unwrap().plus(&l).unwrap();
    let Err(Inadmissible::Squared(monomials)) = square.indicator(2) else { panic!() };
    assert_eq!(monomials.iter().map(|m| m.shown(&names)).collect::<Vec<_>>(), ["w^2"]);
    let overlap = w.plus(&l).unwrap();
    let Err(Inadmissible::Value { vertex, value, monomials }) = overlap.indicator(2) else {
        panic!()
    };
    assert_eq!((vertex, value, monomials.len()), (3, 2, 2));
    let disjoint = overlap.minus(&w.times(&l).unwrap()).unwrap();
    assert_eq!(disjoint.indicator(2), Ok(Table::of_rows([1, 2, 3], 2)));
    assert_eq!(disjoint.shown(&names), "w + l - w * l");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn polynomials_count_models(f in table(4), seed in prop::array::uniform4(0i128..=8)) {
        let p = Polynomial::of_table(f, 4);
        prop_assert_eq!(p.indicator(4), Ok(f));
        let point = seed.map(|k| Rational::new(k, 8).unwrap());
        let mut sum = Rational::ZERO;
        for row in f.rows() {
            let weight = (0..4).fold(Rational::ONE, |product, i| {
                let p = if row >> i & 1 == 1 { point[i] } else { point[i].complement().unwrap() };
                product.times(p).unwrap()
            });
            sum = sum.plus(weight).unwrap();
        }
        prop_assert_eq!(p.eval(&point), Some(sum));
    }

    #[test]
    fn conjuncts_multiply_to_the_polynomial(f in table(4)) {
        let parts = conjuncts(f, 4);
        let and = parts.iter().fold(Table::full(4), |t, p| t & *p);
        prop_assert_eq!(and, f);
        let product = parts.iter().fold(Polynomial::constant(1), |product, part| {
            product.times(&Polynomial::of_table(*part, 4)).unwrap()
        });
        prop_assert_eq!(product, Polynomial::of_table(f, 4));
        for (i, a) in parts.iter().enumerate() {
            prop_assert!(parts[..i].iter().all(|b| a.support(4) & b.support(4) == 0));
            prop_assert_eq!(conjuncts(*a, 4), vec![*a]);
        }
    }

    #[test]
    fn reducing_keeps_rho(w in table(3), l in table(3), common in table(3)) {
        prop_assume!(!w.is_false() && !l.is_false() && !common.is_false());
        // A factor over atoms of its own cancels.
        let shift = |t: Table| t.remap(&[3, 4, 5], 6);
        let (wide_w, wide_l) = (w.extend(3, 6), l.extend(3, 6));
        let plain = Fraction::reduced(wide_w, wide_l, 6);
        let factor = shift(common);
        prop_assert_eq!(Fraction::reduced(wide_w & factor, wide_l & factor, 6), plain);
        let (t, b) = plain.polynomials(6);
        let (t0, b0) = (Polynomial::of_table(w, 3), Polynomial::of_table(l, 3));
        prop_assert_eq!(t.times(&b0), b.times(&t0));
    }

    #[test]
    fn rationals_compare_as_they_subtract(a in -50i128..50, b in 1i128..50, c in -50i128..50, d in 1i128..50) {
        let (x, y) = (Rational::new(a, b).unwrap(), Rational::new(c, d).unwrap());
        prop_assert_eq!(x.cmp(&y) as i32, x.minus(y).unwrap().signum());
        prop_assert_eq!(x.plus(y).unwrap().minus(y), Some(x));
        if !y.is_zero() {
            prop_assert_eq!(x.times(y).unwrap().over(y), Some(x));
        }
    }
}
