//! Random losses on random logits, from end to end: the kernels on the interpreter of PTX, the fused
//! operations on the CPU, the interpreters of plans and graphs, and the definition in f64 and in high precision.
//!
//! A wrong loss can come from any of three parts, so each is held against its own exact value on the
//! numbers that the part before it gave: the columns against the logits, value and slopes of the columns
//! against the graph, the gradient of the logits against those slopes. No bound hides behind another.

use super::random::{Case, interpret, random_texts};
use super::support::{Dice, Interpreter, Noisy, agrees, compiler, load, module, reseed, store};
use half::{bf16, f16};
use ponens_compiler::codegen::cuda::stream::{Kernel, kernels};
use ponens_compiler::codegen::cuda::{Element, example, prelude};
use ponens_compiler::codegen::interp::{Batch, Big, Real, evaluate};
use ponens_compiler::lir::stream::{Position, gradient, statistic};
use ponens_compiler::lir::{self, Source, Statistic};
use ponens_ptx::Module;
use ponens_runtime::kernel::{Logits, Rows, Step, step};
use ponens_runtime::logprob::{self, Each, Logit};
use ponens_runtime::op::{Column, Columns, GraphKernel, TokenRows, fused};
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// Losses in all; every one has its own shape.
const LOSSES: usize = 36;
const EXAMPLES: usize = 3;
const RESPONSES: [&str; 2] = ["w", "l"];

/// What a batch may look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Shape {
    /// Some responses empty, some rows that do not count.
    Ragged,
    /// No token at all.
    Empty,
    /// Tokens, none of which counts.
    Masked,
}

/// Logits of two models and what their rows predict.
struct World {
    element: Element,
    vocabulary: usize,
    shape: Shape,
    /// By model, as stored.
    bytes: [Vec<u8>; 2],
    /// By model, exactly.
    values: [Vec<f64>; 2],
    targets: Vec<i32>,
    /// By response and example.
    ranges: [Vec<Range<usize>>; 2],
}

fn world(round: usize, dice: &mut Dice) -> World {
    let shape = match round % 9 {
        4 => Shape::Empty,
        7 => Shape::Masked,
        _ => Shape::Ragged,
    };
    let vocabulary = match round {
        // The largest vocabularies of models, and the longest row of one warp and the next.
        0 => 152_064,
        1 => 49_152,
        _ if round % 6 == 2 => 2 + dice.below(8),
        _ if round % 6 == 3 => 1023 + dice.below(4),
        _ => 2 + dice.below(900),
    };
    let most = if vocabulary > 2000 { 2 } else { 8 };
    let mut targets = Vec::new();
    let ranges = RESPONSES.map(|_| {
        let one = |e: usize| {
            let start = targets.len();
            let tokens = match shape {
                Shape::Empty => 0,
                _ if vocabulary > 2000 => usize::from(e == 1),
                _ => dice.below(most),
            };
            for _ in 0..tokens {
                let counts = shape != Shape::Masked && (dice.below(5) > 0 || vocabulary > 2000);
                targets.push(if counts { dice.below(vocabulary) as i32 } else { -1 });
            }
            start..targets.len()
        };
        (0..EXAMPLES).map(one).collect()
    });
    let element = Element::ALL[(round + round / 9) % 3];
    let mut models = [(); 2].map(|()| {
        let number = |_| {
            // A few logits stand out, as in a model.
            let out = if dice.below(40) == 0 { 9.0 } else { 0.0 };
            store(element, dice.between(-6.0, 3.0) + out)
        };
        let all: Vec<(Vec<u8>, f64)> = (0..targets.len() * vocabulary).map(number).collect();
        let values = all.iter().map(|(_, v)| *v).collect::<Vec<f64>>();
        (all.into_iter().flat_map(|(b, _)| b).collect::<Vec<u8>>(), values)
    });
    let [own, other] = &mut models;
    let (bytes, values) = (
        [std::mem::take(&mut own.0), std::mem::take(&mut other.0)],
        [std::mem::take(&mut own.1), std::mem::take(&mut other.1)],
    );
    World { element, vocabulary, shape, bytes, values, targets, ranges }
}

