//! The checker of derivations. It uses neither the e-graph nor its ids.
//!
//! Why: a derivation is worth as much as the program that accepts it. In: a [`Derivation`]. Out: nothing,
//! or the first step that does not hold. Every step must be an instance of its rule at its place, with
//! the conditions proved again by intervals of the terms alone, and both sides must agree in high
//! precision at points of the domain.

use super::analysis::{Domain, Facts};
use super::numeric::{Point, Verdict, compare};
use super::poly;
use super::proof::{Derivation, Step};
use super::rules::{self, Fact, Form, Rule};
use super::term::{Bindings, Pattern, Term};
use crate::codegen::interp::{Big, Real};
use crate::mir::{Graph, Interval, NodeId};
use egg::Id;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Why a derivation is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The written node whose lemma fails.
    pub node: NodeId,
    /// The number of the step in that lemma; `None` for the lemma itself.
    pub step: Option<usize>,
    /// What fails.
    pub reason: String,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step {
            Some(step) => write!(f, "step {step} of the lemma for {}: {}", self.node, self.reason),
            None => write!(f, "the lemma for {}: {}", self.node, self.reason),
        }
    }
}

impl std::error::Error for Rejection {}

/// Checks every step of a derivation, and that it leads from the written graph to the result.
///
/// # Errors
/// The first failure.
pub fn verify_derivation(derivation: &Derivation) -> Result<(), Rejection> {
    let written = &derivation.written;
    let mut checker = Checker::new(written);
    let mut terms: Vec<Arc<Term>> = Vec::with_capacity(written.nodes.len());
    for (i, node) in written.nodes.iter().enumerate() {
        let id = NodeId(i as u32);
        let fail = |step, reason: String| Rejection { node: id, step, reason };
        let args = node.op.operands().map(|o| terms[o.0 as usize].clone()).collect();
        let expr = super::language::Expr::from_node(&node.op, node.level, |_| Id::from(0));
        let mut term = Term::new(&expr, args);
        if let Some(lemma) = derivation.lemmas.iter().find(|l| l.node == id) {
            if lemma.from != term {
                return Err(fail(None, "it does not start from the written term".to_owned()));
            }
            for (n, step) in lemma.steps.iter().enumerate() {
                if term.at(&step.path) != Some(&step.before) {
                    return Err(fail(Some(n), "its left side is not at its place".to_owned()));
                }
                checker.step(step).map_err(|reason| fail(Some(n), reason))?;
                let next = term.replace(&step.path, &step.after);
                term = next.ok_or_else(|| fail(Some(n), "its place does not exist".to_owned()))?;
            }
            if lemma.to != term {
                return Err(fail(None, "its steps do not end in its right side".to_owned()));
            }
        }
        terms.push(term);
    }
    let result = graph_terms(&derivation.result);
    for root in &written.roots {
        let reached = terms.get(root.node.0 as usize);
        let claimed = derivation.result.root(&root.name).and_then(|n| result.get(n.0 as usize));
        if reached.is_none() || reached != claimed {
            let reason = format!("root `{}` does not end in the result", root.name);
            return Err(Rejection { node: root.node, step: None, reason });
        }
    }
    Ok(())
}

/// The term of every node of a graph.
pub(super) fn graph_terms(graph: &Graph) -> Vec<Arc<Term>> {
    let mut terms: Vec<Arc<Term>> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let args = node.op.operands().map(|o| terms[o.0 as usize].clone()).collect();
        let expr = super::language::Expr::from_node(&node.op, node.level, |_| Id::from(0));
        terms.push(Term::new(&expr, args));
    }
    terms
}

/// Checks single steps over one domain.
pub(super) struct Checker {
    domain: Domain,
    facts: BTreeMap<Arc<Term>, Facts>,
    /// Intervals that a term has because a checked step makes it equal to another.
    learnt: BTreeMap<Arc<Term>, Interval>,
    points: Vec<(Point<Big<256>>, Point<Big<128>>)>,
}

/// Points at which every step is evaluated.
const POINTS: u64 = 4;

impl Checker {
    pub(super) fn new(graph: &Graph) -> Checker {
        Checker {
            domain: Domain::new(graph),
            facts: BTreeMap::new(),
            learnt: BTreeMap::new(),
            points: (0..POINTS).map(|seed| (Point::new(seed), Point::new(seed))).collect(),
        }
    }

