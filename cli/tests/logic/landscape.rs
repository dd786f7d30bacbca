//! `ponens landscape`

use crate::common::{Place, ponens};
use crate::{json, json_in, marks};
use serde_json::{Value, json};
use std::io::Read as _;
use std::process::{Command, Stdio};

fn number(v: &Value) -> u64 {
    v.as_u64().unwrap_or_else(|| panic!("{v} is no count"))
}

fn listed(args: &[&str]) -> Vec<Value> {
    let mut all = vec!["landscape", "--list"];
    all.extend_from_slice(args);
    let found = json(&all).done().json();
    assert_eq!(found["stopped"], Value::Null, "{found}");
    let losses = found["losses"].as_array().expect("a list").clone();
    assert_eq!(number(&found["listed"]), losses.len() as u64);
    losses
}

#[test]
fn two_and_three_atoms_are_counted() {
    let keys = ["atoms", "structures", "nonempty", "distinct_rho", "monotone", "monotone_in_both"];
    for (atoms, expected) in
        [("2", [2, 256, 225, 187, 40, 34]), ("3", [3, 65_536, 65_025, 63_475, 4_826, 4_672])]
    {
        let found = json(&["landscape", "--atoms", atoms]).done().json();
        assert_eq!(keys.map(|k| number(&found[k])), expected);
        assert_eq!(found.get("losses"), None);
        assert_eq!(found.get("covers"), None);
    }
}

#[test]
fn the_counts_are_shown() {
    insta::assert_snapshot!(ponens(&["landscape"]).done());
}

#[test]
fn a_count_is_the_length_of_the_list() {
    let place = Place::new();
    let cases: [(&[&str], Option<usize>); 10] = [
        (&[], Some(187)),
        (&["--every-structure"], Some(256)),
        (&["--monotone"], Some(40)),
        (&["--monotone", "--depends-on-both"], Some(34)),
        (&["--monotone", "--symmetric"], Some(4)),
        (&["--usable-gradient", "sum"], None),
        (&["--monotone", "--usable-gradient", "mean"], Some(40)),
        (&["--monotone", "--new"], Some(24)),
        (&["--between", "lattice.CEUnl", "lattice.unCPO"], Some(16)),
        (&["--between", "lattice.ORPO", "lattice.CPO"], Some(0)),
    ];
    for (options, expected) in cases {
        let mut args = vec!["landscape", "--count"];
        args.extend_from_slice(options);
        let text = place.run(&args).done().stdout;
        let count: usize = text.trim().parse().unwrap_or_else(|_| panic!("{text}"));
        assert_eq!(number(&json_in(&place, &args).done().json()["found"]), count as u64);
        assert_eq!(listed(options).len(), count, "{options:?}");
        if let Some(n) = expected {
            assert_eq!(count, n, "{options:?}");
        }
    }
}

#[test]
fn a_listed_loss_is_told_in_full() {
    let losses = listed(&["--between", "lattice.CPO", "lattice.CPO"]);
    assert_eq!(losses.len(), 1);
    let cpo = &losses[0];
    assert_eq!(
        cpo["core"],
        json!({ "p": "pi(l) -> pi(w)", "given": "pi(w) | pi(l)", "tie": "pi(w) & pi(l)" })
    );
    assert_eq!(cpo["rho"], "log(pi(w) / pi(l))");
    let names: Vec<&str> =
        cpo["names"].as_array().expect("names").iter().filter_map(Value::as_str).collect();
    assert!(names.contains(&"lattice.CPO") && names.contains(&"cpo"), "{names:?}");
    let tick = ("pi(w)".to_owned(), "tick".to_owned());
    assert!(marks(cpo).contains(&tick), "{cpo}");
}

#[test]
fn filters_hold_of_what_is_listed() {
    for loss in listed(&["--new"]) {
        assert_eq!(loss["names"], json!([]));
    }
    for loss in listed(&["--symmetric"]) {
        let own = marks(&loss);
        let mark = |on: &str| {
            own.iter().find(|(o, _)| o == on).map_or("none", |(_, m)| m.as_str()).to_owned()
        };
        let mirror = |m: String| match m.as_str() {
            "tick" => "cross".to_owned(),
            "cross" => "tick".to_owned(),
            _ => m,
        };
        assert_eq!(mark("pi(w)"), mirror(mark("pi(l)")), "{loss}");
        for same in ["", "pi(l) pi(w)"] {
            assert!(["both", "none"].contains(&mark(same).as_str()), "{loss}");
        }
    }
    for loss in listed(&["--depends-on-both"]) {
        let rho = loss["rho"].as_str().expect("rho");
        assert!(rho.contains("pi(w)") && rho.contains("pi(l)"), "{rho}");
    }
}

