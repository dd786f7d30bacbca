//! A root as a formula that people read.
//!
//! In: a graph and one of its nodes. Out: infix text, with a `let` line for each operation that is used
//! more than once. Grouping is always explicit where operators of one strength meet, because in
//! floating point it is part of the meaning. Text that parses is not the aim: [`super::text`] is for that.

use super::text::{BINARY, Number, REDUCE, UNARY, keyword};
use super::{Binary, Graph, NodeId, Op, Unary};
use std::collections::HashSet;

/// Above this length an operation gets a `let` line of its own even if it is used once.
const LONGEST: usize = 1000;

/// How tightly the outermost operator of a text binds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Strength {
    Sum,
    Product,
    Prefix,
    Atom,
}

#[derive(Clone)]
struct Text {
    text: String,
    strength: Strength,
}

impl Text {
    /// In parentheses unless it binds more tightly than `strength`.
    fn inside(&self, strength: Strength) -> String {
        if self.strength > strength { self.text.clone() } else { format!("({})", self.text) }
    }
}

/// Prints a node as a formula: `let` lines, then the formula itself, without a line break at the end.
/// A node that does not exist prints as its number.
pub fn infix(graph: &Graph, root: NodeId) -> String {
    let nodes = graph.nodes.len().min(root.0 as usize + 1);
    let mut uses = vec![0_usize; nodes];
    if let Some(u) = uses.get_mut(root.0 as usize) {
        *u = 1;
    }
    for (i, node) in graph.nodes[..nodes].iter().enumerate().rev() {
        if uses[i] > 0 {
            for operand in node.op.operands().filter(|o| (o.0 as usize) < i) {
                uses[operand.0 as usize] += 1;
            }
        }
    }
    let taken: HashSet<&str> = graph.params.iter().map(|p| p.name.as_str()).collect();
    let mut fresh = (1..).map(|i| format!("t{i}")).filter(|name| !taken.contains(name.as_str()));
    let mut lines = String::new();
    let mut texts: Vec<Option<Text>> = vec![None; nodes];
    for (i, node) in graph.nodes[..nodes].iter().enumerate() {
        if uses[i] == 0 {
            continue;
        }
        let operand = |id: NodeId| match texts.get(id.0 as usize) {
            Some(Some(text)) => text.clone(),
            _ => Text { text: id.to_string(), strength: Strength::Atom },
        };
        let mut text = formula(graph, node.op, node.level.to_string(), operand);
        let leaf = node.op.operands().next().is_none();
        let shared = uses[i] > 1 || text.text.len() > LONGEST;
        if shared
            && !leaf
            && i != root.0 as usize
            && let Some(name) = fresh.next()
        {
            lines.push_str(&format!("let {name} = {}\n", text.text));
            text = Text { text: name, strength: Strength::Atom };
        }
        texts[i] = Some(text);
    }
    match texts.pop() {
        Some(Some(text)) => lines + &text.text,
        _ => root.to_string(),
    }
}

fn formula(graph: &Graph, op: Op, level: String, operand: impl Fn(NodeId) -> Text) -> Text {
    let atom = |text: String| Text { text, strength: Strength::Atom };
    let call = |name: &str, args: &[NodeId]| {
        let args: Vec<String> = args.iter().map(|a| operand(*a).text).collect();
        Text { text: format!("{name}({})", args.join(", ")), strength: Strength::Atom }
    };
    let between = |sign: &str, a: NodeId, b: NodeId, strength: Strength| {
        let (a, b) = (operand(a).inside(strength), operand(b).inside(strength));
        Text { text: format!("{a} {sign} {b}"), strength }
    };
    match op {
        Op::Const(c) if c.is_sign_negative() => {
            Text { text: Number(c).to_string(), strength: Strength::Prefix }
        }
        Op::Const(c) => atom(Number(c).to_string()),
        Op::Param(i) => {
            atom(graph.params.get(i as usize).map_or_else(|| format!("#{i}"), |p| p.name.clone()))
        }
        Op::Input(i) => {
            atom(graph.inputs.get(i as usize).map_or_else(|| format!("#{i}"), |c| c.name.clone()))
        }
        Op::Unary(Unary::Neg, a) => {
            let a = operand(a);
            let inner = if a.strength == Strength::Atom { a.text } else { format!("({})", a.text) };
            Text { text: format!("-{inner}"), strength: Strength::Prefix }
        }
        Op::Unary(u, a) => call(keyword(&UNARY, &u), &[a]),
        Op::Binary(Binary::Add, a, b) => between("+", a, b, Strength::Sum),
        Op::Binary(Binary::Sub, a, b) => between("-", a, b, Strength::Sum),
        Op::Binary(Binary::Mul, a, b) => between("*", a, b, Strength::Product),
        Op::Binary(Binary::Div, a, b) => between("/", a, b, Strength::Product),
        Op::Binary(Binary::Pow, a, b) => {
            let (a, b) = (operand(a).inside(Strength::Prefix), operand(b).inside(Strength::Prefix));
            Text { text: format!("{a} ^ {b}"), strength: Strength::Product }
        }
        Op::Binary(op, a, b) => call(keyword(&BINARY, &op), &[a, b]),
        Op::Select(c, a, b) => {
            let [c, a, b] = [c, a, b].map(|id| operand(id).text);
            // The parentheses keep the whole apart from what stands around it.
            atom(format!("(if {c} > 0 {{ {a} }} else {{ {b} }})"))
        }
        Op::Reduce(r, a) => call(&format!("{level}_{}", keyword(&REDUCE, &r)), &[a]),
        Op::Count(a) => call(&format!("{level}_count"), &[a]),
        Op::Sort(a) => call("sort", &[a]),
        Op::Unsort(a, b) => call("unsort", &[a, b]),
        Op::SuffixSum(a) => call("suffix_sum", &[a]),
        Op::PrefixSum(a) => call("prefix_sum", &[a]),
        Op::LogSumExps(d, a) => call(&format!("{d}_logsumexp"), &[a]),
        Op::Recurrence(d, a, x) => call(&format!("{d}_recurrence"), &[a, x]),
        Op::Position(a) => call("position", &[a]),
        Op::Shift(a, n) => atom(format!("shift({}, {n})", operand(a).text)),
    }
}
