//! `ponens derive`

use crate::common::{DPO_ROW, Place, ponens};
use crate::{json, json_in, marks, pointed};

const ORPO: [&str; 5] = ["derive", "--core", "pi(l) -> pi(w)", "--given", "pi(l) xor pi(w)"];
const UNCPO: [&str; 3] = ["derive", "--core", "pi(l) -> pi(w)"];

fn with(base: &[&'static str], more: &[&'static str]) -> Vec<&'static str> {
    base.iter().chain(more).copied().collect()
}

/// Writes the derived text to `mine.loss`.
fn derived(args: &[&str]) -> (Place, String) {
    let place = Place::new();
    let text = place.run(args).done().stdout;
    place.write("mine.loss", &text);
    (place, text)
}

#[test]
fn texts_are_canonical() {
    insta::assert_snapshot!("orpo", derived(&ORPO).1);
    let terms = ["--mean", "--name", "mine", "--terms", "lambda * nll(pi, w)"];
    insta::assert_snapshot!("terms", derived(&with(&ORPO, &terms)).1);
    insta::assert_snapshot!(
        "reference",
        derived(&with(&UNCPO, &["--reference", "--link", "squared"])).1
    );
}

#[test]
fn every_other_command_takes_the_text() {
    let more: [&[&str]; 6] = [
        &[],
        &["--mean"],
        &["--link", "hinge"],
        &["--link", "squared", "--reference"],
        &["--reference", "--mean", "--terms", "-0.5 * logp(ref, w) + lambda * nll(pi, w)"],
        &["--terms", "c * max(0, rho)", "--params", "c = 2 in (0, 3], beta = 0.7 in (0, 1)"],
    ];
    for options in more {
        let mut args = ORPO.to_vec();
        args.extend_from_slice(options);
        let (place, text) = derived(&args);
        place.run(&["check", "mine.loss"]).done();
        assert_eq!(place.run(&["fmt", "--check", "mine.loss"]).status, 0, "{text}");
        let row = DPO_ROW.replace('}', r#", "len(w)": 5, "len(l)": 7}"#);
        place.write("rows.jsonl", row);
        let value = ["value", "mine.loss", "--data", "rows.jsonl", "--grad", "--format", "json"];
        let line = &place.run(&value).done().json_lines()[0];
        assert!(line["loss"].as_f64().is_some_and(f64::is_finite), "{text}: {line}");
        let explained = json_in(&place, &["explain", "mine.loss"]).done().json();
        let node = if options.contains(&"--reference") { "ORPO_ref" } else { "ORPO" };
        assert_eq!(explained["node"], node, "{text}");
    }
}

#[test]
fn what_comes_back_is_what_was_said() {
    let (place, _) = derived(&ORPO);
    let found = json_in(&place, &["decompile", "mine.loss"]).done().json();
    assert_eq!(found["core"]["p"], "pi(l) -> pi(w)");
    let expected = [("", "none"), ("pi(w)", "tick"), ("pi(l)", "cross"), ("pi(l) pi(w)", "none")];
    let own = marks(&found);
    assert!(
        expected.iter().all(|(on, mark)| own.contains(&(on.to_string(), mark.to_string()))),
        "{own:?}"
    );
    let same = json_in(&place, &["compare", "mine.loss", "lattice.ORPO", "--param", "beta=1"]);
    assert_eq!(same.done().json()["loss_equal"], true);
}

#[test]
fn the_reference_version_is_that_of_the_lattice() {
    let (place, _) = derived(&with(&ORPO, &["--reference"]));
    let same = json_in(&place, &["compare", "mine.loss", "lattice.ORPO_ref"]).done().json();
    assert_eq!((&same["structure_equal"], &same["rho_equal"]), (&true.into(), &true.into()));
    // CPO with a reference is DPO.
    let cpo = ["--given", "pi(l) | pi(w)", "--tie", "pi(l) & pi(w)", "--reference"];
    let (place, text) = derived(&with(&UNCPO, &cpo));
    let same = json_in(&place, &["compare", "mine.loss", "dpo"]).done().json();
    assert_eq!(
        (&same["structure_equal"], &same["loss_equal"]),
        (&true.into(), &true.into()),
        "{same}"
    );
    assert!(text.starts_with("// The same rho, sums or means: lattice.CPO_ref,"), "{text}");
}

#[test]
fn links_are_written_as_they_are_defined() {
    let place = Place::new();
    place.write("rows.jsonl", r#"{"logp(pi,w)": -1, "logp(pi,l)": -3}"#);
    let cpo = ["--given", "pi(l) | pi(w)", "--tie", "pi(l) & pi(w)"];
    let cases = [
        ("logistic", (-0.5f64 * 2.0).exp().ln_1p()),
        ("hinge", 0.0),
        ("squared", (2.0f64 - 1.0).powi(2)),
    ];
    for (link, expected) in cases {
        let args = with(&with(&UNCPO, &cpo), &["--link", link]);
        let text = place.run(&args).done().stdout;
        place.write("mine.loss", text);
        let value = [
            "value",
            "mine.loss",
            "--data",
            "rows.jsonl",
            "--param",
            "beta=0.5",
            "--format",
            "json",
        ];
        let x = place.run(&value).done().json_lines()[0]["loss"].as_f64().expect("a loss");
        assert!((x - expected).abs() < 1e-12, "{link}: {x}, not {expected}");
    }
}

#[test]
fn what_cannot_be_learnt_is_said() {
    let ran = json(&UNCPO).done();
    assert_eq!(ran.codes(), ["W0501"]);
    let notes = ran.json()["notes"].clone();
    assert!(notes[2].as_str().is_some_and(|n| n.starts_with("No usable gradient")), "{notes}");
    assert!(ran.json()["text"].as_str().is_some_and(|t| t.contains("\n// No usable gradient")));
    assert!(json(&with(&UNCPO, &["--mean"])).done().codes().is_empty());
    assert!(json(&ORPO).done().codes().is_empty());
}

#[test]
fn names_of_models_and_responses_are_declared() {
    let args = ["derive", "--core", "pi(l) & old(w) -> pi(w) & old(r)", "--mean"];
    let (place, text) = derived(&args);
    assert!(text.contains("data pair(w > l, r)\n"), "{text}");
    assert!(text.contains("model old = reference, aggregate mean\n"), "{text}");
    assert!(text.contains("// Outside the two-atom lattice"), "{text}");
    place.run(&["check", "mine.loss"]).done();
}

#[test]
fn a_structure_without_a_row_to_win_or_to_lose_is_refused() {
    let cases: [(&[&str], &str, &str); 3] = [
        (&["--core", "true"], "dispreferred", "true"),
        (&["--core", "pi(w) & !pi(w)"], "is preferred", "pi(w) & !pi(w)"),
        (&["--core", "pi(w)", "--given", "pi(w) & !pi(w)"], "is preferred", "pi(w)"),
    ];
    for (args, reason, blamed) in cases {
        let mut all = vec!["derive"];
        all.extend_from_slice(args);
        let ran = json(&all);
        assert_eq!((ran.status, ran.codes()), (1, vec!["E0502".to_owned()]), "{ran}");
        let d = &ran.diagnostics()[0];
        assert!(d["message"].as_str().is_some_and(|m| m.contains(reason)), "{d}");
        assert_eq!((&d["file"], pointed(d, args[1])), (&"<--core>".into(), blamed));
        assert!(ran.stdout.is_empty());
    }
}

#[test]
fn errors_point_into_the_arguments() {
    let cases: [(&[&str], &str, &str, &str); 11] = [
        (&["--core", "pi(l) -> pi(w"], "E0001", "<--core>", "("),
        (&["--core", "pi(l) -> pi(w) + 3"], "E0201", "<--core>", "pi(w) + 3"),
        (&["--core", "pi(l) -> w"], "E0201", "<--core>", "w"),
        (&["--core", "pi(w)", "--given", "pi(l) |"], "E0001", "<--given>", ""),
        (&["--core", "pi(w)", "--tie", "1"], "E0201", "<--tie>", "1"),
        (&["--core", "pi(w)", "--terms", "foo(3)"], "E0101", "<--terms>", "foo"),
        (&["--core", "pi(w)", "--terms", "pi(w) &"], "E0001", "<--terms>", ""),
        (&["--core", "pi(w)", "--name", "1x"], "E0001", "<--name>", "1"),
        (&["--core", "pi(w)", "--params", "beta = 3 in (0, 1)"], "E0301", "<--params>", "3"),
        (&["--core", "pi(w)", "--params", "a = 1, a = 2"], "E0102", "<--params>", "a"),
        (&["--core", "pi(w)", "--params", "a = 1) {} loss y("], "E0001", "", ""),
    ];
    for (args, code, file, blamed) in cases {
        let mut all = vec!["derive"];
        all.extend_from_slice(args);
        let ran = json(&all);
        assert_eq!(ran.status, 1, "{args:?}: {ran}");
        let d = &ran.diagnostics()[0];
        assert_eq!(d["code"], code, "{args:?}: {ran}");
        if !file.is_empty() {
            assert_eq!(d["file"], file, "{args:?}: {ran}");
        }
        if !blamed.is_empty() {
            assert_eq!(pointed(d, args[args.len() - 1]), blamed, "{args:?}: {ran}");
        }
    }
}

#[test]
fn a_second_reference_has_no_room() {
    let ran = json(&["derive", "--core", "pi(l) & ref(w) -> pi(w)", "--reference"]);
    assert_eq!((ran.status, ran.codes()), (1, vec!["E0106".to_owned()]), "{ran}");
    let eleven = ('a'..='i').fold("pi(w) & pi(l)".to_owned(), |f, y| format!("{f} & pi({y})"));
    let ran = json(&["derive", "--core", &eleven, "--reference"]);
    assert_eq!((ran.status, ran.codes()), (1, vec!["E0503".to_owned()]), "{ran}");
}

#[test]
fn a_reference_of_many_atoms_takes_itself_off() {
    // rho of the reference version is rho less the log-ratio of the reference.
    let place = Place::new();
    let core = ["--core", "pi(l) | pi(a) -> pi(w) | aux(w) & aux(l)"];
    let text = ponens(&with(&["derive", "--name", "own"], &core)).done().stdout;
    place.write("own.loss", text);
    let text = ponens(&with(&["derive", "--reference", "--name", "own"], &core)).done().stdout;
    place.write("relative.loss", text);
    let row = "{\"logp(pi,w)\": -0.5, \"logp(pi,l)\": -1.25, \"logp(pi,a)\": -2, \
               \"logp(aux,w)\": -0.75, \"logp(aux,l)\": -1.5, \"logp(ref,w)\": -0.25, \
               \"logp(ref,l)\": -3}";
    place.write("row.jsonl", row);
    let rho = |loss: &str| {
        let ran = json_in(&place, &["value", loss, "--data", "row.jsonl", "-p", "beta=1"]).done();
        let value = ran.json()["loss"].as_f64().expect("a value");
        // The inverse of softplus(-rho).
        -value.exp_m1().ln()
    };
    let (own, relative) = (rho("own.loss"), rho("relative.loss"));
    assert!((own - relative - (-0.25 - -3.0)).abs() < 1e-9, "{own} {relative}");
}

#[test]
fn a_refusal_is_shown_under_its_argument() {
    insta::assert_snapshot!(ponens(&["derive", "--core", "pi(l) -> pi(w) + 3"]));
}
