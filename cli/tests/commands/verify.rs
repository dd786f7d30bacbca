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
    ("dpo_swapped", "dpo", "differs", "none"),
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
