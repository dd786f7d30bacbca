//! `ponens verify` against functions that are right, and against the known ways to get them wrong.

use crate::common::{Place, Ran};
use serde_json::Value;

const LOSSES: &str = include_str!("../../../tests/fixtures/python/known_wrong.py");

fn place() -> Place {
    let place = Place::new();
    place.write("losses.py", LOSSES);
    place
}

fn verify(place: &Place, loss: &str, function: &str, more: &[&str]) -> Ran {
    let against = format!("losses.py:{function}");
    let python = std::env::var("PONENS_PYTHON").unwrap_or_else(|_| "no/such/python".to_owned());
    let mut args = vec!["verify", loss, "--against", &against, "--format", "json"];
    args.extend(["--python", &python]);
    args.extend(more);
    place.run(&args)
}

#[test]
fn what_names_no_function_is_refused() {
    let place = place();
    for (against, code) in [
        ("losses.py", "E0802"),
        ("losses:dpo", "E0802"),
        ("other.py:dpo", "E0003"),
        ("losses.py:dpo", "E0801"),
    ] {
        let python = ["--python", "no/such/python", "--format", "json"];
        let run = place.run(&[&["verify", "dpo", "--against", against][..], &python[..]].concat());
        assert_eq!((run.status, run.codes()), (1, vec![code.to_owned()]), "{against}: {run}");
    }
}

/// Stands for a Python that says what arguments the function has, closes its answers, and does not end.
#[cfg(unix)]
const ANSWERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/python/answers.sh");

/// A loss, the arguments of a function, whether it is a method, and options.
#[cfg(unix)]
type Asked<'a> = (&'a str, &'a [&'a str], bool, &'a [&'a str]);

/// `verify` against a function of which only the arguments are known.
#[cfg(unix)]
fn of_arguments(loss: &str, names: &[&str], method: bool, more: &[&str]) -> Ran {
    let argument = |name: &&str| serde_json::json!({"name": name, "optional": false, "default": null, "positional": false});
    let arguments: Vec<Value> = names.iter().map(argument).collect();
    let place = Place::new();
    let says = serde_json::json!({"arguments": arguments, "method": method, "torch": "0"});
    place.write("losses.py", format!("{says}\n"));
    let args =
        ["verify", loss, "--against", "losses.py:f", "--python", ANSWERS, "--format", "json"];
    place.run(&[&args[..], more].concat())
}

#[cfg(unix)]
#[test]
fn a_process_that_closes_its_answers_is_not_waited_for() {
    let start = std::time::Instant::now();
    let run = of_arguments("dpo", &["lc", "lr", "rc", "rr"], false, &["--timeout", "0.5"]);
    assert!(start.elapsed().as_secs() < 30, "{:?}", start.elapsed());
    assert_eq!((run.status, run.codes()), (1, vec!["E0801".to_owned()]), "{run}");
    assert!(run.stderr.contains("closed the answers"), "{run}");
}

