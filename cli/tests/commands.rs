//! The commands that read and write loss texts: output, keys, exit status.

#[path = "commands/bad_input.rs"]
mod bad_input;
mod common;
#[path = "commands/lsp.rs"]
mod lsp;
#[path = "commands/python.rs"]
mod python;
#[path = "commands/verify.rs"]
mod verify;

use common::{Place, ponens};
use serde_json::{Value, json};

const TWO: &str = "\
/// One.
loss one(beta = 0.1 in (0, inf)) {
    data pair(w > l)
    model pi = policy
    model ref = reference

    prefer pi(l) & ref(w) -> pi(w) & ref(l)
    given  (pi(l) & ref(w)) | (pi(w) & ref(l))
    tie    pi(l) & ref(w) & pi(w) & ref(l)
    minimize logistic(beta * rho)
}

/// Two.
loss two = dpo with { link = hinge(1) }
";

const WRONG: &str =
    "loss x() {\n    data pair(w > l)\n    model pi = policy\n    minimize logp(pi, v)\n}\n";

fn keys(v: &Value) -> Vec<&str> {
    v.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[track_caller]
fn has(v: &Value, wanted: &[&str]) {
    let keys = keys(v);
    for w in wanted {
        assert!(keys.contains(w), "no `{w}` among {keys:?}");
    }
}

#[test]
fn help_has_an_example_for_every_command() {
    let all = ponens(&["--help"]).done().stdout;
    insta::assert_snapshot!(all);
    let commands = all.lines().skip_while(|l| !l.starts_with("Commands:")).skip(1);
    let mut n = 0;
    for line in commands.take_while(|l| l.starts_with("  ")) {
        let name = line.split_whitespace().next().expect("a name");
        if name != "help" {
            let help = ponens(&[name, "--help"]).done().stdout;
            assert!(help.contains("Example"), "{name} has no example");
            assert!(help.contains("ponens "), "{name}'s example shows no command");
            n += 1;
        }
    }
    assert!(n >= 13, "{n} commands");
}

#[test]
fn version_and_completions() {
    assert!(ponens(&["--version"]).done().stdout.starts_with("ponens 0."));
    for shell in ["bash", "zsh", "fish"] {
        assert!(ponens(&["completions", shell]).done().stdout.contains("landscape"), "{shell}");
    }
}

#[test]
fn usage_is_status_2() {
    let cases: &[&[&str]] = &[
        &[],
        &["nonsense"],
        &["list", "--format", "dot"],
        &["explain"],
        &["value", "dpo"],
        &["decompile"],
        &["decompile", "dpo", "--rho", "1"],
        &["landscape", "--atoms", "5"],
        &["train"],
        &["value", "dpo", "--data", "x", "--dtype", "f16"],
        &["train", "--demo", "--data", "pairs.jsonl"],
        &["train", "--demo", "--lr", "1e-3"],
    ];
    for args in cases {
        let ran = ponens(args);
        assert_eq!(ran.status, 2, "{args:?}: {ran}");
        assert_eq!(ran.stdout, "", "{args:?}");
    }
}

#[test]
fn list_describes_every_loss() {
    let list = ponens(&["list", "--format", "json"]).done().json();
    let list = list.as_array().expect("an array");
    assert!(list.len() >= 60, "{}", list.len());
    for l in list {
        has(l, &["name", "title", "data", "models", "params", "source"]);
        assert!(l["title"].as_str().is_some_and(|t| !t.is_empty()), "{l}");
    }
    let find = |n: &str| list.iter().find(|l| l["name"] == n).expect(n);
    assert_eq!(find("dpo")["data"], "pair(w > l)");
    assert_eq!(find("dpo")["params"][0]["default"], json!(0.1));
    find("lattice.ORPO_ref");
    let family = ponens(&["list", "--family", "lattice", "--format", "json"]).done().json();
    assert_eq!(family.as_array().expect("an array").len(), 32);
    insta::assert_snapshot!(ponens(&["list", "--family", "labelled"]));
    assert_eq!(ponens(&["list", "--family", "lattise"]).status, 1);
}

#[test]
fn check_reports_everything() {
    let place = Place::new();
    place.write("two.loss", TWO).write("wrong.loss", WRONG).write("bad.loss", "loss {");
    let clean = place.run(&["check", "two.loss", "--format", "json"]).done();
    assert_eq!(clean.json(), json!([]));
    let ran = place.run(&["check", "wrong.loss", "two.loss", "bad.loss", "--format", "json"]);
    assert_eq!(ran.status, 1);
    let found = ran.json();
    let found = found.as_array().expect("an array");
    for d in found {
        has(d, &["code", "severity", "message", "file", "line", "column", "help"]);
    }
    assert_eq!(found[0]["file"], "wrong.loss");
    assert_eq!((&found[0]["line"], &found[0]["column"]), (&json!(4), &json!(23)));
    assert!(found.iter().any(|d| d["file"] == "bad.loss"), "{ran}");
    insta::assert_snapshot!(place.run(&["check", "wrong.loss", "two.loss"]));
    let stdin = place.run_with(&["check", "-", "--format", "json"], WRONG);
    assert_eq!((stdin.status, stdin.json()[0]["file"].clone()), (1, json!("<stdin>")));
    place.write("latin.loss", b"// \xe9\n");
    assert_eq!(place.run(&["check", "latin.loss", "--format", "json"]).json()[0]["code"], "E0002");
    assert_eq!(place.run(&["check", "none.loss", "--format", "json"]).json()[0]["code"], "E0003");
}

#[test]
fn fmt_rewrites_whole_files_or_none() {
    let place = Place::new();
    let ugly = TWO.replace("    data", "  data").replace("beta * rho", "beta*rho");
    place.write("a.loss", &ugly).write("bad.loss", "loss {");
    let checked = place.run(&["fmt", "--check", "a.loss"]);
    assert_eq!((checked.status, place.read("a.loss")), (1, ugly.clone()));
    let printed = place.run(&["fmt", "--stdout", "a.loss"]).done().stdout;
    assert_eq!(place.read("a.loss"), ugly);
    let ran = place.run(&["fmt", "a.loss", "bad.loss"]);
    assert_eq!(ran.status, 1);
    assert_eq!(place.read("a.loss"), printed);
    assert_eq!(place.read("bad.loss"), "loss {");
    assert_eq!(place.names(), ["a.loss", "bad.loss"], "nothing else is left");
    place.run(&["fmt", "--check", "a.loss"]).done();
    assert_eq!(place.run_with(&["fmt", "-"], &ugly).done().stdout, printed);
    place.write("locked.loss", &ugly);
    let locked = place.path().join("locked.loss");
    let mut permissions = std::fs::metadata(&locked).expect("a file").permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&locked, permissions).expect("set");
    let refused = place.run(&["fmt", "locked.loss", "--format", "json"]);
    assert_eq!((refused.status, refused.codes()), (1, vec!["E0003".to_owned()]));
    assert_eq!(place.read("locked.loss"), ugly);
    let json = place.run(&["fmt", "a.loss", "--format", "json"]).done().json();
    assert_eq!(json, json!([{ "file": "a.loss", "changed": false }]));
}

