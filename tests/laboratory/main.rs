//! Theorems about losses, checked exactly in small worlds, on the losses as they are compiled and run.

mod ches;
mod displacement;
mod flips;
mod oreo;
mod tree;

use ponens_compiler::hir::Program;
use ponens_compiler::session::{self, Compiled, Options};
use ponens_losses::Catalogue;
use ponens_runtime::op::{Evaluated, GraphKernel, LossKernel};
use std::collections::HashMap;

fn kernel(compiled: &Compiled, params: &[(&str, f64)]) -> GraphKernel {
    let values: HashMap<String, f64> = params.iter().map(|(n, v)| ((*n).to_owned(), *v)).collect();
    GraphKernel::new(compiled.graph(), &values).expect("a loss of pairs")
}

/// A loss of the catalogue as training evaluates it.
fn catalogue(name: &str, params: &[(&str, f64)]) -> GraphKernel {
    let compiled = ponens_losses::compile(name, &Options::default());
    kernel(&compiled.unwrap_or_else(|e| panic!("{name}: {e:?}")), params)
}

/// A loss from its text.
fn written(name: &str, text: &str) -> GraphKernel {
    let mut program = Program::new();
    let (_, found) = program.add_text("<test>", text);
    assert!(found.is_empty(), "{found:?}");
    let compiled = session::compile(&mut program, name, &Catalogue, &Options::default());
    kernel(&compiled.unwrap_or_else(|e| panic!("{e:?}")), &[])
}

/// Values and gradients on examples whose quantities are given by name.
fn evaluate(kernel: &GraphKernel, examples: &[HashMap<&str, f64>]) -> Evaluated {
    let columns: Vec<Vec<f64>> = kernel
        .inputs()
        .iter()
        .map(|i| examples.iter().map(|e| e[i.name.as_str()]).collect())
        .collect();
    kernel.evaluate(&columns).expect("a full batch")
}

/// The gradient by an input, of every example.
fn gradient(kernel: &GraphKernel, value: &Evaluated, input: &str) -> Vec<f64> {
    let at = kernel.inputs().iter().position(|i| i.name == input).expect("an input");
    value.grads[at].clone().expect("a gradient")
}

/// One pair of summed log-probabilities: policy on both responses, reference on both.
fn pair(w: f64, l: f64, rw: f64, rl: f64) -> HashMap<&'static str, f64> {
    HashMap::from([("logp(pi,w)", w), ("logp(pi,l)", l), ("logp(ref,w)", rw), ("logp(ref,l)", rl)])
}
