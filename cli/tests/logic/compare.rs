//! `ponens compare`

use crate::common::{Place, ponens};
use crate::{json, json_in, values};
use serde_json::{Value, json};

const TEXTS: &str = "\
/// DPO, written as its logic.
loss dpo_logic(beta = 0.1 in (0, inf)) {
    data  pair(w > l)
    model pi = policy
    model ref = reference

    prefer pi(l) & ref(w) -> pi(w) & ref(l)
    given  (pi(l) & ref(w)) | (pi(w) & ref(l))
    tie    pi(l) & ref(w) & pi(w) & ref(l)
    minimize logistic(beta * rho)
}

/// DPO in other names, without a rho of its own.
loss renamed(b = 0.1 in (0, inf)) {
    data  pair(good > bad)
    model ref = policy
    model base = reference

    minimize logistic(b * ((logp(ref, good) - logp(ref, bad)) - (logp(base, good) - logp(base, bad))))
}

/// CPO whose policy is called as references are.
loss misleading() {
    data  pair(l > w)
    model ref = policy

    rho = log(ref(l) / ref(w))
    minimize logistic(rho)
}

/// CE, with a factor that cancels.
loss padded() {
    data  pair(w > l)
    model pi = policy

    prefer pi(w)
    given  pi(l)
    minimize logistic(rho)
}

loss faint(eps = 1e-35 in [0, 1]) {
    data  pair(w > l)
    model pi = policy

    rho = log(pi(w) / pi(l))
    minimize logistic(rho) + eps
}

loss margin(m = 0.25 in [0, inf)) {
    data  pair(w > l)
    model pi = policy, aggregate mean

    rho = log(pi(w) / pi(l)) - m
    minimize logistic(2 * rho)
}

/// Regret preference model (arXiv 2206.02231) with the advantage beta log(pi / ref): without a rho.
loss regret(beta = 0.1 in (0, inf)) {
    data  pair(w > l)
    model pi = policy
    model ref = reference

    let regret_w = -(beta * (logp(pi, w) - logp(ref, w)))
    let regret_l = -(beta * (logp(pi, l) - logp(ref, l)))
    minimize logistic(regret_l - regret_w)
}

loss both_true() {
    data  pair(w > l)
    model pi = policy

    rho = log(pi(w) * pi(l))
    minimize logistic(rho)
}

loss one_true() {
    data  pair(w > l)
    model pi = policy

    rho = log((pi(w) * (1 - pi(l)) + pi(l) * (1 - pi(w))) / ((1 - pi(w)) * (1 - pi(l))))
    minimize logistic(rho)
}
";

/// Two losses, options; structure, rho, core, loss; relation.
type Case =
    (&'static str, &'static str, &'static [&'static str], [Option<bool>; 4], Option<&'static str>);

const YES: Option<bool> = Some(true);
const NO: Option<bool> = Some(false);

