//! `ponens decompile`

use crate::common::{Place, ponens};
use crate::lattice::{LATTICE, formula, rho};
use crate::{json, json_in, marks, pointed};

#[test]
fn dpo_is_shown_with_its_proof() {
    insta::assert_snapshot!(ponens(&["decompile", "dpo"]).done());
}

#[test]
fn every_node_of_the_lattice_is_found_in_its_fraction() {
    let place = Place::new();
    for (name, p, given, tie, t, b) in LATTICE {
        let found = json_in(&place, &["decompile", "--rho", &rho(t, b)]).done().json();
        let node = format!("lattice.{name}");
        let known = json_in(&place, &["explain", &node]).done().json();
        let (mut own, mut other) = (marks(&found), marks(&known));
        own.sort();
        other.sort();
        assert_eq!(own, other, "{name}");
        // Its formulas say the same as the paper's.
        let mut text = "loss x() { data pair(w > l) model pi = policy\n".to_owned();
        for (clause, formula) in
            [("prefer", formula(p)), ("given", formula(given)), ("tie", formula(tie))]
        {
            text.push_str(&format!("{clause} {formula}\n"));
        }
        place.write("x.loss", format!("{text}minimize logistic(rho) }}\n"));
        let same = json_in(&place, &["compare", "x.loss", &node]).done().json();
        assert_eq!(
            (&same["structure_equal"], &same["loss_equal"]),
            (&true.into(), &true.into()),
            "{same}"
        );
    }
}

#[test]
fn each_step_begins_where_the_last_one_ended() {
    let place = Place::new();
    for loss in ["dpo", "simpo", "ipo", "orpo", "lattice.sCE_ref"] {
        let found = json_in(&place, &["decompile", loss]).done().json();
        let mut text = &found["rho"];
        let proof = found["proof"].as_array().expect("steps");
        for step in proof {
            assert_eq!(&step["before"], text, "{loss}");
            assert!(step["law"].as_str().is_some_and(|l| !l.is_empty()));
            text = &step["after"];
        }
        let core = &found["core"];
        let last = text.as_str().expect("clauses");
        assert!(last.contains(&format!("prefer {}", core["p"].as_str().expect("P"))), "{last}");
    }
}

#[test]
fn a_margin_is_a_constant_atom() {
    let found = json(&["decompile", "simpo"]).done().json();
    assert_eq!(found["core"]["p"], "pi(l) -> pi(w) & exp(-gamma / beta)");
    assert_eq!(found["core"]["given"], "pi(w) & exp(-gamma / beta) | pi(l)");
    assert_eq!(found["core"]["tie"], "pi(w) & pi(l) & exp(-gamma / beta)");
    let constant = &found["constants"][0];
    assert_eq!(
        (&constant["atom"], &constant["weight"]),
        (&"exp(-gamma / beta)".into(), &"exp(-(gamma / beta))".into())
    );
    // A margin that raises rho stands on the side of the loser.
    let rho = ["--rho", "log(pi(w) / pi(l)) + m", "--params", "m = 1 in (0, inf)"];
    let found = json(&["decompile", rho[0], rho[1], rho[2], rho[3]]).done().json();
    assert_eq!(found["core"]["p"], "pi(l) & exp(-m) -> pi(w)");
}

#[test]
fn log_space_and_means_are_read() {
    let place = Place::new();
    let core = |args: &[&str]| {
        let found = json_in(&place, args).done().json();
        (found["core"].clone(), found["rows"].clone())
    };
    let plain = core(&["decompile", "--rho", "log(pi(w) / pi(l))"]);
    for rho in [
        "logp(pi, w) - logp(pi, l)",
        "mean_logp(pi, w) - mean_logp(pi, l)",
        "log(pi(w)) + log(ref(l)) - log(pi(l) * ref(l))",
        "-(log(pi(l)) - log(pi(w)))",
    ] {
        let (_, rows) = core(&["decompile", "--rho", rho]);
        let sorted = |rows| {
            let mut m = marks(&serde_json::json!({ "rows": rows }));
            m.sort();
            m
        };
        assert_eq!(sorted(rows), sorted(plain.1.clone()), "{rho}");
    }
    assert_eq!(core(&["decompile", "--rho", "log(pi(w) / pi(l))", "--mean"]).0, plain.0);
}

