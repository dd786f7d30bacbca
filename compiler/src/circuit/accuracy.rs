//! The accuracy of lowered logs and ratios against high precision, and how the lattice reads.

use super::tests::{WEIGHTS, brute_force, fractions};
use super::{Circuit, lower_log, lower_ratio};
use crate::codegen::interp::{Batch, Big, Real, evaluate};
use crate::logic::Table;
use crate::mir::interval::Precision;
use crate::mir::testing::Dice;
use crate::mir::{Graph, Input, Interval, Level, NodeId, Op, Root, Stage, Unary, infix, verify};
use proptest::prelude::*;

type B = Big<256>;

/// A graph with inputs of the given names, and their nodes.
pub(super) fn with_inputs(names: &[&str]) -> (Graph, Vec<NodeId>) {
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

pub(super) const PAIR: [&str; 2] = ["logp(pi,w)", "logp(pi,l)"];
pub(super) const QUAD: [&str; 4] = ["logp(pi,w)", "logp(pi,l)", "logp(ref,w)", "logp(ref,l)"];

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

pub(super) fn run<T: Real>(graph: &Graph, columns: &[Vec<f64>]) -> Vec<Vec<T>> {
    let mut batch = Batch::<T>::new(columns[0].len());
    for (i, column) in columns.iter().enumerate() {
        batch.set(graph, i as u16, column).unwrap();
    }
    evaluate(graph, &[], &batch).unwrap()
}

/// A point with the weight of every row in high precision.
pub(super) struct Point {
    pub(super) at: Vec<f64>,
    pub(super) rows: Vec<B>,
}

impl Point {
    pub(super) fn new(at: Vec<f64>) -> Self {
        let sides: Vec<[B; 2]> =
            at.iter().map(|x| B::from_f64(*x)).map(|x| [x.exp_m1().neg(), x.exp()]).collect();
        let row = |r: usize| {
            let factors = sides.iter().enumerate().map(|(i, side)| &side[r >> i & 1]);
            factors.fold(B::from_f64(1.0), |product, w| product.mul(w))
        };
        let rows = (0..1_usize << at.len()).map(row).collect();
        Self { at, rows }
    }

    /// log WMC from the definition: the sum of the rows or of the other rows, whichever is smaller.
    pub(super) fn log(&self, table: Table) -> B {
        let sum = |inside: bool| {
            let chosen =
                self.rows.iter().enumerate().filter(|(r, _)| (table.0 >> r & 1 == 1) == inside);
            chosen.fold(B::from_f64(0.0), |sum, (_, w)| sum.add(w))
        };
        let inside = sum(true);
        if inside.to_f64() <= 0.5 { inside.ln() } else { sum(false).neg().ln_1p() }
    }
}

/// Log-probabilities of every magnitude from 1e-12 to 1e4, as the type rounds them.
pub(super) fn log_prob(dice: &mut Dice, precision: Precision) -> f64 {
    let x = -10_f64.powf(dice.unit() * 16.0 - 12.0);
    if precision == Precision::F32 { f64::from(x as f32) } else { x }
}

/// All pairs of non-empty functions of two atoms.
fn two_atom_losses() -> impl Iterator<Item = (Table, Table)> {
    (1..16).flat_map(|t| (1..16).map(move |b| (Table(t), Table(b))))
}

/// The two-atom lattice: name, T and B, where bit 0 of a row is w and bit 1 is l.
pub(super) const LATTICE: [(&str, u64, u64); 16] = [
    ("ORPO", 0b0010, 0b0100),
    ("cUNL", 0b0010, 0b1100),
    ("l3", 0b0010, 0b0101),
    ("CEUnl", 0b0010, 0b1101),
    ("cCPO", 0b1010, 0b0100),
    ("CPO", 0b1010, 0b1100),
    ("CE", 0b1010, 0b0101),
    ("sCE", 0b1010, 0b1101),
    ("cfUNL", 0b0011, 0b0100),
    ("fUNL", 0b0011, 0b1100),
    ("qfUNL", 0b0011, 0b0101),
    ("l20", 0b0011, 0b1101),
    ("unCPO", 0b1011, 0b0100),
    ("l14", 0b1011, 0b1100),
    ("bCPO", 0b1011, 0b0101),
    ("l5", 0b1011, 0b1101),
];

/// The reference version: T & ref(l) over B & ref(w), with the reference's atoms as bits 2 and 3.
pub(super) fn with_reference(wins: u64, loses: u64) -> (Table, Table) {
    let four = |word: u64| (0..4).fold(0, |all, i| all | word << (4 * i));
    (Table(four(wins) & 0xff00), Table(four(loses) & 0xf0f0))
}

/// Points, with the rows of each in high precision.
struct Sample {
    precision: Precision,
    points: Vec<Point>,
}

impl Sample {
    /// `count` points; with `close` their coordinates differ by a relative 1e-12 to 1, so that like terms
    /// cancel.
    fn new(seed: u64, atoms: usize, count: usize, close: bool, precision: Precision) -> Self {
        let mut dice = Dice(seed);
        let rounded = |x: f64| if precision == Precision::F32 { f64::from(x as f32) } else { x };
        let mut point = || -> Vec<f64> {
            let x = log_prob(&mut dice, precision);
            let mut coordinate = || {
                if close {
                    rounded(x * (1.0 + 10_f64.powf(dice.unit() * 12.0 - 12.0)))
                } else {
                    log_prob(&mut dice, precision)
                }
            };
            (0..atoms).map(|_| coordinate()).collect()
        };
        Self { precision, points: (0..count).map(|_| Point::new(point())).collect() }
    }

    /// Points of four atoms where the reference tracks the policy, and the two responses differ.
    fn tracking(seed: u64, count: usize, precision: Precision) -> Self {
        let mut dice = Dice(seed);
        let rounded = |x: f64| if precision == Precision::F32 { f64::from(x as f32) } else { x };
        let mut point = || -> Vec<f64> {
            let responses = [log_prob(&mut dice, precision), log_prob(&mut dice, precision)];
            let mut near = |x: f64| rounded(x * (1.0 + dice.unit() * 1e-3));
            let reference = [near(responses[0]), near(responses[1])];
            vec![responses[0], responses[1], reference[0], reference[1]]
        };
        Self { precision, points: (0..count).map(|_| Point::new(point())).collect() }
    }

    /// The worst error of a logistic loss, in units of 8 + 2 |rho| + `slack` units in the last place, and
    /// where. `slack` is a function of the point.
    fn worst(
        &self,
        names: &[&str],
        (wins, loses): (Table, Table),
        slack: impl Fn(&[f64]) -> f64,
    ) -> (f64, Vec<f64>) {
        let graph = ratio_graph(names, wins, loses);
        let columns: Vec<Vec<f64>> =
            (0..names.len()).map(|i| self.points.iter().map(|p| p.at[i]).collect()).collect();
        let computed: Vec<f64> = match self.precision {
            Precision::F64 => run::<f64>(&graph, &columns)[1].clone(),
            Precision::F32 => {
                run::<f32>(&graph, &columns)[1].iter().map(|x| f64::from(*x)).collect()
            }
        };
        let mut worst = (0.0, Vec::new());
        for (point, computed) in self.points.iter().zip(computed) {
            let rho = point.log(wins).sub(&point.log(loses));
            let error = rho.neg().softplus().error_in_ulps(computed, self.precision);
            let error = error / (8.0 + 2.0 * rho.to_f64().abs() + slack(&point.at));
            if error > worst.0 || error.is_nan() {
                worst = (error, point.at.clone());
            }
        }
        worst
    }
}

/// The largest |log(1 - p)| of a point: an error of that many units is in every log-space formula
/// that holds log(1 - p) as one number.
fn log_of_doubt(point: &[f64]) -> f64 {
    point.iter().map(|x| Real::log1mexp(x).abs()).fold(0.0, f64::max)
}

const BOTH: [Precision; 2] = [Precision::F64, Precision::F32];

#[test]
fn every_two_atom_loss_is_accurate() {
    for precision in BOTH {
        let mut sample = Sample::new(1, 2, 4, false, precision);
        sample.points.extend(Sample::new(2, 2, 2, true, precision).points);
        // Where no probability is within 1 % of one, log(1 - p) is small and no slack is needed.
        let mut strict = Sample::new(3, 2, 80, false, precision);
        strict.points.retain(|p: &Point| p.at.iter().all(|x| *x < -0.01));
        strict.points.truncate(5);
        assert_eq!(strict.points.len(), 5);
        for pair in two_atom_losses() {
            let (error, at) = sample.worst(&PAIR, pair, log_of_doubt);
            assert!(error <= 1.0, "{pair:?} at {at:?} in {precision:?}: {error}");
            let (error, at) = strict.worst(&PAIR, pair, |_| 0.0);
            assert!(error <= 1.0, "{pair:?} at {at:?} in {precision:?}: {error}");
        }
    }
}

#[test]
fn losses_of_four_atoms_are_accurate() {
    let mut dice = Dice(5);
    let lattice = LATTICE.map(|(_, t, b)| with_reference(t, b));
    let mut any = |sparse: bool| loop {
        let table = dice.bits() & if sparse { dice.bits() } else { u64::MAX } & 0xffff;
        if table != 0 {
            return Table(table);
        }
    };
    let random: Vec<_> = (0..24).map(|i| (any(i % 2 == 0), any(i % 2 == 0))).collect();
    for precision in BOTH {
        let samples = [
            Sample::new(7, 4, 8, false, precision),
            Sample::new(7, 4, 8, true, precision),
            Sample::tracking(7, 8, precision),
        ];
        for sample in samples {
            for pair in lattice.iter().chain(&random) {
                let (error, at) = sample.worst(&QUAD, *pair, log_of_doubt);
                assert!(error <= 1.0, "{pair:?} at {at:?} in {precision:?}: {error}");
            }
        }
    }
}

#[test]
fn the_border_of_the_cube_gives_limits() {
    let edges = [-0.0, -1e-12, -1.0, -1e4];
    for (name, t, b) in LATTICE {
        let graph = ratio_graph(&PAIR, Table(t), Table(b));
        for (w, l) in edges.iter().flat_map(|w| edges.iter().map(move |l| (*w, *l))) {
            let point = Point::new(vec![w, l]);
            let (over, under) = (point.log(Table(t)), point.log(Table(b)));
            let exact = over.sub(&under).to_f64();
            let rho = run::<f64>(&graph, &[vec![w], vec![l]])[0][0];
            if exact.is_nan() {
                // Both counts are 0.
                continue;
            }
            // At a probability of exactly one the doubt in a cube can underflow to none, which makes a
            // large rho infinite.
            let saturated = rho.is_infinite() && w * l == 0.0 && rho * exact > 700.0;
            let close = rho == exact || (rho - exact).abs() < 1e-14 * (30.0 + exact.abs());
            assert!(close || saturated, "{name} at {w}, {l}: {rho} for {exact}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn lowered_logs_are_accurate(word in 1..0xffff_u64, sparse in any::<u64>(), seed in any::<u64>()) {
        for word in [word, word & sparse, word | sparse & 0xffff] {
            let (mut graph, atoms) = with_inputs(&QUAD);
            let node = lower_log(&Circuit::from_table(Table(word), 4), &mut graph, &atoms);
            graph.roots.push(Root { name: "log".to_owned(), node });
            prop_assert_eq!(verify(&graph), Ok(()));
            let point = Sample::new(seed, 4, 1, false, Precision::F64).points.remove(0);
            let columns: Vec<Vec<f64>> = point.at.iter().map(|x| vec![*x]).collect();
            let (computed, exact) = (run::<f64>(&graph, &columns)[0][0], point.log(Table(word)));
            let error = exact.sub(&B::from_f64(computed)).abs().to_f64();
            let scale = 1.0 + exact.to_f64().abs();
            prop_assert!(word == 0 || error <= 8.0 * f64::EPSILON * scale, "{word:x} at {:?}: {computed}, off by {error:e}", point.at);
        }
    }

    #[test]
    fn ratios_of_up_to_six_atoms_agree_with_the_counts(t in any::<u64>(), b in any::<u64>(), n in 1..=6_usize, sparse in any::<bool>()) {
        let narrow = |x: u64| if sparse { x & x.rotate_left(17) & x.rotate_left(31) } else { x };
        let names = ["a0", "a1", "a2", "a3", "a4", "a5"];
        let rows = 1_u32 << n;
        let mask = if rows == 64 { u64::MAX } else { (1 << rows) - 1 };
        let (t, b) = (Table(narrow(t) & mask), Table(narrow(b) & mask));
        prop_assume!(t.0 != 0 && b.0 != 0);
        let graph = ratio_graph(&names[..n], t, b);
        let weights = fractions(n);
        let ratio = |(a, c): (i128, i128)| (a as f64 / c as f64).ln();
        let log = |table| brute_force(table, &weights).parts().map(ratio).unwrap();
        let columns: Vec<Vec<f64>> =
            WEIGHTS[..n].iter().map(|(a, c)| vec![(*a as f64 / *c as f64).ln()]).collect();
        let rho = run::<f64>(&graph, &columns)[0][0];
        prop_assert!((rho - (log(t) - log(b))).abs() < 1e-12, "{t:?}/{b:?}: {rho}");
    }
}

#[test]
fn impossible_sides_are_infinite() {
    let value = |t, b| {
        let graph = ratio_graph(&PAIR, Table(t), Table(b));
        run::<f64>(&graph, &[vec![-1.0], vec![-2.0]])[0][0]
    };
    assert_eq!(value(0, 5), f64::NEG_INFINITY);
    assert_eq!(value(5, 0), f64::INFINITY);
    assert_eq!((value(6, 6), value(0, 0)), (0.0, 0.0));
    assert_eq!(value(15, 15), 0.0);
}

#[test]
fn the_lattice_reads_well() {
    let mut text = String::new();
    let mut line = |name: String, names: &[&str], (t, b): (Table, Table)| {
        let graph = ratio_graph(names, t, b);
        let formula = infix::infix(&graph, graph.roots[0].node).replace('\n', "\n    ");
        text.push_str(&format!("{name}:\n    {formula}\n"));
    };
    for (name, t, b) in LATTICE {
        line(name.to_owned(), &PAIR, (Table(t), Table(b)));
    }
    for (name, t, b) in LATTICE {
        line(format!("{name}_ref"), &QUAD, with_reference(t, b));
    }
    insta::assert_snapshot!(text);
}
