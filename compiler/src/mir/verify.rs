//! The verifier: what every pass may rely on, checked after each.
//!
//! In: any graph, however broken. Out: all violations of the invariants in [`super`]'s documentation, or
//! their absence: a verified graph makes no evaluator, printer or back end panic.

use super::transfer::{Undefined, operand_facts, transfer, undefined};
use super::{Graph, Interval, Level, NodeId, Op};
use std::collections::HashSet;
use std::fmt;

/// One broken invariant.
#[derive(Clone, Debug, PartialEq)]
pub enum Violation {
    /// An operand does not come before its user, or does not exist.
    Order {
        /// The user.
        node: NodeId,
        /// The operand.
        operand: NodeId,
    },
    /// A parameter or input index that does not exist.
    Index(NodeId),
    /// A constant that is infinite or not a number.
    Constant(NodeId),
    /// A node stands at another level than its operation gives it.
    Level {
        /// The node.
        node: NodeId,
        /// Its level.
        found: Level,
        /// The level that its operands give, or the deepest one allowed to a reduction.
        expected: Level,
    },
    /// An operation of a total graph that the interval analysis cannot prove to be defined.
    Partial {
        /// The node.
        node: NodeId,
        /// What may happen.
        reason: Undefined,
        /// What is proved of the operands.
        operands: Vec<Interval>,
    },
    /// A root whose node does not exist.
    Root(String),
    /// Two parameters, two inputs or two roots with one name.
    Duplicate(String),
    /// A range without values, or with an end that is not a number.
    Range(String),
    /// A default outside its parameter's range.
    Default(String),
    /// An input above example level.
    InputLevel(String),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Violation::Order { node, operand } => {
                write!(f, "{node} uses {operand}, which does not come before it")
            }
            Violation::Index(node) => {
                write!(f, "{node} reads a parameter or input that does not exist")
            }
            Violation::Constant(node) => write!(f, "{node} is a constant that is not finite"),
            Violation::Level { node, found, expected } => {
                write!(f, "{node} stands at level {found}, its operands give {expected}")
            }
            Violation::Partial { node, reason, operands } => {
                write!(f, "{node} is not proved to be defined: {reason}; its operands lie in")?;
                for (i, operand) in operands.iter().enumerate() {
                    write!(f, "{} {operand}", if i == 0 { "" } else { "," })?;
                }
                Ok(())
            }
            Violation::Root(name) => write!(f, "root `{name}` has no node"),
            Violation::Duplicate(name) => write!(f, "two declarations are named `{name}`"),
            Violation::Range(name) => write!(f, "the range of `{name}` has no values"),
            Violation::Default(name) => write!(f, "the default of `{name}` lies outside its range"),
            Violation::InputLevel(name) => write!(f, "input `{name}` stands above example level"),
        }
    }
}

/// Checks the invariants of [`super`].
///
/// For a graph of [`super::Stage::Total`] that includes the proofs that every logarithm's argument is
/// non-negative, every divisor has one sign and every log1mexp argument is non-positive. Limit forms
/// (0/0, 0 times infinity, infinity minus infinity) at the border of the domain are not violations:
/// [`hazards`] lists them.
///
/// # Errors
///
/// Every violation found, in the order of the graph; proofs are attempted only when nothing else is
/// wrong.
pub fn verify(graph: &Graph) -> Result<(), Vec<Violation>> {
    let mut found = Vec::new();
    declarations(graph, &mut found);
    let mut facts: Vec<Interval> = Vec::with_capacity(graph.nodes.len());
    let mut partial = Vec::new();
    for (i, node) in graph.nodes.iter().enumerate() {
        let id = NodeId(i as u32);
        let before = found.len();
        let forward = node.op.operands().filter(|o| o.0 >= id.0);
        found.extend(forward.map(|operand| Violation::Order { node: id, operand }));
        let exists = match node.op {
            Op::Param(p) => (p as usize) < graph.params.len(),
            Op::Input(p) => (p as usize) < graph.inputs.len(),
            _ => true,
        };
        if !exists {
            found.push(Violation::Index(id));
        }
        if matches!(node.op, Op::Const(c) if !c.is_finite()) {
            found.push(Violation::Constant(id));
        }
        if found.len() > before {
            facts.push(Interval::EXTENDED);
            continue;
        }
        found.extend(level(graph, id, node.op, node.level));
        let operands = operand_facts(&node.op, &facts);
        facts.push(transfer(&node.op, &operands, &graph.params, &graph.inputs));
        if graph.stage == super::Stage::Total
            && let Some(reason) = undefined(&node.op, &operands)
            && !is_limit(reason)
        {
            partial.push(Violation::Partial { node: id, reason, operands });
        }
    }
    let exists = |id: NodeId| (id.0 as usize) < graph.nodes.len();
    let lost = graph.roots.iter().filter(|r| !exists(r.node));
    found.extend(lost.map(|r| Violation::Root(r.name.clone())));
    // What is proved of a broken graph means nothing.
    let found = if found.is_empty() { partial } else { found };
    if found.is_empty() { Ok(()) } else { Err(found) }
}