#[test]
fn rho_of_a_listed_loss_decompiles_to_its_logic() {
    let place = Place::new();
    for loss in listed(&["--monotone"]).iter().step_by(7) {
        let rho = loss["rho"].as_str().expect("rho");
        let found = json_in(&place, &["decompile", "--rho", rho]).done().json();
        let (mut own, mut again) = (marks(loss), marks(&found));
        // A loss may not depend on an atom of the landscape.
        if own.len() == again.len() {
            own.sort();
            again.sort();
            assert_eq!(own, again, "{rho}");
        } else {
            assert_eq!(found["core"], loss["core"], "{rho}");
        }
    }
}

#[test]
fn a_list_of_lines_is_for_people() {
    insta::assert_snapshot!(
        ponens(&["landscape", "--list", "--between", "lattice.ORPO", "lattice.unCPO"]).done()
    );
}

#[test]
fn a_limit_is_said() {
    let found = json(&["landscape", "--list", "--limit", "5"]).done().json();
    assert_eq!(found["losses"].as_array().map(Vec::len), Some(5));
    assert_eq!(found["stopped"], "stopped at the limit of 5");
    let ran = ponens(&["landscape", "--list", "--limit", "5"]).done();
    assert_eq!(ran.stdout.lines().count(), 5);
    assert!(ran.stderr.contains("the first 5"), "{ran}");
}

#[test]
fn four_atoms_are_searched() {
    // Between two losses with a reference the search is short.
    let options = ["--atoms", "4", "--between", "lattice.CEUnl_ref", "dpo"];
    let mut args = vec!["landscape", "--count"];
    args.extend_from_slice(&options);
    assert_eq!(ponens(&args).done().stdout, "16\n");
    args[1] = "--list";
    let text = ponens(&args).done().stdout;
    assert_eq!(text.lines().count(), 16);
    let last = text.lines().find(|l| l.contains("lattice.CPO_ref")).expect("DPO itself");
    assert!(last.starts_with("log(pi(w) * ref(l) / (pi(l) * ref(w)))"), "{last}");
}

#[test]
fn names_of_ones_own_are_understood() {
    let place = Place::new();
    place.write(
        "t.loss",
        "loss mine() { data pair(a > b) model ref = policy rho = log(ref(a) / ref(b)) minimize logistic(rho) }\n",
    );
    let args = ["landscape", "--list", "--between", "t.loss", "t.loss"];
    let found = json_in(&place, &args).done().json();
    assert_eq!(found["losses"][0]["rho"], "log(pi(w) / pi(l))");
}

#[test]
fn the_lattice_has_its_covers() {
    let found = json(&["landscape", "--lattice"]).done().json();
    let covers = found["covers"].as_array().expect("covers");
    assert_eq!(covers.len(), 32);
    assert!(covers.contains(&json!(["lattice.ORPO", "lattice.cCPO"])));
    assert!(!covers.contains(&json!(["lattice.ORPO", "lattice.unCPO"])));
    let found = json(&["landscape", "--lattice", "--reference"]).done().json();
    assert!(
        found["covers"]
            .as_array()
            .is_some_and(|c| c.contains(&json!(["lattice.ORPO_ref", "lattice.cCPO_ref"])))
    );
    insta::assert_snapshot!(ponens(&["landscape", "--lattice"]).done());
}

