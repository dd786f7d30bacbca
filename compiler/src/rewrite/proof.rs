//! Derivations: why the result equals what was written, step by step.
//!
//! Why: a reader must be able to follow the optimiser, and a program to check it. In: the written graph
//! and the choice of the extractor. Out: a [`Derivation`], one lemma for each written operation whose
//! stable form is not the operation itself, operands first. Method: saturate again with egg's
//! explanations on, ask for one between the two terms of each lemma, and record each step. egg
//! explains a step by the terms that it matched first, so an explanation unfolds what earlier lemmas have
//! settled, applies a rule and folds it again; [`shorten`] takes such detours out. What is recorded is
//! checked by [`super::check`], which trusts none of this.

use super::analysis::{Domain, Egraph};
use super::check::Checker;
use super::language::Expr;
use super::rules;
use super::runner::Runner;
use super::term::Term;
use crate::mir::{Graph, NodeId};
use egg::{FlatTerm, Id};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One application of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The rule's name.
    pub rule: &'static str,
    /// The rule's law.
    pub law: &'static str,
    /// True when the right side of the rule was replaced by its left side.
    pub reversed: bool,
    /// The place in the lemma's term: operand numbers from the top.
    pub path: Vec<usize>,
    /// The part that is replaced.
    pub before: Arc<Term>,
    /// What replaces it.
    pub after: Arc<Term>,
}

/// Two equal terms, with the steps from one to the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lemma {
    /// The operation of the written graph that this is about.
    pub node: NodeId,
    /// That operation over the stable forms of its operands.
    pub from: Arc<Term>,
    /// Its stable form.
    pub to: Arc<Term>,
    /// From one to the other.
    pub steps: Vec<Step>,
}

/// The way from a written graph to its stable form.
#[derive(Clone, Debug, PartialEq)]
pub struct Derivation {
    /// The graph as written.
    pub written: Graph,
    /// The graph reached.
    pub result: Graph,
    /// What is shown of each operation, in the order of the written graph.
    pub lemmas: Vec<Lemma>,
}

/// Terms with more parts than this are not explained: an explanation writes shared parts out.
const LARGEST_TERM: u64 = 4_000;

/// Derives `stable[i]` for every live node `i` of the written graph. The error says why there is no
/// derivation.
pub(super) fn derive(
    written: &Graph,
    result: &Graph,
    stable: &BTreeMap<NodeId, Arc<Term>>,
    runner: &Runner,
    domain: Domain,
) -> Result<Derivation, String> {
    let mut egraph = Egraph::new(domain).with_explanations_enabled();
    super::load(&mut egraph, written);
    runner.run(&mut egraph);
    let mut lemmas = Vec::new();
    let mut checker = Checker::new(written);
    let mut settled = BTreeMap::new();
    for (i, node) in written.nodes.iter().enumerate() {
        let id = NodeId(i as u32);
        let Some(to) = stable.get(&id) else { continue };
        let operands: Option<Vec<Arc<Term>>> =
            node.op.operands().map(|o| stable.get(&o).cloned()).collect();
        let operands = operands.ok_or("an operand has no stable form")?;
        let expr = Expr::from_node(&node.op, node.level, |_| Id::from(0));
        let from = Term::new(&expr, operands);
        if from == *to {
            continue;
        }
        if parts(&from).max(parts(to)) > LARGEST_TERM {
            return Err(format!("a term has more than {LARGEST_TERM} parts"));
        }
        let steps = explain(&mut egraph, &from, to)?;
        let steps = shorten(&mut checker, &settled, &from, to, steps);
        settled.insert(from.clone(), to.clone());
        lemmas.push(Lemma { node: id, from, to: to.clone(), steps });
    }
    Ok(Derivation { written: written.clone(), result: result.clone(), lemmas })
}

/// The number of parts of a term, shared ones counted each time.
fn parts(term: &Arc<Term>) -> u64 {
    fn count(term: &Arc<Term>, known: &mut BTreeMap<*const Term, u64>) -> u64 {
        let key = Arc::as_ptr(term);
        if let Some(n) = known.get(&key) {
            return *n;
        }
        let below = term.args.iter().fold(0_u64, |n, a| n.saturating_add(count(a, known)));
        known.insert(key, below.saturating_add(1));
        below.saturating_add(1)
    }
    count(term, &mut BTreeMap::new())
}

