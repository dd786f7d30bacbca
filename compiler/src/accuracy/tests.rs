//! The measure sees what is known to go wrong, and nothing where nothing does.

use super::{Options, Quantity, Report, report, sample};
use crate::adjoint::Wrt;
use crate::hir::{NoLibrary, Program};
use crate::mir::interval::Precision;
use crate::session::{self, Compiled};

fn compiled(text: &str) -> Compiled {
    let mut program = Program::new();
    let (_, found) = program.add_text("test", text);
    assert!(found.is_empty(), "{found:?}");
    let options = session::Options { wrt: Wrt::AllReal, ..session::Options::default() };
    session::compile(&mut program, "x", &NoLibrary, &options).expect("compiles")
}

fn measured(text: &str, precision: Precision) -> Report {
    let options = Options { grid: 36, random: 6, ..Options::default() };
    let compiled = compiled(text);
    let params = compiled.bind(&[]).expect("defaults");
    report(&compiled, &params, precision, &options, |_, _| {}).expect("measured")
}

fn worst(quantities: &[Quantity], of: impl Fn(&Quantity) -> f64) -> f64 {
    quantities.iter().map(of).fold(0.0, f64::max)
}

/// The odds ratio as its paper writes it.
const ODDS: &str = "loss x() {
    data pair(w > l)
    model pi = policy
    minimize -log(sigmoid(log((pi(w) / (1 - pi(w))) / (pi(l) / (1 - pi(l))))))
}";

#[test]
fn a_naive_text_fails_and_its_stable_form_does_not() {
    for precision in [Precision::F32, Precision::F64] {
        let found = measured(ODDS, precision);
        assert_eq!(found.quantities.len(), 3);
        assert!(found.confirmed > 10, "{}", found.confirmed);
        for q in &found.quantities {
            assert_eq!(q.stable.failures, 0, "{}: {:?}", q.name, q.stable.at);
            assert!(q.written.failures > 5, "{}: {:?}", q.name, q.written);
            let at = q.written.at.as_ref().expect("a point");
            assert!(at.computed.is_nan() || at.computed.is_infinite());
            assert!(at.inputs.iter().all(|(_, v)| v.len() == 1));
        }
        let worst = worst(&found.quantities, |q| q.stable.worst);
        assert!(worst < 200.0, "{worst}");
    }
}

/// A score without a logarithm: saturation loses every digit of the text, and none of the stable form.
const SCORE: &str = "loss x(beta = 1 in (0, inf)) {
    data labelled(y, good)
    model pi = policy
    minimize 1 - sigmoid(-(beta * logp(pi, y)))
}";

#[test]
fn errors_are_measured_in_units_in_the_last_place() {
    let found = measured(SCORE, Precision::F32);
    let value = &found.quantities[0];
    // 1 - s(x) is 0 for s(-x) > 0: all of its 2^23 or more units are gone.
    assert!(value.written.worst >= 8_388_608.0, "{:?}", value.written);
    assert!(value.stable.worst <= 2.0, "{:?}", value.stable);
    assert!(value.stable.mean > 0.0 && value.stable.mean < value.stable.worst);
    let at = value.written.at.as_ref().expect("a point");
    assert!(at.conditioning < 1e3, "{at:?}");
}

#[test]
fn the_same_options_give_the_same_report() {
    // As text, because a failure that is NaN is not equal to itself.
    let once = format!("{:?}", measured(SCORE, Precision::F32));
    assert_eq!(once, format!("{:?}", measured(SCORE, Precision::F32)));
}

#[test]
fn samples_stay_inside_the_domain() {
    let graph = compiled(ODDS).gradient.graph;
    let groups = sample::groups(&graph, 121, 50, 3);
    let columns: Vec<&Vec<f64>> = groups.iter().flat_map(|g| &g.columns).collect();
    assert_eq!(columns.iter().map(|c| c.len()).sum::<usize>(), 2 * (121 + 4 * 50));
    assert!(columns.iter().all(|c| c.iter().all(|x| (-1e4..=-1e-12).contains(x))));
    let has = |x: f64| columns.iter().all(|c| c.contains(&x));
    assert!(has(-1e4) && has(-1e-12) && has(-std::f64::consts::LN_2));
}
