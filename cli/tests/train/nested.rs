//! `train` on ranked lists, on trajectories with a value head, with a reward head, and from disk.

use crate::common::Place;
use crate::tiny::{kind, write_data, write_model};
use serde_json::{Value, json};

const PROMPTS: [&str; 8] = ["hello=", "what=", "more=", "two=", "one=", "cat=", "dog=", "tree="];

fn lines(one: impl Fn(usize, &str) -> Value) -> String {
    PROMPTS.iter().enumerate().map(|(i, p)| one(i, p).to_string() + "\n").collect()
}

fn train(place: &Place, loss: &[&str], data: &str, output: &str, more: &[&str]) -> Vec<Value> {
    let common = [
        "train",
        "--model",
        "model",
        "--data",
        data,
        "--output",
        output,
        "--batch",
        "4",
        "--lr",
        "3e-2",
        "--sample-tokens",
        "0",
        "--format",
        "json",
        "--loss",
    ];
    place.run(&[&common, loss, more].concat()).done().json_lines()
}

fn accuracy(lines: &[Value]) -> (f64, f64) {
    let evals = kind(lines, "eval");
    let of = |e: &Value| e["accuracy"].as_f64().expect("an accuracy");
    (of(evals[0]), of(evals[evals.len() - 1]))
}

#[test]
fn ranked_lists_and_groups_train() {
    let place = Place::new();
    write_model(&place);
    write_data(&place);
    let row = |i: usize, p: &str| {
        let responses = ["aaa", "ab", "bb"];
        json!({ "prompt": p, "responses": &responses[..2 + i % 2] })
    };
    place.write("ranked.jsonl", lines(row));
    let found = place.run(&["data", "check", "ranked.jsonl", "--format", "json"]).done().json();
    assert_eq!((&found["lists"], &found["fits"]), (&json!(8), &json!(["ranked"])));
    let eval = ["--steps", "30", "--eval-data", "ranked.jsonl"];
    let (first, last) = accuracy(&train(&place, &["dpo_pl"], "ranked.jsonl", "pl", &eval));
    assert_eq!(first, 0.5, "policy and reference are the same");
    assert!(last > 0.9, "{last}");
    // A pair is a list of two.
    let eval = ["--steps", "2", "--eval-data", "ranked.jsonl"];
    train(&place, &["dpo_pl"], "pairs.jsonl", "pl-pairs", &eval);
    // A group has no order but its numbers.
    let row = |_: usize, p: &str| json!({ "prompt": p, "responses": ["bb", "aaa", "ab"], "reward": [0.0, 1.0, 0.2] });
    place.write("groups.jsonl", lines(row));
    let eval = ["--steps", "30", "--eval-data", "groups.jsonl"];
    let (first, last) = accuracy(&train(&place, &["rloo"], "groups.jsonl", "rloo", &eval));
    assert!(last > first && last > 0.9, "{first} {last}");
    place.write(
        "short.jsonl",
        json!({ "prompt": "a=", "responses": ["a", "b"], "reward": [1.0] }).to_string(),
    );
    for (loss, data, code, says) in [
        ("rloo", "short.jsonl", "E0405", "1 numbers for 2 responses"),
        ("rloo", "pairs.jsonl", "E0401", "one `reward` a response"),
        ("dpo", "ranked.jsonl", "E0401", "losses such as dpo_pl"),
    ] {
        let ran = place.run(&[
            "train", "--loss", loss, "--model", "model", "--data", data, "--output", "out",
            "--format", "json",
        ]);
        assert_eq!(ran.codes().first().map(String::as_str), Some(code), "{ran}");
        assert!(ran.stderr.contains(says), "{ran}");
    }
}