#[cfg(unix)]
#[test]
fn what_a_required_argument_is_has_to_be_known() {
    let dpo = ["lc", "lr", "rc", "rr"];
    let masked = ["lc", "lr", "rc", "rr", "chosen_mask"];
    let cases: [(Asked<'_>, &str); 6] = [
        (("dpo", &masked, false, &[]), "no argument has the tokens of `w`"),
        (("dpo", &dpo, true, &["--map", "bta=nothing"]), "no argument `bta`"),
        (("dpo", &dpo, true, &["--map", "bta=logp(pi,w)"]), "no argument `bta`"),
        (("dpo", &dpo, false, &["--map", "bta=beta"]), "no argument `bta`"),
        (("dpo", &dpo, false, &["--set", "bta=1"]), "no argument `bta`"),
        (("rloo", &["reward", "policy_logps", "nonsense"], false, &[]), "`nonsense`"),
    ];
    for ((loss, names, method, more), words) in cases {
        let run = of_arguments(loss, names, method, more);
        let found = (run.status, run.codes());
        assert_eq!(found, (1, vec!["E0804".to_owned()]), "{names:?} {more:?}: {run}");
        assert!(run.stderr.contains(words), "{names:?} {more:?}: {run}");
    }
    // These are: the answers end before the comparison.
    let known: [Asked<'_>; 3] = [
        ("rloo", &["policy_logps", "reward", "mask"], false, &[]),
        ("ppo_clip", &["token_logps", "old_token_logps", "advantage", "mask"], false, &[]),
        ("dpo", &dpo, true, &["--map", "scale=beta"]),
    ];
    for (loss, names, method, more) in known {
        let run = of_arguments(loss, names, method, &[more, &["--timeout", "0.5"][..]].concat());
        assert_eq!(run.codes(), ["E0801"], "{names:?} {more:?}: {run}");
    }
}

/// Function, loss, verdict, what it does with a batch.
const JUDGED: &[(&str, &str, &str, &str)] = &[
    ("dpo", "dpo", "agrees", "none"),
    ("dpo_mean", "dpo", "agrees", "mean"),
    ("dpo_sum", "dpo", "agrees", "sum"),
    ("dpo_prints_and_returns_more", "dpo", "agrees", "none"),
    ("Trainer.dpo_loss", "dpo", "agrees", "none"),
    ("hinge", "hinge", "agrees", "none"),
    ("hinge_by_clamp", "hinge", "agrees", "none"),
    ("ipo_guarded", "ipo", "agrees", "none"),
    ("sft", "sft", "agrees", "mean"),
    ("dpo_log_of_sigmoid", "dpo", "breaks_at_edges", "none"),
    ("orpo_by_log1p", "orpo", "breaks_at_edges", "none"),
    ("discopop", "discopop", "breaks_at_edges", "none"),
    ("forward_kl", "dpo_forward_kl", "breaks_at_edges", "none"),
    ("alpha_clamped", "dpo_alpha", "breaks_at_edges", "none"),
    ("kto_by_complement", "kto", "breaks_at_edges", "mean"),
    ("apo_zero_by_complement", "apo_zero", "breaks_at_edges", "none"),
    ("exo_pair", "exo_pair", "breaks_at_edges", "none"),
    ("ipo", "ipo", "breaks_at_edges", "none"),
    ("dpo_pl", "dpo_pl", "breaks_at_edges", "none"),
    ("rloo", "rloo", "breaks_at_edges", "none"),
    ("ppo_clip", "ppo_clip", "breaks_at_edges", "none"),
    ("ppo_clip_by_integers", "ppo_clip", "breaks_at_edges", "none"),
    ("rloo_masked", "rloo", "agrees", "none"),
    ("dpo_swapped", "dpo", "differs", "none"),
    ("dpo_mean_of_first", "dpo", "differs", "mean"),
    ("dpo_sum_of_first", "dpo", "differs", "sum"),
    ("Trainer.hard_coded", "dpo", "differs", "none"),
    ("dpo_detached", "dpo", "differs", "none"),
    ("cdpo_drops_smoothing", "cdpo", "differs", "none"),
    ("ipo_guarded", "ipo_sum", "differs", "none"),
    ("sft_mean_of_means", "sft", "differs", "mean"),
];

/// Function, code, words of the message.
const REFUSED: &[(&str, &str, &str)] = &[
    ("raises", "E0805", "ValueError: not today"),
    ("wrong_shape", "E0805", "shape [2, 60]"),
    ("no_tensor", "E0805", "float, not a tensor"),
    ("hangs", "E0805", "no answer for 20 seconds"),
    ("exits", "E0801", "Python ended in a call"),
    ("unknown_argument", "E0804", "`nonsense`"),
    ("nothing", "E0802", "no `nothing`"),
    ("Trainer", "E0802", "`Trainer` is no function"),
];

#[test]
#[ignore = "needs PyTorch: scripts/check-verify.sh"]
fn the_known_are_judged() {
    let place = place();
    for (function, loss, verdict, reduction) in JUDGED {
        let run = verify(&place, loss, function, &["--rows", "30"]);
        assert_eq!(run.status, i32::from(*verdict != "agrees"), "{function}: {run}");
        let r = run.json();
        let n: u64 = r["compared"]
            .as_array()
            .expect("counts")
            .iter()
            .map(|c| &c["compared"])
            .map(|n| n.as_u64().expect("a number"))
            .sum();
        println!("{function} against {loss}: {verdict}, {reduction}, {n} comparisons");
        let first = &r["differences"][0];
        if !first.is_null() {
            let (what, case) = (&first["what"], &first["edge"]);
            println!(
                "    {} {what} {} expected, {} got; {case}",
                first["dtype"], first["expected"], first["got"]
            );
        }
        assert_eq!(
            (&r["verdict"], &r["reduction"]),
            (&Value::from(*verdict), &Value::from(*reduction)),
            "{function}: {first}"
        );
    }
}

#[test]
#[ignore = "needs PyTorch: scripts/check-verify.sh"]
fn attributes_are_given_by_hand() {
    let place = place();
    let run = verify(&place, "dpo", "Trainer.renamed", &["--map", "scale=beta", "--rows", "30"]);
    let report = run.done().json();
    assert_eq!(report["verdict"], "agrees");
    assert_eq!(report["params"].as_array().map(Vec::len), Some(2), "{report}");
    let fixed = ["--set", "scale=0.1", "--param", "beta=0.1", "--rows", "30"];
    assert_eq!(verify(&place, "dpo", "Trainer.renamed", &fixed).done().json()["verdict"], "agrees");
    for typo in [["--map", "bta=beta"], ["--set", "bta=1"]] {
        let run = verify(&place, "dpo", "Trainer.dpo_loss", &typo);
        assert_eq!(run.codes(), ["E0804"], "{typo:?}: {run}");
        assert!(run.stderr.contains("did you mean `beta`?"), "{run}");
    }
    let run = verify(&place, "dpo", "Trainer.hard_coded", &["--rows", "30"]);
    let report = run.json();
    let remarks = report["remarks"].as_array().expect("remarks");
    assert!(remarks.contains(&Value::from("the method reads no `self.beta`")), "{report}");
    let wrong = |d: &Value| d["params"]["beta"] == 0.1;
    assert!(!report["differences"].as_array().expect("a list").iter().any(wrong), "{report}");
}

#[test]
#[ignore = "needs PyTorch: scripts/check-verify.sh"]
fn functions_that_fail_are_refused() {
    let place = place();
    for (function, code, words) in REFUSED {
        let run = verify(&place, "dpo", function, &["--timeout", "20"]);
        assert_eq!((run.status, run.codes()), (1, vec![(*code).to_owned()]), "{function}: {run}");
        assert!(run.stderr.contains(words), "{function}: {run}");
    }
    let syntax = Place::new();
    syntax.write("losses.py", "def dpo(:\n");
    assert_eq!(verify(&syntax, "dpo", "dpo", &[]).codes(), ["E0802"]);
    syntax.write("losses.py", "import nothing_like_that\n");
    assert_eq!(verify(&syntax, "dpo", "dpo", &[]).codes(), ["E0805"]);
}
