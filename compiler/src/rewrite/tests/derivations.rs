//! Derivations as text, and what the checker refuses.

use super::losses::{gradients, value};
use crate::rewrite::{Derivation, Term, infix, verify_derivation};
use std::fmt::Write;

const DPO: &str = "-log(sigmoid(beta * (log(pw / qw) - log(pl / ql))))";
const ORPO: &str = "log((pw / (1 - pw)) / (pl / (1 - pl)))";

fn derivation(text: &str) -> Derivation {
    value(text, true).1.derivation.expect("a derivation")
}

fn shown(derivation: &Derivation) -> String {
    let (params, inputs) = (&derivation.written.params, &derivation.written.inputs);
    let mut text = String::new();
    for lemma in &derivation.lemmas {
        let _ = writeln!(
            text,
            "{} = {}",
            infix(&lemma.from, params, inputs),
            infix(&lemma.to, params, inputs)
        );
        for step in &lemma.steps {
            let way = if step.reversed { "<=" } else { "=>" };
            let (before, after) =
                (infix(&step.before, params, inputs), infix(&step.after, params, inputs));
            let _ = writeln!(text, "    {before} {way} {after}  [{}: {}]", step.rule, step.law);
        }
    }
    text
}

#[test]
fn derivations_read_well() {
    insta::assert_snapshot!("derivation_dpo", shown(&derivation(DPO)));
    insta::assert_snapshot!("derivation_orpo", shown(&derivation(ORPO)));
}

/// Each change to a derivation that holds must be refused.
#[test]
fn corrupted_derivations_are_refused() {
    for text in [DPO, ORPO] {
        let good = derivation(text);
        assert_eq!(verify_derivation(&good), Ok(()));
        for (i, lemma) in good.lemmas.iter().enumerate() {
            let mut without = good.clone();
            without.lemmas.remove(i);
            assert!(verify_derivation(&without).is_err(), "lemma {i} is missing");
            for j in 0..lemma.steps.len() {
                let corrupt = |change: &dyn Fn(&mut crate::rewrite::Step)| {
                    let mut bad = good.clone();
                    change(&mut bad.lemmas[i].steps[j]);
                    assert!(verify_derivation(&bad).is_err(), "step {j} of lemma {i}: {bad:?}");
                };
                corrupt(&|s| s.after = Term::constant(0.25));
                corrupt(&|s| s.before = Term::constant(0.25));
                corrupt(&|s| s.rule = "abs-neg");
                corrupt(&|s| s.rule = "no such rule");
                corrupt(&|s| s.path.push(7));
            }
        }
        let mut elsewhere = good.clone();
        elsewhere.result.roots[0].node = crate::mir::NodeId(0);
        assert!(verify_derivation(&elsewhere).is_err());
    }
}

/// A probability read as any positive number takes the condition's proof away.
#[test]
fn conditions_are_proved_again() {
    let mut wider = derivation("log(1 - pw)");
    assert_eq!(verify_derivation(&wider), Ok(()));
    wider.written.inputs[0].range = crate::mir::Interval::REAL;
    assert!(verify_derivation(&wider).is_err());
}

#[test]
fn gradients_share_one_derivation() {
    let (_, stable) = value(DPO, false);
    let (written, both) = gradients(&stable.graph, true);
    let found = both.derivation.expect("a derivation");
    assert_eq!(found.written, written);
    assert_eq!(found.result, both.graph);
    assert_eq!(both.graph.roots.len(), 3);
    assert_eq!(verify_derivation(&found), Ok(()));
}
