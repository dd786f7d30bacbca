//! The published losses as papers write them, and the forms that they reach.

use super::text::written;
use crate::adjoint::{Wrt, differentiate};
use crate::mir::{Graph, verify};
use crate::rewrite::{Optimised, Options, Purpose, listing, optimise, verify_derivation};
use std::fmt::Write;
use std::sync::LazyLock;

pub(super) const LOSSES: &[(&str, &str)] = &[
    ("dpo", "-log(sigmoid(beta * (log(pw / qw) - log(pl / ql))))"),
    ("dpo_exp", "z = beta * log(pw * ql / (pl * qw)); -log(1 / (1 + exp(-z)))"),
    ("cpo", "-log(sigmoid(beta * (lw - ll))) - lambda * lw / nw"),
    ("orpo", "-lw / nw - lambda * log(sigmoid(log((pw / (1 - pw)) / (pl / (1 - pl)))))"),
    ("simpo", "-log(sigmoid(beta * (lw / nw - ll / nl) - gamma))"),
    ("cdpo", "z = beta * ((lw - rw) - (ll - rl)); -(1 - e) * log(sigmoid(z)) - e * log(sigmoid(-z))"),
    (
        "robust",
        "z = beta * ((lw - rw) - (ll - rl));
         (-(1 - e) * log(sigmoid(z)) + e * log(sigmoid(-z))) / (1 - 2 * e)",
    ),
    (
        "exo_pair",
        "z = beta * ((lw - rw) - (ll - rl)); sigmoid(z) * (log(sigmoid(z)) - log(1 - e))
            + sigmoid(-z) * (log(sigmoid(-z)) - log(e))",
    ),
    (
        "discopop",
        "z = beta * ((lw - rw) - (ll - rl)); m = sigmoid(z / tau);
         -log(sigmoid(z)) * (1 - m) + exp(-z) * m",
    ),
    (
        "nca_pair",
        "a = beta * (lw - rw); b = beta * (ll - rl);
         -log(sigmoid(a)) - 0.5 * log(sigmoid(-a)) - 0.5 * log(sigmoid(-b))",
    ),
    ("bco_pair", "-log(sigmoid(beta * (lw - rw))) - log(sigmoid(-(beta * (ll - rl))))"),
    ("sppo_hard", "c = 1 / (2 * beta); square((lw - rw) - c) + square((ll - rl) + c)"),
    ("apo_zero", "1 - sigmoid(beta * (lw - rw)) + sigmoid(beta * (ll - rl))"),
    (
        "apo_down",
        "sigmoid(beta * (lw - rw)) + 1 - sigmoid(beta * ((lw - rw) - (ll - rl)))",
    ),
    ("kto_good", "1 - sigmoid(beta * ((lw - rw) - kl))"),
    ("kto_bad", "1 - sigmoid(beta * (kl - (ll - rl)))"),
    ("forward_kl", "a = lw - rw; b = ll - rl; -log(sigmoid(beta * ((1 - exp(-a)) - (1 - exp(-b)))))"),
    (
        "js",
        "a = lw - rw; b = ll - rl;
         -log(sigmoid(beta * ((log(2) + log(sigmoid(a))) - (log(2) + log(sigmoid(b))))))",
    ),
    (
        "alpha",
        "a = lw - rw; b = ll - rl;
         -log(sigmoid(beta * ((exp((k - 1) * a) - 1) / (k - 1) - (exp((k - 1) * b) - 1) / (k - 1))))",
    ),
    ("hinge", "max(0, 1 - beta * ((lw - rw) - (ll - rl)))"),
    ("slic_hf", "max(0, gamma - lw + ll) - lambda * lw / nw"),
    ("rrhf", "max(0, ll / nl - lw / nw) - lw"),
    ("ipo", "square((lw - rw) / nw - (ll - rl) / nl - 1 / (2 * beta))"),
    ("ipo_sum", "square(((lw - rw) - (ll - rl)) - 1 / (2 * beta))"),
    ("dpop", "-log(sigmoid(beta * (((lw - rw) - (ll - rl)) - lambda * max(0, rw - lw))))"),
    ("r_dpo", "-log(sigmoid(beta * ((lw - rw) - (ll - rl)) + alpha * (nw - nl)))"),
    ("rpo", "-log(sigmoid(beta * ((lw - rw) - (ll - rl)))) - lambda * lw / nw"),
    ("ppo_clip", "r = exp(lw - rw); -min(r * adv, min(max(r, 1 - e), 1 + e) * adv)"),
    ("sft", "-lw / nw"),
];

/// The winning and the losing polynomials of the two-atom lattice.
const WINNING: [(&str, &str); 4] =
    [("w!l", "pw * (1 - pl)"), ("w", "pw"), ("!l", "1 - pl"), ("w+!l", "1 - pl * (1 - pw)")];
const LOSING: [(&str, &str); 4] =
    [("l!w", "pl * (1 - pw)"), ("l", "pl"), ("!w", "1 - pw"), ("l+!w", "1 - pw * (1 - pl)")];

