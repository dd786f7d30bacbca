//! The streaming kernels on random rows: any vocabulary, any alignment, every type of logits, against the
//! definition in f64.

use super::support::{Dice, Interpreter, compiler, load, module, store};
use ponens_compiler::codegen::cuda::stream::{Argument as Wanted, Kernel, Pass, Row};
use ponens_compiler::codegen::cuda::{Element, Lanes, Wants, prelude};
use ponens_compiler::lir::Statistic;
use ponens_compiler::lir::stream::{Position, gradient, normaliser, statistic};
use ponens_ptx::Module;
use ponens_runtime::kernel::{Argument, Machine};
use std::collections::HashMap;

const ALL: Wants = Wants { squares: true, entropy: true, kl_to: true, kl_from: true };

fn wants() -> Vec<Wants> {
    let none = Wants::default();
    vec![
        none,
        Wants { squares: true, ..none },
        Wants { entropy: true, ..none },
        Wants { kl_to: true, ..none },
        Wants { kl_from: true, ..none },
        ALL,
    ]
}

fn kernels() -> Vec<Kernel> {
    let mut list = Vec::new();
    for element in Element::ALL {
        for wants in wants() {
            if element != Element::F32 && wants != ALL && wants != Wants::default() {
                continue;
            }
            for lanes in [Lanes::Warp, Lanes::Block] {
                for pass in [Pass::Forward, Pass::Backward] {
                    list.push(Kernel { pass, element, lanes, wants });
                }
            }
        }
    }
    list
}

struct Case {
    element: Element,
    lanes: Lanes,
    wants: Wants,
    vocabulary: usize,
    targets: Vec<i32>,
    /// Bytes past an aligned address, for this model's logits and the other's.
    skew: [u8; 2],
}

struct Logits {
    bytes: Vec<u8>,
    values: Vec<f64>,
}

fn logits(case: &Case, dice: &mut Dice) -> Logits {
    let (mut bytes, mut values) = (Vec::new(), Vec::new());
    for _ in 0..case.targets.len() {
        let shift = dice.between(-30.0, 30.0);
        for _ in 0..case.vocabulary {
            // A few logits stand out, as in a model.
            let x = shift
                + if dice.below(50) == 0 {
                    dice.between(0.0, 12.0)
                } else {
                    dice.between(-8.0, 2.0)
                };
            let (b, v) = store(case.element, x);
            bytes.extend(b);
            values.push(v);
        }
    }
    Logits { bytes, values }
}

/// A number of a row, and the statistic that defines it.
type Defined = (Row, fn() -> Statistic);

const STATISTICS: [Defined; 5] = [
    (Row::Logp, || Statistic::TargetLogp),
    (Row::Squares, || Statistic::LogSumP2),
    (Row::Entropy, || Statistic::Entropy),
    (Row::KlTo, || Statistic::KlTo(String::new())),
    (Row::KlFrom, || Statistic::KlFrom(String::new())),
];

fn floats(bytes: &[u8]) -> Vec<f64> {
    load(Element::F32, bytes)
}