fn explain(egraph: &mut Egraph, from: &Arc<Term>, to: &Arc<Term>) -> Result<Vec<Step>, String> {
    let (left, right) = (from.to_expr(), to.to_expr());
    let a = egraph.add_expr(&left);
    let b = egraph.add_expr(&right);
    egraph.rebuild();
    // Asking for an explanation of unequal terms would panic.
    if egraph.find(a) != egraph.find(b) {
        return Err("the replayed e-graph does not join the two terms".to_owned());
    }
    let mut explanation = egraph.explain_equivalence(&left, &right);
    let flat = explanation.make_flat_explanation();
    let mut steps = Vec::new();
    for pair in flat.windows(2) {
        let mut path = Vec::new();
        let Some((rule, reversed)) = annotation(&pair[1], &mut path) else { continue };
        let rule = rules::by_name(&rule).ok_or_else(|| format!("unknown rule `{rule}`"))?;
        let before = part(&pair[0], &path).map(to_term);
        let after = part(&pair[1], &path).map(to_term);
        let (Some(before), Some(after)) = (before, after) else {
            return Err("a step has no place".to_owned());
        };
        steps.push(Step { rule: rule.name, law: rule.law, reversed, path, before, after });
    }
    Ok(steps)
}

/// The same way through the forms that earlier lemmas have settled; the way as it was, where a step of the
/// shorter one does not hold.
fn shorten(
    checker: &mut Checker,
    settled: &BTreeMap<Arc<Term>, Arc<Term>>,
    from: &Arc<Term>,
    to: &Arc<Term>,
    steps: Vec<Step>,
) -> Vec<Step> {
    let mut known = BTreeMap::new();
    let mut whole = from.clone();
    let mut stations = vec![(settle(from, settled, &mut known), None)];
    for step in &steps {
        let Some(next) = whole.replace(&step.path, &step.after) else { return steps };
        whole = next;
        let station = settle(&whole, settled, &mut known);
        // Back where the way has been before: what lies between is a detour.
        match stations.iter().position(|(s, _)| *s == station) {
            Some(place) => stations.truncate(place + 1),
            None => stations.push((station, Some(step))),
        }
    }
    let ends = (stations.first().map(|s| &s.0), stations.last().map(|s| &s.0));
    if ends != (Some(from), Some(to)) {
        return steps;
    }
    let mut short = Vec::new();
    for pair in stations.windows(2) {
        let ((u, _), (v, Some(model))) = (&pair[0], &pair[1]) else { return steps };
        match locate(checker, u, v, model) {
            Some(step) => short.push(step),
            None => return steps,
        }
    }
    short
}

/// The term with every settled part in its stable form.
fn settle(
    term: &Arc<Term>,
    settled: &BTreeMap<Arc<Term>, Arc<Term>>,
    known: &mut BTreeMap<Arc<Term>, Arc<Term>>,
) -> Arc<Term> {
    if let Some(done) = known.get(term) {
        return done.clone();
    }
    let args = term.args.iter().map(|a| settle(a, settled, known)).collect();
    let over = Term::new(&term.op, args);
    let done = settled.get(&over).cloned().unwrap_or(over);
    known.insert(term.clone(), done.clone());
    done
}

/// The step by the model's rule from one term to another, at the innermost place where it holds.
fn locate(checker: &mut Checker, u: &Arc<Term>, v: &Arc<Term>, model: &Step) -> Option<Step> {
    let mut path = Vec::new();
    let (mut a, mut b) = (u, v);
    while a.op == b.op {
        let mut differing = (0..a.args.len()).filter(|i| a.args[*i] != b.args[*i]);
        let (Some(place), None) = (differing.next(), differing.next()) else { break };
        path.push(place);
        (a, b) = (&a.args[place], &b.args[place]);
    }
    loop {
        let step = Step {
            path: path.clone(),
            before: u.at(&path)?.clone(),
            after: v.at(&path)?.clone(),
            ..model.clone()
        };
        if checker.step(&step).is_ok() {
            return Some(step);
        }
        path.pop()?;
    }
}

/// The rule noted in a term and its place.
fn annotation(term: &FlatTerm<Expr>, path: &mut Vec<usize>) -> Option<(String, bool)> {
    if let Some(rule) = term.forward_rule {
        return Some((rule.to_string(), false));
    }
    if let Some(rule) = term.backward_rule {
        return Some((rule.to_string(), true));
    }
    for (i, child) in term.children.iter().enumerate() {
        path.push(i);
        let found = annotation(child, path);
        if found.is_some() {
            return found;
        }
        path.pop();
    }
    None
}

fn part<'a>(term: &'a FlatTerm<Expr>, path: &[usize]) -> Option<&'a FlatTerm<Expr>> {
    match path {
        [] => Some(term),
        [first, rest @ ..] => part(term.children.get(*first)?, rest),
    }
}

fn to_term(flat: &FlatTerm<Expr>) -> Arc<Term> {
    Term::new(&flat.node, flat.children.iter().map(to_term).collect())
}
