//! `train --resume`.

use crate::common::Place;
use crate::tiny::{write_data, write_model};

/// A run goes on as what it was begun as, or not at all; how long it is may change.
#[test]
fn what_is_resumed_is_the_same_run() {
    let place = Place::new();
    write_model(&place);
    write_data(&place);
    let train = |steps: &'static str, more: &[&'static str]| {
        let args = [
            "train",
            "--loss",
            "dpo",
            "--model",
            "model",
            "--data",
            "pairs.jsonl",
            "--output",
            "run",
            "--schedule",
            "constant",
            "--batch",
            "4",
            "--sample-tokens",
            "0",
            "--steps",
            steps,
            "--format",
            "json",
        ];
        place.run(&[&args[..], more].concat())
    };
    train("2", &[]).done();
    let described = place.read("run/run.json");
    let cases: [(&[&str], &str); 5] = [
        (&["--param", "beta=50"], "parameter `beta` 0.1, not 50.0"),
        (&["--lora-alpha", "512"], "`--lora-alpha` 16, not 512"),
        (&["--lora-dropout", "0.5"], "`--lora-dropout` 0, not 0.5"),
        (&["--reference", "start"], "`--reference` without the adapter, not start"),
        (&["--full"], "`--lora-alpha` 16, not none"),
    ];
    for (more, says) in cases {
        let refused = train("4", &[more, &["--resume"]].concat());
        assert_eq!(refused.codes(), ["E0704"], "{refused}");
        assert!(refused.stderr.contains(says), "{says}: {refused}");
    }
    let again = train("4", &["--param", "beta=50"]);
    assert!(again.stderr.contains("holds a run already"), "{again}");
    // Another model of the same shape.
    let weights = place.path().join("model/model.safetensors");
    let whole = std::fs::read(&weights).expect("reads");
    let mut other = whole.clone();
    *other.last_mut().expect("bytes") ^= 0x80;
    std::fs::write(&weights, other).expect("writes");
    let refused = train("4", &["--resume"]);
    assert!(refused.stderr.contains("another `--model`"), "{refused}");
    std::fs::write(&weights, whole).expect("writes");
    assert_eq!(place.read("run/run.json"), described);
    train("4", &["--resume"]).done();
    assert_eq!(place.read("run/run.json"), described);
    place.run(&["report", "run"]).done();
    assert!(place.read("run/report.html").contains("4 of 4, 4 examples each"));
}
