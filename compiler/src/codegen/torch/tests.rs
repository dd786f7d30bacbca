//! What the text says; that it computes what the interpreter does is checked with PyTorch by
//! `scripts/check-torch.sh`.

use super::*;
use crate::adjoint::Wrt;
use crate::hir::{NoLibrary, Program};
use crate::session;

fn compile(text: &str) -> Compiled {
    let mut program = Program::new();
    let (_, found) = program.add_text("a.loss", text);
    assert!(found.is_empty(), "{found:?}");
    let options = session::Options { wrt: Wrt::AllReal, ..Default::default() };
    session::compile(&mut program, "a", &NoLibrary, &options).expect("it compiles")
}

fn module(text: &str) -> String {
    emit(&compile(text), &Options::default()).expect("a file")
}

const BODY: &str = "data pair(w > l) model pi = policy model ref = reference";

#[test]
fn a_pair_loss_reads_well() {
    let text = format!(
        "/// A title (its source). loss a(beta = 0.1 in (0, inf)) {{ {BODY}
         rho = log(pi(w) * ref(l) / (pi(l) * ref(w))) minimize logistic(beta * rho) }}"
    )
    .replace(". loss", ".\nloss");
    insta::assert_snapshot!(module(&text));
}

#[test]
fn an_odds_ratio_keeps_its_branches() {
    insta::assert_snapshot!(module(
        "loss a(lambda = 0.1 in [0, inf)) { data pair(w > l) model pi = policy, aggregate mean
         prefer pi(l) -> pi(w) given pi(l) xor pi(w) minimize nll(pi, w) + lambda * logistic(rho) }"
    ));
}

#[test]
fn a_batch_is_one_number() {
    insta::assert_snapshot!(module(
        "loss a(beta = 0.1 in (0, inf)) { data labelled(y, good) model pi = policy
         model ref = reference let r = logp(pi, y) - logp(ref, y)
         let z = stop_gradient(max(0, batch_mean(mismatched(r))))
         minimize if good { 1 - sigmoid(beta * (r - z)) } else { 1 - sigmoid(beta * (z - r)) } }"
    ));
}
