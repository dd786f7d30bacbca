//! Instances of every rule: pairs of graphs that the rule makes equal, with where their inputs lie.

use crate::mir::testing::Dice;
use crate::mir::{Graph, Input, Interval, Level, NodeId, Op, Param, Root};
use crate::rewrite::analysis::{Domain, Egraph};
use crate::rewrite::build;
use crate::rewrite::language::Expr;
use crate::rewrite::rules::{FOLD, Fact, Form, Rule};
use crate::rewrite::term::{Bindings, Pattern, Term};
use egg::{Language, RecExpr};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A pair that a rule makes equal. Roots: `left`, `right`, then one a condition.
pub(super) struct Instance {
    pub(super) graph: Graph,
    pub(super) conditions: Vec<Fact>,
}

/// Instances of a rule: of a pattern the one over free variables, of a computed rule those that it makes
/// from random terms.
pub(super) fn instances(rule: &Rule) -> Vec<Instance> {
    match rule.form {
        Form::Pattern { lhs, rhs } => {
            let lhs = Pattern::parse(lhs).expect("a left side");
            lhs.orders().iter().map(|order| of_pattern(rule, order, rhs)).collect()
        }
        Form::Normal | Form::Fold => computed(rule),
    }
}

fn of_pattern(rule: &Rule, lhs: &Pattern, rhs: &str) -> Instance {
    let mut graph = Graph::new(rule.name);
    let mut bindings = Bindings::new();
    let text = format!("{:?}", rule.form);
    let level = if text.contains("@example") || text.contains("@candidate") {
        Level::Token
    } else {
        Level::Example
    };
    for (i, var) in lhs.vars().into_iter().enumerate() {
        // A variable whose condition is a sign has the zero of that side, as an input of that domain has.
        let nonpos = |c: &crate::rewrite::rules::Condition| {
            c.term == format!("{var}") && c.fact == Fact::NonPositive
        };
        let range =
            if rule.conditions.iter().any(nonpos) { Interval::LOG_PROB } else { Interval::REAL };
        graph.inputs.push(Input { name: format!("{var}"), level, range, differentiable: true });
        bindings.insert(var, Term::new(&Expr::Input(i as u16), Vec::new()));
    }
    // Candidates own the tokens where a result stands at their level.
    if text.contains("@candidate") {
        let (name, level) = ("candidates".to_owned(), Level::Candidate);
        graph.inputs.push(Input { name, level, range: Interval::REAL, differentiable: false });
    }
    let instance = |text: &str| {
        let pattern = Pattern::parse(text).expect("rule text");
        pattern.instantiate(&bindings).expect("no further variables")
    };
    let mut terms = vec![lhs.instantiate(&bindings).expect("bound"), instance(rhs)];
    terms.extend(rule.conditions.iter().map(|c| instance(c.term)));
    add_roots(&mut graph, &terms);
    Instance { graph, conditions: rule.conditions.iter().map(|c| c.fact).collect() }
}

fn add_roots(graph: &mut Graph, terms: &[Arc<Term>]) {
    let mut known = BTreeMap::new();
    for (i, term) in terms.iter().enumerate() {
        let node = add(graph, term, &mut known);
        graph.roots.push(Root { name: format!("root{i}"), node });
    }
}

fn add(graph: &mut Graph, term: &Arc<Term>, known: &mut BTreeMap<Arc<Term>, NodeId>) -> NodeId {
    if let Some(id) = known.get(term) {
        return *id;
    }
    let args: Vec<NodeId> = term.args.iter().map(|a| add(graph, a, known)).collect();
    let places: Vec<egg::Id> = (0..args.len()).map(egg::Id::from).collect();
    let node = crate::rewrite::term::with_children(&term.op, &places);
    let op = node.to_op(|id| args[usize::from(id)]);
    let id = match node.own_level() {
        Some(level) => graph.add_at(op, level),
        None => graph.add(op),
    };
    known.insert(term.clone(), id);
    id
}

/// Random terms of field operations and exponentials over four log-probabilities and two parameters.
pub(super) fn random_term(dice: &mut Dice, depth: usize) -> Arc<Term> {
    let leaf = |dice: &mut Dice| match dice.below(8) {
        0 => Term::constant([0.0, 1.0, 2.0, -1.0, 0.5][dice.below(5)]),
        1 => Term::new(&Expr::Param(dice.below(2) as u16), Vec::new()),
        _ => Term::new(&Expr::Input(dice.below(4) as u16), Vec::new()),
    };
    if depth == 0 {
        return leaf(dice);
    }
    let op = ["+", "-", "*", "+", "-", "*", "/", "neg", "exp", "exp"][dice.below(10)];
    let count = if matches!(op, "neg" | "exp") { 1 } else { 2 };
    let mut args: Vec<Arc<Term>> = (0..count).map(|_| random_term(dice, depth - 1)).collect();
    if op == "/" {
        // A divisor of one sign.
        let nodes: RecExpr<Expr> = ["p0", "(exp x1)", "2"][dice.below(3)].parse().expect("parses");
        args[1] = Term::from_expr(&nodes);
    }
    let ids: Vec<egg::Id> = (0..count).map(egg::Id::from).collect();
    let node = <Expr as egg::FromOp>::from_op(op, ids).expect("an operation");
    Term::new(&node, args)
}

/// The leaves that random terms read.
pub(super) fn leaves() -> Graph {
    let mut graph = Graph::new("random");
    for name in ["beta", "lambda"] {
        graph.params.push(Param { name: name.to_owned(), default: None, range: Interval::POS });
    }
    for name in ["logp(pi,w)", "logp(pi,l)", "logp(ref,w)", "logp(ref,l)"] {
        graph.inputs.push(Input {
            name: name.to_owned(),
            level: Level::Example,
            range: Interval::LOG_PROB,
            differentiable: name.contains("pi"),
        });
    }
    graph
}

fn computed(rule: &Rule) -> Vec<Instance> {
    let mut out = Vec::new();
    for seed in 0..60 {
        let mut dice = Dice(seed);
        let term = random_term(&mut dice, 4);
        let mut egraph = Egraph::new(Domain::new(&leaves())).with_explanations_enabled();
        egraph.add_expr_uncanonical(&term.to_expr());
        for _ in 0..3 {
            egraph.rebuild();
            for (from, to, name) in build::normalise(&mut egraph) {
                if name == rule.name {
                    let side = |id| Term::from_expr(&egraph.id_to_expr(id));
                    out.push((side(from), side(to)));
                }
            }
        }
        if rule.name == FOLD {
            for class in egraph.classes() {
                let Some(value) = class.data.constant else { continue };
                for node in class.nodes.iter().filter(|n| !n.is_leaf()) {
                    let operand = |id| Term::from_expr(&egraph.id_to_expr(id));
                    let args = node.children().iter().map(|c| operand(*c)).collect();
                    out.push((Term::new(node, args), Term::constant(value)));
                }
            }
        }
    }
    // Spread over the seeds.
    let stride = out.len().div_ceil(40).max(1);
    let out: Vec<_> = out.into_iter().step_by(stride).collect();
    let pair = |(left, right): (Arc<Term>, Arc<Term>)| {
        let mut graph = leaves();
        add_roots(&mut graph, &[left, right]);
        Instance { graph, conditions: Vec::new() }
    };
    out.into_iter().map(pair).collect()
}

/// True where an operation that only a loop gives meaning stands in the graph.
pub(super) fn reads_loop(graph: &Graph) -> bool {
    graph.nodes.iter().any(|n| matches!(n.op, Op::Reduce(..)))
}