/// Runs forward and back, and compares both with the definition.
fn check(module: &Module, case: &Case, dice: &mut Dice) {
    let (own, other) = (logits(case, dice), logits(case, dice));
    let n = case.targets.len();
    let mut machine = Interpreter::new(module);
    machine.most_blocks = 1 + dice.below(3) as u32;
    let own_buffer = machine.memory.upload(&own.bytes, case.skew[0]);
    let other_buffer = machine.memory.upload(&other.bytes, case.skew[1]);
    let targets: Vec<u8> = case.targets.iter().flat_map(|t| t.to_le_bytes()).collect();
    let target_buffer = machine.memory.upload(&targets, 0);
    let kernel =
        |pass| Kernel { pass, element: case.element, lanes: case.lanes, wants: case.wants };
    let mut values = HashMap::new();
    for row in [Row::Logp, Row::Normaliser, Row::Squares, Row::Entropy, Row::KlTo, Row::KlFrom] {
        values.insert(row, machine.memory.reserve(4 * n, 0));
    }
    let position = |i: usize| {
        let range = i * case.vocabulary..(i + 1) * case.vocabulary;
        let target = usize::try_from(case.targets[i]).ok();
        Position { logits: &own.values[range.clone()], other: &other.values[range], target }
    };
    let others: Vec<f32> = (0..n).map(|i| normaliser(position(i).other) as f32).collect();
    let others: Vec<u8> = others.iter().flat_map(|x| x.to_le_bytes()).collect();
    values.insert(Row::OtherNormaliser, machine.memory.upload(&others, 0));
    let slopes: HashMap<Row, Vec<f32>> = STATISTICS
        .iter()
        .map(|(row, _)| (*row, (0..n).map(|_| dice.between(-1.0, 1.0) as f32).collect()))
        .collect();
    let mut slope_buffers = HashMap::new();
    for (row, slope) in &slopes {
        let bytes: Vec<u8> = slope.iter().flat_map(|x| x.to_le_bytes()).collect();
        slope_buffers.insert(*row, machine.memory.upload(&bytes, 0));
    }
    for pass in [Pass::Forward, Pass::Backward] {
        let kernel = kernel(pass);
        let arguments: Vec<Argument<'_, _>> = kernel
            .arguments()
            .iter()
            .map(|a| match a {
                Wanted::Rows => Argument::I64(n as i64),
                Wanted::Vocabulary => Argument::I64(case.vocabulary as i64),
                Wanted::Logits => Argument::Buffer(&own_buffer),
                Wanted::Other => Argument::Buffer(&other_buffer),
                Wanted::Target => Argument::Buffer(&target_buffer),
                Wanted::Value(row) => Argument::Buffer(&values[row]),
                Wanted::Slope(row) => Argument::Buffer(&slope_buffers[row]),
            })
            .collect();
        let blocks = n.div_ceil(kernel.rows_per_block()).max(1) as u32;
        machine.launch(&kernel.name(), blocks, &arguments).unwrap_or_else(|e| panic!("{e}"));
    }
    let label = || {
        let Case { element, lanes, wants, vocabulary, skew, .. } = case;
        format!("{element:?} {lanes:?} {wants:?} V = {vocabulary}, {n} rows, skew {skew:?}")
    };
    let wanted: Vec<&Defined> = STATISTICS
        .iter()
        .filter(|(row, _)| match row {
            Row::Squares => case.wants.squares,
            Row::Entropy => case.wants.entropy,
            Row::KlTo => case.wants.kl_to,
            Row::KlFrom => case.wants.kl_from,
            _ => true,
        })
        .collect();
    for (row, kind) in &wanted {
        let got = floats(machine.memory.bytes(values[row]));
        for (i, got) in got.iter().enumerate() {
            let want = statistic(&kind(), position(i));
            // Logits go to 44: a unit in their last place is 4e-6.
            let tolerance = 1e-5 + 2e-6 * want.abs();
            assert!(
                (got - want).abs() <= tolerance,
                "{} {row:?} of row {i}: {got}, exactly {want}",
                label()
            );
        }
    }
    let got = load(case.element, machine.memory.bytes(own_buffer));
    // Gradients are rounded to the logits' type.
    let (relative, absolute) = match case.element {
        Element::F32 => (1e-5, 1e-6),
        Element::Bf16 => (1e-2, 1e-6),
        Element::F16 => (2e-3, 1e-6),
    };
    for i in 0..n {
        let weighted: Vec<(Statistic, f64)> =
            wanted.iter().map(|(row, kind)| (kind(), f64::from(slopes[row][i]))).collect();
        let want = gradient(&weighted, position(i));
        for (v, want) in want.iter().enumerate() {
            let got = got[i * case.vocabulary + v];
            let error = (got - want).abs();
            assert!(
                error <= relative * want.abs() + absolute,
                "{} d/d logit {v} of row {i}: {got:e}, exactly {want:e}",
                label()
            );
        }
    }
}

