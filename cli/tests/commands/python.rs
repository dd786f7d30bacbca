//! `ponens decompile FILE.py:function`: PyTorch read as logic.

use crate::common::Place;
use serde_json::Value;

const LOSSES: &str = include_str!("../../../tests/fixtures/python/readable.py");

/// Function, options, `prefer`, and words of the loss as text.
const READ: &[(&str, &[&str], &str, &str)] = &[
    ("dpo_loss", &[], "pi(l) & ref(w) -> pi(w) & ref(l)", "minimize logistic(beta * rho)"),
    (
        "dpo_loss",
        &["--set", "label_smoothing=0.1"],
        "pi(l) & ref(w) -> pi(w) & ref(l)",
        "minimize smooth(0.1, logistic(beta * rho))",
    ),
    (
        "dpo_loss",
        &["--set", "loss_type=hinge"],
        "pi(l) & ref(w) -> pi(w) & ref(l)",
        "minimize hinge(beta * rho)",
    ),
    (
        "dpo_loss",
        &["--set", "loss_type=ipo"],
        "pi(l) & ref(w) -> pi(w) & ref(l)",
        "minimize squared(rho, 1 / (2 * beta))",
    ),
    ("Trainer.cpo_loss", &[], "pi(l) -> pi(w)", "minimize logistic(beta * rho)"),
    ("orpo_loss", &[], "pi(l) -> pi(w)", "log1p(-exp(mean_logp(pi, w)))"),
    ("ce_unlikelihood", &[], "pi(w) & !pi(l)", "minimize logistic(rho)"),
];

#[test]
fn functions_are_read_as_logic() {
    let place = Place::new();
    place.write("losses.py", LOSSES);
    for (function, options, prefer, text) in READ {
        let path = format!("losses.py:{function}");
        let args = [&["decompile", &path, "--format", "json"][..], options].concat();
        let read = place.run(&args).done().json();
        assert_eq!(read["core"]["p"], *prefer, "{function} {options:?}: {read}");
        let loss = read["text"].as_str().expect("a text");
        assert!(loss.contains(text), "{function} {options:?}: {loss}");
        // What was read is a loss of the language, in canonical form.
        place.write("read.loss", loss);
        place.run(&["check", "read.loss"]).done();
        place.run(&["fmt", "--check", "read.loss"]).done();
    }
}

/// Function, options, and the loss of the catalogue that it is.
const SAME: &[(&str, &[&str], &str)] = &[
    ("dpo_loss", &[], "dpo"),
    ("dpo_loss", &["--set", "label_smoothing=0.1"], "cdpo"),
    ("dpo_loss", &["--set", "loss_type=hinge"], "hinge"),
    ("dpo_loss", &["--set", "loss_type=ipo"], "ipo_sum"),
    ("orpo_loss", &[], "orpo"),
    ("simpo_loss", &[], "simpo"),
];

#[test]
fn what_is_read_is_what_the_catalogue_has() {
    let place = Place::new();
    place.write("losses.py", LOSSES);
    for (function, options, loss) in SAME {
        let path = format!("losses.py:{function}");
        let args = [&["decompile", &path, "--format", "json"][..], options].concat();
        let read = place.run(&args).json();
        place.write("read.loss", read["text"].as_str().expect("a text"));
        let same = place.run(&["compare", "read.loss", loss, "--format", "json"]).done().json();
        assert_eq!(same["loss_equal"], true, "{function} {options:?}: {same}");
    }
}

/// Function, code, words of the message, the line.
const REFUSED: &[(&str, &str, &str, &str)] = &[
    ("loops", "E0803", "a loop", "for i in range(3):"),
    ("indexes", "E0803", "a part of a tensor", "policy_chosen_logps[0]"),
    ("unknown_function", "E0803", "`torch.fft.fft`", "torch.fft.fft(policy_chosen_logps)"),
    (
        "branches_on_data",
        "E0803",
        "a branch that depends on an argument",
        "policy_chosen_logps > 0",
    ),
    ("calls_itself", "E0803", "calls nest too deeply", "calls_itself(policy_chosen_logps)"),
    ("grows", "E0803", "too large", "x + x"),
    ("unknown_argument", "E0804", "`nonsense`", "nonsense"),
    ("nothing_like_it", "E0802", "no function `nothing_like_it`", ""),
];

#[test]
fn what_is_not_understood_is_named_with_its_place() {
    let place = Place::new();
    place.write("losses.py", LOSSES);
    for (function, code, message, at) in REFUSED {
        let path = format!("losses.py:{function}");
        let run = place.run(&["decompile", &path, "--format", "json"]);
        assert_eq!((run.status, run.codes()), (1, vec![(*code).to_owned()]), "{function}: {run}");
        let d = &run.diagnostics()[0];
        assert!(d["message"].as_str().is_some_and(|m| m.contains(message)), "{function}: {d}");
        if !at.is_empty() {
            let line = d["line"].as_u64().expect("a line") as usize - 1;
            let text = LOSSES.lines().nth(line).expect("a line");
            assert!(text.contains(at), "{function}: {text}");
        }
    }
}

#[test]
fn texts_that_are_no_python_are_refused() {
    let place = Place::new();
    place.write("losses.py", "def f(:\n    return 1\n");
    let run = place.run(&["decompile", "losses.py:f", "--format", "json"]);
    assert_eq!((run.status, run.codes()), (1, vec!["E0802".to_owned()]), "{run}");
    assert_eq!(run.diagnostics()[0]["line"], Value::from(1));
    place.write("losses.py", [0xff, 0xfe]);
    assert_eq!(place.run(&["decompile", "losses.py:f", "--format", "json"]).codes(), ["E0002"]);
    place.write("losses.py", "#".repeat(1 << 20));
    assert_eq!(place.run(&["decompile", "losses.py:f", "--format", "json"]).codes(), ["E0003"]);
    assert_eq!(place.run(&["decompile", "none.py:f", "--format", "json"]).codes(), ["E0003"]);
    // Deeper than any stack that a parser is usually given.
    let deep = format!("def f(policy_chosen_logps):\n    return {}1\n", "-".repeat(200_000));
    place.write("losses.py", deep);
    assert_eq!(place.run(&["decompile", "losses.py:f", "--format", "json"]).codes(), ["E0803"]);
}