impl World {
    fn position(&self, model: usize, row: usize) -> Position<'_, f64> {
        let range = row * self.vocabulary..(row + 1) * self.vocabulary;
        let target = usize::try_from(self.targets[row]).ok();
        Position { logits: &self.values[model][range], other: &[], target }
    }

    /// The rows of a response that count.
    fn rows(&self, response: usize, example: usize) -> Vec<usize> {
        self.ranges[response][example].clone().filter(|r| self.targets[*r] >= 0).collect()
    }

    /// A column by its definition, and how far f32 statistics of its rows may lie from it.
    fn column(&self, source: &Source, example: usize) -> Option<(f64, f64)> {
        let Source::Tokens(sum) = source else { return None };
        let model = usize::from(sum.model == "ref");
        let response = RESPONSES.iter().position(|r| *r == sum.response)?;
        let rows = self.rows(response, example);
        let logp = |r: &usize| statistic(&Statistic::TargetLogp, self.position(model, *r));
        let all: Vec<f64> = rows.iter().map(logp).collect();
        let count = if sum.mean { rows.len().max(1) as f64 } else { 1.0 };
        let slack: f64 = all.iter().map(|x| 1e-5 + 2e-6 * x.abs()).sum();
        Some((all.iter().sum::<f64>() / count, slack / count))
    }

    /// d loss / d logits of the policy from d loss / d column: `slopes[input][example]`.
    fn gradient(&self, case: &Case, slopes: &HashMap<usize, Vec<f64>>) -> Vec<f64> {
        let mut out = vec![0.0; self.values[0].len()];
        for (input, source) in case.plan.sources.iter().enumerate() {
            let (Source::Tokens(sum), Some(slopes)) = (source, slopes.get(&input)) else {
                continue;
            };
            let response = RESPONSES.iter().position(|r| *r == sum.response);
            let (Some(response), "pi") = (response, sum.model.as_str()) else { continue };
            for (e, slope) in slopes.iter().enumerate() {
                let rows = self.rows(response, e);
                let slope = slope / if sum.mean { rows.len().max(1) as f64 } else { 1.0 };
                for r in rows {
                    let of_row = gradient(&[(Statistic::TargetLogp, slope)], self.position(0, r));
                    for (to, x) in out[r * self.vocabulary..].iter_mut().zip(of_row) {
                        *to += x;
                    }
                }
            }
        }
        out
    }

    fn check_gradient(&self, what: &str, got: &[f64], want: &[f64]) {
        let largest = want.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
        let relative = match self.element {
            Element::F32 => 1e-5,
            Element::Bf16 => 1e-2,
            Element::F16 => 2e-3,
        };
        // The smallest steps of f16 near 0 are 6e-8.
        let absolute = 2e-6 * largest + if self.element == Element::F16 { 6e-8 } else { 0.0 };
        assert_eq!(got.len(), want.len());
        for (i, (got, want)) in got.iter().zip(want).enumerate() {
            let bound = relative * want.abs() + absolute;
            assert!((got - want).abs() <= bound, "{what} d logit {i}: {got:e}, exactly {want:e}");
        }
    }
}

/// The inputs with a gradient, with the place of their roots among the outputs.
fn slopes(case: &Case, of: impl Fn(usize, usize) -> f64) -> HashMap<usize, Vec<f64>> {
    let names: Vec<&str> = case.plan.outputs().iter().map(|(n, _)| n.as_str()).collect();
    let inputs = case.plan.header.inputs.iter().enumerate();
    let with_root = inputs.filter_map(|(i, input)| {
        let root = names.iter().position(|n| n.strip_prefix("d/") == Some(input.name.as_str()))?;
        Some((i, (0..EXAMPLES).map(|e| of(root, e)).collect()))
    });
    with_root.collect()
}

/// Value and slopes of the columns against the interpreters in f32; how many were compared in earnest.
fn check_values(name: &str, case: &Case, params: &[f64], step: &Step) -> usize {
    let columns: Vec<Vec<f32>> = step.columns.iter().map(|(_, v)| v.clone()).collect();
    let plain = interpret::<f32>(&case.graph, params, &columns, EXAMPLES);
    let planned = lir::evaluate::<f32>(&case.plan, params, &columns, EXAMPLES);
    let planned = planned.unwrap_or_else(|e| panic!("{name}: {e}"));
    let noisy: Vec<_> = (0..4)
        .map(|seed| {
            reseed(seed);
            interpret::<Noisy>(&case.graph, params, &columns, EXAMPLES)
        })
        .collect();
    let mut compared = 0;
    for (r, (root, values)) in step.outputs.iter().enumerate() {
        for (e, value) in values.iter().enumerate() {
            let at = |v: &[f32]| v[e.min(v.len() - 1)];
            let runs: Vec<f32> = noisy.iter().map(|n| at(&n[r])).collect();
            let what = format!("{name} {root}[{e}]");
            compared += usize::from(agrees(&what, *value, at(&plain[r]), &runs));
            agrees(&format!("the plan of {what}"), planned[r].1[e], at(&plain[r]), &runs);
        }
    }
    compared
}

