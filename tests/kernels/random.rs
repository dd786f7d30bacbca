//! Random losses, as graphs and as texts: at least 500 generated kernels, compiled a hundred to a program,
//! run, and compared with the interpreters of graphs and of plans.

use super::support::{Dice, Interpreter, Noisy, agrees, compiler, module, reseed};
use ponens_compiler::codegen::cuda::{example, prelude};
use ponens_compiler::codegen::interp::{Batch, Real, evaluate};
use ponens_compiler::hir::{Library, Program};
use ponens_compiler::lir::{self, Plan};
use ponens_compiler::mir::testing::{self, Dice as Columns, graphs};
use ponens_compiler::mir::{Graph, Level, NodeId, Root, Stage};
use ponens_compiler::session::{self, Options};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

/// A loss to run: its graph and its plan.
pub(crate) struct Case {
    pub(crate) graph: Graph,
    pub(crate) plan: Plan,
}

/// True when nothing that the interpreter computes for a node runs over tokens or candidates.
fn is_shallow(graph: &Graph, id: NodeId) -> bool {
    let node = graph.node(id);
    node.level <= Level::Example && node.op.operands().all(|o| is_shallow(graph, o))
}

/// The last nodes of a random graph that have a kernel, as roots.
fn case_of(mut graph: Graph, name: String) -> Option<Case> {
    graph.name = name;
    graph.roots.clear();
    for i in (0..graph.nodes.len() as u32).rev() {
        let names = ["loss", "d/logp(pi,w)", "d/logp(pi,l)"];
        let Some(name) = names.get(graph.roots.len()) else { break };
        graph.roots.push(Root { name: (*name).to_owned(), node: NodeId(i) });
        let planned = is_shallow(&graph, NodeId(i)) && lir::plan(&graph).is_ok();
        if !planned {
            graph.roots.pop();
        }
    }
    let plan = lir::plan(&graph).ok().filter(|_| !graph.roots.is_empty())?;
    // Leaves only: nothing to compute.
    let work: usize = plan.phases.iter().map(|p| p.example.len() + p.batch.len()).sum();
    lir::verify(&plan).unwrap_or_else(|f| panic!("{f:?}\n{plan}"));
    (work > 2).then_some(Case { graph, plan })
}

fn random_graphs(wanted: usize) -> Vec<Case> {
    let mut runner = TestRunner::deterministic();
    let strategy = graphs(Stage::Total, 16);
    let mut cases = Vec::new();
    while cases.len() < wanted {
        let graph = strategy.new_tree(&mut runner).expect("a graph").current();
        cases.extend(case_of(graph, format!("g{}", cases.len())));
    }
    cases
}

/// A random formula over policy and reference.
fn formula(dice: &mut Dice, depth: usize) -> String {
    if depth == 0 || dice.below(4) == 0 {
        return ["pi(w)", "pi(l)", "ref(w)", "ref(l)"][dice.below(4)].to_owned();
    }
    let a = formula(dice, depth - 1);
    let b = formula(dice, depth - 1);
    match dice.below(5) {
        0 => format!("!({a})"),
        1 => format!("({a} & {b})"),
        2 => format!("({a} | {b})"),
        3 => format!("({a} -> {b})"),
        _ => format!("({a} xor {b})"),
    }
}

struct Nothing;