#[test]
fn explain_has_its_keys() {
    for loss in ["dpo", "orpo", "simpo", "kto", "ipo", "lattice.l5"] {
        let e = ponens(&["explain", loss, "--format", "json"]).done().json();
        has(&e, &["name", "core", "rows", "rho", "link", "outside", "neighbours", "warnings"]);
        has(&e["neighbours"], &["above", "below"]);
    }
    let e = ponens(&["explain", "orpo", "--format", "json"]).done().json();
    assert_eq!(
        e["core"],
        json!({ "p": "pi(l) -> pi(w)", "given": "pi(w) xor pi(l)", "tie": "false" })
    );
    assert_eq!(
        e["rows"][1],
        json!({ "assignment": { "pi(w)": true, "pi(l)": false }, "mark": "tick" })
    );
    insta::assert_snapshot!(ponens(&["explain", "orpo"]));
    insta::assert_snapshot!(ponens(&["explain", "lattice.l5"]));
    insta::assert_snapshot!(ponens(&["explain", "kto"]));
}

#[test]
fn explain_knows_the_codes() {
    let e = ponens(&["explain", "E0301", "--format", "json"]).done().json();
    assert_eq!(e["headline"], "a parameter is outside its range");
    assert_eq!(ponens(&["explain", "E9999"]).status, 1);
}