/// The step on the interpreter of PTX.
fn on_machine(name: &str, case: &Case, world: &World, module: &Module, dice: &mut Dice) -> usize {
    let params: Vec<f64> =
        case.graph.params.iter().map(|p| p.default.expect("a default")).collect();
    let rows = Rows {
        examples: EXAMPLES,
        vocabulary: world.vocabulary,
        element: world.element,
        logits: vec![
            Logits { model: "pi", bytes: &world.bytes[0] },
            Logits { model: "ref", bytes: &world.bytes[1] },
        ],
        targets: &world.targets,
        responses: RESPONSES.iter().copied().zip(world.ranges.clone()).collect(),
        data: Vec::new(),
    };
    let mut machine = Interpreter::new(module);
    // Numbers of 8 bytes are aligned, 16-byte loads are not.
    machine.skew = 8 * dice.below(2) as u8;
    let step = step(&mut machine, &case.plan, &params, &rows);
    let step = step.unwrap_or_else(|e| panic!("{name}: {e}"));
    for ((column, got), source) in step.columns.iter().zip(&case.plan.sources) {
        for (e, got) in got.iter().enumerate() {
            let Some((want, slack)) = world.column(source, e) else { continue };
            let error = (f64::from(*got) - want).abs();
            assert!(error <= slack + 1e-7 * want.abs(), "{name} {column}[{e}]: {got}, not {want}");
        }
    }
    let compared = check_values(name, case, &params, &step);
    let output = |root: usize, e: usize| f64::from(step.outputs[root].1[e]);
    let scale = if case.plan.is_scalar_output("loss") { 1.0 } else { 1.0 / EXAMPLES as f64 };
    let slopes = slopes(case, |root, e| output(root, e) * scale);
    if slopes.values().flatten().all(|d| d.is_finite()) {
        let want = world.gradient(case, &slopes);
        for (_, bytes) in &step.gradients {
            world.check_gradient(name, &load(world.element, bytes), &want);
        }
    }
    compared
}

