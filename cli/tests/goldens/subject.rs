//! Which loss a record is about, and what is known to differ.

use crate::reference::Record;
use ponens::compiler::adjoint::Wrt;
use ponens::compiler::hir::{Loss, Program};
use ponens::compiler::mir::Graph;
use ponens::compiler::session::{self, Compiled, Options};
use ponens::losses::Catalogue;
use ponens::number;
use std::collections::BTreeMap;

/// A compiled loss with the parameters of a record.
pub(crate) struct Subject {
    compiled: Compiled,
    pub(crate) params: Vec<f64>,
    /// Fields of the record and columns of the loss.
    pub(crate) columns: BTreeMap<String, String>,
}

impl Subject {
    pub(crate) fn loss(&self) -> &Loss {
        &self.compiled.loss
    }

    pub(crate) fn compiled(&self) -> &Compiled {
        &self.compiled
    }

    pub(crate) fn graph(&self) -> &Graph {
        self.compiled.graph()
    }

    pub(crate) fn beta(&self) -> f64 {
        let at = self.compiled.loss.params.iter().position(|p| p.name == "beta");
        at.map_or(1.0, |i| self.params[i])
    }
}

/// Configurations that the catalogue has no name for, in words of the language.
const DERIVED: &[(&str, &str)] = &[
    (
        "cpo with link hinge, lambda = 0",
        "loss subject(beta = 0.1 in (0, inf)) {
            data pair(w > l)
            model pi = policy
            rho = log(pi(w) / pi(l))
            minimize hinge(beta * rho)
        }",
    ),
    (
        "cpo over means with the squared link, lambda = 0",
        "loss subject(beta = 0.1 in (0, inf)) {
            data pair(w > l)
            model pi = policy, aggregate mean
            rho = log(pi(w) / pi(l))
            minimize squared(rho, 1 / (2 * beta))
        }",
    ),
    (
        "orpo without its nll term",
        "loss subject(lambda = 0.1 in [0, inf)) {
            data pair(w > l)
            model pi = policy, aggregate mean
            prefer pi(l) -> pi(w)
            given pi(l) xor pi(w)
            minimize lambda * logistic(rho)
        }",
    ),
    (
        "dpo with D = (exp(-alpha b) - exp(-alpha a)) / alpha, the older alpha-divergence parametrisation",
        "loss subject(beta = 0.1 in (0, inf), alpha = 1 in (0, inf)) {
            data pair(w > l)
            model pi = policy
            model ref = reference
            let a = logp(pi, w) - logp(ref, w)
            let b = logp(pi, l) - logp(ref, l)
            minimize logistic(beta * (exp(-alpha * b) - exp(-alpha * a)) / alpha)
        }",
    ),
    (
        "hinge js_divergence",
        "loss subject(beta = 0.1 in (0, inf)) {
            data pair(w > l)
            model pi = policy
            model ref = reference
            let a = logp(pi, w) - logp(ref, w)
            let b = logp(pi, l) - logp(ref, l)
            minimize hinge(beta * (log_sigmoid(a) - log_sigmoid(b)))
        }",
    ),
    (
        "ipo js_divergence",
        "loss subject(beta = 0.1 in (0, inf)) {
            data pair(w > l)
            model pi = policy
            model ref = reference
            let a = (log(2) + log_sigmoid(logp(pi, w) - logp(ref, w))) / max(len(w), 1)
            let b = (log(2) + log_sigmoid(logp(pi, l) - logp(ref, l))) / max(len(l), 1)
            minimize squared(a - b, 1 / (2 * beta))
        }",
    ),
    (
        "ipo forward_kl",
        "loss subject(beta = 0.1 in (0, inf)) {
            data pair(w > l)
            model pi = policy
            model ref = reference
            let a = (1 - exp(logp(ref, w) - logp(pi, w))) / max(len(w), 1)
            let b = (1 - exp(logp(ref, l) - logp(pi, l))) / max(len(l), 1)
            minimize squared(a - b, 1 / (2 * beta))
        }",
    ),
];