fn targets(rows: usize, vocabulary: usize, dice: &mut Dice) -> Vec<i32> {
    let one = |dice: &mut Dice| if dice.below(4) == 0 { -1 } else { dice.below(vocabulary) as i32 };
    let mut list: Vec<i32> = (0..rows).map(|_| one(dice)).collect();
    if dice.below(8) == 0 {
        list.fill(-1);
    }
    list
}

#[test]
fn rows_of_any_length_and_alignment_give_the_definition() {
    let Some(compiler) = compiler() else { return };
    let source: String = kernels().iter().map(Kernel::text).collect();
    let module = module(compiler, &(prelude() + &source));
    let mut dice = Dice(21);
    let kernels: Vec<Kernel> = kernels().into_iter().filter(|k| k.pass == Pass::Forward).collect();
    for round in 0..6 {
        for kernel in &kernels {
            let Kernel { element, lanes, wants, .. } = *kernel;
            let vocabulary = match dice.below(6) {
                0 => 2 + dice.below(8),
                1 => 31 + dice.below(4),
                2 => 1003,
                _ => 2 + dice.below(1500),
            };
            let rows = if round == 0 { 0 } else { dice.below(12) };
            let step = element.bytes();
            let skew = [(dice.below(16 / step) * step) as u8, (dice.below(16 / step) * step) as u8];
            let targets = targets(rows, vocabulary, &mut dice);
            check(&module, &Case { element, lanes, wants, vocabulary, targets, skew }, &mut dice);
        }
    }
    // The largest vocabularies, rarely.
    for (element, vocabulary) in
        [(Element::F32, 49_152), (Element::Bf16, 152_064), (Element::F16, 151_937)]
    {
        let case = Case {
            element,
            lanes: Lanes::Block,
            wants: Wants::default(),
            vocabulary,
            targets: vec![7, -1],
            skew: [2 * element.bytes() as u8, 0],
        };
        check(&module, &case, &mut dice);
    }
}

/// p(target) rounds to 1 long before 1 - p rounds to 0.
#[test]
fn an_almost_certain_token_keeps_its_relative_accuracy() {
    let Some(compiler) = compiler() else { return };
    let kernels: Vec<Kernel> = kernels()
        .into_iter()
        .filter(|k| k.element == Element::F32 && k.wants == Wants::default())
        .collect();
    let source: String = kernels.iter().map(Kernel::text).collect();
    let module = module(compiler, &(prelude() + &source));
    let mut dice = Dice(33);
    let (rows, vocabulary) = (9usize, 1003usize);
    let targets: Vec<usize> = (0..rows).map(|_| dice.below(vocabulary)).collect();
    let mut own: Vec<f32> =
        (0..rows * vocabulary).map(|_| dice.between(-3.0, 3.0) as f32).collect();
    // From certain to one part in 10^26.
    for (i, t) in targets.iter().enumerate() {
        own[i * vocabulary + t] = 8.0 * i as f32;
    }
    let bytes = |v: &[f32]| -> Vec<u8> { v.iter().flat_map(|x| x.to_le_bytes()).collect() };
    for lanes in [Lanes::Warp, Lanes::Block] {
        let mut machine = Interpreter::new(&module);
        let logits = machine.memory.upload(&bytes(&own), 4);
        let of_targets = targets.iter().flat_map(|t| (*t as i32).to_le_bytes()).collect::<Vec<_>>();
        let of_targets = machine.memory.upload(&of_targets, 0);
        let [logp, normaliser] = [(); 2].map(|()| machine.memory.reserve(4 * rows, 0));
        let slopes = machine.memory.upload(&bytes(&vec![1.0; rows]), 0);
        for pass in [Pass::Forward, Pass::Backward] {
            let kernel = Kernel { pass, element: Element::F32, lanes, wants: Wants::default() };
            let arguments: Vec<Argument<'_, _>> = kernel
                .arguments()
                .iter()
                .map(|a| match a {
                    Wanted::Rows => Argument::I64(rows as i64),
                    Wanted::Vocabulary => Argument::I64(vocabulary as i64),
                    Wanted::Logits | Wanted::Other => Argument::Buffer(&logits),
                    Wanted::Target => Argument::Buffer(&of_targets),
                    Wanted::Value(Row::Logp) => Argument::Buffer(&logp),
                    Wanted::Value(_) => Argument::Buffer(&normaliser),
                    Wanted::Slope(_) => Argument::Buffer(&slopes),
                })
                .collect();
            machine.launch(&kernel.name(), 2, &arguments).unwrap_or_else(|e| panic!("{e}"));
        }
        let got = floats(machine.memory.bytes(logp));
        let slopes = floats(machine.memory.bytes(logits));
        for (i, t) in targets.iter().enumerate() {
            let row = &own[i * vocabulary..(i + 1) * vocabulary];
            let others = row.iter().enumerate().filter(|(v, _)| v != t);
            let odds: f64 = others.map(|(_, x)| (f64::from(*x) - f64::from(row[*t])).exp()).sum();
            let (want, rest) = (-odds.ln_1p(), odds / (1.0 + odds));
            assert!((got[i] - want).abs() <= 1e-5 * want.abs(), "{} and {want}", got[i]);
            let slope = slopes[i * vocabulary + t];
            assert!((slope - rest).abs() <= 1e-5 * rest, "{slope:e} and {rest:e}");
        }
    }
}

