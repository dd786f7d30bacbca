//! Every loss of the catalogue, at random batches in high precision: the stable form has the value of
//! the text, its gradients are the differences of that value, and the tape runs what the evaluator says.
//! What the rewriter did for each is a snapshot.

use ponens_compiler::adjoint::Wrt;
use ponens_compiler::codegen::interp::{
    Batch, Big, Real, Scratch, Tape, directional_derivative, evaluate,
};
use ponens_compiler::hir::{Loop, Loss, Quantity};
use ponens_compiler::mir::{Graph, Interval, Level, NodeId};
use ponens_compiler::rewrite::Optimised;
use ponens_compiler::session::{Compiled, Options};
use ponens_losses::Catalogue;
use std::fmt::Write as _;
use std::sync::LazyLock;

type Exact = Big<256>;
const EXAMPLES: usize = 3;

/// Numbers in [0, 1), the same on every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A value inside an input's range; log-probabilities of all sizes.
    fn inside(&mut self, name: &str, range: Interval) -> f64 {
        if name == "label" {
            return self.roll().round();
        }
        if range == Interval::LOG_PROB {
            return -(10f64.powf(self.roll() * 5.0 - 3.0));
        }
        let lo = if range.lo.is_finite() { range.lo } else { -2.0 };
        let hi = if range.hi.is_finite() { range.hi } else { lo + 4.0 };
        lo + (hi - lo) * (0.05 + 0.9 * self.roll())
    }
}

/// How many turns the loops inside each example have: of other lengths in every example and response.
fn turns(of: Option<Loop>, family: bool) -> Vec<usize> {
    let responses = [3, 1, 2];
    let tokens = |r: usize, i: usize| (i + 2 * r) % 4 + usize::from(r > 0);
    match of {
        None => vec![1; EXAMPLES],
        Some(Loop::Candidates) => responses.to_vec(),
        Some(Loop::Tokens(r)) if family => (0..6).map(|i| tokens(r, i)).collect(),
        Some(Loop::Tokens(r)) => (0..EXAMPLES).map(|i| tokens(r, i)).collect(),
    }
}

fn columns(loss: &Loss, graph: &Graph, dice: &mut Dice) -> Vec<Vec<f64>> {
    let family = loss.shape.family().is_some();
    (graph.inputs.iter().zip(&loss.columns))
        .map(|(i, c)| {
            let count = turns(c.of, family).iter().sum();
            (0..count).map(|_: usize| dice.inside(&i.name, i.range)).collect()
        })
        .collect()
}

fn batch<T: Real>(loss: &Loss, graph: &Graph, columns: &[Vec<f64>]) -> Batch<T> {
    let family = loss.shape.family().is_some();
    let mut batch = Batch::new(EXAMPLES);
    if family {
        let counts = turns(Some(Loop::Candidates), true);
        batch = batch.with_candidates(&counts).expect("a count an example");
    }
    for (i, (c, values)) in loss.columns.iter().zip(columns).enumerate() {
        let owner = if family { Level::Candidate } else { Level::Example };
        match c.of {
            Some(of @ Loop::Tokens(_)) => {
                let counts = turns(Some(of), family);
                batch.set_tokens(graph, i as u16, values, owner, &counts)
            }
            _ => batch.set(graph, i as u16, values),
        }
        .expect("a column an input");
    }
    batch
}

/// Where the derivative with respect to an element of an input stands: a root of an outer level has
/// one for all the elements inside.
fn place(loss: &Loss, graph: &Graph, root: NodeId, input: usize, element: usize) -> usize {
    let family = loss.shape.family().is_some();
    let owner = |counts: &[usize], element: usize| {
        let mut end = 0;
        let mut ends = counts.iter().map(|n| {
            end += n;
            end
        });
        ends.position(|end| element < end).expect("an element of the loop")
    };
    let (own, level) = (graph.inputs[input].level, graph.node(root).level);
    if level <= Level::Batch {
        return 0;
    }
    let (mut at, mut place) = (own, element);
    if at == Level::Token && level < Level::Token {
        place = owner(&turns(loss.columns[input].of, family), place);
        at = if family { Level::Candidate } else { Level::Example };
    }
    if at == Level::Candidate && level < Level::Candidate {
        place = owner(&turns(Some(Loop::Candidates), true), place);
    }
    place
}

fn close(a: &Exact, b: &Exact, tolerance: f64) -> bool {
    let scale = a.to_f64().abs().max(b.to_f64().abs());
    a.sub(b).abs().to_f64() <= tolerance * scale.max(1e-30)
}

/// Every loss, compiled once for all tests.
fn all() -> &'static [Compiled] {
    static ALL: LazyLock<Vec<Compiled>> = LazyLock::new(|| {
        let options = Options { wrt: Wrt::AllReal, ..Options::default() };
        let compile = |name: String| {
            ponens_losses::compile(&name, &options).unwrap_or_else(|d| panic!("{name}: {d:?}"))
        };
        Catalogue.entries().map(|e| compile(e.name.to_string())).collect()
    });
    &ALL
}

