//! Every loss of the catalogue: its kernels, run, against the interpreter in f64.

use super::bounded::Bounded;
use super::support::{Dice, Interpreter, compiler, module};
use ponens_compiler::codegen::cuda::{example, prelude};
use ponens_compiler::codegen::interp::{Batch, evaluate};
use ponens_compiler::lir::{self, Plan};
use ponens_compiler::mir::{Graph, Interval, Level};
use ponens_compiler::session::{Compiled, Options};
use ponens_losses::Catalogue;
use ponens_runtime::kernel::Outputs;
use std::cell::LazyCell;
use std::sync::LazyLock;

/// A loss with its plan, or the reason why there is none.
pub(crate) type Planned = (Compiled, Result<Plan, lir::PlanError>);

/// Every loss of the catalogue, compiled once.
pub(crate) fn all() -> &'static [Planned] {
    static ALL: LazyLock<Vec<Planned>> = LazyLock::new(|| {
        let compile = |name: String| {
            let compiled = ponens_losses::compile(&name, &Options::default());
            let compiled = compiled.unwrap_or_else(|d| panic!("{name}: {d:?}"));
            let plan = lir::plan(compiled.graph());
            (compiled, plan)
        };
        Catalogue.entries().map(|e| compile(e.name.to_string())).collect()
    });
    &ALL
}

/// Values of a column as training has them.
pub(crate) fn column(graph: &Graph, input: usize, examples: usize, dice: &mut Dice) -> Vec<f32> {
    let input = &graph.inputs[input];
    let one = |dice: &mut Dice| match input.range {
        _ if input.name == "label" => dice.below(2) as f64,
        _ if input.name.starts_with("len(") => 1.0 + dice.below(40) as f64,
        r if r == Interval::LOG_PROB => -dice.between(0.05, 20.0),
        r => {
            let lo = if r.lo.is_finite() { r.lo } else { -2.0 };
            let hi = if r.hi.is_finite() { r.hi } else { lo + 4.0 };
            dice.between(lo + 0.05 * (hi - lo), hi - 0.05 * (hi - lo))
        }
    };
    (0..examples).map(|_| one(dice) as f32).collect()
}

/// The roots in f64 at the columns as rounded to f32.
pub(crate) fn oracle(
    graph: &Graph,
    params: &[f64],
    columns: &[Vec<f32>],
    examples: usize,
) -> Vec<Vec<f64>> {
    let mut batch = Batch::<f64>::new(examples);
    for (i, column) in columns.iter().enumerate() {
        let values: Vec<f64> = column.iter().map(|x| f64::from(*x)).collect();
        batch.set(graph, i as u16, &values).expect("a column");
    }
    let params: Vec<f64> = params.iter().map(|p| f64::from(*p as f32)).collect();
    evaluate(graph, &params, &batch).expect("total")
}

#[test]
fn every_loss_without_a_loop_over_tokens_has_a_verified_plan() {
    let mut without = Vec::new();
    for (compiled, plan) in all() {
        let deep = compiled.graph().inputs.iter().any(|i| i.level > Level::Example);
        match plan {
            Ok(plan) => {
                lir::verify(plan)
                    .unwrap_or_else(|f| panic!("{}: {f:?}\n{plan}", compiled.loss.name));
                let text = plan.to_string();
                assert_eq!(lir::parse(&text).as_ref(), Ok(plan), "{text}");
            }
            Err(_) if deep => {}
            Err(e) => without.push(format!("{}: {e}", compiled.loss.name)),
        }
    }
    assert!(without.is_empty(), "{without:?}");
}

#[test]
fn kernels_give_the_value_and_the_gradient_in_f64_to_1e_5() {
    let Some(compiler) = compiler() else { return };
    let planned: Vec<(&Compiled, &Plan)> =
        all().iter().filter_map(|(c, p)| Some((c, p.as_ref().ok()?))).collect();
    let mut source = prelude();
    for (_, plan) in &planned {
        source.push_str(&example::emit(plan));
    }
    let module = module(compiler, &source);
    let mut dice = Dice(3);
    let mut tally = Tally::default();
    for (compiled, plan) in &planned {
        let (graph, name) = (compiled.graph(), &compiled.loss.name);
        let params = compiled.bind(&[]).expect("defaults");
        for examples in [1, 37, 300] {
            let columns: Vec<Vec<f32>> =
                (0..graph.inputs.len()).map(|i| column(graph, i, examples, &mut dice)).collect();
            let mut machine = Interpreter::new(&module);
            // Fewer blocks than examples need: the loop over the grid goes round. Phases that leave
            // partial sums have to run in all the blocks that the next one reads.
            if plan.phases.len() == 1 {
                machine.most_blocks = 1;
            }
            let got =
                ponens_runtime::kernel::evaluate(&mut machine, plan, &params, &columns, examples)
                    .unwrap_or_else(|e| panic!("{name}: {e}"));
            tally.compare(compiled, &params, &columns, examples, &got);
        }
    }
    tally.check(planned.len());
}

