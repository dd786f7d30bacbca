//! Data to page: `data check`, `train` on pairs and on single responses, a grid that goes on, `score`,
//! `report`; with a model of a few thousand numbers.

use crate::common::Place;
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
        .write("prompts.txt", "cat=\nwhat=\n")
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
    // Prompts of 45 characters, answers of 25, ten end tokens.
    assert_eq!(found["tokens"]["total"], json!(45 + 25 + 10));
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
        "--sample-prompts",
        "prompts.txt",
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

    // Over the tokens after the divergence point, with a confidence a pair.
    let confident = |c: &str, r: &str| {
        json!({ "prompt": "x=", "chosen": c, "rejected": r, "smoothing": 0.1 }).to_string() + "\n"
    };
    place.write("tree.jsonl", confident("bba", "bbc") + &confident("cat", "cab"));
    let mcts = [
        "score",
        "--loss",
        "mcts_dpo",
        "--model",
        "model",
        "--data",
        "tree.jsonl",
        "--format",
        "json",
    ];
    let scored = place.run(&mcts).done().json_lines();
    // What differs, and the end: "a", "c"; "t", "b".
    for line in kind(&scored, "pair") {
        assert_eq!((&line["chosen_tokens"], &line["rejected_tokens"]), (&json!(2), &json!(2)));
    }
    let given = place.run(&[&mcts[..], &["--reference", "data"]].concat());
    assert_eq!(given.codes(), ["E0704"], "{given}");

    // A rationale is a third response to the prompt: at the start the loss is ln 2 - gamma logp(rationale).
    let row = |chosen: &str, more: Value| {
        let mut row = json!({ "prompt": "x=", "chosen": chosen, "rejected": "b" });
        row["rationale"] = more;
        row.to_string() + "\n"
    };
    place.write("why.jsonl", row("a", json!("because it is so")));
    place.write("so.jsonl", row("because it is so", Value::Null));
    let score = |loss: &'static str, data: &'static str| {
        place
            .run(&["score", "--loss", loss, "--model", "model", "--data", data, "--format", "json"])
    };
    let with = score("dpo_rationale", "why.jsonl").done().json_lines();
    let alone = score("dpo", "so.jsonl").done().json_lines();
    let logp = alone[0]["chosen_logp"].as_f64().expect("a number");
    let loss = with[0]["loss"].as_f64().expect("a number");
    assert!((loss - (std::f64::consts::LN_2 - 0.1 * logp)).abs() < 1e-5, "{loss} {logp}");
    let without = score("dpo_rationale", "pairs.jsonl");
    assert_eq!(without.codes().last().map(String::as_str), Some("E0401"), "{without}");
    assert!(without.stderr.contains("rationale"), "{without}");

    // WPO weighs the loss by the policy's distributions: at the start it is ln 2 times the weight.
    for line in kind(&score("wpo", "pairs.jsonl").done().json_lines(), "pair") {
        let weight = line["loss"].as_f64().expect("a number") / std::f64::consts::LN_2;
        assert!(weight > 0.1 && weight < 10.0 && (weight - 1.0).abs() > 1e-4, "{line}");
    }

    // The reward is that of the loss: lengths beside sums make no mean.
    for (loss, says) in [
        ("r_dpo", "logp(policy) - logp(reference), summed over tokens"),
        ("wpo", "logp(policy) - logp(reference), summed over tokens"),
        ("cpo", "logp(policy), summed over tokens"),
        ("simpo", "logp(policy), mean over tokens"),
        ("sigmoid_norm", "logp(policy) - logp(reference), mean over tokens"),
    ] {
        let scored = place
            .run(&["score", "--loss", loss, "--model", "model", "--data", "pairs.jsonl"])
            .done();
        assert!(scored.stdout.contains(&format!("reward: {says}")), "{loss}: {scored}");
    }

    // Rows that are dropped are counted aloud.
    let gap = json!({ "prompt": "x=", "chosen": "", "rejected": "b" });
    place.write("gaps.jsonl", format!("{}{gap}\n", place.read("pairs.jsonl")));
    let gaps =
        ["score", "--loss", "dpo", "--model", "model", "--data", "gaps.jsonl", "--drop-empty"];
    let told = place.run(&gaps).done();
    assert!(told.stderr.contains("gaps.jsonl: 1 of 11 rows dropped"), "{told}");
    let told = place.run(&[&gaps[..], &["--format", "json"]].concat()).done().json_lines();
    assert_eq!(kind(&told, "dropped")[0]["dropped_empty"], json!(1));

    // The better half of the pairs by CHES, whole rows, in their order.
    let lines = place
        .run(&[
            "data",
            "score",
            "pairs.jsonl",
            "--model",
            "model",
            "--keep",
            "0.5",
            "--output",
            "kept.jsonl",
            "--format",
            "json",
        ])
        .done()
        .json_lines();
    let score = |l: &Value| l["normalised"].as_f64().expect("a score");
    assert!(lines.windows(2).all(|l| score(&l[0]) >= score(&l[1])), "the worst first");
    let mut best: Vec<u64> = lines[5..].iter().filter_map(|l| l["row"].as_u64()).collect();
    best.sort_unstable();
    let all = scores(&place, "pairs.jsonl");
    let kept: Vec<&Value> = best.iter().map(|&row| &all[row as usize]).collect();
    assert_eq!(scores(&place, "kept.jsonl").iter().collect::<Vec<_>>(), kept);

    // A grid that is cut off after its first run goes on where it stood.
    let grid = |losses: &'static str, resume: bool, more: &[&'static str]| {
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
            "--sample-prompts",
            "prompts.txt",
            "--format",
            "json",
        ];
        args.extend(resume.then_some("--resume"));
        args.extend(more);
        place.run(&args)
    };
    let lines = grid("dpo,simpo", false, &[]).done().json_lines();
    assert_eq!(kind(&lines, "start").len(), 4);
    let again = grid("dpo,simpo", false, &[]);
    assert_eq!(again.codes(), ["E0703"], "{again}");
    std::fs::remove_file(place.path().join("lab/simpo-seed-1/done.json")).expect("removes");
    // Never under other settings: what is done and what is left would be compared.
    place.write("other.jsonl", place.read("pairs.jsonl").replace("aaa", "aab"));
    let cases: [(&[&str], &str); 4] = [
        (&["--max-length", "16"], "`--max-length` 512, not 16"),
        (&["--param", "beta=3"], "parameter `beta` 0.1, not 3.0 (dpo)"),
        (&["--lora-alpha", "3"], "`--lora-alpha` 16, not 3"),
        (&["--reference", "start"], "`--reference` without the adapter, not start"),
    ];
    for (more, says) in cases {
        let refused = grid("dpo,simpo", true, more);
        assert_eq!(refused.codes(), ["E0703"], "{refused}");
        assert!(refused.stderr.contains(says), "{says}: {refused}");
    }
    std::fs::rename(place.path().join("pairs.jsonl"), place.path().join("kept")).expect("renames");
    std::fs::copy(place.path().join("other.jsonl"), place.path().join("pairs.jsonl"))
        .expect("copies");
    let refused = grid("dpo,simpo", true, &[]);
    assert!(refused.stderr.contains("another `--data pairs.jsonl`"), "{refused}");
    std::fs::rename(place.path().join("kept"), place.path().join("pairs.jsonl")).expect("renames");
    let lines = grid("dpo,simpo", true, &[]).done().json_lines();
    let starts = kind(&lines, "start");
    assert_eq!(
        (starts.len(), &starts[0]["loss"], &starts[0]["seed"]),
        (1, &json!("simpo"), &json!(1))
    );
    let other = grid("dpo", true, &[]);
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
    // Examples pair by their rows alone, not by their number.
    for name in ["lab/simpo-seed-1/scores-first.jsonl", "lab/simpo-seed-1/scores-last.jsonl"] {
        place.write(name, place.read(name).replace("\"row\":3,", "\"row\":73,"));
    }
    let report = place.run(&["report", "lab", "--format", "json"]).done().json();
    assert_eq!(report["losses"][1]["rise"], Value::Null, "{report}");
    assert_eq!(report["losses"][0]["rise"]["n"], json!(10));
    assert_eq!(report["differences"], json!([]));
    assert!(place.read("lab/report.html").contains("held to other examples"));
    let one = place.run(&["report", "kto", "--output", "kto.html"]).done();
    assert!(one.stdout.contains("Held-out reward accuracy went from 50.0 % to"), "{one}");
    let page = place.read("kto.html");
    for part in
        ["Displacement", "Gradient norm", "d/logp(pi,y)", "ref(y) -&gt; pi(y)", "Credit by token"]
    {
        assert!(page.contains(part), "{part}");
    }
}

/// A file of JSON lines.
fn scores(place: &Place, path: &str) -> Vec<Value> {
    place.read(path).lines().map(|l| serde_json::from_str(l).expect("a line of JSON")).collect()
}

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
