//! `ponens decompile FILE.py:function`: PyTorch read as logic.

use crate::common::{Place, Ran};
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

const HEAD: &str = "import os\nimport torch\nimport torch.nn.functional as F\n";

/// Reads `f` of a text behind the imports.
fn read_text(text: &str) -> Ran {
    let place = Place::new();
    place.write("losses.py", format!("{HEAD}{text}"));
    place.run(&["decompile", "losses.py:f", "--format", "json"])
}

/// What the file says, and words of the loss as text.
const NAMES: &[(&str, &str)] = &[
    // The parameter of the function around it, not the name of the file.
    (
        "scale = 7\ndef f(pi_chosen, pi_rejected, scale=0.1):\n    def inner(x):\n        return scale * x\n\
         \x20   return -F.logsigmoid(inner(pi_chosen - pi_rejected))\n",
        "minimize logistic(scale * rho)",
    ),
    (
        "BETA = 0.1\nBETA *= 5\ndef f(pi_chosen, pi_rejected):\n\
         \x20   return -F.logsigmoid(BETA * (pi_chosen - pi_rejected))\n",
        "minimize logistic(0.5 * rho)",
    ),
    (
        "BETA = 0.5\ndef times(x, by=BETA):\n    return by * x\nBETA = 9\n\
         def f(pi_chosen, pi_rejected):\n    return -F.logsigmoid(times(pi_chosen - pi_rejected))\n",
        "minimize logistic(0.5 * rho)",
    ),
    (
        "BETA = 0.5\nif __name__ == \"__main__\":\n    BETA = 9\n\
         def f(pi_chosen, pi_rejected):\n    return -F.logsigmoid(BETA * (pi_chosen - pi_rejected))\n",
        "minimize logistic(0.5 * rho)",
    ),
    (
        "def f(pi_chosen, pi_rejected, margin=0.0):\n    m = margin or 3.0\n\
         \x20   return torch.relu(m - (pi_chosen - pi_rejected))\n",
        "minimize hinge(rho, 3)",
    ),
    (
        "def f(pi_chosen, pi_rejected, margin=0.0):\n    m = margin and 3.0\n\
         \x20   return torch.relu(m + 1 - (pi_chosen - pi_rejected))\n",
        "minimize hinge(rho)",
    ),
    (
        "def f(pi_chosen, pi_rejected):\n    d = pi_chosen - pi_rejected\n\
         \x20   return {\"loss\": F.softplus(d), \"loss\": torch.relu(1 - d)}\n",
        "minimize hinge(rho)",
    ),
];

#[test]
fn names_stand_for_what_they_do_in_python() {
    for (text, minimize) in NAMES {
        let read = read_text(text).done().json();
        let loss = read["text"].as_str().expect("a text");
        assert!(loss.contains(minimize), "{text}{loss}");
    }
}

const WEIGHTED: &str = "def f(pi_chosen, pi_rejected):\n\
    \x20   return weight(pi_chosen) * -F.logsigmoid(pi_chosen - pi_rejected)\n";