#[test]
fn what_cancels_is_shown() {
    let found =
        json(&["decompile", "--rho", "log(pi(w) * ref(w) / (pi(l) * ref(w)))"]).done().json();
    assert_eq!(found["core"]["p"], "pi(l) -> pi(w)");
    assert_eq!(found["cancelled"]["p"], "pi(l) & ref(w) -> pi(w)");
    assert_eq!(json(&["decompile", "dpo"]).done().json()["cancelled"], serde_json::Value::Null);
}

#[test]
fn what_lies_outside_is_listed() {
    let found = json(&["decompile", "dpop"]).done().json();
    assert_eq!(found["core"]["p"], "pi(l) & ref(w) -> pi(w) & ref(l)");
    let outside = found["outside"][0]["text"].as_str().expect("a part");
    assert!(outside.contains("lambda * max(0, logp(ref, w) - logp(pi, w))"), "{outside}");
    let found = json(&["decompile", "cpo"]).done().json();
    let whys: Vec<_> =
        found["outside"].as_array().expect("parts").iter().map(|o| &o["why"]).collect();
    assert!(whys.contains(&&"likelihood term".into()), "{whys:?}");
}

/// The expression, what the diagnostic points to, part of the reason, the nearest P.
const REFUSED: [(&str, &str, &str, Option<&str>); 9] = [
    ("log(pi(w)^2 / pi(l))", "pi(w)^2", "more than once", Some("pi(l) -> pi(w) & pi(w)#1")),
    // DPO-Positive with a penalty that is active, and lambda 1.
    (
        "log(pi(w) * ref(l) / (pi(l) * ref(w))) - (logp(ref, w) - logp(pi, w))",
        "logp(pi, w)",
        "more than once",
        Some("pi(l) & ref(w) & ref(w)#1 -> pi(w) & ref(l) & pi(w)#1"),
    ),
    ("log((pi(w) + pi(l)) / pi(l))", "(pi(w) + pi(l))", "2 times", Some("true")),
    (
        "2 * log(pi(w) / pi(l))",
        "2 * log(pi(w) / pi(l))",
        "2 times a logarithm",
        Some("pi(l) -> pi(w)"),
    ),
    ("log(pi(w) / pi(l)) - max(0, logp(ref, w))", "max(0, logp(ref, w))", "no word for", None),
    ("pi(w) / pi(l)", "pi(w) / pi(l)", "ratio of weights", None),
    ("logp(pi, w) - mean_logp(pi, w)", "mean_logp(pi, w)", "different atoms", None),
    ("logp(pi, w) + pi(l)", "logp(pi, w) + pi(l)", "a log-probability and a probability", None),
    ("log(pi(w) / pi(w))", "log(pi(w) / pi(w))", "no weight is left", None),
];

#[test]
fn what_is_no_logic_is_refused_with_its_place() {
    let place = Place::new();
    for (rho, blamed, reason, nearest) in REFUSED {
        let ran = json_in(&place, &["decompile", "--rho", rho]);
        assert_eq!((ran.status, ran.codes()), (1, vec!["E0501".to_owned()]), "{rho}: {ran}");
        let d = &ran.diagnostics()[0];
        assert_eq!((&d["file"], pointed(d, rho)), (&"<--rho>".into(), blamed), "{rho}");
        let found = ran.json();
        assert!(found["reason"].as_str().is_some_and(|r| r.contains(reason)), "{rho}: {found}");
        assert_eq!(found["core"], serde_json::Value::Null);
        let own = found["nearest"]["core"]["p"].as_str();
        assert_eq!(own, nearest, "{rho}: {found}");
        let help = d["help"].as_str().unwrap_or_default();
        assert_eq!(help.contains("nearest reading"), nearest.is_some(), "{help}");
    }
    let ran = json_in(&place, &["decompile", "--rho", REFUSED[0].0]);
    assert_eq!(ran.json()["monomials"], serde_json::json!(["pi(w)^2"]));
}