    /// Checks a step; the error says what does not hold.
    pub(super) fn step(&mut self, step: &Step) -> Result<(), String> {
        let rule =
            rules::by_name(step.rule).ok_or_else(|| format!("there is no rule `{}`", step.rule))?;
        let (left, right) =
            if step.reversed { (&step.after, &step.before) } else { (&step.before, &step.after) };
        match rule.form {
            Form::Pattern { lhs, rhs } => self.instance(rule, lhs, rhs, left, right)?,
            Form::Normal => {
                if !poly::same(left, right) {
                    return Err(format!("{}: the normal forms differ", rule.name));
                }
            }
            Form::Fold => self.fold(left, right)?,
        }
        self.agree(left, right)?;
        self.learn(left, right);
        Ok(())
    }

    fn instance(
        &mut self,
        rule: &Rule,
        lhs: &str,
        rhs: &str,
        left: &Arc<Term>,
        right: &Arc<Term>,
    ) -> Result<(), String> {
        let rhs = Pattern::parse(rhs)?;
        let mut reason = format!("it is no instance of `{}`", rule.name);
        for order in Pattern::parse(lhs)?.orders() {
            let Some(bindings) = order.matches(left) else { continue };
            if rhs.instantiate(&bindings).as_ref() != Some(right) {
                continue;
            }
            match self.conditions(rule, &bindings) {
                Ok(()) => return Ok(()),
                Err(text) => reason = text,
            }
        }
        Err(reason)
    }

    fn conditions(&mut self, rule: &Rule, bindings: &Bindings) -> Result<(), String> {
        for condition in rule.conditions {
            let term = Pattern::parse(condition.term)?.instantiate(bindings);
            let term = term.ok_or_else(|| "a condition has a free variable".to_owned())?;
            if !self.proves(&term, condition.fact) {
                let interval = self.interval(&term);
                let fact = condition.fact.text();
                return Err(format!("`{}` wants a term {fact}, proved is {interval}", rule.name));
            }
        }
        Ok(())
    }

    fn proves(&mut self, term: &Arc<Term>, fact: Fact) -> bool {
        fact.holds(&self.interval(term))
            || self.normal_interval(term).is_some_and(|i| fact.holds(&i))
    }

    /// The interval of a sum from its normal form, in which terms have cancelled.
    fn normal_interval(&mut self, term: &Arc<Term>) -> Option<Interval> {
        let (constant, terms) = poly::poly(term)?.linear()?;
        let mut sum = Interval::point(constant);
        for (atom, c) in terms {
            sum = sum + self.interval(&atom) * Interval::point(c);
        }
        Some(sum)
    }

    fn facts(&mut self, term: &Arc<Term>) -> Facts {
        if let Some(known) = self.facts.get(term) {
            return known.clone();
        }
        let args: Vec<Facts> = term.args.iter().map(|a| self.facts(a)).collect();
        let places: Vec<Id> = (0..args.len()).map(Id::from).collect();
        let node = super::term::with_children(&term.op, &places);
        let mut facts = self.domain.facts(&node, |id| &args[usize::from(id)]);
        if let Some(narrower) = self.learnt.get(term) {
            facts.interval = facts.interval.intersect(narrower).unwrap_or(facts.interval);
        }
        self.facts.insert(term.clone(), facts.clone());
        facts
    }

    fn interval(&mut self, term: &Arc<Term>) -> Interval {
        self.facts(term).interval
    }

    /// Equal terms lie in both intervals.
    fn learn(&mut self, a: &Arc<Term>, b: &Arc<Term>) {
        let (x, y) = (self.interval(a), self.interval(b));
        let Some(both) = x.intersect(&y) else { return };
        if both != x || both != y {
            self.learnt.insert(a.clone(), both);
            self.learnt.insert(b.clone(), both);
            // Intervals of terms above these may follow.
            self.facts.clear();
        }
    }

    fn fold(&mut self, left: &Arc<Term>, right: &Arc<Term>) -> Result<(), String> {
        let value = right.op.as_constant().ok_or("the right side is no number")?;
        if self.facts(left).constant == Some(value) {
            Ok(())
        } else {
            Err(format!("the left side is not proved to be {value}"))
        }
    }

    /// Both sides at points of the domain.
    fn agree(&mut self, left: &Arc<Term>, right: &Arc<Term>) -> Result<(), String> {
        let (params, inputs) = (self.domain.params(), self.domain.inputs());
        for (n, (fine, coarse)) in self.points.iter_mut().enumerate() {
            let rough = coarse.value(left, params, inputs).to_f64();
            let (l, r) = (fine.value(left, params, inputs), fine.value(right, params, inputs));
            if compare(&l, rough, &r) == Verdict::Unequal {
                return Err(format!("the sides differ at point {n}"));
            }
        }
        Ok(())
    }
}
