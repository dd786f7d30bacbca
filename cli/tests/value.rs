//! `ponens value`: the binding of data to losses.

mod common;

use common::{DPO_ROW, Place, ponens};
use serde_json::{Value, json};

fn value(data: &str, args: &[&str]) -> common::Ran {
    let place = Place::new();
    place.write("rows.jsonl", data);
    let mut all = vec!["value"];
    all.extend_from_slice(args);
    all.extend_from_slice(&["--data", "rows.jsonl", "--format", "json"]);
    place.run(&all)
}

fn number(v: &Value) -> f64 {
    v.as_f64().unwrap_or_else(|| panic!("{v} is not a number"))
}

#[track_caller]
fn close(v: &Value, expected: f64) {
    let x = number(v);
    assert!((x - expected).abs() <= 1e-12 * expected.abs().max(1e-300), "{x}, not {expected}");
}

#[test]
fn dpo_on_one_row() {
    let ran = value(DPO_ROW, &["dpo", "--grad"]).done();
    let lines = ran.json_lines();
    assert_eq!(lines.len(), 1);
    let z: f64 = 0.1 * ((-10.0 + 11.0) - (-12.5 + 11.5));
    close(&lines[0]["loss"], (-z).exp().ln_1p());
    let g = -0.1 / (1.0 + z.exp());
    close(&lines[0]["grad"]["logp(pi,w)"], g);
    close(&lines[0]["grad"]["logp(pi,l)"], -g);
    close(&lines[0]["grad"]["logp(ref,w)"], -g);
    close(&lines[0]["grad"]["logp(ref,l)"], g);
    assert_eq!(lines[0]["grad"].as_object().unwrap().len(), 4);
}

#[test]
fn gradients_are_printed_on_demand() {
    let line = &value(DPO_ROW, &["dpo"]).done().json_lines()[0];
    assert_eq!(line.as_object().unwrap().keys().collect::<Vec<_>>(), ["loss"]);
}

#[test]
fn parameters_are_set() {
    let line = &value(DPO_ROW, &["dpo", "--param", "beta=0.5"]).done().json_lines()[0];
    close(&line["loss"], (-1.0f64).exp().ln_1p());
}

#[test]
fn spaces_in_column_names_count_for_nothing() {
    let spaced = DPO_ROW.replace("(pi,", "( pi, ");
    assert_eq!(value(&spaced, &["dpo"]).done().stdout, value(DPO_ROW, &["dpo"]).done().stdout);
}

#[test]
fn a_mean_may_be_a_sum_with_a_length() {
    let mean = r#"{"mean_logp(pi,w)": -0.5, "mean_logp(pi,l)": -1.25}"#;
    let sums = r#"{"logp(pi,w)": -2, "len(w)": 4, "logp(pi,l)": -2.5, "len(l)": 2}"#;
    let a = &value(mean, &["simpo", "--grad"]).done().json_lines()[0];
    let b = &value(sums, &["simpo", "--grad"]).done().json_lines()[0];
    close(&b["loss"], number(&a["loss"]));
    close(&b["grad"]["logp(pi,w)"], number(&a["grad"]["mean_logp(pi,w)"]) / 4.0);
    close(&b["grad"]["logp(pi,l)"], number(&a["grad"]["mean_logp(pi,l)"]) / 2.0);
    assert_eq!(b["grad"].as_object().unwrap().len(), 2);
}

#[test]
fn gradients_through_a_sum_and_its_mean_add_up() {
    let row = r#"{"logp(pi,w)": -2, "len(w)": 4, "logp(pi,l)": -2.5}"#;
    let line = &value(row, &["cpo", "--grad", "--param", "lambda=3"]).done().json_lines()[0];
    let g = -0.1 / (1.0 + 0.05f64.exp());
    close(&line["grad"]["logp(pi,w)"], g - 3.0 / 4.0);
    close(&line["grad"]["logp(pi,l)"], -g);
}

#[test]
fn the_mean_that_is_given_wins() {
    let row = r#"{"mean_logp(pi,w)": -0.5, "logp(pi,w)": -9, "len(w)": 3, "mean_logp(pi,l)": -1}"#;
    let line = &value(row, &["simpo", "--grad"]).done().json_lines()[0];
    let keys: Vec<&String> = line["grad"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["mean_logp(pi,w)", "mean_logp(pi,l)"]);
}

#[test]
fn an_empty_response_counts_with_mean_0_and_a_warning() {
    let row = r#"{"logp(pi,w)": 0, "len(w)": 0, "logp(pi,l)": -2.5, "len(l)": 2}"#;
    let ran = value(row, &["simpo", "--grad"]).done();
    assert_eq!(ran.codes(), ["W0401"]);
    assert!(ran.stderr.contains("row 1"), "{ran}");
    let line = &ran.json_lines()[0];
    let z: f64 = 2.0 * 1.25 - 0.5;
    close(&line["loss"], (-z).exp().ln_1p());
    close(&line["grad"]["logp(pi,w)"], -2.0 / (1.0 + z.exp()));
}

