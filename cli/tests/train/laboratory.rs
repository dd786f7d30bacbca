//! Data to page: `data check`, `train` on pairs and on single responses, a grid that goes on, `score`,
//! `report`; with a model of a few thousand numbers.

use crate::common::Place;
use crate::tiny::{kind, scores, write_data, write_model};
use serde_json::{Value, json};

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

/// What `derive` prints is trained as it stands, with every link, a reference and
/// further terms.
#[test]
fn a_derived_loss_is_trained() {
    let place = Place::new();
    write_model(&place);
    write_data(&place);
    let prefer = ["--core", "pi(l) -> pi(w)", "--given", "pi(l) xor pi(w)"];
    let cases: [&[&str]; 3] = [
        &["--reference", "--link", "hinge"],
        &["--mean", "--link", "squared", "--params", "beta = 0.5 in (0, inf)"],
        &["--reference", "--mean", "--terms", "lambda * nll(pi, w)"],
    ];
    for more in cases {
        let text = place.run(&[&["derive"], &prefer[..], more].concat()).done().stdout;
        place.write("mine.loss", &text);
        let ran = place.run(&[
            "train",
            "--loss",
            "mine.loss",
            "--model",
            "model",
            "--data",
            "pairs.jsonl",
            "--eval-data",
            "pairs.jsonl",
            "--output",
            &format!("run{}", more.len()),
            "--steps",
            "12",
            "--batch",
            "5",
            "--lr",
            "5e-2",
            "--sample-tokens",
            "0",
            "--format",
            "json",
        ]);
        let lines = ran.done().json_lines();
        let evals = kind(&lines, "eval");
        let loss = |e: &Value| e["loss"].as_f64().expect("a loss");
        let (first, last) = (loss(evals[0]), loss(evals[evals.len() - 1]));
        assert!(last < first - 1e-3, "{text}: {first} to {last}");
        std::fs::remove_dir_all(place.path().join(format!("run{}", more.len()))).expect("removes");
    }
}
