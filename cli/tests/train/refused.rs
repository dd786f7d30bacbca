//! `ponens train`, `score`, `generate`: what they refuse, before any work is done.

use crate::common::Place;

const PAIR: &str = r#"{"prompt": "a", "chosen": "b", "rejected": "c"}"#;

#[test]
fn bad_runs_are_refused_before_they_start() {
    let place = Place::new();
    place
        .write("good.jsonl", PAIR)
        .write("empty.jsonl", format!("{PAIR}\n{}", PAIR.replace("\"b\"", "\"\"")))
        .write("other.jsonl", r#"{"prompt": "a", "chosen": "b"}"#)
        .write("latin.jsonl", b"{\"prompt\": \"\xe9\"}\n")
        .write("single.jsonl", r#"{"prompt": "a", "completion": "b", "label": 2}"#)
        .write("fine.jsonl", r#"{"prompt": "a", "completion": "b", "label": true}"#)
        .write("none.jsonl", "")
        .write("file", "");
    let train = ["train", "--loss", "dpo", "--model", "none.gguf", "--output", "out", "--data"];
    let cases: &[(&[&str], &str, &str, &str)] = &[
        (&train, "gone.jsonl", "E0003", "gone.jsonl"),
        (&train, "none.jsonl", "E0406", "none.jsonl"),
        (&train, "other.jsonl", "E0401", "rejected"),
        (&train, "empty.jsonl", "E0404", "empty.jsonl:2"),
        (&train, "latin.jsonl", "E0002", "latin.jsonl"),
        (&train, "good.jsonl", "E0701", "none.gguf"),
        (
            &["train", "--loss", "ld_dpo", "--model", "x", "--output", "out", "--data"],
            "good.jsonl",
            "E0205",
            "ld_dpo",
        ),
        (
            &["train", "--loss", "kto", "--model", "x", "--output", "out", "--data"],
            "single.jsonl",
            "E0405",
            "label",
        ),
        (&train, "fine.jsonl", "E0401", "losses such as kto"),
        (
            &[
                "train",
                "--losses",
                "dpo,simpo",
                "--param",
                "delta=1",
                "--model",
                "x",
                "--output",
                "out",
                "--data",
            ],
            "good.jsonl",
            "E0303",
            "delta",
        ),
        (&["report"], "out", "E0703", "holds no run"),
        (
            &[
                "train", "--loss", "dpo", "--model", "x", "--output", "out", "--param", "beta=-1",
                "--data",
            ],
            "good.jsonl",
            "E0301",
            "beta",
        ),
        (
            &["train", "--loss", "dpo2", "--model", "x", "--output", "out", "--data"],
            "good.jsonl",
            "E0103",
            "dpo",
        ),
        (&["train", "--demo", "--output"], "file/x", "E0703", "file/x"),
        (
            &["score", "--loss", "dpo", "--model", "none.gguf", "--data"],
            "good.jsonl",
            "E0701",
            "none.gguf",
        ),
        (&["generate", "--prompt", "x", "--model"], "none.gguf", "E0701", "none.gguf"),
    ];
    let before = place.names();
    for (args, last, code, says) in cases {
        let mut all = args.to_vec();
        all.extend_from_slice(&[last, "--format", "json"]);
        let ran = place.run(&all);
        assert_eq!(ran.status, 1, "{all:?}: {ran}");
        assert_eq!(ran.codes().last().map(String::as_str), Some(*code), "{all:?}: {ran}");
        assert!(ran.stderr.contains(says), "{all:?}: {ran}");
        assert_eq!(place.names(), before, "{all:?} left something");
    }
}