#[test]
fn sums_of_a_thousand_bf16_tokens_are_within_a_thousandth_of_a_nat() {
    let Some(compiler) = compiler() else { return };
    let kernel = Kernel {
        pass: Pass::Forward,
        element: Element::Bf16,
        lanes: Lanes::Warp,
        wants: Wants::default(),
    };
    let module = module(compiler, &(prelude() + &kernel.text()));
    let (rows, vocabulary) = (1024, 500);
    let mut dice = Dice(31);
    let case = Case {
        element: Element::Bf16,
        lanes: Lanes::Warp,
        wants: Wants::default(),
        vocabulary,
        targets: (0..rows).map(|_| dice.below(vocabulary) as i32).collect(),
        skew: [0, 0],
    };
    let own = logits(&case, &mut dice);
    let mut machine = Interpreter::new(&module);
    let upload = |m: &mut Interpreter<'_>, bytes: Vec<u8>| m.memory.upload(&bytes, 0);
    let targets = case.targets.iter().flat_map(|t| t.to_le_bytes()).collect();
    let (targets, logits) =
        (upload(&mut machine, targets), upload(&mut machine, own.bytes.clone()));
    let (logp, lse) = (machine.memory.reserve(4 * rows, 0), machine.memory.reserve(4 * rows, 0));
    let arguments = [
        Argument::I64(rows as i64),
        Argument::I64(vocabulary as i64),
        Argument::Buffer(&logits),
        Argument::Buffer(&targets),
        Argument::Buffer(&logp),
        Argument::Buffer(&lse),
    ];
    machine.launch(&kernel.name(), 128, &arguments).expect("runs");
    let start = upload(&mut machine, 0i64.to_le_bytes().to_vec());
    let end = upload(&mut machine, (rows as i64).to_le_bytes().to_vec());
    let column = machine.memory.reserve(4, 0);
    let arguments = [
        Argument::I64(1),
        Argument::Buffer(&start),
        Argument::Buffer(&end),
        Argument::Buffer(&targets),
        Argument::Buffer(&logp),
        Argument::I32(0),
        Argument::Buffer(&column),
    ];
    machine.launch("ponens_sequence_sum", 1, &arguments).expect("runs");
    let exact: f64 = (0..rows)
        .map(|i| {
            let row = &own.values[i * vocabulary..(i + 1) * vocabulary];
            row[case.targets[i] as usize] - normaliser(row)
        })
        .sum();
    let got = floats(machine.memory.bytes(column))[0];
    assert!((got - exact).abs() <= 1e-3, "{got}, exactly {exact}");
    println!("sum of {rows} bf16 tokens: {got}, off by {:e}", (got - exact).abs());
}