#[test]
fn f32_rounds_inputs_and_operations() {
    let line = &value(DPO_ROW, &["dpo", "--dtype", "f32", "--grad"]).done().json_lines()[0];
    let loss = number(&line["loss"]);
    assert_eq!(loss, f64::from(loss as f32), "not an f32");
    assert!((loss - 0.5981388693815918).abs() < 1e-6, "{loss}");
}

#[test]
fn exact_prints_forty_digits() {
    let row = r#"{"logp(pi,w)": 0, "logp(pi,l)": 0, "logp(ref,w)": 0, "logp(ref,l)": 0}"#;
    let line = &value(row, &["dpo", "--exact"]).done().json_lines()[0];
    let text = line["loss"].as_str().unwrap();
    assert_eq!(text, "0.6931471805599453094172321214581765680755");
}

#[test]
fn back_ends_agree_to_the_last_bit() {
    let rows = format!("{DPO_ROW}\n{}", DPO_ROW.replace("-10", "-1e4"));
    for dtype in ["f32", "f64"] {
        for loss in ["dpo", "ipo_sum", "discopop", "aot"] {
            let args = |backend| {
                [loss, "--grad", "--batch", "all", "--dtype", dtype, "--backend", backend]
            };
            let (a, b) = (value(&rows, &args("interp")).done(), value(&rows, &args("cpu")).done());
            assert_eq!(a.stdout, b.stdout, "{loss} in {dtype}");
        }
    }
}

#[test]
fn a_missing_device_is_said() {
    let ran = value(DPO_ROW, &["dpo", "--backend", "cuda"]);
    assert_eq!(ran.status, 1);
    // E0702 where there is a card: the kernels' type was not asked for.
    assert_eq!(ran.codes(), ["E0702"]);
}

const KTO: &str = r#"{"logp(pi,y)": -5, "logp(ref,y)": -4, "mismatched_logp(pi)": -3, "mismatched_logp(ref)": -6, "label": true, "batch": "a"}
{"logp(pi,y)": -7, "logp(ref,y)": -9, "mismatched_logp(pi)": -2, "mismatched_logp(ref)": -3, "label": false, "batch": "b"}
{"logp(pi,y)": -2, "logp(ref,y)": -2, "mismatched_logp(pi)": -8, "mismatched_logp(ref)": -3, "label": false, "batch": "a"}
"#;

#[test]
fn a_column_groups_rows_into_batches() {
    let lines = value(KTO, &["kto", "--grad"]).done().json_lines();
    assert_eq!(lines.iter().map(|l| l["batch"].clone()).collect::<Vec<_>>(), ["a", "b"]);
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    // The baseline of batch a is max(0, mean(3, -5)) = 0, that of b is 1.
    let a = (sigmoid(0.1) + sigmoid(0.0)) / 2.0;
    close(&lines[0]["loss"], a);
    close(&lines[1]["loss"], sigmoid(-0.1 * (1.0 - 2.0)));
    let g = lines[0]["grad"]["logp(pi,y)"].as_array().unwrap();
    assert_eq!(g.len(), 2);
    close(&g[0], -0.1 * sigmoid(0.1) * sigmoid(-0.1) / 2.0);
    close(&g[1], 0.1 * 0.25 / 2.0);
    assert_eq!(lines[1]["grad"]["logp(pi,y)"].as_array().unwrap().len(), 1);
    assert_eq!(lines[0]["grad"]["mismatched_logp(pi)"], json!([0.0, 0.0]));
}

#[test]
fn all_rows_or_each_may_be_the_batch() {
    let all = value(KTO, &["kto", "--grad", "--batch", "all"]).done().json_lines();
    assert_eq!(all.len(), 1);
    assert_eq!(all[0]["grad"]["logp(ref,y)"].as_array().unwrap().len(), 3);
    let each = value(KTO, &["kto", "--grad", "--batch", "line"]).done().json_lines();
    assert_eq!(each.len(), 3);
    assert!(each.iter().all(|l| l["grad"]["logp(pi,y)"].is_number()));
}

#[test]
fn independent_examples_stay_apart_in_a_batch() {
    let rows = format!("{DPO_ROW}\n{DPO_ROW}\n");
    let lines = value(&rows, &["dpo", "--grad", "--batch", "all"]).done().json_lines();
    assert_eq!(lines.len(), 2);
    assert!(lines[0]["grad"]["logp(pi,w)"].is_number());
}

