//! Five checks for every rule. They iterate over the list: a rule that is added is checked, and none is
//! exempt.

use super::instances::{Instance, instances, leaves, random_term, reads_loop};
use crate::codegen::interp::{Batch, Big, Real, directional_derivative, evaluate};
use crate::mir::testing::Dice;
use crate::mir::transfer::analyse;
use crate::mir::{Graph, Interval, Level};
use crate::rewrite::analysis::{Domain, Egraph};
use crate::rewrite::numeric::{Verdict, compare};
use crate::rewrite::rules::{self, Form, Rule};
use crate::rewrite::runner::{Limits, Runner};
use crate::rewrite::term::{Pattern, Term};
use std::collections::BTreeSet;
use std::sync::Arc;

type Fine = Big<512>;
type Coarse = Big<400>;

const EDGES: &[f64] = &[
    -1e-30,
    -std::f64::consts::LN_2,
    -88.0,
    -104.0,
    -708.0,
    -1e4,
    0.0,
    -0.3,
    1e-30,
    0.5,
    1.0,
    3.0,
    17.0,
    88.0,
    708.0,
];

/// Values for every input and parameter of an instance.
struct Sample {
    params: Vec<f64>,
    inputs: Vec<Vec<f64>>,
}

fn value(dice: &mut Dice, range: &Interval) -> f64 {
    for _ in 0..200 {
        let x = match dice.below(3) {
            0 => EDGES[dice.below(EDGES.len())],
            1 => -EDGES[dice.below(EDGES.len())],
            _ => 8.0 * dice.unit() - 5.0,
        };
        if range.contains(x) {
            return x;
        }
    }
    0.5 * (range.lo.max(-2.0) + range.hi.min(2.0))
}

/// Tokens of every example (or candidate), and candidates of every example, in instances with loops.
const SHAPE: [usize; 2] = [3, 1];

fn count(graph: &Graph, level: Level) -> usize {
    match level {
        _ if !reads_loop(graph) => 1,
        Level::Token => 4,
        _ => 2,
    }
}

fn sample(graph: &Graph, dice: &mut Dice) -> Sample {
    let column = |dice: &mut Dice, level, range: &Interval| {
        (0..count(graph, level)).map(|_| value(dice, range)).collect()
    };
    Sample {
        params: graph.params.iter().map(|p| value(dice, &p.range)).collect(),
        inputs: graph.inputs.iter().map(|i| column(dice, i.level, &i.range)).collect(),
    }
}

fn batch<T: Real>(graph: &Graph, at: &Sample) -> Batch<T> {
    let examples = if reads_loop(graph) { 2 } else { 1 };
    let mut batch = Batch::new(examples);
    let candidates = graph.inputs.iter().any(|i| i.level == Level::Candidate);
    if candidates {
        batch = batch.with_candidates(&[1, 1]).expect("counts");
    }
    let owner = if candidates { Level::Candidate } else { Level::Example };
    for (i, (input, values)) in graph.inputs.iter().zip(&at.inputs).enumerate() {
        if input.level == Level::Token {
            batch.set_tokens(graph, i as u16, values, owner, &SHAPE).expect("tokens");
        } else {
            batch.set(graph, i as u16, values).expect("a column");
        }
    }
    batch
}

fn roots<T: Real>(graph: &Graph, at: &Sample) -> Vec<Vec<T>> {
    evaluate(graph, &at.params, &batch(graph, at)).expect("evaluates")
}

/// The points of an instance at which its conditions hold.
fn points(instance: &Instance, wanted: usize) -> Vec<Sample> {
    let mut dice = Dice(
        instance
            .graph
            .name
            .bytes()
            .fold(1_u64, |s, b| s.wrapping_mul(33).wrapping_add(u64::from(b))),
    );
    let holds = |at: &Sample| {
        let values = roots::<Big<256>>(&instance.graph, at);
        instance
            .conditions
            .iter()
            .zip(&values[2..])
            .all(|(fact, v)| v.iter().all(|x| fact.holds(&Interval::point(x.to_f64()))))
    };
    let candidates = (0..wanted * 8).map(|_| sample(&instance.graph, &mut dice));
    candidates.filter(holds).take(wanted).collect()
}