#[test]
fn a_loss_is_named_in_three_ways() {
    let place = Place::new();
    place.write("two.loss", TWO).write("one.loss", &TWO[..TWO.find("/// Two").expect("two")]);
    place.write("none.loss", "fn f(x) = x\n");
    for good in ["dpo", "one.loss", "two.loss:two", "./two.loss:one"] {
        place.run(&["explain", good]).done();
    }
    let cases = [
        ("dop", "E0103", "did you mean `dpo`?"),
        ("two.loss", "E0103", "two.loss:one, two.loss:two"),
        ("two.loss:tow", "E0103", "two.loss:two"),
        ("none.loss", "E0103", "defines no loss"),
        ("gone.loss", "E0003", "gone.loss"),
    ];
    for (loss, code, says) in cases {
        let ran = place.run(&["explain", loss, "--format", "json"]);
        assert_eq!((ran.status, ran.stdout.as_str()), (1, ""), "{loss}");
        assert_eq!(ran.codes(), [code], "{loss}: {ran}");
        assert!(ran.stderr.contains(says), "{loss}: {ran}");
    }
}

#[test]
fn names_do_not_matter_to_a_comparison() {
    let place = Place::new();
    let text = TWO.replace("pi", "policy_");
    let text = text.replace("(w", "(yes").replace("> l", "> no").replace("(l)", "(no)");
    place.write("named.loss", &text);
    let c = place.run(&["compare", "dpo", "named.loss:one", "--format", "json"]).done().json();
    assert_eq!((&c["structure_equal"], &c["loss_equal"]), (&json!(true), &json!(true)), "{c}");
}

#[test]
fn emit_prints_code() {
    insta::assert_snapshot!(ponens(&["emit", "dpo", "--target", "mir"]));
    let written = ponens(&["emit", "dpo", "--target", "mir", "--stage", "written"]).done().stdout;
    assert!(written.contains("log"), "{written}");
    let cuda = ponens(&["emit", "dpo", "--target", "cuda", "--format", "json"]).done().json();
    assert!(cuda["code"].as_str().is_some_and(|c| c.contains("__global__")));
    for target in ["cuda", "lir", "candle", "rust"] {
        let ran = ponens(&["emit", "ppo_clip", "--target", target, "--format", "json"]);
        assert_eq!((ran.status, ran.codes()), (1, vec!["E0205".to_owned()]), "tokens: {ran}");
    }
    insta::assert_snapshot!(
        "emit_rust",
        ponens(&["emit", "hinge", "--target", "rust"]).done().stdout
    );
    insta::assert_snapshot!(
        "emit_dot",
        ponens(&["emit", "hinge", "--target", "dot", "--stage", "value"]).done().stdout
    );
    let plan = ponens(&["emit", "aot", "--target", "lir"]).done().stdout;
    assert!(plan.contains("rank %"), "{plan}");
    let old = ponens(&["emit", "dpo", "--target", "ptx", "--arch", "sm_75"]);
    assert!(old.status == 2 && old.stderr.contains("sm_80"), "{old}");
}