#[test]
fn the_loss_of_a_batch_may_be_one_number_already() {
    let rows = "{\"logp(pi,w)\": -2, \"len(w)\": 3}\n{\"logp(pi,w)\": -5, \"len(w)\": 4}\n";
    let line = &value(rows, &["sft", "--grad", "--batch", "all"]).done().json_lines()[0];
    close(&line["loss"], 1.0);
    for g in line["grad"]["logp(pi,w)"].as_array().unwrap() {
        close(g, -1.0 / 7.0);
    }
}

#[test]
fn overflow_is_a_text() {
    let row = r#"{"logp(pi,w)": -1e308, "logp(pi,l)": 0}"#;
    let line = &value(&row.replace('}', ", \"len(w)\": 1}"), &["cpo", "--param", "beta=1000"])
        .done()
        .json_lines()[0];
    assert_eq!(line["loss"], "Infinity");
}

#[test]
fn data_may_come_from_standard_input() {
    let place = Place::new();
    let args = ["value", "dpo", "--data", "-", "--format", "json"];
    assert_eq!(place.run_with(&args, DPO_ROW).done().json_lines().len(), 1);
}

#[test]
fn text_is_a_table() {
    let place = Place::new();
    place.write("rows.jsonl", format!("{DPO_ROW}\n{DPO_ROW}"));
    insta::assert_snapshot!(place.run(&["value", "dpo", "--data", "rows.jsonl", "--grad"]));
    place.write("kto.jsonl", KTO);
    insta::assert_snapshot!(place.run(&["value", "kto", "--data", "kto.jsonl", "--grad"]));
}