#[test]
fn a_refusal_is_shown_under_the_argument() {
    insta::assert_snapshot!(ponens(&["decompile", "--rho", "log(pi(w)^2 / pi(l))"]));
}

#[test]
fn a_loss_without_rho_is_refused() {
    let ran = json(&["decompile", "sft"]);
    assert_eq!((ran.status, ran.codes()), (1, vec!["E0501".to_owned()]));
    let found = ran.json();
    assert_eq!(found["core"], serde_json::Value::Null);
    assert_eq!(found["outside"][0]["why"], "term over the whole batch");
}

#[test]
fn a_loss_as_its_authors_write_it_is_read() {
    let place = Place::new();
    let text = "loss mine(beta = 0.1 in (0, inf), lambda = 1 in [0, inf)) {
    data pair(w > l)
    model pi = policy
    model ref = reference
    minimize -log_sigmoid(beta * ((logp(pi, w) - logp(ref, w)) - (logp(pi, l) - logp(ref, l))))
             + lambda * nll(pi, w)
}
";
    place.write("mine.loss", text);
    let found = json_in(&place, &["decompile", "mine.loss"]).done().json();
    assert_eq!(found["core"]["p"], "pi(l) & ref(w) -> pi(w) & ref(l)");
    // What lies outside is named with its place.
    let outside = &found["outside"][0];
    assert_eq!(outside["why"], "likelihood term");
    assert_eq!(outside["place"]["file"], "mine.loss");
    assert_eq!(pointed(&outside["place"], text), "lambda * nll(pi, w)");
    let found = json_in(&place, &["explain", "mine.loss"]).done().json();
    assert_eq!(
        (&found["link"], &found["node"]),
        (&"logistic(beta * rho)".into(), &"CPO_ref".into())
    );
    let same = json_in(&place, &["compare", "mine.loss", "rpo"]).done().json();
    assert_eq!((&same["relation"], &same["loss_equal"]), (&"equal".into(), &true.into()), "{same}");
}

#[test]
fn a_function_of_another_name_is_found() {
    let near = [
        ("logit(pi(w)) - logit(pi(l))", "log(p / (1 - p))"),
        ("log(odds(pi(w)) / odds(pi(l)))", "p / (1 - p)"),
        ("logsumexp(logp(pi, w), logp(pi, l))", "logaddexp(a, b)"),
    ];
    for (rho, help) in near {
        let ran = json(&["decompile", "--rho", rho]);
        assert_eq!(ran.codes()[0], "E0101", "{ran}");
        let d = &ran.diagnostics()[0];
        assert!(d["help"].as_str().is_some_and(|h| h.contains(help)), "{d}");
    }
}

#[test]
fn errors_in_the_arguments_point_into_them() {
    let cases: [(&[&str], &str, &str, &str); 4] = [
        (&["--rho", "log(pi(w) / "], "E0001", "<--rho>", ""),
        (&["--rho", "log(pi(w) / foo)"], "E0101", "<--rho>", "foo"),
        (&["--rho", "log(pi(w))", "--params", "beta = 3 in (0, 1)"], "E0301", "<--params>", "3"),
        (&["--rho", "log(pi(w))", "--params", "beta = "], "E0001", "<--params>", ""),
    ];
    for (args, code, file, blamed) in cases {
        let mut all = vec!["decompile"];
        all.extend_from_slice(args);
        let ran = json(&all);
        assert_eq!(ran.status, 1, "{args:?}: {ran}");
        let d = &ran.diagnostics()[0];
        assert_eq!((&d["code"], &d["file"]), (&code.into(), &file.into()), "{ran}");
        if !blamed.is_empty() {
            assert_eq!(pointed(d, args[args.len() - 1]), blamed);
        }
    }
}