/// Every loss above and the sixteen of the lattice.
pub(super) fn all() -> Vec<(String, String)> {
    let own = |(n, t): &(&str, &str)| ((*n).to_owned(), (*t).to_owned());
    let mut out: Vec<(String, String)> = LOSSES.iter().map(own).collect();
    for (n, top) in WINNING {
        for (m, bottom) in LOSING {
            let text = format!("-log(sigmoid(log(({top}) / ({bottom}))))");
            out.push((format!("lattice {n} : {m}"), text));
        }
    }
    out
}

/// A loss with all that is derived from it.
pub(super) struct Case {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) value: Optimised,
    /// The gradients as the chain rule gives them.
    pub(super) chain_rule: Graph,
    pub(super) gradients: Optimised,
}

/// Every loss, derived once for all tests.
pub(super) fn cases() -> &'static [Case] {
    static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
        let case = |(name, text): (String, String)| {
            let value = value(&text, true).1;
            let (chain_rule, gradients) = gradients(&value.graph, true);
            Case { name, text, value, chain_rule, gradients }
        };
        all().into_iter().map(case).collect()
    });
    &CASES
}

/// The stable value, from the text.
pub(super) fn value(text: &str, derive: bool) -> (Graph, Optimised) {
    let graph = written(text);
    let options = Options { purpose: Purpose::BeforeGradient, derive, ..Options::default() };
    let found = optimise(&graph, &options).unwrap_or_else(|e| panic!("{text}: {e:?}"));
    (graph, found)
}

/// The stable value with its gradients, from the stable value.
pub(super) fn gradients(value: &Graph, derive: bool) -> (Graph, Optimised) {
    let graph = differentiate(value, Wrt::Policy);
    let options = Options { derive, ..Options::default() };
    let found = optimise(&graph, &options).unwrap_or_else(|e| panic!("{}: {e:?}", listing(&graph)));
    (graph, found)
}

fn summary(found: &Optimised) -> String {
    let s = &found.stats;
    let mut text = format!(
        "{} iterations, {} e-nodes, {} e-classes; hazard {}, {} nodes\n",
        s.iterations, s.e_nodes, s.e_classes, found.cost.hazard, found.cost.size
    );
    for (rule, count) in &s.applied {
        // Writing to a string does not fail.
        let _ = writeln!(text, "  {count:3} {rule}");
    }
    text
}

#[test]
fn forms_reached() {
    for case in cases() {
        let shown = format!(
            "{}\n\nvalue:\n{}\nvalue and gradients:\n{}",
            case.text,
            listing(&case.value.graph),
            listing(&case.gradients.graph)
        );
        insta::assert_snapshot!(case.name.replace(['!', ' ', ':', '+'], "_"), shown);
    }
}

#[test]
fn statistics() {
    let mut text = String::new();
    for case in &cases()[..LOSSES.len()] {
        let (value, gradients) = (summary(&case.value), summary(&case.gradients));
        let _ = writeln!(text, "{0}: {value}{0}, gradients: {gradients}", case.name);
    }
    insta::assert_snapshot!("statistics", text);
}

#[test]
fn every_loss_saturates_and_is_total() {
    for case in cases() {
        for found in [&case.value, &case.gradients] {
            assert_eq!(found.stats.stopped, None, "{}: {}", case.name, summary(found));
            assert!(found.warnings.is_empty(), "{}: {:?}", case.name, found.warnings);
            assert_eq!(verify::verify(&found.graph), Ok(()), "{}", case.name);
        }
    }
}

#[test]
fn results_are_the_same_every_time() {
    for case in cases().iter().step_by(6) {
        for _ in 0..2 {
            let (_, value) = value(&case.text, true);
            let (_, gradients) = gradients(&value.graph, true);
            assert!(value == case.value && gradients == case.gradients, "{}", case.name);
        }
    }
}

/// A derivation does not change what is derived.
#[test]
fn results_do_not_depend_on_the_derivation() {
    for case in cases().iter().step_by(6) {
        let (_, found) = gradients(&case.value.graph, false);
        assert_eq!(found.graph, case.gradients.graph, "{}", case.name);
    }
}

#[test]
fn every_derivation_holds() {
    for case in cases() {
        for found in [&case.value, &case.gradients] {
            let name = &case.name;
            let derivation = found.derivation.as_ref();
            let derivation = derivation.unwrap_or_else(|| panic!("{name}: {:?}", found.warnings));
            let verdict = verify_derivation(derivation);
            let step = verdict.as_ref().err().and_then(|e| {
                let lemma = derivation.lemmas.iter().find(|l| l.node == e.node)?;
                let step = &lemma.steps[e.step?];
                let text = |t| crate::rewrite::infix(t, &found.graph.params, &found.graph.inputs);
                Some((text(&step.before), text(&step.after)))
            });
            assert_eq!(verdict, Ok(()), "{name}: {step:?}");
        }
    }
}
