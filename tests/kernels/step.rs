//! Whole steps from logits: statistics, sums, loss and the gradient of the logits.

use super::support::{Dice, Interpreter, compiler, module, store};
use ponens_compiler::codegen::cuda::{self, Element};
use ponens_compiler::codegen::interp::{Batch, evaluate};
use ponens_compiler::lir::stream::{Position, gradient, statistic};
use ponens_compiler::lir::{self, Part, Plan, Source};
use ponens_compiler::session::Options;
use ponens_runtime::kernel::{KernelError, Logits, Rows, Step, step};
use std::ops::Range;

const EXAMPLES: usize = 5;
const VOCABULARY: usize = 37;

/// Random logits and responses; some responses are empty, some rows do not count.
struct World {
    logits: Vec<Vec<f32>>,
    targets: Vec<i32>,
    responses: Vec<(&'static str, Vec<Range<usize>>)>,
}

fn world(names: &[&'static str], empty: bool, dice: &mut Dice) -> World {
    let mut targets = Vec::new();
    let mut responses = Vec::new();
    for name in names {
        let mut ranges = Vec::new();
        for e in 0..EXAMPLES {
            let start = targets.len();
            let tokens = if e == 2 && empty { 0 } else { 1 + dice.below(9) };
            let target = |dice: &mut Dice| {
                if dice.below(5) == 0 { -1 } else { dice.below(VOCABULARY) as i32 }
            };
            targets.extend((0..tokens).map(|_| target(dice)));
            if e == 3 && empty {
                targets[start..].fill(-1);
            }
            ranges.push(start..targets.len());
        }
        responses.push((*name, ranges));
    }
    let row = |dice: &mut Dice| dice.between(-6.0, 6.0) as f32;
    let logits =
        (0..2).map(|_| (0..targets.len() * VOCABULARY).map(|_| row(dice)).collect()).collect();
    World { logits, targets, responses }
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

impl World {
    fn position<'a>(&self, own: &'a [f64], other: &'a [f64], i: usize) -> Position<'a, f64> {
        let range = i * VOCABULARY..(i + 1) * VOCABULARY;
        let target = usize::try_from(self.targets[i]).ok();
        Position { logits: &own[range.clone()], other: &other[range], target }
    }

    /// The rows that a column sums, by example.
    fn rows(&self, part: Part, response: &str) -> Vec<Vec<usize>> {
        let of = |name: &str| self.responses.iter().find(|(n, _)| *n == name).map(|(_, r)| r);
        let own = of(response).expect("a response");
        let counting = |r: &Range<usize>| -> Vec<usize> {
            r.clone().filter(|i| self.targets[*i] >= 0).collect()
        };
        let other = self.responses.iter().find(|(n, _)| *n != response && !n.is_empty());
        (0..EXAMPLES)
            .map(|e| {
                let rows = counting(&own[e]);
                let shared = other.map_or(0, |(_, r)| counting(&r[e]).len()).min(rows.len());
                match part {
                    Part::All | Part::Mismatched => rows,
                    Part::Shared => rows[..shared].to_vec(),
                    Part::Tail => rows[shared..].to_vec(),
                }
            })
            .collect()
    }
}

/// The step by its definition, in f64: losses, and d (mean loss) / d logits of the policy.
fn exactly(
    graph: &ponens_compiler::mir::Graph,
    plan: &Plan,
    params: &[f64],
    world: &World,
) -> (Vec<f64>, Vec<f64>) {
    let wide = |v: &Vec<f32>| -> Vec<f64> { v.iter().map(|x| f64::from(*x)).collect() };
    let models: Vec<Vec<f64>> = world.logits.iter().map(wide).collect();
    // Model 0 is the policy, 1 the reference.
    let of =
        |name: &str| if name == "pi" { (&models[0], &models[1]) } else { (&models[1], &models[0]) };
    let mut batch = Batch::<f64>::new(EXAMPLES);
    for (i, source) in plan.sources.iter().enumerate() {
        let values: Vec<f64> = match source {
            Source::Data => {
                let name = &plan.header.inputs[i].name;
                let response = name.strip_prefix("len(").and_then(|n| n.strip_suffix(')'));
                match response {
                    Some(y) => world.rows(Part::All, y).iter().map(|r| r.len() as f64).collect(),
                    None => data(name),
                }
            }
            Source::Tokens(s) => {
                let (own, other) = of(&s.model);
                let total = |rows: &Vec<usize>| {
                    let sum: f64 = rows
                        .iter()
                        .map(|r| statistic(&s.statistic, world.position(own, other, *r)))
                        .sum();
                    if s.mean && !rows.is_empty() { sum / rows.len() as f64 } else { sum }
                };
                world.rows(s.part, &s.response).iter().map(total).collect()
            }
        };
        batch.set(graph, i as u16, &values).expect("a column");
    }
    let roots = evaluate(graph, params, &batch).expect("total");
    let mut slopes = vec![0.0; models[0].len()];
    let scale = if roots[0].len() == EXAMPLES && !plan.is_scalar_output("loss") {
        1.0 / EXAMPLES as f64
    } else {
        1.0
    };
    for (root, values) in graph.roots.iter().zip(&roots) {
        let Some(name) = root.name.strip_prefix("d/") else { continue };
        let column = plan.header.inputs.iter().position(|c| c.name == name).expect("a column");
        let Source::Tokens(s) = &plan.sources[column] else { continue };
        if s.model != "pi" {
            continue;
        }
        let (own, other) = of("pi");
        for (e, rows) in world.rows(s.part, &s.response).iter().enumerate() {
            let d = values[e.min(values.len() - 1)] * scale
                / if s.mean { rows.len().max(1) as f64 } else { 1.0 };
            for r in rows {
                let slope = gradient(&[(s.statistic.clone(), d)], world.position(own, other, *r));
                for (to, x) in slopes[r * VOCABULARY..].iter_mut().zip(slope) {
                    *to += x;
                }
            }
        }
    }
    (roots[0].clone(), slopes)
}

/// The data columns.
fn data(name: &str) -> Vec<f64> {
    (0..EXAMPLES)
        .map(|e| if name == "label" { (e % 2) as f64 } else { 0.25 + 0.125 * e as f64 })
        .collect()
}

/// Runs a step on some machine.
pub(crate) type OnMachine<'a> = dyn Fn(&Plan, &[f64], &Rows<'_>) -> Result<Step, KernelError> + 'a;

/// Losses of every kind: means, references, divergences, entropy, parts of a response, batch statistics,
/// sorted batches.
pub(crate) const LOSSES: [&str; 10] =
    ["dpo", "orpo", "simpo", "ld_dpo", "tdpo1", "tdpo2", "wpo", "kto", "sft", "aot"];

/// A step of a loss on random logits against its definition.
pub(crate) fn check(name: &str, dice: &mut Dice, run: &OnMachine<'_>) {
    let compiled = ponens_losses::compile(name, &Options::default()).expect("a loss");
    let (graph, plan) = (compiled.graph(), lir::plan(compiled.graph()).expect("a plan"));
    let params = compiled.bind(&[]).expect("defaults");
    let names: &[&str] = if name == "kto" { &["y", ""] } else { &["w", "l"] };
    // The odds of an empty response against another one are 0 / 0.
    let world = world(names, name != "orpo", dice);
    let stored: Vec<Vec<u8>> = world.logits.iter().map(|l| bytes(l)).collect();
    let given: Vec<(&str, Vec<f32>)> = plan
        .header
        .inputs
        .iter()
        .zip(&plan.sources)
        .filter(|(i, s)| **s == Source::Data && !i.name.starts_with("len("))
        .map(|(i, _)| (i.name.as_str(), data(&i.name).iter().map(|x| *x as f32).collect()))
        .collect();
    let rows = Rows {
        examples: EXAMPLES,
        vocabulary: VOCABULARY,
        element: Element::F32,
        logits: vec![
            Logits { model: "pi", bytes: &stored[0] },
            Logits { model: "ref", bytes: &stored[1] },
        ],
        targets: &world.targets,
        responses: world.responses.clone(),
        data: given,
    };
    let got = run(&plan, &params, &rows).unwrap_or_else(|e| panic!("{name}: {e}"));
    let (losses, slopes) = exactly(graph, &plan, &params, &world);
    assert_eq!(got.outputs[0].0, "loss");
    for (e, (got, want)) in got.outputs[0].1.iter().zip(&losses).enumerate() {
        assert!(
            (f64::from(*got) - want).abs() <= 1e-5 * (1.0 + want.abs()),
            "{name} loss[{e}]: {got}, exactly {want}"
        );
    }
    let (model, gradient) = &got.gradients[0];
    assert_eq!((model.as_str(), got.gradients.len()), ("pi", 1));
    let largest = slopes.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
    for (i, (c, want)) in gradient.chunks_exact(4).zip(&slopes).enumerate() {
        let got = f64::from(f32::from_le_bytes([c[0], c[1], c[2], c[3]]));
        let bound = 1e-5 * want.abs() + 2e-6 * largest;
        assert!((got - want).abs() <= bound, "{name} d logit {i}: {got:e}, exactly {want:e}");
    }
    assert!(largest > 0.0, "{name} has a gradient");
}

#[test]
fn a_step_from_logits_gives_loss_and_gradient_of_the_definition() {
    let Some(compiler) = compiler() else { return };
    let mut dice = Dice(41);
    for name in LOSSES {
        check(name, &mut dice, &|plan, params, rows| {
            let module = module(compiler, &cuda::emit(plan, &[Element::F32]));
            step(&mut Interpreter::new(&module), plan, params, rows)
        });
    }
}

#[test]
fn where_both_models_are_one_the_first_step_of_dpo_is_log_two_to_the_bit() {
    let Some(compiler) = compiler() else { return };
    let compiled = ponens_losses::compile("dpo", &Options::default()).expect("a loss");
    let plan = lir::plan(compiled.graph()).expect("a plan");
    let module = module(compiler, &cuda::emit(&plan, &Element::ALL));
    let params = compiled.bind(&[]).expect("defaults");
    let mut dice = Dice(47);
    let world = world(&["w", "l"], true, &mut dice);
    for element in Element::ALL {
        let stored = world.logits[0].iter().flat_map(|x| store(element, f64::from(*x)).0);
        let stored: Vec<u8> = stored.collect();
        let rows = Rows {
            examples: EXAMPLES,
            vocabulary: VOCABULARY,
            element,
            logits: ["pi", "ref"].map(|model| Logits { model, bytes: &stored }).to_vec(),
            targets: &world.targets,
            responses: world.responses.clone(),
            data: Vec::new(),
        };
        let step = step(&mut Interpreter::new(&module), &plan, &params, &rows).expect("a step");
        assert_eq!(step.outputs[0], ("loss".to_owned(), vec![std::f32::consts::LN_2; EXAMPLES]));
    }
}

#[test]
fn wrong_arguments_are_named_before_anything_is_written() {
    let Some(compiler) = compiler() else { return };
    let compiled = ponens_losses::compile("dpo", &Options::default()).expect("a loss");
    let plan = lir::plan(compiled.graph()).expect("a plan");
    let module = module(compiler, &cuda::emit(&plan, &[Element::F32]));
    let params = compiled.bind(&[]).expect("defaults");
    let mut dice = Dice(43);
    let world = world(&["w", "l"], true, &mut dice);
    let stored: Vec<Vec<u8>> = world.logits.iter().map(|l| bytes(l)).collect();
    let good = Rows {
        examples: EXAMPLES,
        vocabulary: VOCABULARY,
        element: Element::F32,
        logits: vec![
            Logits { model: "pi", bytes: &stored[0] },
            Logits { model: "ref", bytes: &stored[1] },
        ],
        targets: &world.targets,
        responses: world.responses.clone(),
        data: Vec::new(),
    };
    let refused = |rows: &Rows<'_>, params: &[f64]| -> (String, usize) {
        let mut machine = Interpreter::new(&module);
        match step(&mut machine, &plan, params, rows) {
            Err(KernelError::Input { argument, reason }) => {
                (format!("{argument}: {reason}"), machine.launches)
            }
            other => panic!("{other:?}"),
        }
    };
    let says = |rows: &Rows<'_>, parts: &[&str]| {
        let (text, launches) = refused(rows, &params);
        assert!(parts.iter().all(|p| text.contains(p)), "{text}");
        assert_eq!(launches, 0, "{text}");
    };
    let mut outside = world.targets.clone();
    outside[3] = VOCABULARY as i32;
    says(&Rows { targets: &outside, ..good.clone() }, &["targets", "row 3", "37"]);
    says(&Rows { vocabulary: 36, ..good.clone() }, &["logits of `pi`", "36"]);
    says(&Rows { vocabulary: usize::MAX, ..good.clone() }, &["more rows than memory"]);
    says(&Rows { logits: good.logits[..1].to_vec(), ..good.clone() }, &["logits", "`ref`"]);
    says(&Rows { examples: 4, ..good.clone() }, &["response `w`", "5 ranges for 4"]);
    says(&Rows { responses: good.responses[..1].to_vec(), ..good.clone() }, &["responses", "`l`"]);
    let mut past = world.responses.clone();
    past[1].1[4] = 0..world.targets.len() + 1;
    says(&Rows { responses: past, ..good.clone() }, &["response `l`", "example 4"]);
    let mut shared = world.responses.clone();
    let (a, b) = (0..2, 1..3);
    (shared[0].1[0], shared[0].1[1]) = (b, a);
    says(&Rows { responses: shared, ..good.clone() }, &["response `w`", "share row 1"]);
    assert!(refused(&good, &[]).0.contains("parameters"));
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let row = world.targets.iter().position(|t| *t >= 0).expect("a row that counts");
        let mut logits = world.logits[1].clone();
        logits[row * VOCABULARY + 5] = bad;
        let logits = bytes(&logits);
        let mut rows = good.clone();
        rows.logits[1].bytes = &logits;
        let (text, _) = refused(&rows, &params);
        assert_eq!(text, format!("logits of `ref`: row {row}, token 5 is {bad}"));
    }
}