const CASES: &[Case] = &[
    ("dpo", "t.loss:dpo_logic", &[], [YES; 4], Some("equal")),
    ("dpo", "t.loss:renamed", &[], [YES; 4], Some("equal")),
    ("t.loss:regret", "dpo", &[], [YES; 4], Some("equal")),
    ("t.loss:regret", "dpo", &["--param-a", "beta=0.3"], [YES, YES, YES, NO], Some("equal")),
    ("t.loss:misleading", "lattice.CPO", &[], [YES; 4], Some("equal")),
    ("t.loss:misleading", "dpo", &["--param", "beta=1"], [NO, NO, NO, NO], Some("incomparable")),
    ("t.loss:padded", "lattice.CE", &[], [NO, YES, YES, YES], Some("equal")),
    ("lattice.CPO_ref", "dpo", &[], [YES, YES, YES, NO], Some("equal")),
    ("lattice.CPO_ref", "dpo", &["--param", "beta=0.3"], [YES; 4], Some("equal")),
    ("lattice.CPO_ref", "dpo", &["--param-a", "beta=0.1"], [YES; 4], Some("equal")),
    ("lattice.CPO_ref", "dpo", &["--param-b", "beta=1"], [YES; 4], Some("equal")),
    ("dpo", "dpo", &["--param-a", "beta=0.2"], [YES, YES, YES, NO], Some("equal")),
    ("dpo", "hinge", &[], [YES, YES, YES, NO], Some("equal")),
    ("dpo", "ipo_sum", &[], [YES, YES, YES, NO], Some("equal")),
    ("dpo", "cdpo", &["--param", "epsilon=0"], [YES; 4], Some("equal")),
    ("dpo", "cdpo", &[], [YES, YES, YES, NO], Some("equal")),
    ("dpo", "dpop", &["--param", "lambda=0"], [YES; 4], Some("equal")),
    ("cpo", "lattice.CPO", &[], [YES, YES, YES, NO], Some("equal")),
    ("cpo", "lattice.CPO", &["--param", "lambda=0", "--param", "beta=1"], [YES; 4], Some("equal")),
    // Sums and means are different atoms; the core does not look at them.
    ("dpo", "ipo", &[], [NO, NO, YES, NO], Some("incomparable")),
    ("orpo", "lattice.ORPO", &[], [NO, NO, YES, NO], Some("incomparable")),
    ("lattice.CPO", "dpo", &[], [NO, NO, NO, NO], Some("incomparable")),
    ("lattice.CEUnl", "lattice.unCPO", &[], [NO, NO, NO, NO], Some("entails")),
    ("lattice.unCPO_ref", "lattice.CEUnl_ref", &[], [NO, NO, NO, NO], Some("entailed_by")),
    ("lattice.ORPO", "lattice.CPO", &[], [NO, NO, NO, NO], Some("incomparable")),
    ("t.loss:both_true", "t.loss:one_true", &[], [NO, NO, NO, NO], Some("dominates")),
    ("t.loss:one_true", "t.loss:both_true", &[], [NO, NO, NO, NO], Some("dominated_by")),
    // Margins count by their value.
    ("simpo", "t.loss:margin", &[], [YES; 4], Some("equal")),
    ("simpo", "t.loss:margin", &["--param", "m=0.5"], [NO, NO, YES, NO], Some("entailed_by")),
    ("simpo", "simpo", &["--param-b", "gamma=0"], [NO, NO, YES, NO], Some("entails")),
    ("simpo", "simpo", &["--param", "gamma=0"], [YES; 4], Some("equal")),
    // What is too small to be seen in 256 bits is neither proved nor refuted.
    ("t.loss:faint", "lattice.CPO", &[], [YES, YES, YES, None], Some("equal")),
    ("t.loss:faint", "lattice.CPO", &["--param", "eps=1e-25"], [YES, YES, YES, NO], Some("equal")),
    // Without a logical core the values are compared all the same.
    ("kto", "kto", &[], [YES; 4], Some("equal")),
    ("kto", "kto", &["--param-b", "desirable=2"], [YES, YES, YES, NO], Some("equal")),
    // One response with a label: the same logic, whatever is done with it.
    ("kto", "apo_zero_unpaired", &[], [YES, YES, YES, NO], Some("equal")),
    ("apo_down", "dpo", &[], [YES, YES, YES, NO], Some("equal")),
    ("sft", "sft", &[], [None, None, None, YES], None),
    ("dpo", "ld_dpo", &["--param", "alpha=1"], [None, None, None, YES], None),
    ("dpo", "ld_dpo", &[], [None, None, None, NO], None),
    ("dpo", "kto", &[], [NO, NO, NO, NO], Some("incomparable")),
    ("aot", "aot", &["--param-a", "beta=0.2"], [None, None, None, NO], None),
];

#[test]
fn losses_compare_as_they_should() {
    let place = Place::new();
    place.write("t.loss", TEXTS);
    for (a, b, options, expected, relation) in CASES {
        let mut args = vec!["compare", a, b];
        args.extend_from_slice(options);
        let found = json_in(&place, &args).done().json();
        let keys = ["structure_equal", "rho_equal", "core_equal", "loss_equal"];
        let verdicts = keys.map(|k| found[k].as_bool());
        assert_eq!(verdicts, *expected, "{args:?}: {found}");
        assert_eq!(found["relation"].as_str(), *relation, "{args:?}: {found}");
        assert_eq!(found["reason"].is_string(), relation.is_none(), "{args:?}: {found}");
        let refuted = found["difference"].is_object();
        let other_data =
            found["loss_evidence"].as_str().is_some_and(|e| e.contains("different data"));
        assert_eq!(refuted || other_data, verdicts[3] == NO, "{args:?}: {found}");
        let witnesses = found["witnesses"].as_array().expect("a list").len();
        assert_eq!(witnesses, if *relation == Some("incomparable") { 2 } else { 0 }, "{args:?}");
        assert_eq!(found["proof"].as_array().expect("a list").is_empty(), relation.is_none());
    }
}

#[test]
fn equal_values_are_proved() {
    let place = Place::new();
    place.write("t.loss", TEXTS);
    let found = json_in(&place, &["compare", "dpo", "t.loss:renamed"]).done().json();
    let evidence = found["loss_evidence"].as_str().expect("evidence");
    assert!(evidence.starts_with("proved: ") && evidence.ends_with("each checked"), "{evidence}");
    let open = json_in(&place, &["compare", "t.loss:faint", "lattice.CPO"]).done().json();
    let evidence = open["loss_evidence"].as_str().expect("evidence");
    assert!(evidence.contains("no difference at 240 random examples"), "{evidence}");
}

