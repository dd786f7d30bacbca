//! Models, references and data that do not belong together.

use crate::common::Place;
use crate::tiny::{write_data, write_model};
use ponens::runtime::tokenizer::Tokenizer;
use serde_json::json;

#[test]
fn what_does_not_fit_the_model_is_refused_with_its_reason() {
    let place = Place::new();
    write_model(&place);
    write_data(&place);
    let model = |name: &str, change: &dyn Fn(&std::path::Path)| {
        let to = place.path().join(name);
        std::fs::create_dir(&to).expect("creates");
        for entry in std::fs::read_dir(place.path().join("model")).expect("reads") {
            let entry = entry.expect("an entry");
            std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copies");
        }
        change(&to);
    };
    model("cut", &|folder| {
        let path = folder.join("model.safetensors");
        let bytes = std::fs::read(&path).expect("reads");
        std::fs::write(path, &bytes[..bytes.len() / 2]).expect("writes");
    });
    model("foreign", &|folder| {
        let more: String = ('a'..='z').chain('A'..='Z').collect();
        Tokenizer::characters(&more).expect("an alphabet").save(folder).expect("saves");
    });
    model("turned", &|folder| {
        Tokenizer::characters("= zyxwvutsrqponmlkjihgfedcba")
            .expect("an alphabet")
            .save(folder)
            .expect("saves");
    });
    place.write(
        "long.jsonl",
        format!("{}\n", json!({ "prompt": "a".repeat(90), "chosen": "b", "rejected": "c" })),
    );
    place.write("ref.jsonl", "{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"c\"}\n{\"prompt\": \"b\", \"chosen\": \"b\", \"rejected\": \"c\"}\n");
    let read_only = place.path().join("read-only");
    std::fs::write(&read_only, "a file").expect("writes");
    let cases: [(&[&str], &str, &str); 6] = [
        (&["--model", "cut", "--data", "pairs.jsonl"], "E0701", "cut"),
        (&["--model", "foreign", "--data", "pairs.jsonl"], "E0701", "another model's"),
        (
            &["--model", "model", "--reference", "turned", "--data", "pairs.jsonl"],
            "E0701",
            "another tokenizer",
        ),
        (&["--model", "model", "--data", "long.jsonl"], "E0701", "the model takes 64"),
        (
            &["--model", "model", "--reference", "data", "--data", "ref.jsonl"],
            "E0401",
            "ref_chosen_logps",
        ),
        (
            &["--model", "model", "--data", "pairs.jsonl", "--max-length", "1"],
            "E0405",
            "leaves no room",
        ),
    ];
    for (args, code, says) in cases {
        let common = [
            "train",
            "--loss",
            "dpo",
            "--output",
            "out",
            "--steps",
            "1",
            "--batch",
            "1",
            "--sample-tokens",
            "0",
            "--format",
            "json",
        ];
        let all: Vec<&str> = common.iter().chain(args).copied().collect();
        let ran = place.run(&all);
        assert_eq!(ran.codes().last().map(String::as_str), Some(code), "{all:?}: {ran}");
        assert!(ran.stderr.contains(says), "{all:?}: {ran}");
        let _ = std::fs::remove_dir_all(place.path().join("out"));
    }
}