/// Instances of every rule with points; a rule without either fails here.
fn for_every_rule(wanted: usize, mut check: impl FnMut(&'static Rule, &Instance, &Sample) -> bool) {
    let mut silent = Vec::new();
    for rule in rules::all() {
        let list = instances(rule);
        assert!(!list.is_empty(), "`{}` has no instance", rule.name);
        let each = (wanted / list.len()).max(2);
        let mut decided = 0;
        for instance in &list {
            for at in points(instance, each) {
                decided += usize::from(check(rule, instance, &at));
            }
        }
        if decided < wanted / 4 {
            silent.push((rule.name, decided));
        }
    }
    assert!(silent.is_empty(), "rules that too few points decide: {silent:?}");
}

#[test]
fn rules_are_named_once_and_state_their_law() {
    let mut names = BTreeSet::new();
    for rule in rules::all() {
        assert!(names.insert(rule.name), "`{}` stands twice", rule.name);
        assert!(!rule.law.is_empty() && !rule.law.contains('\n'));
        if let Form::Pattern { lhs, rhs } = rule.form {
            let (lhs, rhs) = (Pattern::parse(lhs).expect("lhs"), Pattern::parse(rhs).expect("rhs"));
            let bound = lhs.vars();
            assert!(rhs.vars().iter().all(|v| bound.contains(v)), "{}", rule.name);
            for c in rule.conditions {
                let vars = Pattern::parse(c.term).expect("condition").vars();
                assert!(vars.iter().all(|v| bound.contains(v)), "{}", rule.name);
            }
        }
    }
}

/// Whether both sides are equal at a point, and the right one defined where the left one is; false where
/// the point does not decide.
fn agree(rule: &Rule, instance: &Instance, at: &Sample) -> Result<bool, String> {
    let fine = roots::<Fine>(&instance.graph, at);
    let coarse = roots::<Coarse>(&instance.graph, at);
    let mut decided = true;
    for ((l, r), c) in fine[0].iter().zip(&fine[1]).zip(&coarse[0]) {
        let verdict = compare(l, c.to_f64(), r);
        let (x, y) = (l.to_f64(), r.to_f64());
        if verdict == Verdict::Unequal || (!x.is_nan() && y.is_nan()) {
            return Err(format!("{}: {x:e} and {y:e} at {:?}", rule.name, at.inputs));
        }
        decided &= verdict == Verdict::Equal;
    }
    Ok(decided)
}

#[test]
fn both_sides_agree_in_high_precision() {
    for_every_rule(20, |rule, instance, at| {
        agree(rule, instance, at).unwrap_or_else(|text| panic!("{text}"))
    });
}

/// The check above finds a wrong right side of every rule, and conditions that are missing.
#[test]
fn wrong_rules_are_found() {
    let fails = |rule: &Rule| {
        instances(rule).iter().any(|instance| {
            points(instance, 40).iter().any(|at| agree(rule, instance, at).is_err())
        })
    };
    let mut unguarded = 0;
    for rule in rules::all() {
        let Form::Pattern { lhs, rhs } = rule.form else { continue };
        for wrong in [format!("(+ {rhs} 0.001)"), format!("(neg {rhs})")] {
            let rhs: &'static str = wrong.leak();
            assert!(fails(&Rule { form: Form::Pattern { lhs, rhs }, ..*rule }), "{}", rule.name);
        }
        if !rule.conditions.is_empty() {
            unguarded += usize::from(fails(&Rule { conditions: &[], ..*rule }));
        }
    }
    assert!(unguarded >= 10, "{unguarded} missing conditions were found");
}

/// A range around a value.
fn around(dice: &mut Dice, x: f64, within: &Interval) -> Interval {
    let width = [0.0, 1e-6, 0.5, 40.0, f64::INFINITY][dice.below(5)];
    let wide = Interval::closed((x - width).max(f64::MIN), (x + width).min(f64::MAX));
    wide.intersect(within).unwrap_or(Interval::point(x))
}

#[test]
fn intervals_enclose_both_sides() {
    let mut dice = Dice(5);
    for_every_rule(12, |rule, instance, at| {
        let mut graph = instance.graph.clone();
        for (input, values) in graph.inputs.iter_mut().zip(&at.inputs) {
            let hull = values
                .iter()
                .map(|x| around(&mut dice, *x, &input.range))
                .reduce(|a, b| a.hull(&b));
            input.range = hull.unwrap_or(input.range);
        }
        let facts = analyse(&graph);
        let place = |i: usize| facts[graph.roots[i].node.0 as usize];
        let proved = instance.conditions.iter().enumerate().all(|(i, f)| f.holds(&place(i + 2)));
        if !proved {
            return true;
        }
        let (left, right) = (place(0), place(1));
        let fine = roots::<Fine>(&graph, at);
        let coarse = roots::<Coarse>(&graph, at);
        for ((l, r), c) in fine[0].iter().zip(&fine[1]).zip(&coarse[0]) {
            if compare(l, c.to_f64(), r) != Verdict::Equal {
                continue;
            }
            let x = r.to_f64();
            let near = |i: &Interval| {
                let room = 1e-12 * x.abs() + 1e-300;
                i.lo - room <= x && x <= i.hi + room
            };
            assert!(near(&left) && near(&right), "{}: {x} in {left}, {right}", rule.name);
            assert!(left.intersect(&right).is_some(), "{}: {left} and {right}", rule.name);
        }
        true
    });
}

#[test]
fn both_sides_have_equal_gradients() {
    type Exact = Big<512>;
    for_every_rule(8, |rule, instance, at| {
        let graph = &instance.graph;
        let mut decided = false;
        // At the border of a condition one of the two steps would leave it.
        let border = roots::<Coarse>(graph, at)[2..].iter().flatten().any(|x| x.to_f64() == 0.0);
        if border {
            return true;
        }
        for input in 0..graph.inputs.len() {
            let slopes = |step: f64| {
                let toward = |i: usize, _: usize| f64::from(i == input);
                let at: Batch<Exact> = batch(graph, at);
                directional_derivative(graph, &[0.7; 2][..graph.params.len()], &at, toward, step)
                    .expect("differentiates")
            };
            let (wide, narrow) = (slopes(1e-24), slopes(1e-26));
            for ((l, w), r) in narrow[0].iter().zip(&wide[0]).zip(&narrow[1]) {
                let (x, w, y) = (l.to_f64(), w.to_f64(), r.to_f64());
                // At a kink or a pole the two steps disagree.
                let smooth = x.is_finite() && (x - w).abs() <= 1e-6 * x.abs() + 1e-12;
                if !smooth || !y.is_finite() {
                    continue;
                }
                let same = (x - y).abs() <= 1e-9 * x.abs() + 1e-15;
                assert!(same, "{}: {x:e} and {y:e} at {:?}", rule.name, at.inputs);
                decided = true;
            }
        }
        decided || graph.inputs.is_empty()
    });
}

/// An element of a prime field; an integer as well where it is one, for the exponents of a generator.
#[derive(Clone, Copy, Debug)]
struct Residue {
    value: u64,
    integer: Option<i64>,
}

const PRIME: u64 = (1 << 61) - 1;

fn times(a: u64, b: u64) -> u64 {
    (u128::from(a) * u128::from(b) % u128::from(PRIME)) as u64
}

fn power(base: u64, mut exponent: u64) -> u64 {
    let (mut square, mut out) = (base, 1);
    while exponent > 0 {
        if exponent & 1 == 1 {
            out = times(out, square);
        }
        square = times(square, square);
        exponent >>= 1;
    }
    out
}

fn integer(i: i64) -> Residue {
    let value = i.rem_euclid(PRIME as i64) as u64;
    Residue { value, integer: Some(i) }
}

/// The value of a term where e^x is the power of a generator; `None` where it has none.
fn residue(term: &Arc<Term>) -> Option<Residue> {
    use crate::mir::{Binary, Unary};
    use crate::rewrite::language::Expr;
    let arg = |i: usize| residue(&term.args[i]);
    let both = |a: Residue, b: Residue, f: fn(i64, i64) -> Option<i64>| {
        a.integer.zip(b.integer).and_then(|(x, y)| f(x, y))
    };
    Some(match term.op {
        Expr::Const(_) => {
            let c = term.op.as_constant()?;
            if c.fract() != 0.0 {
                // A half: no integer, but an element of the field.
                let half = power(2, PRIME - 2);
                return (c == 0.5).then_some(Residue { value: half, integer: None });
            }
            integer(c as i64)
        }
        Expr::Param(i) => integer(1009 + 17 * i64::from(i)),
        Expr::Input(i) => integer(-31 - 57 * i64::from(i)),
        Expr::Unary(Unary::Neg, _) => {
            let x = arg(0)?;
            Residue {
                value: (PRIME - x.value) % PRIME,
                integer: x.integer.and_then(i64::checked_neg),
            }
        }
        Expr::Unary(Unary::Exp, _) => {
            let exponent = arg(0)?.integer?;
            let order = PRIME as i64 - 1;
            Residue { value: power(37, exponent.rem_euclid(order) as u64), integer: None }
        }
        Expr::Binary(Binary::Add, _) => {
            let (a, b) = (arg(0)?, arg(1)?);
            Residue { value: (a.value + b.value) % PRIME, integer: both(a, b, i64::checked_add) }
        }
        Expr::Binary(Binary::Sub, _) => {
            let (a, b) = (arg(0)?, arg(1)?);
            let value = (a.value + PRIME - b.value) % PRIME;
            Residue { value, integer: both(a, b, i64::checked_sub) }
        }
        Expr::Binary(Binary::Mul, _) => {
            let (a, b) = (arg(0)?, arg(1)?);
            Residue { value: times(a.value, b.value), integer: both(a, b, i64::checked_mul) }
        }
        Expr::Binary(Binary::Div, _) => {
            let (a, b) = (arg(0)?, arg(1)?);
            let value = (b.value != 0).then(|| times(a.value, power(b.value, PRIME - 2)))?;
            Residue { value, integer: None }
        }
        _ => return None,
    })
}

#[test]
fn algebraic_rules_hold_in_a_prime_field() {
    for rule in rules::all().filter(|r| r.algebraic) {
        let mut decided = 0;
        for instance in instances(rule) {
            let terms = crate::rewrite::check::graph_terms(&instance.graph);
            let side = |i: usize| residue(&terms[instance.graph.roots[i].node.0 as usize]);
            if let (Some(l), Some(r)) = (side(0), side(1)) {
                assert_eq!(l.value, r.value, "{}", rule.name);
                decided += 1;
            }
        }
        assert!(decided >= 20, "`{}` has {decided} decided instances", rule.name);
    }
}

#[test]
fn computed_rules_are_algebraic() {
    for rule in rules::all() {
        assert!(!matches!(rule.form, Form::Normal) || rule.algebraic, "{}", rule.name);
    }
}

#[test]
fn random_terms_saturate_without_contradiction() {
    let runner = Runner::new(Limits { iterations: 6, nodes: 1_500 }).expect("rules");
    for seed in 0..40 {
        let mut egraph = Egraph::new(Domain::new(&leaves()));
        egraph.add_expr(&random_term(&mut Dice(1_000 + seed), 5).to_expr());
        runner.run(&mut egraph);
        assert_eq!(egraph.analysis.contradiction, None, "seed {seed}");
    }
}

/// Writes an unsound rule's union into an e-graph and expects it to be caught.
#[test]
fn a_contradiction_is_caught() {
    let mut egraph = Egraph::new(Domain::new(&leaves()));
    let a = egraph.add_expr(&"(exp x0)".parse().expect("parses"));
    let b = egraph.add_expr(&"(- x0 1)".parse().expect("parses"));
    egraph.analysis.applying = "a wrong rule";
    egraph.union_trusted(a, b, "a wrong rule");
    egraph.rebuild();
    assert!(egraph.analysis.contradiction.is_some_and(|c| c.contains("a wrong rule")));
}