/// With NVRTC the kernels, without it where it was looked for.
#[test]
fn emit_compiles_the_kernels_or_says_what_is_missing() {
    let place = Place::new();
    let cache = place.path().join("kernels").display().to_string();
    let ptx = ["emit", "dpo", "--target", "ptx", "--arch", "sm_90", "--format", "json"];
    let with = |nvrtc: Option<&str>| {
        let mut set = vec![("PONENS_CACHE", cache.as_str())];
        set.extend(nvrtc.map(|path| ("PONENS_NVRTC", path)));
        place.run_where(&ptx, &set)
    };
    let missing = with(Some("no/such/folder"));
    assert_eq!((missing.status, missing.codes()), (1, vec!["E0702".to_owned()]), "{missing}");
    assert!(missing.stderr.contains("no/such/folder"), "{missing}");
    assert!(missing.stderr.contains("fetch-nvrtc.sh"), "{missing}");
    assert!(place.names().is_empty(), "nothing is written");
    let first = with(None);
    if first.codes() == ["E0702"] && std::env::var_os("PONENS_REQUIRE_NVRTC").is_none() {
        // Past the capture of the test harness: a test that passes has shown nothing.
        let _ = std::io::Write::write_all(&mut std::io::stderr(), b"skipped: NVRTC is not there\n");
        return;
    }
    let code = first.done().json();
    let code = code["code"].as_str().expect("a text");
    for part in ["loss \"dpo\"", ".target sm_90", ".entry ponens_statistics_bf16_block"] {
        assert!(code.contains(part), "{part}");
    }
    assert_eq!(with(None).done().json()["code"], code, "from the cache");
    let files = std::fs::read_dir(&cache).expect("the cache").count();
    assert_eq!(files, 1, "compiled once, whole");
}

#[test]
fn colour_is_for_those_who_want_it() {
    assert!(!ponens(&["explain", "dpo"]).stdout.contains('\x1b'));
    assert!(ponens(&["explain", "dpo", "--color", "always"]).stdout.contains('\x1b'));
    assert!(ponens(&["explain", "dop", "--color", "always"]).stderr.contains('\x1b'));
    assert!(!ponens(&["explain", "dop"]).stderr.contains('\x1b'));
}

#[test]
#[cfg(unix)]
fn a_closed_pipe_is_no_failure() {
    let script = format!(
        "{} list --format json | head -c 1 && echo \"${{PIPESTATUS[0]}}\"",
        env!("CARGO_BIN_EXE_ponens")
    );
    let out = std::process::Command::new("bash").args(["-c", &script]).output().expect("bash runs");
    let (text, errors) =
        (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert_eq!((text.trim(), errors.trim()), ("[0", ""));
}

#[test]
fn accuracy_has_its_keys() {
    let args =
        ["accuracy", "orpo", "--points", "12", "--dtype", "f32", "--seed", "3", "--format", "json"];
    let ran = ponens(&args).done();
    let report = ran.json();
    has(&report, &["loss", "params", "dtype"]);
    assert_eq!(keys(&report["dtype"]), ["f32"]);
    let f32s = &report["dtype"]["f32"];
    assert!(f32s["confirmed"].as_u64().is_some_and(|n| n > 0), "{f32s}");
    let quantities = f32s["quantities"].as_array().expect("a list");
    assert_eq!(quantities[0]["name"], "loss");
    assert!(quantities.len() >= 3);
    for q in quantities {
        has(q, &["name", "gradient", "stable", "written"]);
        has(&q["stable"], &["values", "worst", "mean", "failures", "at"]);
        has(&q["stable"]["at"], &["inputs", "exact", "computed", "conditioning"]);
        assert_eq!(q["stable"]["failures"], 0, "{q}");
        // A grid of 12 points, and 12 of each of four kinds.
        assert_eq!(q["stable"]["values"], 60);
        assert!(q["stable"]["at"]["inputs"]["mean_logp(pi,w)"].is_number(), "{q}");
    }
    assert_eq!(ponens(&args).done().stdout, ran.stdout);
}

#[test]
fn accuracy_is_shown_as_a_table_and_wrong_input_is_refused() {
    let text = ponens(&["accuracy", "lattice.CPO", "--points", "5"]).done().stdout;
    for part in ["lattice.CPO  beta=1", "as written", "f64", "f32", "d/logp(pi,w)", "at 1024 bits"]
    {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
    assert_eq!(ponens(&["accuracy"]).status, 2);
    assert_eq!(ponens(&["accuracy", "dpo", "--all"]).status, 2);
    assert_eq!(ponens(&["accuracy", "dpo", "--page"]).status, 2);
    let refused = ponens(&["accuracy", "dpo", "--param", "gamma=1", "--format", "json"]);
    assert_eq!((refused.status, refused.codes()), (1, vec!["E0303".to_owned()]));
}
