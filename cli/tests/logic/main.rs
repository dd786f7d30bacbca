//! The commands about logic: `decompile`, `compare`, `derive`, `landscape`.

#[path = "../common/mod.rs"]
mod common;
mod compare;
mod decompile;
mod derive;
mod dynamics;
mod landscape;
mod large;
mod lattice;
mod values;

use common::{Place, Ran, ponens};
use serde_json::Value;

/// Runs the command with JSON results.
fn json(args: &[&str]) -> Ran {
    json_in(&Place::new(), args)
}

fn json_in(place: &Place, args: &[&str]) -> Ran {
    let mut all = args.to_vec();
    all.extend_from_slice(&["--format", "json"]);
    place.run(&all)
}

/// The text that a diagnostic points to, in a text that it is about.
fn pointed<'a>(diagnostic: &Value, text: &'a str) -> &'a str {
    let number = |key: &str| diagnostic[key].as_u64().expect("a place") as usize;
    let line = text.lines().nth(number("line") - 1).expect("a line");
    assert_eq!(number("line"), number("end_line"));
    &line[number("column") - 1..number("end_column") - 1]
}

/// Marks of a truth table by the atoms that are true: `{"pi(w)": "tick", ..}`.
fn marks(document: &Value) -> Vec<(String, String)> {
    let rows = document["rows"].as_array().expect("rows");
    rows.iter()
        .map(|r| {
            let mut on: Vec<&str> = r["assignment"]
                .as_object()
                .expect("an assignment")
                .iter()
                .filter(|(_, v)| **v == Value::Bool(true))
                .map(|(k, _)| k.as_str())
                .collect();
            on.sort_unstable();
            (on.join(" "), r["mark"].as_str().expect("a mark").to_owned())
        })
        .collect()
}

#[test]
fn every_command_shows_examples() {
    for command in ["decompile", "compare", "derive", "landscape"] {
        let help = ponens(&[command, "--help"]).done().stdout;
        assert!(help.contains("Examples:\n  ponens"), "{help}");
    }
}

#[test]
fn a_command_line_without_sense_is_a_usage_error() {
    let lines: [&[&str]; 9] = [
        &["decompile"],
        &["decompile", "dpo", "--rho", "log(pi(w))"],
        &["decompile", "dpo", "--mean"],
        &["decompile", "dpo", "--format", "svg"],
        &["compare", "dpo"],
        &["compare", "dpo", "cpo", "--param", "beta"],
        &["derive"],
        &["landscape", "--atoms", "5"],
        &["landscape", "--between", "dpo"],
    ];
    for args in lines {
        let ran = ponens(args);
        assert_eq!(ran.status, 2, "{args:?}: {ran}");
        assert!(ran.stdout.is_empty(), "{ran}");
    }
}

#[test]
fn an_unknown_loss_is_diagnosed() {
    let lines: [&[&str]; 3] = [
        &["decompile", "dpoo"],
        &["compare", "dpo", "dpoo"],
        &["landscape", "--between", "dpoo", "dpo"],
    ];
    for args in lines {
        let ran = json(args);
        assert_eq!((ran.status, ran.codes()), (1, vec!["E0103".to_owned()]), "{ran}");
        assert_eq!(ran.diagnostics()[0]["help"], "did you mean `dpo`?");
    }
}
