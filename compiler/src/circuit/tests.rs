//! Counting laws, and the accuracy of lowered ratios against high precision.

use super::function::{Function, sides};
use super::{Circuit, Fraction, LogProb, Node, PrimeField, Probability, Semiring};
use super::{lower_log, lower_ratio};
use crate::codegen::interp::{Batch, Big, Real, evaluate};
use crate::logic::Table;
use crate::mir::interval::Precision;
use crate::mir::testing::Dice;
use crate::mir::{Graph, Input, Interval, Level, NodeId, Op, Root, Stage, Unary, infix, verify};
use proptest::prelude::*;

type B = Big<256>;

/// The sum over the satisfying rows, straight from the definition.
fn brute_force<S: Semiring>(table: Table, weights: &[S]) -> S {
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

const FIFTHS: [(i128, i128); 6] = [(1, 5), (2, 7), (3, 4), (5, 9), (1, 2), (7, 11)];

fn fractions(n: usize) -> Vec<Fraction> {
    FIFTHS[..n].iter().map(|(a, b)| Fraction::new(*a, *b)).collect()
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
        FIFTHS[..n].iter().map(|(a, b)| Probability(*a as f64 / *b as f64)).collect();
    assert!((circuit.evaluate(&floats).0 - expected).abs() < 1e-14);
    let logs: Vec<LogProb> =
        FIFTHS[..n].iter().map(|(a, b)| LogProb((*a as f64 / *b as f64).ln())).collect();
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

/// A graph with inputs of the given names, and their nodes.
fn with_inputs(names: &[&str]) -> (Graph, Vec<NodeId>) {
    let mut graph = Graph::new("core");
    graph.stage = Stage::Total;
    for name in names {
        let differentiable = name.contains("pi");
        let (level, range) = (Level::Example, Interval::LOG_PROB);
        graph.inputs.push(Input { name: (*name).to_owned(), level, range, differentiable });
    }
    let atoms = (0..names.len()).map(|i| graph.add(Op::Input(i as u16))).collect();
    (graph, atoms)
}

const PAIR: [&str; 2] = ["logp(pi,w)", "logp(pi,l)"];
const QUAD: [&str; 4] = ["logp(pi,w)", "logp(pi,l)", "logp(ref,w)", "logp(ref,l)"];

/// rho as root `rho` and its logistic loss as root `loss`.
fn ratio_graph(names: &[&str], wins: Table, loses: Table) -> Graph {
    let (mut graph, atoms) = with_inputs(names);
    let rho = lower_ratio(wins, loses, &mut graph, &atoms);
    let minus = graph.unary(Unary::Neg, rho);
    let loss = graph.unary(Unary::Softplus, minus);
    graph.roots.push(Root { name: "rho".to_owned(), node: rho });
    graph.roots.push(Root { name: "loss".to_owned(), node: loss });
    assert_eq!(verify(&graph), Ok(()), "{wins:?}/{loses:?}");
    graph
}

fn run<T: Real>(graph: &Graph, columns: &[Vec<f64>]) -> Vec<Vec<T>> {
    let mut batch = Batch::<T>::new(columns[0].len());
    for (i, column) in columns.iter().enumerate() {
        batch.set(graph, i as u16, column).unwrap();
    }
    evaluate(graph, &[], &batch).unwrap()
}

/// log WMC in high precision, from the rows: their logs added exactly, their sum or that of the other
/// rows taken, whichever is the smaller.
fn exact_log(table: Table, point: &[f64]) -> B {
    let n = point.len();
    let sum = |word: u64| {
        let mut total = B::from_f64(0.0);
        for row in (0..1_usize << n).filter(|row| word >> row & 1 == 1) {
            let mut product = B::from_f64(1.0);
            for (i, x) in point.iter().enumerate() {
                let x = B::from_f64(*x);
                let w = if row >> i & 1 == 1 { x.exp() } else { x.exp_m1().neg() };
                product = product.mul(&w);
            }
            total = total.add(&product);
        }
        total
    };
    let mask = if n == 6 { u64::MAX } else { (1 << (1 << n)) - 1 };
    let inside = sum(table.0 & mask);
    if inside.to_f64() <= 0.5 { inside.ln() } else { sum(!table.0 & mask).neg().ln_1p() }
}

fn exact_loss(wins: Table, loses: Table, point: &[f64]) -> (B, B) {
    let rho = exact_log(wins, point).sub(&exact_log(loses, point));
    let loss = rho.neg().softplus();
    (rho, loss)
}

/// Log-probabilities of every magnitude from 1e-12 to 1e4, as the type rounds them.
fn log_prob(dice: &mut Dice, precision: Precision) -> f64 {
    let x = -10_f64.powf(dice.unit() * 16.0 - 12.0);
    if precision == Precision::F32 { f64::from(x as f32) } else { x }
}

/// All pairs of non-empty functions of two atoms.
fn two_atom_losses() -> impl Iterator<Item = (Table, Table)> {
    (1..16).flat_map(|t| (1..16).map(move |b| (Table(t), Table(b))))
}

/// The worst error of the loss over points, in units of 8 + 2 |rho| units in the last place.
fn worst(
    names: &[&str],
    wins: Table,
    loses: Table,
    points: &[Vec<f64>],
    precision: Precision,
) -> (f64, Vec<f64>) {
    let graph = ratio_graph(names, wins, loses);
    let columns: Vec<Vec<f64>> =
        (0..names.len()).map(|i| points.iter().map(|p| p[i]).collect()).collect();
    let computed: Vec<f64> = match precision {
        Precision::F64 => run::<f64>(&graph, &columns)[1].clone(),
        Precision::F32 => run::<f32>(&graph, &columns)[1].iter().map(|x| f64::from(*x)).collect(),
    };
    let mut worst = (0.0, Vec::new());
    for (point, computed) in points.iter().zip(computed) {
        let (rho, loss) = exact_loss(wins, loses, point);
        let error = loss.error_in_ulps(computed, precision) / (8.0 + 2.0 * rho.to_f64().abs());
        if error > worst.0 || error.is_nan() {
            worst = (error, point.clone());
        }
    }
    worst
}

fn independent_points(
    seed: u64,
    atoms: usize,
    count: usize,
    precision: Precision,
) -> Vec<Vec<f64>> {
    let mut dice = Dice(seed);
    (0..count).map(|_| (0..atoms).map(|_| log_prob(&mut dice, precision)).collect()).collect()
}

/// Points whose coordinates differ by a relative 1e-12 to 1: where like terms cancel.
fn close_points(seed: u64, atoms: usize, count: usize, precision: Precision) -> Vec<Vec<f64>> {
    let mut dice = Dice(seed);
    let mut point = || {
        let x = log_prob(&mut dice, precision);
        let mut coordinate = || {
            let y = x * (1.0 + 10_f64.powf(dice.unit() * 12.0 - 12.0));
            if precision == Precision::F32 { f64::from(y as f32) } else { y }
        };
        (0..atoms).map(|_| coordinate()).collect()
    };
    (0..count).map(|_| point()).collect()
}

#[test]
#[ignore]
fn report() {
    for precision in [Precision::F64, Precision::F32] {
        for (kind, points) in [
            ("independent", independent_points(1, 2, 400, precision)),
            ("close", close_points(2, 2, 400, precision)),
        ] {
            let mut failing = 0;
            let mut all: Vec<(f64, String)> = Vec::new();
            for (t, b) in two_atom_losses() {
                let (error, point) = worst(&PAIR, t, b, &points, precision);
                failing += usize::from(!(error <= 1.0));
                let graph = ratio_graph(&PAIR, t, b);
                let text = infix::infix(&graph, graph.roots[0].node);
                all.push((error, format!("{}/{} at {point:?}: {text}", t.0, b.0)));
            }
            all.sort_by(|a, b| b.0.total_cmp(&a.0));
            println!("{precision:?} {kind}: {failing} of {} fail", all.len());
            for (error, text) in all.iter().take(25) {
                println!("  {error:.2} {text}");
            }
        }
    }
}