/// What `weight` is, and its text in the loss.
const WITHOUT_GRADIENT: &[(&str, &str)] = &[
    (
        "@torch.no_grad()\ndef weight(x):\n    return torch.exp(x)\n",
        "stop_gradient(exp(logp(pi, w)))",
    ),
    (
        "from torch import inference_mode\n@inference_mode()\ndef weight(x):\n    y = -x\n    return torch.exp(y)\n",
        "stop_gradient(exp(-logp(pi, w)))",
    ),
    (
        "def weight(x):\n    with torch.no_grad():\n        return torch.exp(x)\n",
        "stop_gradient(exp(logp(pi, w)))",
    ),
    (
        "def weight(x, on=True):\n    y = torch.exp(x)\n    with torch.no_grad():\n        if on:\n\
         \x20           y = y * x\n    return y\n",
        "stop_gradient(exp(logp(pi, w)) * logp(pi, w))",
    ),
    (
        "def weight(x):\n    with torch.set_grad_enabled(False):\n        y, z = 2 * x, torch.exp(x)\n    return y + z\n",
        "stop_gradient(2 * logp(pi, w)) + stop_gradient(exp(logp(pi, w)))",
    ),
    (
        "@torch.no_grad()\ndef weight(x):\n    return -(-torch.exp(x))\n",
        "stop_gradient(exp(logp(pi, w)))",
    ),
    ("def weight(x):\n    return float(torch.exp(x))\n", "stop_gradient(exp(logp(pi, w)))"),
    ("def weight(x):\n    return torch.tensor(torch.exp(x))\n", "stop_gradient(exp(logp(pi, w)))"),
    // What is computed elsewhere, or not at all, keeps its gradient.
    (
        "def weight(x):\n    with torch.no_grad():\n        y = x\n    return torch.exp(y)\n",
        "exp(logp(pi, w)) *",
    ),
    (
        "@torch.no_grad()\ndef weight(x):\n    with torch.enable_grad():\n        return torch.exp(x)\n",
        "exp(logp(pi, w)) *",
    ),
    ("@torch.jit.script\ndef weight(x):\n    return torch.exp(x)\n", "exp(logp(pi, w)) *"),
    (
        "@torch.compile(dynamic=True)\ndef weight(x):\n    return torch.exp(x)\n",
        "exp(logp(pi, w)) *",
    ),
];

#[test]
fn what_has_no_gradient_is_constant() {
    for (weight, wanted) in WITHOUT_GRADIENT {
        let read = read_text(&format!("{weight}{WEIGHTED}")).json();
        let loss = read["text"].as_str().unwrap_or_else(|| panic!("{weight}{read}"));
        assert!(loss.contains(wanted), "{weight}{loss}");
        assert_eq!(
            loss.contains("stop_gradient"),
            wanted.contains("stop_gradient"),
            "{weight}{loss}"
        );
        assert!(!loss.contains("stop_gradient(stop_gradient"), "{weight}{loss}");
    }
}

const SCALED: &str = "def f(pi_chosen, pi_rejected):\n\
    \x20   return -F.logsigmoid(BETA * (pi_chosen - pi_rejected))\n";

