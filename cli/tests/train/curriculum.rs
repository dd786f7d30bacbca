//! `train --stages`.

use crate::common::Place;
use crate::tiny::{kind, scores, write_data, write_model};
use serde_json::{Value, json};

/// Curry-DPO: each stage's reference is the model that the stage before left, so that the rewards of all
/// stages add up to the log-ratio of the last policy to the first model.
#[test]
fn a_curriculum_moves_its_reference_and_telescopes() {
    let place = Place::new();
    write_model(&place);
    write_data(&place);
    let hard: String = ["moon=", "star=", "lamp=", "door="]
        .iter()
        .map(|p| json!({ "prompt": p, "chosen": "ab", "rejected": "ba" }).to_string() + "\n")
        .collect();
    place.write("hard.jsonl", hard);
    let train = |stages: &'static str, resume: bool, loss: &'static str| {
        let mut args = vec![
            "train",
            "--loss",
            loss,
            "--model",
            "model",
            "--stages",
            stages,
            "--eval-data",
            "pairs.jsonl",
            "--output",
            "curry",
            "--steps",
            "8",
            "--batch",
            "4",
            "--lr",
            "2e-2",
            "--sample-tokens",
            "0",
            "--format",
            "json",
        ];
        args.extend(resume.then_some("--resume"));
        place.run(&args)
    };
    let lines = train("pairs.jsonl,hard.jsonl", false, "dpo").done().json_lines();
    assert_eq!(kind(&lines, "start").len(), 2);
    let number = |v: &Value, name: &str| v[name].as_f64().expect("a number");
    let first = scores(&place, "curry/stage-1/scores-first.jsonl");
    let between = scores(&place, "curry/stage-1/scores-last.jsonl");
    let again = scores(&place, "curry/stage-2/scores-first.jsonl");
    let last = scores(&place, "curry/stage-2/scores-last.jsonl");
    assert_eq!(last.len(), 10);
    for i in 0..last.len() {
        let moved = number(&between[i], "chosen_logp");
        let one = number(&first[i], "chosen_logp");
        assert!((moved - one).abs() > 1e-2, "the first stage trains");
        for name in ["chosen_logp", "chosen_reference_logp"] {
            assert!((number(&again[i], name) - moved).abs() < 1e-5, "stage 2 starts where 1 ended");
        }
        let stages = number(&between[i], "chosen_reward") + number(&last[i], "chosen_reward");
        let all = number(&last[i], "chosen_logp") - one;
        assert!((stages - all).abs() < 1e-5, "{stages} {all}");
    }
    // Stages that are done stay; others than before are refused.
    let lines = train("pairs.jsonl,hard.jsonl", true, "dpo").done().json_lines();
    assert_eq!((lines.len(), &lines[0]["left"]), (1, &json!(0)));
    for (stages, resume, loss) in [
        ("pairs.jsonl,hard.jsonl", false, "dpo"),
        ("hard.jsonl", true, "dpo"),
        ("pairs.jsonl,hard.jsonl", true, "ipo"),
    ] {
        let refused = train(stages, resume, loss);
        assert_eq!(refused.codes(), ["E0703"], "{refused}");
    }
    // The last adapter stands on the model that the first was made for.
    let scored = place.run(&[
        "score",
        "--loss",
        "dpo",
        "--model",
        "curry/stage-2/adapter",
        "--data",
        "pairs.jsonl",
        "--format",
        "json",
    ]);
    let scored = scored.done().json_lines();
    let gap = number(&scored[3], "chosen_logp") - number(&last[3], "chosen_logp");
    assert!(gap.abs() < 1e-5, "{gap}");
    let base = number(&scored[3], "chosen_reference_logp") - number(&first[3], "chosen_logp");
    assert!(base.abs() < 1e-5, "{base}");
}
