//! Data to page: `data check`, `train` on pairs and on single responses, a grid that goes on, `score`,
//! `report`; with a model of a few thousand numbers.

mod common;

use common::Place;
use ponens::runtime::model::{Architecture, Config, Llama, SaveType, cpu, save};
use ponens::runtime::tokenizer::Tokenizer;
use serde_json::{Value, json};

/// Writes a random model with one token a character.
fn write_model(place: &Place) {
    let tokenizer = Tokenizer::characters("abcdefghijklmnopqrstuvwxyz= ").expect("an alphabet");
    let config = Config {
        architecture: Architecture::Llama,
        hidden_size: 16,
        intermediate_size: 24,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        num_key_value_heads: 1,
        head_dim: 8,
        vocab_size: tokenizer.vocab_size(),
        max_position_embeddings: 64,
        sliding_window: None,
        rope_theta: 10_000.0,
        rope_scaling: None,
        rms_norm_eps: 1e-5,
        tie_word_embeddings: true,
        qkv_bias: false,
        o_bias: false,
        mlp_bias: false,
        initializer_range: 0.05,
        bos_token_id: None,
        eos_token_ids: vec![0],
    };
    let folder = place.path().join("model");
    let model = Llama::random(config, 3, &cpu()).expect("valid");
    save::save_model(&model, &folder, SaveType::F32).expect("saves");
    tokenizer.save(&folder).expect("saves");
}

/// Pairs that prefer the letter `a` to the letter `b`.
fn write_data(place: &Place) {
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
        .write("pairs.jsonl", pairs)
        .write("singles.csv", format!("prompt,completion,label\n{singles}"));
}

fn kind<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
    lines.iter().filter(|l| l["type"] == kind).collect()
}

#[test]
fn from_data_to_a_page() {
    let place = Place::new();
    write_model(&place);
    write_data(&place);

    let found =
        place.run(&["data", "check", "singles.csv", "--model", "model", "--format", "json"]);
    let found = found.done().json();
    assert_eq!((&found["singles"], &found["good"]), (&json!(10), &json!(5)));
    assert_eq!(found["fits"], json!(["labelled"]));
    // A prompt of 4.2 characters in the mean, an answer of 2.5, the end token.
    assert_eq!(found["tokens"]["total"], json!(38 + 10 + 25));
    place.write("bad.jsonl", "{\"prompt\": \"a\"}\n{\n");
    let bad = place.run(&["data", "check", "bad.jsonl", "--format", "json"]);
    assert_eq!(bad.status, 1, "{bad}");
    let codes: Vec<Value> = bad.json()["diagnostics"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|d| d["code"].clone())
        .collect();
    assert_eq!(codes, ["E0401", "E0403"]);

    // Single responses, with a loss that reads mismatched ones.
    let kto = place.run(&[
        "train",
        "--loss",
        "kto",
        "--model",
        "model",
        "--data",
        "singles.csv",
        "--eval-data",
        "pairs.jsonl",
        "--output",
        "kto",
        "--steps",
        "40",
        "--batch",
        "5",
        "--lr",
        "5e-2",
        "--sample-tokens",
        "3",
        "--tensorboard",
        "--reference-cache",
        "cache",
        "--format",
        "json",
    ]);
    let lines = kto.done().json_lines();
    let evals = kind(&lines, "eval");
    let accuracy = |e: &Value| e["accuracy"].as_f64().expect("an accuracy");
    assert_eq!(accuracy(evals[0]), 0.5, "policy and reference are the same");
    assert!(accuracy(evals[evals.len() - 1]) > 0.9, "{:?}", evals.last());
    assert!(place.names().contains(&"cache".to_owned()));
    let scored = place.run(&[
        "score",
        "--loss",
        "kto",
        "--model",
        "kto/adapter",
        "--data",
        "singles.csv",
        "--format",
        "json",
    ]);
    let scored = scored.done().json_lines();
    assert_eq!((kind(&scored, "response").len(), kind(&scored, "summary").len()), (10, 1));

    // A grid that is cut off after its first run goes on where it stood.
    let grid = |losses: &'static str, resume: bool| {
        let mut args = vec![
            "train",
            "--losses",
            losses,
            "--seeds",
            "2",
            "--model",
            "model",
            "--data",
            "pairs.jsonl",
            "--eval-data",
            "pairs.jsonl",
            "--output",
            "lab",
            "--steps",
            "25",
            "--batch",
            "5",
            "--lr",
            "3e-2",
            "--sample-tokens",
            "2",
            "--format",
            "json",
        ];
        args.extend(resume.then_some("--resume"));
        place.run(&args)
    };
    let lines = grid("dpo,simpo", false).done().json_lines();
    assert_eq!(kind(&lines, "start").len(), 4);
    let again = grid("dpo,simpo", false);
    assert_eq!(again.codes(), ["E0703"], "{again}");
    std::fs::remove_file(place.path().join("lab/simpo-seed-1/done.json")).expect("removes");
    let lines = grid("dpo,simpo", true).done().json_lines();
    let starts = kind(&lines, "start");
    assert_eq!(
        (starts.len(), &starts[0]["loss"], &starts[0]["seed"]),
        (1, &json!("simpo"), &json!(1))
    );
    let other = grid("dpo", true);
    assert_eq!(other.codes(), ["E0703"], "{other}");

    let report = place.run(&["report", "lab", "--format", "json"]).done().json();
    let losses = report["losses"].as_array().expect("a list");
    assert_eq!(losses.len(), 2);
    for loss in losses {
        let rise = &loss["rise"];
        assert!(rise["low"].as_f64() > Some(0.0), "{loss}");
        assert_eq!(rise["n"], json!(10));
        assert_eq!(loss["ratio_accuracy"]["mean"], json!(1.0));
    }
    let page = place.read("lab/report.html");
    assert!(page.contains("Loss against loss") && page.contains("<svg class=\"chart\""));
    // Self-contained: nothing is loaded from anywhere.
    assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("<script"));
    let one = place.run(&["report", "kto", "--output", "kto.html"]).done();
    assert!(one.stdout.contains("Held-out reward accuracy went from 50.0 % to"), "{one}");
    let page = place.read("kto.html");
    for part in ["Displacement", "Gradient norm", "d/logp(pi,y)", "No logical core"] {
        assert!(page.contains(part), "{part}");
    }
}

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
            "train", "--loss", "dpo", "--output", "out", "--steps", "1", "--batch", "1",
            "--format", "json",
        ];
        let all: Vec<&str> = common.iter().chain(args).copied().collect();
        let ran = place.run(&all);
        assert_eq!(ran.codes().last().map(String::as_str), Some(code), "{all:?}: {ran}");
        assert!(ran.stderr.contains(says), "{all:?}: {ran}");
        let _ = std::fs::remove_dir_all(place.path().join("out"));
    }
}