/// What the file says before `f`, that it is `SCALED` or a text of its own, words of the message, and the line.
const GUESSES: &[(&str, &str, &str, &str)] = &[
    ("BETA = 0.3\nBETA = float(os.environ[\"B\"])\n", SCALED, "`BETA`, whose value", "BETA * ("),
    (
        "BETA = 0.3\nif torch.cuda.is_available():\n    BETA = 2\n",
        SCALED,
        "`BETA`, whose value",
        "BETA * (",
    ),
    ("BETA = 0.3\nfor BETA in range(3):\n    pass\n", SCALED, "`BETA`, whose value", "BETA * ("),
    ("BETA = 0.3\nfrom constants import *\n", SCALED, "`F`, whose value", "BETA * ("),
    (
        "BETA = 0.3\ndef set():\n    global BETA\n    BETA = 2\nset()\n",
        SCALED,
        "`BETA`, whose value",
        "BETA * (",
    ),
    (
        "BETA = 0.3\n",
        "def f(pi_chosen, pi_rejected):\n    global BETA\n    BETA = 2\n    return BETA * pi_chosen\n",
        "a name of the file",
        "global BETA",
    ),
    (
        "BETA = 0.3\n",
        "def f(pi_chosen, pi_rejected, on=False):\n    if on:\n        BETA = 2\n    return BETA * pi_chosen\n",
        "`BETA`, which has no value here",
        "return BETA",
    ),
    (
        "BETA = 0.3\n",
        "def f(pi_chosen, pi_rejected):\n    BETA = 1\n    def g(x):\n        return BETA * x\n    BETA = 2\n    return g(pi_chosen)\n",
        "`BETA`, which the enclosing function sets",
        "return BETA",
    ),
    (
        "from .torch import exp\n",
        "def f(pi_chosen):\n    return exp(pi_chosen)\n",
        "`.torch.exp`",
        "return exp",
    ),
    (
        "def negate(g):\n    return lambda x: -g(x)\n",
        "@negate\ndef f(pi_chosen):\n    return pi_chosen\n",
        "the decorator `negate`",
        "@negate",
    ),
    (
        "def staticmethod(g):\n    return lambda x: -g(x)\n@staticmethod\ndef g(x):\n    return x\n",
        "def f(pi_chosen):\n    return g(pi_chosen)\n",
        "the decorator `staticmethod`",
        "@staticmethod",
    ),
    (
        "",
        "def f(pi_chosen, beta=0.1, _beta=0.2):\n    return beta * _beta * pi_chosen\n",
        "would both be",
        "def f",
    ),
    (
        "",
        "def f(pi_chosen, kind=\"a\"):\n    if kind == f\"{kind}\":\n        return pi_chosen\n    return -pi_chosen\n",
        "a text with values in it",
        "if kind",
    ),
    (
        "",
        "def f(pi_chosen):\n    if pi_chosen.dtype == torch.float32:\n        return pi_chosen\n    return -pi_chosen\n",
        "a comparison of",
        "dtype",
    ),
    (
        "",
        "def f(pi_chosen):\n    x = 2 * pi_chosen\n    y = x\n    y += 1\n    return x\n",
        "has another name",
        "y += 1",
    ),
    (
        "",
        "def f(pi_chosen):\n    x = 2 * pi_chosen\n    with torch.no_grad():\n        x += 1\n    return x\n",
        "where no gradient is kept",
        "x += 1",
    ),
    (
        "def g(x, **more):\n    return x\n",
        "def f(pi_chosen):\n    return g(pi_chosen, more=2)\n",
        "an argument `more`",
        "more=2",
    ),
    ("", "def f(pi_chosen):\n    return pi_chosen.max(0)\n", "the method `max`", "max(0)"),
    ("", "def f(pi_chosen):\n    return torch.max(pi_chosen, 0)\n", "`torch.max`", "max("),
    ("", "def f(pi_chosen):\n    return pi_chosen.to(torch.int64)\n", "the method `to`", "int64"),
    (
        "",
        "def f(pi_chosen):\n    x = -pi_chosen\n    y = F.relu(x, inplace=True)\n    return x - y\n",
        "`torch.nn.functional.relu`",
        "F.relu",
    ),
    (
        "",
        "def f(pi_chosen):\n    with mine.no_grad():\n        return pi_chosen\n",
        "a `with`",
        "mine.no_grad",
    ),
];

#[test]
fn nothing_is_guessed() {
    for (before, function, message, at) in GUESSES {
        let run = read_text(&format!("{before}{function}"));
        assert_eq!(
            (run.status, run.codes()),
            (1, vec!["E0803".to_owned()]),
            "{before}{function}{run}"
        );
        let d = &run.diagnostics()[0];
        assert!(
            d["message"].as_str().is_some_and(|m| m.contains(message)),
            "{before}{function}{d}"
        );
        let text = format!("{HEAD}{before}{function}");
        let line = d["line"].as_u64().expect("a line") as usize - 1;
        assert!(text.lines().nth(line).expect("a line").contains(at), "{before}{function}{d}");
    }
}

#[test]
fn a_value_by_hand_that_nothing_reads_is_refused() {
    let place = Place::new();
    place.write("losses.py", LOSSES);
    for option in [["--set", "bta=1"], ["--map", "bta=parameter"]] {
        let args = ["decompile", "losses.py:Trainer.cpo_loss", "--format", "json"];
        let run = place.run(&[&args[..], &option[..]].concat());
        assert_eq!(run.codes(), ["E0804"], "{option:?}: {run}");
    }
    let set = ["decompile", "losses.py:Trainer.cpo_loss", "--set", "beta=2", "--format", "json"];
    let read = place.run(&set).done().json();
    assert!(read["text"].as_str().is_some_and(|t| t.contains("logistic(2 * rho)")), "{read}");
}