/// What is wrong with a row, and the diagnostics.
#[test]
fn bad_rows_are_refused_with_their_place() {
    let cases: &[(&str, &str, &[&str], &[&str])] = &[
        ("", "dpo", &["E0406"], &["holds no rows"]),
        ("{", "dpo", &["E0403"], &["line 1", "not JSON"]),
        ("[1]", "dpo", &["E0403"], &["line 1", "no object"]),
        ("{}", "sft", &["E0401", "E0401"], &["logp(pi,w)", "len(w)"]),
        (r#"{"logp(pi,w)": "x", "len(w)": 3}"#, "sft", &["E0402"], &["a text", "logp(pi,w)"]),
        (r#"{"logp(pi,w)": null, "len(w)": 3}"#, "sft", &["E0402"], &["null"]),
        (
            r#"{"logp(pi,w)": 1e-7, "len(w)": 3}"#,
            "sft",
            &["E0405"],
            &["row 1", "1e-7", "at most 0"],
        ),
        (r#"{"logp(pi,w)": "-Infinity", "len(w)": 3}"#, "sft", &["E0405"], &["-Infinity"]),
        (r#"{"logp(pi,w)": "NaN", "len(w)": 3}"#, "sft", &["E0405"], &["NaN"]),
        (r#"{"logp(pi,w)": -1, "len(w)": 2.5}"#, "sft", &["E0405"], &["whole number"]),
        (r#"{"logp(pi,w)": -1, "len(w)": -2}"#, "sft", &["E0405"], &["-2"]),
        (
            r#"{"logp(pi,y)": -1, "logp(ref,y)": -1, "label": 1}"#,
            "apo_zero_unpaired",
            &["E0402"],
            &["boolean"],
        ),
        (
            r#"{"logp(pi,w)": -1, "len(w)": 0, "logp(pi,l)": -1}"#,
            "cpo",
            &["E0405"],
            &["len(w)", "logp(pi,w)"],
        ),
        (r#"{"logp(pi, chosen)": -1, "len(w)": 1}"#, "sft", &["E0401"], &["needs", "`logp(pi,w)`"]),
        (
            "{\"logp(pi,w)\": -1, \"len(w)\": 1}\n\n{\"len(w)\": 1}",
            "sft",
            &["E0401"],
            &["row 2 (line 3)"],
        ),
    ];
    for (data, loss, codes, says) in cases {
        let ran = value(data, &[loss]);
        assert_eq!(ran.status, 1, "{data}: {ran}");
        assert_eq!(ran.stdout, "", "{data}");
        assert_eq!(ran.codes(), *codes, "{data}: {ran}");
        for s in *says {
            assert!(ran.stderr.contains(s), "{data}: `{s}` is not said: {ran}");
        }
    }
}

#[test]
fn a_number_that_f32_cannot_hold_is_refused() {
    let ran = value(r#"{"logp(pi,w)": -1e39, "len(w)": 3}"#, &["sft", "--dtype", "f32"]);
    assert_eq!((ran.status, ran.codes()), (1, vec!["E0405".to_owned()]), "{ran}");
}

#[test]
fn what_is_missing_everywhere_is_said_once() {
    let ran = value(&"{\"len(w)\": 1}\n".repeat(1000), &["sft"]);
    assert_eq!(ran.codes(), ["E0401"]);
    assert!(ran.stderr.contains("999 more rows"), "{ran}");
}

#[test]
fn bad_parameters_are_refused() {
    for (param, code) in
        [("beta=0", "E0301"), ("beta=x", "E0304"), ("bta=1", "E0303"), ("beta=inf", "E0301")]
    {
        let ran = value(DPO_ROW, &["dpo", "--param", param]);
        assert_eq!((ran.status, ran.codes()), (1, vec![code.to_owned()]), "{param}: {ran}");
    }
    assert_eq!(value(DPO_ROW, &["dpo", "--param", "beta"]).status, 2);
}

#[test]
fn a_missing_data_file_is_named() {
    let ran = ponens(&["value", "dpo", "--data", "nowhere.jsonl", "--format", "json"]);
    assert_eq!((ran.status, ran.codes()), (1, vec!["E0003".to_owned()]));
    assert!(ran.stderr.contains("nowhere.jsonl"));
}

#[test]
fn data_that_is_not_utf8_is_refused() {
    let place = Place::new();
    place.write("rows.jsonl", b"{}\n\xff\n");
    let ran = place.run(&["value", "dpo", "--data", "rows.jsonl", "--format", "json"]);
    assert_eq!((ran.status, ran.codes()), (1, vec!["E0002".to_owned()]));
    assert!(ran.stderr.contains("line 2"), "{ran}");
}

/// Steps are runs of equal numbers: a number that comes back later is another step.
#[test]
fn sums_over_the_steps_of_a_response() {
    let text = "\
loss steps() {
    data trajectory(y[T], step[T], weight[T])
    model pi = policy
    let d[t] = token_logp(pi, y)[t]
    let s[t] = segment_sum(d, step)[t]
    minimize sum(t) (segment_start(step)[t] * weight[t] * square(s[t]))
}
";
    let rows = r#"{"token_logp(pi,y)": [-1,-2,-3,-4,-5], "step": [1,1,2,2,2], "weight": [1,1,1,1,1]}
{"token_logp(pi,y)": [-1,-2,-3], "step": [0,2,0], "weight": [1,10,100]}
{"token_logp(pi,y)": [-2], "step": [7], "weight": [1]}"#;
    let place = Place::new();
    place.write("steps.loss", text).write("rows.jsonl", rows);
    for backend in ["interp", "cpu"] {
        let args = ["value", "steps.loss", "--data", "rows.jsonl", "--grad", "--backend", backend];
        let lines = place.run(&[&args[..], &["--format", "json"]].concat()).done().json_lines();
        let losses: Vec<f64> = lines.iter().map(|l| number(&l["loss"])).collect();
        assert_eq!(losses, [153.0, 941.0, 4.0]);
        let slopes: Vec<&Value> = lines.iter().map(|l| &l["grad"]["token_logp(pi,y)"]).collect();
        let expected =
            [json!([-6.0, -6.0, -24.0, -24.0, -24.0]), json!([-2.0, -40.0, -600.0]), json!([-4.0])];
        assert_eq!(slopes, expected.iter().collect::<Vec<_>>());
    }
}

/// What a running mean may not be of, and whose name it may not take.
#[test]
fn running_means_are_columns_of_their_own() {
    let loss = |lines: &str| {
        format!("loss x() {{ data labelled(y, good) model pi = policy\n{lines}\n}}\n")
    };
    let cases = [
        ("minimize logp(pi, y) * running_mean(running_mean(logp(pi, y)) + logp(pi, y))", "E0205"),
        ("column running_mean minimize running_mean(logp(pi, y)) - logp(pi, y)", "E0102"),
        ("minimize running_mean(2) - logp(pi, y)", "E0202"),
    ];
    for (lines, code) in cases {
        let place = Place::new();
        place.write("x.loss", loss(lines));
        let ran = place.run(&["check", "x.loss", "--format", "json"]);
        let found = ran.json();
        let codes: Vec<&str> =
            found.as_array().expect("an array").iter().filter_map(|d| d["code"].as_str()).collect();
        assert!(codes.contains(&code), "{lines}: {ran}");
    }
    // Two of them are two columns; the same one twice is one.
    let two = "let a = running_mean(logp(pi, y)) let b = running_mean(2 * logp(pi, y)) \
               minimize a * b * logp(pi, y)";
    let place = Place::new();
    place.write("x.loss", loss(two));
    let row = r#"{"logp(pi,y)": -2, "running_mean": 3, "running_mean_2": 5}"#;
    let ran = place.run_with(&["value", "x.loss", "--data", "-", "--format", "json"], row).done();
    assert_eq!(number(&ran.json_lines()[0]["loss"]), -30.0);
}
