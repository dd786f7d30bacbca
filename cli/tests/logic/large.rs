//! Losses of more atoms than a truth table of six holds.

use crate::common::{Place, ponens};
use crate::{json_in, marks};
use serde_json::Value;

const TEXTS: &str = "\
/// Two references and a third response: nine atoms.
loss nine(beta = 0.1 in (0, inf)) {
    data  pair(w > l, m)
    model pi = policy
    model ref = reference
    model old = reference

    prefer pi(l) & ref(w) & old(w) & pi(m) -> pi(w) & ref(l) & old(l) & ref(m) & old(m)
    given  pi(w) & ref(l) & old(l) & ref(m) & old(m) | pi(l) & ref(w) & old(w) & pi(m)
    tie    pi(w) & ref(l) & old(l) & ref(m) & old(m) & pi(l) & ref(w) & old(w) & pi(m)
    minimize logistic(beta * rho)
}

/// The same as arithmetic.
loss written(beta = 0.1 in (0, inf)) {
    data  pair(w > l, m)
    model pi = policy
    model ref = reference
    model old = reference

    rho = log(pi(w) * ref(l) * old(l) * ref(m) * old(m)) - log(pi(l) * ref(w) * old(w) * pi(m))
    minimize logistic(beta * rho)
}

/// Rejects a third response as well.
loss stronger(beta = 0.1 in (0, inf)) {
    data  pair(w > l, m)
    model pi = policy
    model ref = reference
    model old = reference

    rho = log(pi(w) * ref(l) * old(l) * ref(m) * old(m) * (1 - old(w))) - log(pi(l) * ref(w) * pi(m))
    minimize logistic(beta * rho)
}

loss none(beta = 0.1 in (0, inf)) {
    data  pair(w > l, m)
    model pi = policy
    model ref = reference
    model old = reference

    prefer pi(w) & pi(l) & pi(m) & ref(w) & ref(l) & ref(m) & old(w)
    given  !pi(w)
    minimize logistic(beta * rho)
}

loss thirteen() {
    data  pair(w > l, m, n)
    model pi = policy
    model a = reference
    model b = reference
    model c = reference

    prefer pi(w) & pi(l) & pi(m) & pi(n) & a(w) & a(l) & a(m) & a(n) & b(w) & b(l) & b(m) & b(n) & c(w)
    minimize logistic(rho)
}
";

fn place() -> Place {
    let place = Place::new();
    place.write("t.loss", TEXTS);
    place
}

#[test]
fn nine_atoms_are_explained_and_decompiled() {
    let place = place();
    let found = json_in(&place, &["explain", "t.loss:nine"]).done().json();
    assert_eq!(found["rows"].as_array().map(Vec::len), Some(512));
    assert_eq!(found["no_core"], Value::Null);
    let text = place.run(&["explain", "t.loss:nine"]).done().stdout;
    assert!(text.contains("512 rows: 15 win, 31 lose, 1 do both, 465 neither"), "{text}");
    for loss in ["t.loss:nine", "t.loss:written"] {
        let again = json_in(&place, &["decompile", loss]).done().json();
        let (mut own, mut other) = (marks(&found), marks(&again));
        own.sort();
        other.sort();
        assert_eq!(own, other, "{loss}");
        assert_eq!(again["core"], found["core"], "{loss}");
        assert!(again["proof"].as_array().is_some_and(|p| p.len() >= 2));
    }
}

#[test]
fn nine_atoms_are_compared() {
    let place = place();
    let compare = |a: &str, b: &str| json_in(&place, &["compare", a, b]).done().json();
    let same = compare("t.loss:nine", "t.loss:written");
    for key in ["structure_equal", "rho_equal", "core_equal", "loss_equal"] {
        assert_eq!(same[key], Value::Bool(true), "{key}: {same}");
    }
    assert_eq!(same["relation"], "equal");
    assert!(same["proof"].as_array().is_some_and(|p| !p.is_empty()));
    let other = compare("t.loss:stronger", "dpo");
    assert_eq!(other["relation"], "incomparable", "{other}");
    assert_eq!(other["witnesses"].as_array().map(Vec::len), Some(2));
}

#[test]
fn nine_atoms_have_a_value() {
    let place = place();
    let mut row = String::from("{");
    for (i, model) in ["pi", "ref", "old"].iter().enumerate() {
        for (j, response) in ["w", "l", "m"].iter().enumerate() {
            let x = -1.0 - i as f64 - 0.25 * j as f64;
            row.push_str(&format!("\"logp({model},{response})\": {x}, "));
        }
    }
    row.push_str("\"len(w)\": 3}\n");
    place.write("rows.jsonl", row);
    let value = |loss: &str| -> f64 {
        let args = ["value", loss, "--data", "rows.jsonl", "--format", "json"];
        place.run(&args).done().json_lines()[0]["loss"].as_f64().expect("a loss")
    };
    // rho = w + rl + ol + rm + om - l - rw - ow - m
    let rho: f64 = (-1.0 - 2.25 - 3.25 - 2.5 - 3.5) - (-1.25 - 2.0 - 3.0 - 1.5);
    let expected = (-0.1 * rho).exp().ln_1p();
    for loss in ["t.loss:nine", "t.loss:written"] {
        assert!((value(loss) - expected).abs() < 1e-14, "{loss}: {}", value(loss));
    }
}

#[test]
fn contradictions_and_crowds_are_diagnosed() {
    let place = place();
    for (loss, code) in [("t.loss:none", "E0502"), ("t.loss:thirteen", "E0503")] {
        let ran = json_in(&place, &["explain", loss]);
        assert_eq!((ran.status, ran.codes()), (1, vec![code.to_owned()]), "{ran}");
    }
}

#[test]
fn logic_of_nine_atoms_becomes_a_loss() {
    let core = "pi(w) & a(w) & b(w) & c(w) -> pi(l) | a(l) | b(l) | c(l)";
    let text = ponens(&["derive", "--core", core]).done().stdout;
    let place = Place::new();
    place.write("t.loss", &text);
    let ran = place.run(&["check", "t.loss"]);
    assert_eq!(ran.status, 0, "{ran}\n{text}");
}