/// The operations that may be undefined somewhere in the declared domain, limit forms included: an empty
/// list proves that no evaluation in exact arithmetic is undefined, and that in floating point NaN
/// can come only from a finite intermediate result that overflowed.
pub fn hazards(graph: &Graph) -> Vec<(NodeId, Undefined)> {
    let facts = super::transfer::analyse(graph);
    let hazard = |(i, node): (usize, &super::Node)| {
        let reason = undefined(&node.op, &operand_facts(&node.op, &facts))?;
        Some((NodeId(i as u32), reason))
    };
    graph.nodes.iter().enumerate().filter_map(hazard).collect()
}

fn is_limit(reason: Undefined) -> bool {
    match reason {
        Undefined::NegativeLog | Undefined::PositiveLog1mExp | Undefined::DivisorSign => false,
        Undefined::ZeroOverZero
        | Undefined::InfOverInf
        | Undefined::ZeroTimesInf
        | Undefined::InfMinusInf => true,
    }
}

fn declarations(graph: &Graph, found: &mut Vec<Violation>) {
    let params = graph.params.iter().map(|p| (&p.name, p.range));
    let inputs = graph.inputs.iter().map(|c| (&c.name, c.range));
    for (name, range) in params.chain(inputs) {
        if !range.is_valid() {
            found.push(Violation::Range(name.clone()));
        }
    }
    for param in &graph.params {
        if param.default.is_some_and(|d| !param.range.contains(d)) {
            found.push(Violation::Default(param.name.clone()));
        }
    }
    for input in graph.inputs.iter().filter(|c| c.level < Level::Example) {
        found.push(Violation::InputLevel(input.name.clone()));
    }
    duplicates(graph.params.iter().map(|p| &p.name), found);
    duplicates(graph.inputs.iter().map(|c| &c.name), found);
    duplicates(graph.roots.iter().map(|r| &r.name), found);
}

fn duplicates<'a>(names: impl Iterator<Item = &'a String>, found: &mut Vec<Violation>) {
    let mut seen = HashSet::new();
    let twice = names.filter(|name| !seen.insert(*name));
    found.extend(twice.map(|name| Violation::Duplicate(name.clone())));
}

/// The level violation of a node whose operands and indices exist.
fn level(graph: &Graph, node: NodeId, op: Op, found: Level) -> Option<Violation> {
    let of = |id: NodeId| graph.node(id).level;
    let deepest = op.operands().map(of).max().unwrap_or(Level::Uniform);
    let (expected, fits) = match op {
        Op::Input(i) => {
            let declared = graph.inputs.get(i as usize).map_or(found, |c| c.level);
            (declared, found == declared)
        }
        Op::Reduce(..) | Op::Count(_) => (deepest, found <= deepest),
        // The ranked values may be broadcast, the order may not.
        Op::Unsort(_, key) => (of(key), found == of(key) && deepest == of(key)),
        _ => (deepest, found == deepest),
    };
    (!fits).then_some(Violation::Level { node, found, expected })
}
