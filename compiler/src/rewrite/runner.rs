//! Saturation: applies the rules until nothing new comes, or a limit is met.
//!
//! Why: the same text must give the same result on every machine, so no clock decides; a limit that is
//! met is reported, never silent. In: an e-graph with the written terms. Out: the same e-graph,
//! saturated, and [`Stats`]. Invariant: every match found is applied before the next search.

use super::analysis::{Domain, Egraph, Facts};
use super::build;
use super::language::Expr;
use super::rules::{self, Fact, Form, Guard, Rule};
use super::term::Pattern;
use egg::{Applier, ENodeOrVar, Id, PatternAst, Rewrite, SearchMatches, Subst, Symbol, Var};
use std::collections::BTreeMap;

/// Bounds of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most rounds of search and application.
    pub iterations: usize,
    /// Most e-nodes. Checked after each rule, so the last rule may overshoot.
    pub nodes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { iterations: 40, nodes: 6_000 }
    }
}

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Rounds until saturation or a limit.
    pub iterations: usize,
    /// E-nodes at the end.
    pub e_nodes: usize,
    /// E-classes at the end.
    pub e_classes: usize,
    /// How often each rule joined two classes, by name.
    pub applied: BTreeMap<&'static str, usize>,
    /// The limit that stopped the run; `None` when it saturated.
    pub stopped: Option<String>,
}

/// A rule made ready for egg: one rewrite for each order of commutative operands.
pub(super) fn compile(rule: &'static Rule) -> Result<Vec<Rewrite<Expr, Domain>>, String> {
    let Form::Pattern { lhs, rhs } = rule.form else { return Ok(Vec::new()) };
    let rhs = Pattern::parse(rhs)?.to_egg();
    let mut conditions = Vec::new();
    for c in rule.conditions {
        conditions.push((Pattern::parse(c.term)?.to_egg(), c.fact));
    }
    let mut out = Vec::new();
    for lhs in Pattern::parse(lhs)?.orders() {
        let applier =
            Proved { rhs: rhs.clone(), conditions: conditions.clone(), guard: rule.guard };
        out.push(Rewrite::new(rule.name, lhs.to_egg(), applier)?);
    }
    Ok(out)
}

/// Adds the right side where the conditions are proved.
struct Proved {
    rhs: egg::Pattern<Expr>,
    conditions: Vec<(egg::Pattern<Expr>, Fact)>,
    guard: Guard,
}

impl Proved {
    fn holds(&self, egraph: &mut Egraph, subst: &Subst) -> bool {
        self.conditions.iter().all(|(term, fact)| {
            if facts_of(egraph, &term.ast, subst).is_some_and(|f| fact.holds(&f.interval)) {
                return true;
            }
            if term.ast.len() == 1 {
                return false;
            }
            // Its normal form may show what the term as it stands does not: decided in a later round.
            let id = egraph.add_instantiation(&term.ast, subst);
            fact.holds(&egraph[id].data.interval)
        })
    }

    fn is_worth_it(&self, egraph: &Egraph, subst: &Subst) -> bool {
        let var = |name: &str| name.parse::<Var>().ok().and_then(|v| subst.get(v).copied());
        let check = |name: &str, test: &dyn Fn(Id) -> bool| var(name).is_some_and(test);
        let overflows = |id: Id| egraph[id].data.practical.hi > f64::from(f32::MAX).ln();
        let last = egraph.analysis.final_form;
        match self.guard {
            Guard::Always => true,
            Guard::Final => last,
            Guard::MayBeNegInf(x) => {
                check(x, &|id| egraph[id].data.interval.contains(f64::NEG_INFINITY))
            }
            Guard::BothOverflow(x, y) => last && check(x, &overflows) && check(y, &overflows),
            Guard::Masks(a, b, y) => {
                let zero = |id: Id| egraph[id].data.constant == Some(0.0);
                let unbounded = |id: Id| {
                    let range = egraph[id].data.practical;
                    range.lo < -f64::from(f32::MAX) || range.hi > f64::from(f32::MAX)
                };
                (check(a, &zero) || check(b, &zero)) && check(y, &unbounded)
            }
            Guard::OverflowTimesZero(u, x) => {
                last && check(u, &overflows) && check(x, &|id| may_vanish(egraph, id))
            }
        }
    }
}