#[test]
fn drawings_stand_alone() {
    let place = Place::new();
    let draw = |format: &str, more: &[&str]| {
        let mut args = vec!["landscape", "--format", format];
        args.extend_from_slice(more);
        place.run(&args).done().stdout
    };
    let svg = draw("svg", &["--lattice"]);
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    assert_eq!(svg.matches("<polyline").count(), 32);
    assert_eq!(svg, draw("svg", &[]));
    let html = draw("html", &["--lattice", "--reference"]);
    assert!(html.starts_with("<!DOCTYPE html>") && html.ends_with("</html>\n"));
    // No other file, no network: the one address is the name of the SVG language.
    for outside in ["src=", "href=", "@import", "url(", "fetch(", "import "] {
        assert!(!html.contains(outside), "{outside}");
    }
    assert_eq!(html.matches("http").count(), 1);
    let data = explored(&html);
    let nodes = data["nodes"].as_array().expect("nodes");
    assert_eq!((nodes.len(), data["covers"].as_array().map(Vec::len)), (16, Some(32)));
    let dpo = nodes.iter().find(|n| n["label"] == "CPO_ref").expect("DPO");
    assert_eq!(dpo["p"], "pi(l) & ref(w) -> pi(w) & ref(l)");
    assert!(dpo["names"].as_array().is_some_and(|n| n.contains(&json!("dpo"))), "{dpo}");
    assert_eq!((dpo["wins"].as_array().map(Vec::len), dpo["layer"].as_u64()), (Some(4), Some(2)));
    insta::assert_snapshot!(
        "between_dot",
        draw("dot", &["--between", "lattice.ORPO", "lattice.unCPO"])
    );
    let list = draw("html", &["--monotone", "--symmetric"]);
    let data = explored(&list);
    let rho: Vec<&str> =
        data["nodes"].as_array().into_iter().flatten().filter_map(|n| n["rho"].as_str()).collect();
    assert_eq!(rho.len(), 4);
    assert!(rho.contains(&"log(pi(w) / pi(l))"), "{rho:?}");
}

/// What the page of the explorer is made from.
fn explored(html: &str) -> Value {
    let line = html.lines().find_map(|l| l.strip_prefix("const DATA = ")).expect("data");
    serde_json::from_str(line.strip_suffix(';').expect("a statement")).expect("JSON")
}

#[test]
fn a_crowd_is_not_drawn() {
    let ran = ponens(&["landscape", "--atoms", "3", "--monotone", "--format", "dot"]);
    assert_eq!(ran.status, 2, "{ran}");
    assert!(ran.stderr.contains("more than 200"), "{ran}");
    ponens(&["landscape", "--atoms", "3", "--monotone", "--limit", "20", "--format", "dot"]).done();
}

#[test]
fn losses_outside_the_landscape_are_refused() {
    let ran = json(&["landscape", "--between", "dpo", "lattice.unCPO_ref", "--count"]);
    assert_eq!((ran.status, ran.codes()), (1, vec!["E0503".to_owned()]), "{ran}");
    let ran = json(&["landscape", "--between", "kto", "dpo", "--count"]);
    assert_eq!((ran.status, ran.codes()), (1, vec!["E0503".to_owned()]), "{ran}");
    let ran = json(&["landscape", "--between", "grpo", "dpo", "--count"]);
    assert_eq!((ran.status, ran.codes()), (1, vec!["E0501".to_owned()]), "{ran}");
}

fn spawn(args: &[&str]) -> std::process::Child {
    Command::new(env!("CARGO_BIN_EXE_ponens"))
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts")
}

/// All losses over four atoms would take days: what ends this list is Ctrl-C.
#[cfg(unix)]
#[test]
fn ctrl_c_ends_a_list_cleanly() {
    let mut child = spawn(&["landscape", "--atoms", "4", "--list"]);
    let mut out = child.stdout.take().expect("a pipe");
    let mut text = vec![0; 1000];
    out.read_exact(&mut text).expect("the list begins");
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.is_ok_and(|s| s.success()));
    out.read_to_end(&mut text).expect("the list ends");
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(130));
    let text = String::from_utf8(text).expect("UTF-8");
    assert!(text.ends_with('\n') && text.lines().all(|l| l.starts_with("log(")), "{text}");
    let mut errors = String::new();
    let mut err = child.stderr.take().expect("a pipe");
    err.read_to_string(&mut errors).expect("UTF-8");
    assert!(errors.contains("cancelled after "), "{errors}");
}

#[test]
fn a_closed_pipe_ends_a_list_quietly() {
    let mut child = spawn(&["landscape", "--atoms", "4", "--list"]);
    let mut out = child.stdout.take().expect("a pipe");
    out.read_exact(&mut [0; 100]).expect("the list begins");
    drop(out);
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    let mut errors = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut errors).expect("UTF-8");
    assert_eq!(errors, "");
}