#[test]
fn a_difference_is_one() {
    let found = json(&["compare", "dpo", "dpo", "--param-b", "beta=0.2"]).done().json();
    let d = &found["difference"];
    let place = Place::new();
    place.write("row.jsonl", d["example"].to_string());
    for (beta, value) in [("beta=0.1", &d["first"]), ("beta=0.2", &d["second"])] {
        let args = ["value", "dpo", "--data", "row.jsonl", "--param", beta, "--format", "json"];
        let line = &place.run(&args).done().json_lines()[0];
        let (x, y) = (line["loss"].as_f64().expect("a loss"), value.as_f64().expect("a value"));
        assert!((x - y).abs() <= 1e-12 * y.abs(), "{x} and {y}");
    }
}

#[test]
fn witnesses_hold_when_they_are_evaluated() {
    let pairs =
        [("lattice.ORPO", "lattice.CPO"), ("lattice.CE_ref", "dpo"), ("lattice.l20", "lattice.CE")];
    for (a, b) in pairs {
        let found = json(&["compare", a, b]).done().json();
        assert_eq!(found["relation"], "incomparable");
        let mut signs = Vec::new();
        for w in found["witnesses"].as_array().expect("two") {
            let point = w["point"].as_object().expect("weights");
            let exact = w["exact"].as_object().expect("weights");
            for (atom, p) in point {
                let (top, bottom) =
                    exact[atom].as_str().and_then(|t| t.split_once('/')).expect("a fraction");
                let quotient =
                    top.parse::<f64>().expect("whole") / bottom.parse::<f64>().expect("whole");
                assert_eq!(p.as_f64(), Some(quotient));
            }
            let own = [(a, "rho_first"), (b, "rho_second")].map(|(loss, key)| {
                let reads = |atom: &&String| {
                    loss == "dpo" || loss.contains("_ref") || atom.starts_with("pi")
                };
                let weights = point
                    .iter()
                    .filter(|(k, _)| reads(k))
                    .map(|(k, v)| (k.clone(), v.clone()))
                    .collect();
                let x = values::rho(loss, &weights);
                let stated = w[key].as_f64().expect("a number");
                assert!((x - stated).abs() < 1e-9, "{loss}: {x}, not {stated}");
                x
            });
            signs.push(own[0] < own[1]);
        }
        assert_eq!(signs, [true, false], "{a} and {b}");
    }
}

#[test]
fn entailment_is_shown_by_its_inferences() {
    insta::assert_snapshot!(ponens(&["compare", "lattice.CEUnl", "lattice.unCPO"]).done());
}

#[test]
fn incomparable_losses_have_two_witnesses() {
    insta::assert_snapshot!(ponens(&["compare", "lattice.ORPO", "lattice.CPO"]).done());
}

#[test]
fn sums_and_means_are_named_apart() {
    let found = json(&["compare", "orpo", "lattice.ORPO"]).done().json();
    let note = found["notes"][0].as_str().expect("a note");
    assert!(note.contains("these are different atoms"), "{note}");
    let point = found["witnesses"][0]["point"].as_object().expect("weights");
    let names: Vec<&str> = point.keys().map(String::as_str).collect();
    assert_eq!(names, ["pi(w)[mean]", "pi(l)[mean]", "pi(w)[sum]", "pi(l)[sum]"]);
}

#[test]
fn a_loss_without_logic_says_why() {
    let found = json(&["compare", "dpo", "grpo"]).done().json();
    assert_eq!(
        found["reason"],
        "`grpo` has no logical core: no single rho: the loss is arithmetic only"
    );
    assert_eq!(found["difference"], Value::Null);
    assert_eq!(
        found["loss_evidence"],
        "they read different data: pair(w > l) and group(y[G], reward[G])"
    );
    let found = json(&["compare", "dpo", "bco_pair"]).done().json();
    assert_eq!(
        found["reason"],
        "`bco_pair` has no logical core: no single rho: the loss has 2 of them in its terms"
    );
}

#[test]
fn parameters_are_checked() {
    let cases: [(&[&str], &str); 5] = [
        (&["--param", "bta=1"], "E0303"),
        (&["--param-a", "epsilon=0.1"], "E0303"),
        (&["--param-b", "epsilon=0.9"], "E0301"),
        (&["--param", "beta=x"], "E0304"),
        (&["--param-b", "beta=-1"], "E0301"),
    ];
    for (options, code) in cases {
        let mut args = vec!["compare", "dpo", "cdpo"];
        args.extend_from_slice(options);
        let ran = json(&args);
        assert_eq!((ran.status, ran.codes()), (1, vec![code.to_owned()]), "{ran}");
        assert!(ran.stdout.is_empty());
    }
    assert_eq!(
        json(&["compare", "dpo", "cdpo", "--param", "bta=1"]).diagnostics()[0]["help"],
        json!("did you mean `beta`?")
    );
    assert_eq!(
        json(&["compare", "dpo", "cdpo", "--param", "zeta0=1"]).diagnostics()[0]["help"],
        json!("their parameters: beta, epsilon")
    );
}