impl Library for Nothing {
    fn find(&self, _: &str) -> Option<(String, String)> {
        None
    }
    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Losses of random structures with random links, and of random arithmetic, from their texts.
pub(crate) fn random_texts(wanted: usize, seed: u64) -> Vec<Case> {
    let mut dice = Dice(seed);
    let mut cases = Vec::new();
    for attempt in 0..8 * wanted {
        if cases.len() == wanted {
            break;
        }
        let name = format!("s{attempt}");
        let clauses = if attempt % 2 == 0 {
            let link =
                ["logistic(beta * rho)", "hinge(beta * rho)", "square(rho - 1)"][dice.below(3)];
            let (prefer, given) = (formula(&mut dice, 2), formula(&mut dice, 1));
            format!("prefer {prefer}\n given {given}\n minimize {link}")
        } else {
            let (a, b) = (arithmetic(&mut dice, 2), arithmetic(&mut dice, 1));
            format!("let a = {a}\n minimize logistic(beta * (a - {b})) + square(a) / 100")
        };
        let text = format!(
            "loss {name}(beta = 0.1 in (0, inf)) {{\n data pair(w > l)\n model pi = policy\n model ref = reference\n {clauses}\n}}\n"
        );
        let mut program = Program::new();
        program.add_text(&format!("{name}.loss"), &text);
        // Formulas without a winning or a losing row are refused, and so is what no model moves.
        let Ok(compiled) = session::compile(&mut program, &name, &Nothing, &Options::default())
        else {
            continue;
        };
        let graph = compiled.graph().clone();
        if let Ok(plan) = lir::plan(&graph) {
            cases.push(Case { graph, plan });
        }
    }
    assert_eq!(cases.len(), wanted, "most random texts are losses");
    cases
}

/// Random arithmetic over log-probabilities, defined wherever they are.
fn arithmetic(dice: &mut Dice, depth: usize) -> String {
    if depth == 0 {
        let leaves =
            ["logp(pi, w)", "logp(pi, l)", "logp(ref, w)", "logp(ref, l)", "mean_logp(pi, w)"];
        return leaves[dice.below(leaves.len())].to_owned();
    }
    let a = arithmetic(dice, depth - 1);
    let b = arithmetic(dice, depth - 1);
    match dice.below(6) {
        0 => format!("({a} + {b})"),
        1 => format!("({a} - {b})"),
        2 => format!("max({a}, {b} + 1)"),
        3 => format!("sigmoid(beta * {a}) * {b}"),
        4 => format!("log_sigmoid({a} - {b})"),
        _ => format!("({a} - stop_gradient(batch_mean({b})))"),
    }
}

/// Columns inside the declared ranges.
fn columns(graph: &Graph, examples: usize, dice: &mut Columns) -> (Vec<f64>, Vec<Vec<f32>>) {
    let params = graph.params.iter().map(|p| f64::from(dice.value(&p.range) as f32)).collect();
    let column = |dice: &mut Columns, i: &ponens_compiler::mir::Input| {
        (0..examples).map(|_| dice.value(&i.range) as f32).collect()
    };
    (params, graph.inputs.iter().map(|i| column(dice, i)).collect())
}

/// The roots by the interpreter; inputs that no kernel reads are left out.
pub(crate) fn interpret<T: Real>(
    graph: &Graph,
    params: &[f64],
    columns: &[Vec<f32>],
    examples: usize,
) -> Vec<Vec<f32>> {
    let mut batch = Batch::<T>::new(examples);
    for (i, column) in columns.iter().enumerate() {
        if graph.inputs[i].level == Level::Example {
            let values: Vec<f64> = column.iter().map(|x| f64::from(*x)).collect();
            batch.set(graph, i as u16, &values).expect("a column");
        }
    }
    let values = evaluate::<T>(graph, params, &batch).expect("a verified graph");
    values.iter().map(|v| v.iter().map(|x| x.to_f64() as f32).collect()).collect()
}

/// Runs one case; how many values were compared in earnest.
fn run(case: &Case, machine: &mut Interpreter<'_>, dice: &mut Columns) -> usize {
    let examples = [0, 1, 3, 300][dice.below(4)];
    let (params, columns) = columns(&case.graph, examples, dice);
    let given: Vec<Vec<f32>> = columns.clone();
    let got = ponens_runtime::kernel::evaluate(machine, &case.plan, &params, &given, examples)
        .unwrap_or_else(|e| panic!("{e}\n{}", case.plan));
    let plain = interpret::<f32>(&case.graph, &params, &columns, examples);
    let planned = lir::evaluate::<f32>(&case.plan, &params, &columns, examples)
        .unwrap_or_else(|e| panic!("{e}\n{}", case.plan));
    let mut noisy = Vec::new();
    for seed in 0..4 {
        reseed(seed);
        noisy.push(interpret::<Noisy>(&case.graph, &params, &columns, examples));
    }
    let mut compared = 0;
    for (r, (name, values)) in got.iter().enumerate() {
        for (e, value) in values.iter().enumerate() {
            // Shallower values are broadcast.
            let at = |v: &[f32]| v[e.min(v.len() - 1)];
            let runs: Vec<f32> = noisy.iter().map(|n| at(&n[r])).collect();
            let what = format!("{} {name}[{e}]", case.graph.name);
            compared += usize::from(agrees(&what, *value, at(&plain[r]), &runs));
            agrees(&format!("the plan of {what}"), planned[r].1[e], at(&plain[r]), &runs);
        }
    }
    compared
}

#[test]
fn five_hundred_kernels_give_what_the_interpreter_gives() {
    let Some(compiler) = compiler() else { return };
    // A longer run: PONENS_RANDOM_LOSSES=4000 cargo test -p ponens-tests --test kernels random::
    let asked = std::env::var("PONENS_RANDOM_LOSSES").ok().and_then(|n| n.parse().ok());
    let wanted: usize = asked.unwrap_or(440);
    let mut cases = random_graphs(wanted);
    cases.extend(random_texts(wanted / 32, 11));
    let mut dice = testing::Dice(5);
    let (mut kernels, mut compared, mut values) = (0, 0, 0);
    for part in cases.chunks(100) {
        let mut source = prelude();
        for case in part {
            source.push_str(&example::emit(&case.plan));
        }
        let module = module(compiler, &source);
        for case in part {
            kernels += case.plan.phases.len();
            let mut machine = Interpreter::new(&module);
            let n = run(case, &mut machine, &mut dice);
            values += n;
            compared += usize::from(n > 0);
        }
    }
    println!("{kernels} kernels, {compared} of {} losses compared, {values} values", cases.len());
    assert!(kernels >= 500, "{kernels} kernels only");
    assert!(compared > cases.len() / 2, "{compared} of {} losses say something", cases.len());
}