/// The loss that a record is about.
pub(crate) fn subject(record: &Record) -> Option<Subject> {
    let divergence = record.params().get("f_divergence_type").and_then(|d| d.as_str());
    let target = match (record.target(), divergence) {
        (t, None) => t.to_owned(),
        ("dpo", Some("forward_kl")) => "dpo_forward_kl".to_owned(),
        ("dpo", Some("js_divergence")) => "dpo_js".to_owned(),
        ("dpo", Some("alpha_divergence")) => "dpo_alpha".to_owned(),
        (t, Some(d)) => format!("{t} {d}"),
    };
    let mut extra = Vec::new();
    let (name, text) = match target.as_str() {
        // The records leave the likelihood term out.
        "cpo" | "cpo with lambda = 0" => {
            extra.push(("lambda".to_owned(), 0.0));
            ("cpo".to_owned(), None)
        }
        t => match DERIVED.iter().find(|(words, _)| *words == t) {
            Some((_, text)) => ("subject".to_owned(), Some(*text)),
            None => (target.clone(), None),
        },
    };
    let mut program = Program::new();
    if let Some(text) = text {
        let (_, found) = program.add_text("subject", text);
        assert!(found.is_empty(), "{found:?}");
    } else {
        Catalogue.get(&name)?;
    }
    let options = Options { wrt: Wrt::AllReal, ..Options::default() };
    let compiled = session::compile(&mut program, &name, &Catalogue, &options)
        .unwrap_or_else(|e| panic!("{}: {e:?}", record.title()));
    for (p, v) in record.params() {
        let p = match p.as_str() {
            "f_alpha_divergence_coef" => "k",
            p => record.parameter(p),
        };
        if let (Some(v), true) =
            (number::from_json(v), compiled.loss.params.iter().any(|q| q.name == p))
        {
            extra.push((p.to_owned(), v));
        }
    }
    let params = compiled.bind(&extra).unwrap_or_else(|e| panic!("{}: {e:?}", record.title()));
    let mut columns = record.columns();
    if compiled.loss.columns.iter().any(|c| c.name().starts_with("mean_logp(pi,w)"))
        && columns.contains_key("lc")
    {
        columns.insert("nc".to_owned(), "len(w)".to_owned());
    }
    if text.is_some_and(|t| t.contains("len(w)")) {
        columns.insert("nc".to_owned(), "len(w)".to_owned());
        columns.insert("nr".to_owned(), "len(l)".to_owned());
    }
    Some(Subject { compiled, params, columns })
}

/// Why a row does not meet its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The result nearly cancels: a unit in the last place of the data moves it further than it is off.
    /// That is checked.
    Conditioning,
    /// These results are infinite or NaN, in the type and of the column: an infinity on the way meets a number
    /// that underflows, or another infinity. That nothing else is wrong is checked, and that all of it still is.
    Overflow(&'static [(&'static str, &'static str)]),
}

/// Rows that are known not to meet their record: the record's title, the rows, and the reason.
const KNOWN: &[(&str, &[&str], Reason)] = &[
    // A divergence near its minimum, in f32.
    (r#"trl.dpo.exo_pair {"beta":0.1,"label_smoothing":0.1}"#, &["rand30"], Reason::Conditioning),
    // Exactly the optimum: the record holds the rounding of 1 / (2 beta).
    (r#"trl.dpo.sppo_hard {"beta":0.1}"#, &["sppo_optimum_b01"], Reason::Conditioning),
    // The gradient changes its sign nearby, in f32.
    (r#"trl.dpo.discopop {"beta":0.1,"discopop_tau":0.05}"#, &["rand54"], Reason::Conditioning),
    (r#"trl024.dpo.sigmoid {"beta":0.1,"label_smoothing":0.3}"#, &["rand03"], Reason::Conditioning),
    // The link's argument is a difference of exponentials, 40 here, where beta times the margin is below 1.
    (
        r#"trl.dpo.sigmoid {"beta":0.1,"f_divergence_type":"forward_kl"}"#,
        &["rand22"],
        Reason::Conditioning,
    ),
    (r#"trl024.dpo.sigmoid+alpha_div {"beta":0.1,"alpha":1.0}"#, &["rand22"], Reason::Conditioning),
    // The difference of exponentials is near its goal.
    (
        r#"trl.dpo.ipo {"beta":0.1,"f_divergence_type":"forward_kl"}"#,
        &["rand03"],
        Reason::Conditioning,
    ),
    // d e^-b, where d overflows and e^-b underflows; not a loss of the catalogue.
    (
        r#"trl.dpo.ipo {"beta":0.1,"f_divergence_type":"forward_kl"}"#,
        &["2000_vs_near_one"],
        Reason::Overflow(&[
            ("f64", "logp(pi,l)"),
            ("f64", "logp(ref,l)"),
            ("f32", "logp(pi,l)"),
            ("f32", "logp(ref,l)"),
        ]),
    ),
    // e^160 / n - e^161 / m in f32: the quotients hide the difference from the rule for large exponentials.
    (
        r#"trl.dpo.ipo {"beta":0.1,"f_divergence_type":"forward_kl"}"#,
        &["chosen_down_160_rej_down_161"],
        Reason::Overflow(&[
            ("f32", "logp(pi,l)"),
            ("f32", "logp(pi,w)"),
            ("f32", "logp(ref,l)"),
            ("f32", "logp(ref,w)"),
            ("f32", "loss"),
        ]),
    ),
];

/// The reason why a row does not meet its record.
pub(crate) fn known(record: &str, id: &str) -> Option<Reason> {
    KNOWN.iter().find(|(r, ids, _)| record == *r && ids.contains(&id)).map(|(.., why)| *why)
}

/// The exceptions that nothing needs.
pub(crate) fn stale(fails: impl Fn(&str, &str) -> bool) -> Vec<(&'static str, &'static str)> {
    let all = KNOWN.iter().flat_map(|(r, ids, _)| ids.iter().map(|i| (*r, *i)));
    all.filter(|(r, i)| !fails(r, i)).collect()
}