/// The same through the fused operations on the CPU.
fn on_cpu<L: Logit>(name: &str, case: &Case, world: &World, number: fn(f64) -> L) {
    let kernel = GraphKernel::new(&case.graph, &HashMap::new()).expect("a kernel");
    // Response r of example e is sequence 2 e + r.
    let mut sequence = vec![None; world.targets.len()];
    for (r, ranges) in world.ranges.iter().enumerate() {
        for (e, range) in ranges.iter().enumerate() {
            range.clone().for_each(|row| sequence[row] = Some((2 * e + r) as u32));
        }
    }
    let counts = |(s, t): (Option<u32>, &i32)| s.filter(|_| *t >= 0);
    let sequence = sequence.into_iter().zip(&world.targets).map(counts).collect();
    let targets = world.targets.iter().map(|t| t.cast_unsigned()).collect();
    let rows = TokenRows::new(targets, sequence, 2 * EXAMPLES).expect("rows");
    let [own, reference] =
        [0, 1].map(|m: usize| world.values[m].iter().map(|x| number(*x)).collect::<Vec<L>>());
    let v = world.vocabulary;
    let wanted = Each::new(|s| s == logprob::Statistic::LogProb);
    let sums = |logits: &[L]| {
        let all = fused::sequence_statistics(logits, None, v, &rows, wanted).expect("sums");
        all[logprob::Statistic::LogProb].clone()
    };
    let of_reference = sums(&reference);
    let column = |source: &Source| {
        let Source::Tokens(sum) = source else { panic!("{name} has data") };
        let r = RESPONSES.iter().position(|r| *r == sum.response).expect("a response");
        let sequences: Vec<usize> = (0..EXAMPLES).map(|e| 2 * e + r).collect();
        let mean = |s: &usize| {
            of_reference[*s] / if sum.mean { rows.lengths()[*s].max(1) as f64 } else { 1.0 }
        };
        match (sum.model.as_str(), sum.mean) {
            ("ref", _) => Column::Given(sequences.iter().map(mean).collect()),
            (_, false) => Column::Sum(sequences),
            (_, true) => Column::Mean(sequences),
        }
    };
    let columns = case.plan.sources.iter().map(column).collect();
    let columns = Columns::new(columns, rows.lengths().to_vec()).expect("columns");
    let numbers = columns.resolve(&sums(&own)).expect("columns");
    for (i, (source, got)) in case.plan.sources.iter().zip(&numbers).enumerate() {
        for (e, got) in got.iter().enumerate() {
            let Some((want, slack)) = world.column(source, e) else { continue };
            assert!((got - want).abs() <= slack, "{name} column {i}[{e}]: {got}, not {want}");
        }
    }
    let mut logits = own;
    let value = fused::loss_and_gradient_in_place(&mut logits, v, &rows, &columns, &kernel);
    let value = value.unwrap_or_else(|e| panic!("{name} on the CPU: {e}"));
    let mut batch = Batch::<Big>::new(EXAMPLES);
    for (i, column) in numbers.iter().enumerate() {
        batch.set(&case.graph, i as u16, column).expect("a column");
    }
    let params: Vec<f64> =
        case.graph.params.iter().map(|p| p.default.expect("a default")).collect();
    let exact = evaluate(&case.graph, &params, &batch).expect("total");
    let size = numbers.iter().flatten().fold(1.0_f64, |m, x| m.max(x.abs()));
    for (e, got) in value.loss.iter().enumerate() {
        let want = exact[0][e.min(exact[0].len() - 1)].to_f64();
        let same = *got == want || (got.is_nan() && want.is_nan());
        assert!(
            same || (got - want).abs() <= 1e-12 * size * size,
            "{name}[{e}]: {got}, not {want}"
        );
    }
    let slopes: HashMap<usize, Vec<f64>> = (value.grads.iter().enumerate())
        .filter_map(|(i, g)| Some((i, g.as_ref()?.iter().map(|g| g / EXAMPLES as f64).collect())))
        .collect();
    if slopes.values().flatten().all(|d: &f64| d.is_finite()) {
        let got: Vec<f64> = logits.iter().map(|x| f64::from(x.to_f32())).collect();
        world.check_gradient(&format!("{name} on the CPU"), &got, &world.gradient(case, &slopes));
    }
}

#[test]
fn random_losses_on_random_logits_give_one_answer_everywhere() {
    let Some(compiler) = compiler() else { return };
    let cases = random_texts(LOSSES, 12);
    let mut names = HashSet::new();
    let mut streams: Vec<Kernel> =
        cases.iter().flat_map(|c| kernels(&c.plan, &Element::ALL)).collect();
    streams.retain(|k| names.insert(k.name()));
    let mut source = prelude();
    source.extend(streams.iter().map(Kernel::text));
    source.extend(cases.iter().map(|c| example::emit(&c.plan)));
    let module = module(compiler, &source);
    let mut dice = Dice(91);
    let (mut seen, mut compared) = (HashSet::new(), 0);
    for (round, case) in cases.iter().enumerate() {
        let world = world(round, &mut dice);
        let name = format!(
            "{} {:?} {:?} V = {}, {} rows",
            case.graph.name,
            world.element,
            world.shape,
            world.vocabulary,
            world.targets.len()
        );
        seen.insert((world.shape, world.element));
        compared += on_machine(&name, case, &world, &module, &mut dice);
        match world.element {
            Element::F32 => on_cpu::<f32>(&name, case, &world, |x| x as f32),
            Element::Bf16 => on_cpu::<bf16>(&name, case, &world, bf16::from_f64),
            Element::F16 => on_cpu::<f16>(&name, case, &world, f16::from_f64),
        }
    }
    println!("{} losses on logits, {compared} values compared in earnest", cases.len());
    assert!(compared >= 2 * LOSSES, "{compared} values say something");
    assert_eq!(seen.len(), 9, "every shape in every type: {seen:?}");
}
