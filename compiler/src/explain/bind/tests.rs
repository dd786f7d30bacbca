//! Losses as people write them, without a word about rho or a link.

use super::*;
use crate::codegen::interp::{Batch, evaluate};
use crate::explain::{around, structure};
use crate::hir::{NoLibrary, Program, verify};
use crate::lower;

const D: &str = "((logp(pi, w) - logp(ref, w)) - (logp(pi, l) - logp(ref, l)))";
const DPO: &str = "pi(l) & ref(w) -> pi(w) & ref(l)";

fn loss(data: &str, minimize: &str) -> Loss {
    let text = format!(
        "loss x(beta = 0.1 in (0, inf), gamma = 0.5 in [0, inf), lambda = 0.2 in [0, 1), shift = 1) {{\n \
         data {data}\n column offset in (0, 9)\n model pi = policy\n model ref = reference\n \
         minimize {}\n}}\n",
        minimize.replace('D', D)
    );
    let mut program = Program::new();
    let (_, found) = program.add_text("<test>", &text);
    assert!(found.is_empty(), "{found:?}");
    let (loss, found) = program.resolve("x", &NoLibrary);
    loss.unwrap_or_else(|| panic!("{minimize}: {found:?}"))
}

fn pair(minimize: &str) -> Loss {
    loss("pair(w > l)", minimize)
}

fn p_of(loss: &Loss) -> String {
    let found =
        structure(loss).unwrap_or_else(|n| panic!("{}: {}", loss.display(loss.minimize), n.reason));
    found.structure.core().p.shown(&found.structure.atoms).to_string()
}

/// What is minimised, P, the link.
const SPELLINGS: [(&str, &str, Option<&str>); 35] = [
    ("-log_sigmoid(beta * D)", DPO, Some("logistic(beta * rho)")),
    ("-log(sigmoid(beta * D))", DPO, Some("logistic(beta * rho)")),
    ("-log(1 / (1 + exp(-beta * D)))", DPO, Some("logistic(beta * rho)")),
    ("log(1 + exp(-beta * D))", DPO, Some("logistic(beta * rho)")),
    ("log1p(exp(-beta * D))", DPO, Some("logistic(beta * rho)")),
    ("softplus(-beta * D)", DPO, Some("logistic(beta * rho)")),
    ("logaddexp(0, -beta * D)", DPO, Some("logistic(beta * rho)")),
    (
        "softplus(beta * (logp(pi, l) - logp(ref, l)) - beta * (logp(pi, w) - logp(ref, w)))",
        DPO,
        Some("logistic(beta * rho)"),
    ),
    (
        "-log(sigmoid(beta * log(pi(w) / ref(w)) - beta * log(pi(l) / ref(l))))",
        DPO,
        Some("logistic(beta * rho)"),
    ),
    ("max(0, 1 - beta * D)", DPO, Some("hinge(beta * rho, 1)")),
    ("max(gamma - D, 0)", DPO, Some("hinge(rho, gamma)")),
    ("square(D - 1 / (2 * beta))", DPO, Some("squared(rho, 1 / (2 * beta))")),
    ("(D - 1 / (2 * beta))^2", DPO, Some("squared(rho, 1 / (2 * beta))")),
    ("square(1 / (2 * beta) - D)", DPO, Some("squared(rho, 1 / (2 * beta))")),
    ("square(log(pi(w) * ref(l) / (pi(l) * ref(w))) - 5)", DPO, Some("squared(rho, 5)")),
    (
        "-(1 - lambda) * log_sigmoid(beta * D) - lambda * log_sigmoid(-beta * D)",
        DPO,
        Some("logistic(beta * rho)"),
    ),
    ("smooth(lambda, logistic(beta * D))", DPO, Some("logistic(beta * rho)")),
    ("1 - sigmoid(beta * D)", DPO, None),
    ("exp(-beta * D)", DPO, None),
    (
        "sigmoid(beta * D) * (log_sigmoid(beta * D) - log(0.9)) + sigmoid(-beta * D) * (log_sigmoid(-beta * D) - log(0.1))",
        DPO,
        None,
    ),
    ("-log_sigmoid(beta * D - offset)", DPO, Some("logistic(beta * rho - offset)")),
    // A constant of either sign has no side.
    ("-log_sigmoid(beta * D - shift)", DPO, Some("logistic(beta * rho - shift)")),
    ("-log_sigmoid(beta * D) - lambda * logp(pi, w)", DPO, Some("logistic(beta * rho)")),
    ("-log_sigmoid(beta * D) * stop_gradient(exp(logp(pi, w)))", DPO, Some("logistic(beta * rho)")),
    ("sigmoid(beta * (logp(pi, w) - logp(ref, w))) + 1 - sigmoid(beta * D)", DPO, None),
    (
        "-log_sigmoid(beta * (logp(pi, w) / len(w) - logp(pi, l) / max(len(l), 1)) - gamma)",
        "pi(l) -> pi(w) & exp(-gamma / beta)",
        Some("logistic(beta * rho)"),
    ),
    (
        "square((logp(pi, w) - logp(ref, w)) / len(w) - (logp(pi, l) - logp(ref, l)) / len(l) - 5)",
        DPO,
        Some("squared(rho, 5)"),
    ),
    (
        "nll(pi, w) - lambda * log_sigmoid(mean_logp(pi, w) - mean_logp(pi, l) \
         - (log1p(-exp(mean_logp(pi, w))) - log1p(-exp(mean_logp(pi, l)))))",
        "pi(l) -> pi(w)",
        Some("logistic(rho)"),
    ),
    (
        "max(0, mean_logp(pi, l) - mean_logp(pi, w)) - logp(pi, w)",
        "pi(l) -> pi(w)",
        Some("hinge(rho, 0)"),
    ),
    // A loss that prefers the loser says so.
    (
        "softplus(beta * (logp(pi, w) - logp(pi, l)))",
        "pi(w) -> pi(l)",
        Some("logistic(beta * rho)"),
    ),
    // Minus the logarithm of a probability: cross-entropy, unlikelihood, Bradley-Terry, W or not L.
    ("-logp(pi, w)", "pi(w)", Some("logistic(rho)")),
    ("-logp(pi, w) - log1mexp(logp(pi, l))", "pi(w) & !pi(l)", Some("logistic(rho)")),
    ("-log(pi(w) / (pi(w) + pi(l)))", "pi(l) -> pi(w)", Some("logistic(rho)")),
    ("-log(1 - (1 - pi(w)) * pi(l))", "pi(l) -> pi(w)", Some("logistic(rho)")),
    ("logaddexp(logp(pi, w), logp(pi, l)) - logp(pi, w)", "pi(l) -> pi(w)", Some("logistic(rho)")),
];