/// Can be 0, and nothing is known of its logarithm.
fn may_vanish(egraph: &Egraph, id: Id) -> bool {
    egraph[id].data.interval.contains(0.0)
        && !egraph[id].nodes.iter().any(|n| matches!(n, Expr::Select(_)))
        && !super::normal::has_logarithm(egraph, id, DEEPEST_PRODUCT)
}

/// How far into a product the search for its logarithm goes.
const DEEPEST_PRODUCT: usize = 4;

/// The facts of a pattern's instance, from those of its variables.
fn facts_of(egraph: &Egraph, ast: &PatternAst<Expr>, subst: &Subst) -> Option<Facts> {
    let mut known: Vec<Facts> = Vec::with_capacity(ast.len());
    for node in ast {
        let facts = match node {
            ENodeOrVar::Var(v) => egraph[subst[*v]].data.clone(),
            ENodeOrVar::ENode(n) => egraph.analysis.facts(n, |id| &known[usize::from(id)]),
        };
        known.push(facts);
    }
    known.pop()
}

impl Applier<Expr, Domain> for Proved {
    fn apply_one(
        &self,
        egraph: &mut Egraph,
        eclass: Id,
        subst: &Subst,
        searcher_ast: Option<&PatternAst<Expr>>,
        rule_name: Symbol,
    ) -> Vec<Id> {
        let Some(right) = facts_of(egraph, &self.rhs.ast, subst) else { return Vec::new() };
        let (old, new) = (egraph[eclass].data.level, right.level);
        let level_kept = egraph.analysis.may_lift(old.max(new), old.min(new));
        if !level_kept || !self.is_worth_it(egraph, subst) || !self.holds(egraph, subst) {
            return Vec::new();
        }
        self.rhs.apply_one(egraph, eclass, subst, searcher_ast, rule_name)
    }
}

/// Rules ready to run.
pub(super) struct Runner {
    rewrites: Vec<(&'static str, Rewrite<Expr, Domain>)>,
    limits: Limits,
}

impl Runner {
    /// All rules.
    pub(super) fn new(limits: Limits) -> Result<Runner, String> {
        Runner::with_rules(rules::all(), limits)
    }

    /// Some rules; the computed ones always run.
    pub(super) fn with_rules(
        rules: impl Iterator<Item = &'static Rule>,
        limits: Limits,
    ) -> Result<Runner, String> {
        let mut rewrites = Vec::new();
        for rule in rules {
            rewrites.extend(compile(rule)?.into_iter().map(|r| (rule.name, r)));
        }
        Ok(Runner { rewrites, limits })
    }

    /// Runs to saturation, a limit, or a contradiction (left in the analysis).
    pub(super) fn run(&self, egraph: &mut Egraph) -> Stats {
        let mut stats = Stats::default();
        egraph.rebuild();
        loop {
            if stats.iterations >= self.limits.iterations {
                stats.stopped = Some(format!("{} iterations", self.limits.iterations));
                break;
            }
            stats.iterations += 1;
            let changed = self.round(egraph, &mut stats);
            if egraph.analysis.contradiction.is_some() || !changed {
                break;
            }
            if egraph.total_number_of_nodes() > self.limits.nodes {
                stats.stopped = Some(format!("{} e-nodes", self.limits.nodes));
                break;
            }
        }
        stats.e_nodes = egraph.total_number_of_nodes();
        stats.e_classes = egraph.number_of_classes();
        stats
    }

    fn round(&self, egraph: &mut Egraph, stats: &mut Stats) -> bool {
        let (nodes, classes) = (egraph.total_number_of_nodes(), egraph.number_of_classes());
        let mut changed = 0;
        for (_, _, rule) in build::normalise(egraph) {
            *stats.applied.entry(rule).or_default() += 1;
            changed += 1;
        }
        egraph.rebuild();
        let found: Vec<Vec<SearchMatches<'_, Expr>>> =
            self.rewrites.iter().map(|(_, r)| r.search(egraph)).collect();
        for ((name, rewrite), matches) in self.rewrites.iter().zip(found) {
            egraph.analysis.applying = name;
            let joined = rewrite.apply(egraph, &matches).len();
            if joined > 0 {
                *stats.applied.entry(name).or_default() += joined;
                changed += joined;
            }
            if egraph.total_number_of_nodes() > self.limits.nodes {
                break;
            }
        }
        egraph.analysis.applying = "congruence";
        egraph.rebuild();
        changed > 0
            || nodes != egraph.total_number_of_nodes()
            || classes != egraph.number_of_classes()
    }
}
