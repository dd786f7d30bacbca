//! Counting laws: circuits are well formed, and count as the definition does in every semiring.

use super::function::{Function, sides};
use super::{Circuit, Fraction, LogProb, Node, PrimeField, Probability, Semiring};
use crate::logic::Table;
use crate::mir::testing::Dice;
use proptest::prelude::*;

/// The sum over the satisfying rows, straight from the definition.
pub(super) fn brute_force<S: Semiring>(table: Table, weights: &[S]) -> S {
    let mut total = S::zero();
    for row in (0..1_usize << weights.len()).filter(|row| table.0 >> row & 1 == 1) {
        let mut product = S::one();
        for (i, w) in weights.iter().enumerate() {
            let factor = if row >> i & 1 == 1 { w.clone() } else { w.complement() };
            product = product.mul(&factor);
        }
        total = total.add(&product);
    }
    total
}

pub(super) const WEIGHTS: [(i128, i128); 6] = [(1, 5), (2, 7), (3, 4), (5, 9), (1, 2), (7, 11)];

pub(super) fn fractions(n: usize) -> Vec<Fraction> {
    WEIGHTS[..n].iter().map(|(a, b)| Fraction::new(*a, *b)).collect()
}

/// The function that a node computes, row by row.
fn meaning(circuit: &Circuit, node: usize) -> Function {
    let part = |i: &usize| meaning(circuit, *i);
    match &circuit.nodes()[node] {
        Node::Constant(true) => Function::TRUE,
        Node::Constant(false) => Function::FALSE,
        Node::Literal { atom, positive } => sides(*atom)[usize::from(!positive)].function(),
        Node::Product(parts) => parts.iter().map(part).fold(Function::TRUE, Function::and),
        Node::Sum(parts) => parts.iter().map(part).fold(Function::FALSE, Function::or),
        Node::Complement(i) => meaning(circuit, *i).not(),
    }
}

/// Products share no atom, sums no row, and the root is the function.
fn check_circuit(table: Table, n: usize) {
    let circuit = Circuit::from_table(table, n);
    assert_eq!(meaning(&circuit, circuit.root()), Function::of(table, n));
    for node in circuit.nodes() {
        let (parts, product) = match node {
            Node::Product(parts) => (parts, true),
            Node::Sum(parts) => (parts, false),
            _ => continue,
        };
        for (i, a) in parts.iter().enumerate() {
            for b in &parts[..i] {
                let (a, b) = (meaning(&circuit, *a), meaning(&circuit, *b));
                let shared = a.support().iter().any(|atom| b.support().contains(atom));
                assert!(!product || !shared, "a product is not decomposable: {circuit:?}");
                assert!(
                    product || a.and(b) == Function::FALSE,
                    "a sum is not exclusive: {circuit:?}"
                );
            }
        }
    }
}

fn check_counts(table: Table, n: usize) {
    let circuit = Circuit::from_table(table, n);
    let weights = fractions(n);
    let exact = brute_force(table, &weights);
    assert!(exact.parts().is_some(), "the fraction overflowed");
    assert_eq!(circuit.evaluate(&weights), exact, "{table:?} of {n}");
    let (p, q) = exact.parts().unwrap();
    let expected = p as f64 / q as f64;
    let floats: Vec<Probability> =
        WEIGHTS[..n].iter().map(|(a, b)| Probability(*a as f64 / *b as f64)).collect();
    assert!((circuit.evaluate(&floats).0 - expected).abs() < 1e-14);
    let logs: Vec<LogProb> =
        WEIGHTS[..n].iter().map(|(a, b)| LogProb((*a as f64 / *b as f64).ln())).collect();
    let log = circuit.evaluate(&logs).0;
    assert!((log.exp() - expected).abs() < 1e-14, "{table:?} of {n}: {log} for {expected}");
}

#[test]
fn every_function_of_three_atoms_counts_right() {
    for n in 0..=3 {
        for word in 0..1_u64 << (1 << n) {
            check_circuit(Table(word), n);
            check_counts(Table(word), n);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn random_functions_count_right(word in any::<u64>(), other in any::<u64>(), n in 4..=6_usize, seed in any::<u64>()) {
        let rows = 1_u32 << n;
        let mask = if rows == 64 { u64::MAX } else { (1 << rows) - 1 };
        // The conjunction makes sparse functions as likely as dense ones.
        for word in [word & mask, word & other & mask, (word | other) & mask] {
            check_circuit(Table(word), n);
            check_counts(Table(word), n);
            let mut dice = Dice(seed);
            let weights: Vec<PrimeField> = (0..n).map(|_| PrimeField::new(dice.bits())).collect();
            let count = Circuit::from_table(Table(word), n).evaluate(&weights);
            prop_assert_eq!(count, brute_force(Table(word), &weights));
        }
    }

    #[test]
    fn factors_are_disjoint_and_multiply_to_the_whole(word in any::<u64>(), other in any::<u64>()) {
        for f in [Function(word & other), Function(word), Function(word & 0xf0f0_f0f0_f0f0_f0f0)] {
            let factors = f.factors();
            prop_assert_eq!(factors.iter().copied().fold(Function::TRUE, Function::and), f);
            for (i, a) in factors.iter().enumerate() {
                for b in &factors[..i] {
                    prop_assert!(!a.support().iter().any(|atom| b.support().contains(atom)));
                }
                prop_assert_eq!(a.factors(), vec![*a]);
            }
        }
    }
}

#[test]
fn fractions_overflow_to_nothing() {
    let huge = Fraction::new(1, i128::MAX);
    assert_eq!(huge.mul(&huge).parts(), None);
    assert_eq!(Fraction::new(1, 0).parts(), None);
    assert_eq!(Fraction::new(i128::MIN, -2).parts(), None);
    assert_eq!(Fraction::new(6, -4).parts(), Some((-3, 2)));
}
