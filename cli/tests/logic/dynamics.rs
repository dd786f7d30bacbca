//! The dynamics in `ponens explain`, and the picture of a loss.

use crate::common::{Place, ponens};
use crate::{json, json_in};
use serde_json::{Value, json};

fn dynamics(loss: &str) -> Value {
    json(&["explain", loss]).done().json()["dynamics"].clone()
}

/// Column, sign and evidence of every pull.
fn pulls(d: &Value) -> Vec<[String; 3]> {
    let list = d["pulls"].as_array().unwrap_or_else(|| panic!("{d}"));
    list.iter()
        .map(|p| ["column", "sign", "evidence"].map(|k| p[k].as_str().expect("text").to_owned()))
        .collect()
}

#[test]
fn dpo_is_explained_with_its_dynamics() {
    insta::assert_snapshot!(ponens(&["explain", "dpo"]).done());
}

#[test]
fn signs_are_proved_where_the_link_is_all_there_is() {
    let d = dynamics("dpo");
    assert_eq!(
        pulls(&d),
        [["logp(pi,w)", "up", "proved"], ["logp(pi,l)", "down", "proved"]]
            .map(|p| p.map(str::to_owned))
    );
    // ORPO's likelihood term lies outside: its sign is seen, not proved.
    let d = dynamics("orpo");
    let chosen = &d["pulls"][0];
    assert_eq!(chosen["sign"], "up");
    assert!(chosen["evidence"].as_str().is_some_and(|e| e.ends_with("examples")), "{chosen}");
    // A squared link turns around at its target.
    assert!(pulls(&dynamics("ipo_sum")).iter().all(|p| p[1] == "both"));
}

#[test]
fn what_can_displace_says_how() {
    let cases = [
        ("dpo", "traded"),
        ("lattice.CE", "impossible"),
        ("lattice.fUNL", "unread"),
        ("ipo_sum", "direct"),
        ("sft", "impossible"),
    ];
    for (loss, kind) in cases {
        assert_eq!(dynamics(loss)["displacement"]["kind"], kind, "{loss}");
    }
}

/// A witness is evaluated again by `value`, at the example and after the step.
#[test]
fn a_witness_lowers_the_loss_and_the_chosen_probability() {
    let place = Place::new();
    for loss in ["dpo", "cpo", "orpo", "simpo", "ipo_sum", "lattice.ORPO", "lattice.unCPO_ref"] {
        let witness = dynamics(loss)["displacement"]["witness"].clone();
        let example = witness["example"].as_object().expect("columns").clone();
        let mut moved = example.clone();
        let mut chosen = 0.0;
        for (column, by) in witness["direction"].as_object().expect("columns") {
            let by = by.as_f64().expect("a number");
            if column.ends_with(",w)") {
                chosen += by;
            }
            let x = moved[column].as_f64().expect("a number");
            moved.insert(column.clone(), json!(x + by));
        }
        assert!(chosen < 0.0, "{loss}: {witness}");
        let mut lines = String::new();
        for mut row in [example, moved] {
            row.insert("len(w)".into(), json!(10));
            row.insert("len(l)".into(), json!(10));
            lines.push_str(&format!("{}\n", Value::Object(row)));
        }
        place.write("rows.jsonl", lines);
        let found = json_in(&place, &["value", loss, "--data", "rows.jsonl"]).done().json_lines();
        let values: Vec<f64> = found.iter().filter_map(|l| l["loss"].as_f64()).collect();
        assert!(values[1] < values[0], "{loss}: {values:?}");
        let stated = ["loss_before", "loss_after"].map(|k| witness[k].as_f64().expect("a number"));
        for (x, y) in values.iter().zip(stated) {
            assert!((x - y).abs() <= 1e-9 * (1.0 + y.abs()), "{loss}: {x} and {y}");
        }
    }
}

#[test]
fn every_loss_of_the_catalogue_has_dynamics() {
    let place = Place::new();
    // One of each family; the lattice is covered by the tests of the compiler.
    for loss in [
        "kto", "cpo", "simpo", "slic_hf", "rrhf", "apo_down", "exo_pair", "dpop", "ld_dpo", "tdpo1",
    ] {
        let d = json_in(&place, &["explain", loss]).done().json()["dynamics"].clone();
        assert!(d["pulls"].as_array().is_some_and(|p| !p.is_empty()), "{loss}: {d}");
        assert!(d["displacement"]["why"].as_str().is_some_and(|w| !w.is_empty()), "{loss}: {d}");
    }
}

#[test]
fn a_loss_is_drawn() {
    let svg = ponens(&["explain", "dpo", "--format", "svg"]).done().stdout;
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    // An arrow each, but for none that is still.
    assert_eq!(svg.matches("class=\"pull\"").count(), 144);
    assert!(svg.contains("class=\"line zero\""));
    let html = ponens(&["explain", "lattice.bCPO", "--format", "html"]).done().stdout;
    assert!(html.starts_with("<!DOCTYPE html>") && html.contains("<svg "), "{html}");
    assert!(html.contains("!pi(w) &amp; !pi(l)"), "{html}");
    let ran = json(&["explain", "kto"]);
    assert_eq!(ran.status, 0);
    let ran = ponens(&["explain", "kto", "--format", "svg"]);
    assert_eq!(ran.status, 1, "{ran}");
    assert!(ran.stderr.contains("E0205"), "{ran}");
    assert_eq!(ponens(&["explain", "dpo", "--format", "dot"]).status, 2);
}
