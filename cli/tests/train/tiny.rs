//! A model of a few thousand numbers and data for it.

use crate::common::Place;
use ponens::runtime::model::{Config, Llama, SaveType, cpu, save};
use ponens::runtime::tokenizer::Tokenizer;
use serde_json::{Value, json};

/// Writes a random model with one token a character.
pub(super) fn write_model(place: &Place) {
    let tokenizer = Tokenizer::characters("abcdefghijklmnopqrstuvwxyz= ").expect("an alphabet");
    let small = Config::small(tokenizer.vocab_size(), 16, 1, 2, 1, 64).expect("sizes that fit");
    let config =
        Config { intermediate_size: 24, initializer_range: 0.05, eos_token_ids: vec![0], ..small };
    let folder = place.path().join("model");
    let model = Llama::random(config, 3, &cpu()).expect("valid");
    save::save_model(&model, &folder, SaveType::F32).expect("saves");
    tokenizer.save(&folder).expect("saves");
}

/// Pairs that prefer the letter `a` to the letter `b`.
pub(super) fn write_data(place: &Place) {
    let prompts = ["hello", "what", "more", "two", "one", "cat", "dog", "tree", "sun", "sea"];
    let pairs: String = prompts
        .iter()
        .map(|p| {
            json!({ "prompt": format!("{p}="), "chosen": "aaa", "rejected": "bb" }).to_string()
                + "\n"
        })
        .collect();
    let singles: String = prompts
        .iter()
        .enumerate()
        .map(|(i, p)| format!("{p}=,{},{}\n", if i % 2 == 0 { "aaa" } else { "bb" }, i % 2 == 0))
        .collect();
    place
        .write("prompts.txt", "cat=\nwhat=\n")
        .write("pairs.jsonl", pairs)
        .write("singles.csv", format!("prompt,completion,label\n{singles}"));
}

/// The lines of one type.
pub(super) fn kind<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
    lines.iter().filter(|l| l["type"] == kind).collect()
}

/// A file of JSON lines.
pub(super) fn scores(place: &Place, path: &str) -> Vec<Value> {
    place.read(path).lines().map(|l| serde_json::from_str(l).expect("a line of JSON")).collect()
}
