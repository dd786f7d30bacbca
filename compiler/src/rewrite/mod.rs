//! The optimiser: from a loss as written to a stable form, with a derivation.
//!
//! Why: papers write losses with ratios, sigmoids and logarithms that overflow, cancel or divide by zero
//! in floating point; the laws of log-space arithmetic lead from them to forms that do not. In: a
//! [`Graph`] whose `log` and `div` may be partial, of a value alone or of a value and its gradients. Out:
//! [`Optimised`], a graph of stage [`Stage::Total`] that computes the same functions.
//!
//! The way: the graph becomes an e-graph ([`language`], [`analysis`]); [`rules`] and normal forms
//! saturate it ([`runner`]); [`extract`] chooses the cheapest graph by [`cost`]; [`proof`] finds a
//! derivation and checks it without the e-graph.
//!
//! Invariants: the same input gives the same output; a limit that is met is reported; a rule is applied
//! only where its conditions are proved; an unsound rule that is caught is an error and never a result.

mod analysis;
mod build;
mod check;
pub mod cost;
mod exact;
mod extract;
pub mod language;
mod needs;
mod normal;
mod numeric;
mod poly;
mod print;
mod proof;
pub mod rules;
mod runner;
mod shape;
mod term;
#[cfg(test)]
mod tests;
mod witness;

pub use check::{Rejection, verify_derivation};
pub use cost::{Cost, Weights};
pub use print::{infix, listing};
pub use proof::{Derivation, Lemma, Step};
pub use runner::{Limits, Stats};
pub use term::Term;

use crate::mir::verify::{Violation, verify};
use crate::mir::{Graph, NodeId, Root, Stage};
use analysis::{Domain, Egraph};
use egg::{Id, Language};
use language::Expr;
use ponens_dsl::diagnostic::Diagnostic;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the optimiser may spend and how it prices operations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bounds of saturation.
    pub limits: Limits,
    /// Most steps of the extractor's search.
    pub extraction_steps: usize,
    /// Prices of operations on the target.
    pub weights: Weights,
    /// Whether the result is evaluated, or a gradient will be taken of it. Before a gradient, forms are
    /// left out whose value survives overflow and whose derivative does not.
    pub purpose: Purpose,
    /// Whether to derive the result step by step.
    pub derive: bool,
}

/// What comes after the optimiser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The adjoint.
    BeforeGradient,
    /// A back end.
    Final,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            limits: Limits::default(),
            extraction_steps: 50_000,
            weights: Weights::default(),
            purpose: Purpose::Final,
            derive: false,
        }
    }
}

/// The optimiser's result.
#[derive(Clone, Debug, PartialEq)]
pub struct Optimised {
    /// The stable graph: the roots of the written one, in its order.
    pub graph: Graph,
    /// What saturation did.
    pub stats: Stats,
    /// What the graph costs.
    pub cost: Cost,
    /// How the result follows from the written graph, where [`Options::derive`] asks for it.
    pub derivation: Option<Derivation>,
    /// Findings that do not refuse the result: a limit that was met.
    pub warnings: Vec<Diagnostic>,
}

/// Rewrites a graph into its stable form.
///
/// # Errors
/// `E0601` where a logarithm, quotient or `log1mexp` remains that is not proved to be defined; `E0602`
/// where a limit prevented a result; `E0603` where a rule contradicted an interval (a defect of the
/// rule, not of the loss).
pub fn optimise(graph: &Graph, options: &Options) -> Result<Optimised, Diagnostic> {
    check_written(graph)?;
    let mut domain = Domain::new(graph);
    domain.final_form = options.purpose == Purpose::Final;
    let mut egraph = Egraph::new(domain.clone());
    let classes = load(&mut egraph, graph);
    let runner = runner::Runner::new(options.limits).map_err(internal)?;
    let stats = runner.run(&mut egraph);
    if let Some(text) = &egraph.analysis.contradiction {
        return Err(internal(text.clone()));
    }
    let canonical = build::canonical_nodes(&mut egraph);
    egraph.rebuild();
    let roots: Vec<Id> = graph.roots.iter().map(|r| classes[r.node.0 as usize]).collect();
    let model = cost::Model::new(&egraph, &options.weights, &canonical);
    let choice = extract::extract(&egraph, &model, &roots, options.extraction_steps)
        .map_err(|_| internal("a root has no term".to_owned()))?;
    let (out, _) = unload(&egraph, graph, &choice.nodes, &roots)?;
    let mut warnings = Vec::new();
    if let Some(limit) = &stats.stopped {
        warnings.push(
            Diagnostic::warning("W0601", format!("the rewriter stopped at {limit}"))
                .note("the result is correct; a better form may exist"),
        );
    }
    if choice.exhausted {
        let text = format!("the extractor stopped after {} steps", choice.steps);
        warnings.push(
            Diagnostic::warning("W0601", text).note("the result is the best form met so far"),
        );
    }
    check_total(&out, stats.stopped.as_deref())?;
    let mut derivation = None;
    if options.derive {
        let stable = stable_terms(&egraph, graph, &classes, &choice.nodes);
        match proof::derive(graph, &out, &stable, &runner, domain) {
            Ok(found) => derivation = Some(found),
            Err(reason) => warnings
                .push(Diagnostic::warning("W0601", format!("there is no derivation: {reason}"))),
        }
    }
    Ok(Optimised { graph: out, stats, cost: choice.cost, derivation, warnings })
}