#[test]
fn rho_and_its_link_are_found() {
    for (text, p, link) in SPELLINGS {
        let loss = pair(text);
        assert_eq!(p_of(&loss), p, "{text}");
        assert_eq!(around(&loss).link.as_deref(), link, "{text}");
    }
}

/// The value at an example whose columns depend on their number and on `seed`.
fn value(loss: &Loss, seed: u32) -> f64 {
    let graph = lower::lower(loss).graph;
    let mut batch = Batch::<f64>::new(1);
    for i in 0..graph.inputs.len() {
        let x = f64::from((i as u32 * 7919 + seed * 104_729) % 997 + 1) / 300.0;
        let x = match &graph.inputs[i].name {
            n if n.starts_with("len") => x.ceil(),
            n if n.contains("logp") => -x,
            n if n == "label" => f64::from(seed % 2),
            _ => x,
        };
        batch.set(&graph, i as u16, &[x]).expect("a column");
    }
    let params: Vec<f64> = loss.params.iter().map(|p| p.default.expect("a default")).collect();
    evaluate(&graph, &params, &batch).expect("a value")[0][0]
}

#[test]
fn a_bound_loss_is_the_same_function() {
    let labelled = "if good { 1 - sigmoid(beta * (logp(pi, y) - logp(ref, y))) } \
                    else { sigmoid(beta * (logp(pi, y) - logp(ref, y))) }";
    let losses = SPELLINGS.iter().map(|(text, ..)| pair(text));
    for loss in losses.chain([loss("labelled(y, good)", labelled)]) {
        let text = loss.display(loss.minimize);
        let Binding::Bound(bound) = bind(&loss) else { panic!("{text}: not bound") };
        verify(&bound).expect("the invariants hold");
        for seed in 0..8 {
            let (a, b) = (value(&loss, seed), value(&bound, seed));
            assert!((a - b).abs() <= 1e-9 * a.abs().max(1.0), "{text} at {seed}: {a} and {b}");
        }
    }
}

#[test]
fn one_response_has_a_core_too() {
    let text = "if good { 1 - sigmoid(beta * (logp(pi, y) - logp(ref, y))) } \
                else { sigmoid(beta * (logp(pi, y) - logp(ref, y))) }";
    assert_eq!(p_of(&loss("labelled(y, good)", text)), "ref(y) -> pi(y)");
}

#[test]
fn the_two_readings_of_a_penalty() {
    // DPO-Positive: the weights that are charged twice are copies.
    let text = "-log_sigmoid(beta * (D - 5 * max(0, logp(ref, w) - logp(pi, w))))";
    let loss = pair(text);
    assert_eq!(p_of(&loss), DPO);
    let why = &around(&loss).outside[0].why;
    let copies = "pi(l) & ref(w) & ref(w)#1 -> pi(w) & ref(l) & pi(w)#1";
    assert!(why.contains(copies), "{why}");
}

#[test]
fn what_is_not_one_rho_is_not_bound() {
    let own = "beta * (logp(pi, w) - logp(ref, w))";
    let other = "beta * (logp(pi, l) - logp(ref, l))";
    let several = pair(&format!("-log_sigmoid({own}) - log_sigmoid(-{other})"));
    assert!(matches!(bind(&several), Binding::Several(2)), "{:?}", bind(&several));
    let whys: Vec<_> = around(&several).outside.into_iter().map(|o| o.why).collect();
    assert!(whys[0].ends_with("a core of its own: ref(w) -> pi(w)"), "{whys:?}");
    assert!(whys[1].ends_with("a core of its own: pi(l) -> ref(l)"), "{whys:?}");

    let squared = pair("-log_sigmoid(beta * log(pi(w)^2 / pi(l)))");
    let none = structure(&squared).expect_err("a weight squared");
    assert!(none.cause.is_some_and(|c| c.nearest.is_some()), "{}", none.reason);
    let part = pair("-log_sigmoid(beta * (logp(pi, w) - shared_logp(pi, l)))");
    assert!(matches!(bind(&part), Binding::Failed(..)), "{:?}", bind(&part));
    let plain = pair("-logp(pi, w) + lambda * logp(pi, l)");
    assert!(matches!(bind(&plain), Binding::Nothing), "{:?}", bind(&plain));
}

#[test]
fn parts_outside_have_their_places() {
    let loss = pair("-log_sigmoid(beta * D) - lambda * logp(pi, w)");
    let outside = around(&loss).outside;
    assert_eq!(outside.len(), 1, "{outside:?}");
    let (span, whole) = (outside[0].span, loss.expr(loss.minimize).span);
    assert!(whole.start < span.start && span.end <= whole.end, "{span:?} in {whole:?}");
}