#[test]
fn the_stable_form_has_the_written_value_and_its_derivatives() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for compiled in all() {
        let name = &compiled.loss.name;
        let (written, stable) = (&compiled.written, compiled.graph());
        let params = compiled.bind(&[]).expect("defaults");
        for _ in 0..2 {
            let columns = columns(&compiled.loss, written, &mut dice);
            let exact = batch::<Exact>(&compiled.loss, written, &columns);
            let want = evaluate(written, &params, &exact).expect("defined");
            let got = evaluate(stable, &params, &exact).expect("total");
            for (w, g) in want[0].iter().zip(&got[0]) {
                assert!(close(w, g, 1e-40), "{name}: {w:?} {g:?} at {columns:?}");
            }
            for (r, root) in stable.roots.iter().enumerate().skip(1) {
                let column = root.name.strip_prefix("d/").expect("a gradient");
                let input = stable.inputs.iter().position(|i| i.name == column);
                let input = input.expect("a column of the loss");
                for element in 0..columns[input].len() {
                    let slope = directional_derivative(
                        written,
                        &params,
                        &exact,
                        |i, e| if (i, e) == (input, element) { 1.0 } else { 0.0 },
                        1e-20,
                    )
                    .expect("defined nearby");
                    let total = slope[0].iter().skip(1).fold(slope[0][0].clone(), |s, x| s.add(x));
                    let value = &got[r][place(&compiled.loss, stable, root.node, input, element)];
                    let stopped = written.nodes.iter().any(|n| {
                        use ponens_compiler::mir::{Op, Unary};
                        matches!(n.op, Op::Unary(Unary::StopGradient, _))
                    });
                    assert!(
                        stopped || close(value, &total, 1e-15) || total.to_f64().abs() < 1e-25,
                        "{name} {column}[{element}]: {} differs from {} at {columns:?}",
                        value.to_f64(),
                        total.to_f64()
                    );
                }
            }
        }
    }
}

#[test]
fn the_tape_equals_the_evaluator_to_the_bit() {
    let mut dice = Dice(7);
    for compiled in all() {
        let graph = compiled.graph();
        let params = compiled.bind(&[]).expect("defaults");
        let columns = columns(&compiled.loss, graph, &mut dice);
        let tape = Tape::new(graph).expect("a verified graph");
        let plain = evaluate::<f64>(graph, &params, &batch(&compiled.loss, graph, &columns))
            .expect("total");
        let mut scratch = Scratch::default();
        let fast = tape
            .run(&params, &batch::<f64>(&compiled.loss, graph, &columns), &mut scratch)
            .expect("total");
        for ((a, b), root) in plain.iter().zip(fast).zip(&graph.roots) {
            let bits = |v: &[f64]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(a), bits(b), "{}: {}", compiled.loss.name, root.name);
        }
    }
}

/// The value, and the derivatives that say something: not those with respect to rewards and advantages
/// of rollouts, which multiply ratios that may have overflowed.
fn trained(compiled: &Compiled) -> impl Iterator<Item = usize> {
    let given = |name: &str| {
        let columns = &compiled.loss.columns;
        columns.iter().any(|c| {
            c.of.is_some() && matches!(c.quantity, Quantity::Data { .. }) && c.name() == name
        })
    };
    let roots = compiled.graph().roots.iter().enumerate();
    roots.filter(move |(_, r)| r.name.strip_prefix("d/").is_none_or(|n| !given(n))).map(|(i, _)| i)
}

#[test]
fn no_value_or_gradient_is_nan_at_the_ends_of_the_domain() {
    let ends = [-1e-20, -1e-12, -std::f64::consts::LN_2, -88.0, -708.0, -1e4];
    for compiled in all() {
        let graph = compiled.graph();
        let params = compiled.bind(&[]).expect("defaults");
        for (k, a) in ends.iter().enumerate() {
            for b in &ends[k..] {
                let columns: Vec<Vec<f64>> = (graph.inputs.iter().enumerate())
                    .map(|(i, input)| {
                        let end = |e: usize| if (i + e).is_multiple_of(2) { *a } else { *b };
                        let value = |e: usize| match input.range {
                            r if r == Interval::LOG_PROB => end(e),
                            r if r.contains(1.0) => 1.0,
                            r => 0.5 * (r.lo.max(0.0) + r.hi.min(1.0)),
                        };
                        let of = compiled.loss.columns[i].of;
                        let count = turns(of, compiled.loss.shape.family().is_some()).iter().sum();
                        (0..count).map(value).collect()
                    })
                    .collect();
                let name = &compiled.loss.name;
                let roots =
                    evaluate::<f64>(graph, &params, &batch(&compiled.loss, graph, &columns))
                        .expect("total");
                let nan = trained(compiled).any(|r| roots[r].iter().any(|x| x.is_nan()));
                assert!(!nan, "{name} in f64 at {a:e}, {b:e}: {roots:?}");
                let roots =
                    evaluate::<f32>(graph, &params, &batch(&compiled.loss, graph, &columns))
                        .expect("total");
                let nan = trained(compiled).any(|r| roots[r].iter().any(|x| x.is_nan()));
                assert!(!nan, "{name} in f32 at {a:e}, {b:e}: {roots:?}");
            }
        }
    }
}

/// Rounds, e-nodes and rules of the rewriter for every loss: none at a limit of saturation, and every search
/// of the extractor ends with a proof.
#[test]
fn the_rewriter_saturates_on_the_whole_catalogue() {
    let mut text = String::new();
    for compiled in all() {
        let name = &compiled.loss.name;
        let mut line = |what: &str, found: &Optimised| {
            assert_eq!(found.stats.stopped, None, "{name}, {what}");
            assert!(found.warnings.is_empty(), "{name}, {what}: {:?}", found.warnings);
            let s = &found.stats;
            let rules: usize = s.applied.values().sum();
            let _ = writeln!(
                text,
                "{name}, {what}: {} rounds, {} e-nodes, {} e-classes, {rules} applications of {} rules, {} nodes",
                s.iterations,
                s.e_nodes,
                s.e_classes,
                s.applied.len(),
                found.cost.size
            );
        };
        line("value", &compiled.value);
        line("gradient", &compiled.gradient);
    }
    insta::assert_snapshot!(text);
}
