//! What the equations say.

use super::*;
use crate::hir::{NoLibrary, Program};
use crate::session;

fn latex(text: &str) -> String {
    let mut program = Program::new();
    let (_, found) = program.add_text("a.loss", text);
    assert!(found.is_empty(), "{found:?}");
    let compiled = session::compile(&mut program, "a", &NoLibrary, &Default::default());
    emit(&compiled.expect("it compiles"))
}

const BODY: &str = "data pair(w > l) model pi = policy model ref = reference";

#[test]
fn a_ratio_is_a_fraction() {
    insta::assert_snapshot!(latex(&format!(
        "/// A title (a & b, 100 %).\nloss a(beta = 0.1 in (0, inf)) {{ {BODY}
         rho = log(pi(w) * ref(l) / (pi(l) * ref(w))) minimize logistic(beta * rho) }}"
    )));
}

#[test]
fn logic_is_a_fraction_of_probabilities() {
    insta::assert_snapshot!(latex(
        "loss a(lambda = 0.1 in [0, inf)) { data pair(w > l) model pi = policy, aggregate mean
         prefer pi(l) -> pi(w) given pi(l) xor pi(w) minimize nll(pi, w) + lambda * logistic(rho) }"
    ));
}

#[test]
fn what_occurs_twice_has_a_name() {
    insta::assert_snapshot!(latex(
        "loss a(beta = 0.1 in (0, inf), undesirable = 1e-7 in [0, inf)) { data labelled(y, good)
         model pi = policy model ref = reference let r = logp(pi, y) - logp(ref, y)
         let z = stop_gradient(max(0, batch_mean(mismatched(r))))
         minimize if good { 1 - sigmoid(beta * (r - z)) }
                  else { undesirable * (1 - sigmoid(beta * (z - r))) } }"
    ));
}

#[test]
fn names_are_escaped() {
    assert_eq!(symbol::parameter("beta_2"), "\\beta_{2}");
    assert_eq!(symbol::parameter("tail_weight"), "\\mathrm{tail\\_weight}");
    assert_eq!(symbol::parameter("k"), "k");
    assert_eq!(symbol::response("rationale"), "y_{\\mathrm{rationale}}");
    assert_eq!(symbol::number(2.5e-7), "2.5 \\cdot 10^{-7}");
    assert_eq!(symbol::column("len(w)"), "|y_w|");
}
