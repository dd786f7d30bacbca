//! The sign of a link, and links beside the first.

use super::*;
use crate::hir::{NoLibrary, Program};

const D: &str = "(logp(pi, w) - logp(pi, l))";

fn pair(minimize: &str) -> Loss {
    let text = format!(
        "loss x(beta = 0.1 in (0, inf)) {{\n data pair(w > l)\n model pi = policy\n minimize {}\n}}\n",
        minimize.replace('D', D)
    );
    let mut program = Program::new();
    let (_, found) = program.add_text("<test>", &text);
    assert!(found.is_empty(), "{found:?}");
    let (loss, found) = program.resolve("x", &NoLibrary);
    loss.unwrap_or_else(|| panic!("{minimize}: {found:?}"))
}

/// What is minimised, the link, whether it is subtracted, what lies outside.
const PARTS: [(&str, &str, bool, &[&str]); 10] = [
    ("-log_sigmoid(D)", "logistic(rho)", false, &[]),
    ("log_sigmoid(D)", "-logistic(rho)", true, &[]),
    ("-max(0, 1 - D)", "-hinge(rho, 1)", true, &[]),
    ("-smooth(0.1, logistic(D))", "-logistic(rho)", true, &["0.1"]),
    ("beta * log_sigmoid(D)", "-logistic(rho)", true, &["beta"]),
    ("max(0, 1 - D) - max(0, -1 - D)", "hinge(rho, 1)", false, &["-hinge(rho, -1)"]),
    ("softplus(-D) + softplus(D)", "logistic(rho)", false, &["logistic(-rho)"]),
    ("beta * (softplus(-D) + softplus(D))", "logistic(rho)", false, &["beta", "logistic(-rho)"]),
    (
        "max(0, 1 - D) + log_sigmoid(D) + beta * max(0, 2 - D)",
        "hinge(rho, 1)",
        false,
        &["-logistic(rho)", "beta", "hinge(rho, 2)"],
    ),
    (
        "beta * (softplus(-D) - logp(pi, w)) - logp(pi, w)",
        "logistic(rho)",
        false,
        &["beta", "-logp(pi, w)", "-logp(pi, w)"],
    ),
];

#[test]
fn signs_and_further_links_are_told() {
    for (text, link, reversed, outside) in PARTS {
        let loss = pair(text);
        let whole = loss.expr(loss.minimize).span;
        let parts = around(&loss);
        assert_eq!(parts.link.as_deref(), Some(link), "{text}");
        assert_eq!(parts.reversed, reversed, "{text}");
        let texts: Vec<&str> = parts.outside.iter().map(|o| o.text.as_str()).collect();
        assert_eq!(texts, outside, "{text}");
        for o in &parts.outside {
            assert!(whole.start <= o.span.start && o.span.end <= whole.end, "{text}: {o:?}");
            let further = o.why == "a further link of rho";
            assert_eq!(further, o.text.contains("rho"), "{text}: {o:?}");
        }
    }
}

#[test]
fn a_link_in_a_denominator_is_none() {
    let loss = pair("1 / logistic(D)");
    let parts = around(&loss);
    assert_eq!(parts.link, None);
    assert_eq!(parts.outside[0].why, "a value function of rho, not a link");
}