/// What comparisons with the exact values found.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    worst: (f64, String),
    values: usize,
    /// Values whose condition number leaves no f32 arithmetic 1e-5: differences of nearly equal numbers.
    cancelled: usize,
}

impl Tally {
    pub(crate) fn compare(
        &mut self,
        compiled: &Compiled,
        params: &[f64],
        columns: &[Vec<f32>],
        examples: usize,
        got: &Outputs,
    ) {
        let (graph, name) = (compiled.graph(), &compiled.loss.name);
        let exact = oracle(graph, params, columns, examples);
        let bounds = LazyCell::new(|| bounds(graph, params, columns, examples));
        for (r, ((root, got), exact)) in got.iter().zip(&exact).enumerate() {
            // Rounding of the inputs' sums is seen where a value is much smaller than they are.
            let scale = exact.iter().map(|x| x.abs()).sum::<f64>() / exact.len().max(1) as f64;
            for (e, value) in got.iter().enumerate() {
                let at = e.min(exact.len() - 1);
                let want = exact[at];
                let error = (f64::from(*value) - want).abs();
                let relative = error / want.abs().max(1e-2 * scale).max(1e-30);
                self.values += 1;
                if relative <= 1e-5 {
                    if relative > self.worst.0 {
                        self.worst = (relative, format!("{name} {root}[{e}] of {examples}"));
                    }
                    continue;
                }
                // Not a looser tolerance: rounding every operation of the graph to f32 once makes an
                // error of up to this bound, which for well-conditioned values is below 1e-5.
                self.cancelled += 1;
                let bound = bounds[r][at].error;
                assert!(
                    error <= bound,
                    "{name} {root}[{e}]: {value:e}, exactly {want:e}; f32 gives it to {bound:e}"
                );
                println!(
                    "{name} {root}[{e}] = {want:e}: error {error:.1e}, condition {:.1e}",
                    bound / f64::from(f32::EPSILON) / want.abs()
                );
            }
        }
    }

    pub(crate) fn check(&self, losses: usize) {
        let Tally { worst: (worst, at), values, cancelled } = self;
        println!(
            "{losses} losses, {values} values; worst relative error {worst:e} at {at}; {cancelled} cancelled"
        );
        assert!(cancelled * 1000 <= *values, "{cancelled} of {values} values are not within 1e-5");
    }
}

/// How far f32 may lie from the exact values, by root and example.
fn bounds(
    graph: &Graph,
    params: &[f64],
    columns: &[Vec<f32>],
    examples: usize,
) -> Vec<Vec<Bounded>> {
    let mut batch = Batch::<Bounded>::new(examples);
    for (i, column) in columns.iter().enumerate() {
        let values: Vec<f64> = column.iter().map(|x| f64::from(*x)).collect();
        batch.set(graph, i as u16, &values).expect("a column");
    }
    let params: Vec<f64> = params.iter().map(|p| f64::from(*p as f32)).collect();
    evaluate(graph, &params, &batch).expect("total")
}

#[test]
fn two_runs_agree_bit_for_bit_and_the_first_step_of_dpo_is_log_two() {
    let Some(compiler) = compiler() else { return };
    for name in ["dpo", "kto", "aot"] {
        let compiled = ponens_losses::compile(name, &Options::default()).expect("a loss");
        let plan = lir::plan(compiled.graph()).expect("a plan");
        let module = module(compiler, &format!("{}{}", prelude(), example::emit(&plan)));
        let params = compiled.bind(&[]).expect("defaults");
        let mut dice = Dice(9);
        let columns: Vec<Vec<f32>> = (0..plan.header.inputs.len())
            .map(|i| column(&plan.header, i, 700, &mut dice))
            .collect();
        let run = |columns: &[Vec<f32>]| {
            ponens_runtime::kernel::evaluate(
                &mut Interpreter::new(&module),
                &plan,
                &params,
                columns,
                700,
            )
            .expect("runs")
        };
        assert_eq!(run(&columns), run(&columns), "{name}");
        if name == "dpo" {
            let policy =
                |y: &str| plan.header.inputs.iter().position(|i| i.name == format!("logp(pi,{y})"));
            let mut same = columns.clone();
            for (i, input) in plan.header.inputs.iter().enumerate() {
                if let Some(y) =
                    input.name.strip_prefix("logp(ref,").and_then(|n| n.strip_suffix(')'))
                {
                    same[i] = columns[policy(y).expect("the policy's")].clone();
                }
            }
            let loss = &run(&same)[0].1;
            assert!(loss.iter().all(|x| *x == std::f32::consts::LN_2), "{loss:?}");
        }
    }
}