#[test]
fn heads_train_and_are_saved() {
    let place = Place::new();
    write_model(&place);
    write_data(&place);
    let row = |i: usize, p: &str| {
        let good = i.is_multiple_of(2);
        json!({ "prompt": p, "completion": if good { "aaa" } else { "bb" }, "reward": f64::from(u8::from(good)) })
    };
    place.write("steps.jsonl", lines(row));
    let oreo =
        ["oreo_policy", "--head-loss", "oreo_value", "--head-lr", "5e-2", "--param", "beta=0.5"];
    let lines_of = train(
        &place,
        &oreo,
        "steps.jsonl",
        "oreo",
        &["--steps", "40", "--eval-data", "steps.jsonl"],
    );
    // Its residual is a regression: rewarded responses gain, without a race to the last couple.
    let (first, last) = accuracy(&lines_of);
    assert!(first == 0.5 && last > 0.8, "{first} {last}");
    let steps = kind(&lines_of, "step");
    let of_head = |s: &Value| s["head_loss"].as_f64().expect("a head's loss");
    assert!(of_head(steps[39]) < 0.5 * of_head(steps[0]));
    assert!(place.path().join("oreo/adapter/scalar_head.safetensors").is_file());

    let row = |_: usize, p: &str| json!({ "prompt": p, "chosen": "aaa", "rejected": "bb", "margin": 0.5 });
    place.write("margins.jsonl", lines(row));
    let eval = ["--steps", "30", "--eval-data", "margins.jsonl"];
    let (first, last) = accuracy(&train(&place, &["reward_bt"], "margins.jsonl", "reward", &eval));
    assert!(first == 0.5 && last > 0.9, "{first} {last}");

    // An advantage that holds for all tokens of a rollout.
    let row = |i: usize, p: &str| {
        let up = i.is_multiple_of(2);
        json!({ "prompt": p, "completion": if up { "aaa" } else { "bb" }, "advantage": if up { 1.0 } else { -1.0 } })
    };
    place.write("rollouts.jsonl", lines(row));
    let eval = ["--steps", "30", "--eval-data", "rollouts.jsonl"];
    let (_, last) = accuracy(&train(&place, &["ppo_clip"], "rollouts.jsonl", "ppo", &eval));
    assert!(last > 0.9, "{last}");
    let alone = place.run(&[
        "train",
        "--loss",
        "oreo_policy",
        "--model",
        "model",
        "--data",
        "rollouts.jsonl",
        "--output",
        "out",
        "--format",
        "json",
    ]);
    assert_eq!(alone.codes(), ["E0401"], "{alone}");
}

/// Data on disk give the same run, to the last bit, as data in memory.
#[test]
fn a_streamed_run_is_the_same_run() {
    let place = Place::new();
    write_model(&place);
    write_data(&place);
    let common = ["--steps", "6", "--eval-data", "pairs.jsonl", "--save-every", "3"];
    train(&place, &["dpo"], "pairs.jsonl", "memory", &common);
    train(&place, &["dpo"], "pairs.jsonl", "disk", &[&common[..], &["--stream"]].concat());
    let adapter = |run: &str| {
        std::fs::read(place.path().join(run).join("adapter/adapter_model.safetensors"))
            .expect("saved")
    };
    assert_eq!(adapter("memory"), adapter("disk"));
    // It goes on from its checkpoint, too.
    let more = ["--steps", "6", "--eval-data", "pairs.jsonl", "--stream", "--resume"];
    train(&place, &["dpo"], "pairs.jsonl", "disk", &more);
    place.write(
        "bad.jsonl",
        "{\"prompt\": \"a=\", \"chosen\": \"a\", \"rejected\": \"b\"}\n{\"prompt\": \"a=\"}\n",
    );
    let run = |loss, data| {
        place.run(&[
            "train",
            "--loss",
            loss,
            "--model",
            "model",
            "--data",
            data,
            "--eval-data",
            "pairs.jsonl",
            "--output",
            "out",
            "--batch",
            "1",
            "--stream",
            "--format",
            "json",
        ])
    };
    let bad = run("dpo", "bad.jsonl");
    assert_eq!(bad.codes(), ["E0401", "E0401"], "{bad}");
    assert!(bad.stderr.contains("bad.jsonl:2: no column `rejected`"), "{bad}");
    let kto = run("kto", "pairs.jsonl");
    assert_eq!(kto.codes(), ["E0704"], "{kto}");
}