fn internal(text: String) -> Diagnostic {
    Diagnostic::error("E0603", format!("the rewriter failed its own check: {text}"))
        .note("this is a defect of the compiler, not of the loss")
}

/// Adds every node of a graph; the class of each by the node's index.
fn load(egraph: &mut Egraph, graph: &Graph) -> Vec<Id> {
    let mut classes: Vec<Id> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let expr = Expr::from_node(&node.op, node.level, |id| classes[id.0 as usize]);
        let id = egraph.add_uncanonical(expr);
        classes.push(id);
    }
    classes
}

/// The stable form of every live node of the written graph: the chosen term of its class, or the operation
/// over the stable forms of its operands where the result does not need the class.
fn stable_terms(
    egraph: &Egraph,
    written: &Graph,
    classes: &[Id],
    chosen: &BTreeMap<Id, Expr>,
) -> BTreeMap<NodeId, Arc<Term>> {
    let mut terms: BTreeMap<Id, Arc<Term>> = BTreeMap::new();
    for id in extract::order(chosen).unwrap_or_default() {
        let node = &chosen[&id];
        let args: Option<Vec<_>> = node.children().iter().map(|c| terms.get(c).cloned()).collect();
        if let Some(args) = args {
            terms.insert(id, Term::new(node, args));
        }
    }
    let mut live = vec![false; written.nodes.len()];
    for root in &written.roots {
        live[root.node.0 as usize] = true;
    }
    for i in (0..written.nodes.len()).rev() {
        if live[i] {
            written.nodes[i].op.operands().for_each(|o| live[o.0 as usize] = true);
        }
    }
    let mut out: BTreeMap<NodeId, Arc<Term>> = BTreeMap::new();
    for (i, node) in written.nodes.iter().enumerate().filter(|(i, _)| live[*i]) {
        let expr = Expr::from_node(&node.op, node.level, |_| Id::from(0));
        let over = node.op.operands().filter_map(|o| out.get(&o).cloned()).collect();
        let term = terms.get(&egraph.find(classes[i])).cloned();
        out.insert(NodeId(i as u32), term.unwrap_or_else(|| Term::new(&expr, over)));
    }
    out
}

/// The graph of the chosen nodes, and the node of each class.
fn unload(
    egraph: &Egraph,
    written: &Graph,
    nodes: &BTreeMap<Id, Expr>,
    roots: &[Id],
) -> Result<(Graph, BTreeMap<Id, NodeId>), Diagnostic> {
    let mut out = Graph {
        stage: Stage::Total,
        params: written.params.clone(),
        inputs: written.inputs.clone(),
        ..Graph::new(written.name.clone())
    };
    let order =
        extract::order(nodes).ok_or_else(|| internal("a chosen term is circular".to_owned()))?;
    let mut places: BTreeMap<Id, NodeId> = BTreeMap::new();
    for id in order {
        let expr = &nodes[&id];
        let operand = |c: Id| places.get(&c).copied().unwrap_or(NodeId(0));
        debug_assert!(expr.children().iter().all(|c| places.contains_key(c)));
        let op = expr.to_op(operand);
        let node = match expr.own_level() {
            Some(level) => out.add_at(op, level),
            None => out.add(op),
        };
        places.insert(id, node);
    }
    for (root, id) in written.roots.iter().zip(roots) {
        let node = places.get(&egraph.find(*id)).copied();
        let node = node.ok_or_else(|| internal(format!("root `{}` was lost", root.name)))?;
        out.roots.push(Root { name: root.name.clone(), node });
    }
    Ok((out, places))
}

/// Refuses a graph that is not well formed.
fn check_written(graph: &Graph) -> Result<(), Diagnostic> {
    // Partial operations are what the optimiser is for, whatever stage the graph claims.
    let written = Graph { stage: Stage::Written, ..graph.clone() };
    verify(&written).map_err(|found| {
        let mut refused = internal("the graph is not well formed".to_owned());
        for violation in found {
            refused = refused.note(violation.to_string());
        }
        refused
    })
}

/// Refuses a result with a partial operation that is not proved.
fn check_total(graph: &Graph, stopped: Option<&str>) -> Result<(), Diagnostic> {
    let Err(found) = verify(graph) else { return Ok(()) };
    let terms = check::graph_terms(graph);
    let partial = found.iter().find_map(|v| match v {
        Violation::Partial { node, reason, operands } => Some((node, reason, operands)),
        _ => None,
    });
    let Some((node, reason, operands)) = partial else {
        return Err(internal(found.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")));
    };
    let text = infix(&terms[node.0 as usize], &graph.params, &graph.inputs);
    let shown: Vec<String> = operands.iter().map(ToString::to_string).collect();
    let refused = match stopped {
        Some(limit) => Diagnostic::error(
            "E0602",
            format!("the rewriter stopped at {limit} before it was excluded that {reason}"),
        ),
        None => Diagnostic::error("E0601", reason.to_string()),
    };
    let mut refused = refused
        .note(format!("in its simplest form the expression is `{text}`"))
        .note(format!("what is proved of its operands: {}", shown.join(", ")));
    if let Some(point) = witness::witness(graph, *node, *reason) {
        refused = refused.note(point);
    }
    Err(refused.help("declare the ranges of parameters and columns, or guard the operation"))
}
