//! Warns of losses whose gradient vanishes on summed log-probabilities (SEMANTICS, sections 4 and 6).

use crate::adjoint::{self, Wrt};
use crate::codegen::interp::{Batch, evaluate};
use crate::hir::{Kind, Link, Loss, Quantity};
use crate::mir::{Graph, Root, Unary};
use crate::session::Compiled;
use ponens_dsl::Diagnostic;

/// The log-probability of a long response, summed.
const SUMMED: f64 = -100.0;
/// Below this a gradient moves nothing in training.
const USABLE: f64 = 1e-6;

/// The warning, if every gradient is negligible at [`SUMMED`].
/// `loss` has its rho bound, and `rho` is its stable form.
pub(super) fn usable(compiled: &Compiled, loss: &Loss, rho: Option<&Graph>) -> Option<Diagnostic> {
    let summed = loss.columns.iter().all(|c| matches!(c.quantity, Quantity::Logp { .. }));
    let logistic = loss.exprs.iter().any(|e| matches!(e.kind, Kind::Link(Link::Logistic, ..)));
    if !summed || !logistic || loss.core.is_none() {
        return None;
    }
    // The property is that of the structure: the link is the logistic one with beta 1.
    let mut graph = rho?.clone();
    let minus = graph.unary(Unary::Neg, graph.roots.first()?.node);
    let node = graph.unary(Unary::Softplus, minus);
    graph.roots = vec![Root { name: "loss".to_owned(), node }];
    let graph = adjoint::differentiate(&graph, Wrt::Policy);
    let params = compiled.bind(&[]).ok()?;
    let mut batch = Batch::new(1);
    for i in 0..graph.inputs.len() {
        batch.set(&graph, i as u16, &[SUMMED]).ok()?;
    }
    let values = evaluate::<f64>(&graph, &params, &batch).ok()?;
    let largest = graph
        .roots
        .iter()
        .zip(&values)
        .filter(|(r, _)| r.name.starts_with("d/"))
        .flat_map(|(_, v)| v)
        .fold(0.0f64, |m, x| m.max(x.abs()));
    (largest < USABLE).then(|| {
        Diagnostic::warning(
            "W0501",
            format!("`{}` has no usable gradient with summed log-probabilities", loss.name),
        )
        .at(
            loss.span,
            format!("largest gradient {largest:.1e} where every log-probability is {SUMMED}"),
        )
        .help("declare the models with `aggregate mean`")
    })
}
