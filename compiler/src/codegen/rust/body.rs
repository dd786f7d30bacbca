//! The two functions and the struct between them.

use super::Float;
use super::helper::Helper;
use super::name::Names;
use crate::mir::{Binary, Graph, Level, NodeId, Op, Unary};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// The items of a graph whose needed nodes are all at example level or above.
pub(super) fn text(graph: &Graph, float: Float, needed: &[bool]) -> String {
    Writer::new(graph, float, needed).module()
}

struct Writer<'a> {
    graph: &'a Graph,
    float: Float,
    needed: &'a [bool],
    params: Vec<String>,
    columns: Vec<String>,
    /// Uniform nodes that examples read: the fields of `Uniform`.
    carried: BTreeSet<NodeId>,
    helpers: BTreeSet<Helper>,
}

impl<'a> Writer<'a> {
    fn new(graph: &'a Graph, float: Float, needed: &'a [bool]) -> Self {
        // The prefixes keep names of the loss apart from the names of values.
        let mut names = Names::default();
        let params = graph.params.iter().map(|p| names.of(&format!("param {}", p.name))).collect();
        let columns = graph.inputs.iter().map(|c| names.of(&format!("in {}", c.name))).collect();
        let mut carried = BTreeSet::new();
        let mut helpers = BTreeSet::new();
        let uniform = |id: &NodeId| is_uniform(graph, *id) && !is_constant(graph, *id);
        for (i, node) in graph.nodes.iter().enumerate().filter(|(i, _)| needed[*i]) {
            if !is_uniform(graph, NodeId(i as u32)) {
                carried.extend(node.op.operands().filter(uniform));
            }
            helpers.extend(match node.op {
                Op::Unary(op, _) => Helper::of_unary(op),
                Op::Binary(op, ..) => Helper::of_binary(op),
                _ => None,
            });
        }
        carried.extend(graph.roots.iter().map(|r| r.node).filter(uniform));
        Self { graph, float, needed, params, columns, carried, helpers }
    }

    fn module(&self) -> String {
        let mut out = String::new();
        self.uniform(&mut out);
        self.example(&mut out);
        for helper in &self.helpers {
            let text = helper.definition();
            let text = text.replace("-> T", &format!("-> {}", self.float.keyword()));
            let text = text.replace(": T", &format!(": {}", self.float.keyword()));
            out.push('\n');
            out.push_str(&text.replace("core::T", &format!("core::{}", self.float.keyword())));
        }
        out
    }

    /// The needed nodes on one side of the line between uniform and example values, constants left out:
    /// these stand where they are used.
    fn nodes(&self, uniform: bool) -> impl Iterator<Item = NodeId> {
        let ids = (0..self.graph.nodes.len() as u32).map(NodeId);
        ids.filter(move |id| {
            self.needed[id.0 as usize]
                && !is_constant(self.graph, *id)
                && is_uniform(self.graph, *id) == uniform
        })
    }

    fn uniform(&self, out: &mut String) {
        let t = self.float.keyword();
        out.push_str("/// What depends on the parameters alone.\n");
        out.push_str("#[derive(Clone, Copy, Debug, PartialEq)]\npub struct Uniform {\n");
        for id in &self.carried {
            let _ = writeln!(out, "    v{}: {t},", id.0);
        }
        out.push_str("}\n\n/// Computes what depends on the parameters alone.\n#[inline]\n");
        let nodes: Vec<NodeId> = self.nodes(true).collect();
        let read = |i: usize| nodes.iter().any(|n| self.graph.node(*n).op == Op::Param(i as u16));
        let argument =
            |(i, p): (usize, &String)| format!("{}{p}: f64", if read(i) { "" } else { "_" });
        let arguments: Vec<String> = self.params.iter().enumerate().map(argument).collect();
        let _ = writeln!(out, "pub fn uniform({}) -> Uniform {{", arguments.join(", "));
        for id in nodes {
            let _ = writeln!(out, "    let v{} = {};", id.0, self.value(id, true));
        }
        let fields: Vec<String> = self.carried.iter().map(|id| format!("v{}", id.0)).collect();
        let _ = writeln!(out, "    Uniform {{ {} }}\n}}\n", fields.join(", "));
    }

    fn example(&self, out: &mut String) {
        let t = self.float.keyword();
        let nodes: Vec<NodeId> = self.nodes(false).collect();
        let read = |i: usize| nodes.iter().any(|n| self.graph.node(*n).op == Op::Input(i as u16));
        let unused = |used: bool| if used { "" } else { "_" };
        let mut arguments = vec![format!("{}uniform: &Uniform", unused(!self.carried.is_empty()))];
        arguments.extend(
            self.columns.iter().enumerate().map(|(i, c)| format!("{}{c}: {t}", unused(read(i)))),
        );
        let roots = self.graph.roots.len();
        out.push_str("/// Value and gradients of one example.\n#[inline]\n");
        if arguments.len() > 7 {
            out.push_str("#[allow(clippy::too_many_arguments)]\n");
        }
        let _ = writeln!(out, "pub fn example({}) -> [{t}; {roots}] {{", arguments.join(", "));
        for id in nodes {
            let _ = writeln!(out, "    let v{} = {};", id.0, self.value(id, false));
        }
        let results: Vec<String> =
            self.graph.roots.iter().map(|r| self.operand(r.node, false)).collect();
        let _ = writeln!(out, "    [{}]\n}}", results.join(", "));
    }

    /// A node where another reads it.
    fn operand(&self, id: NodeId, in_uniform: bool) -> String {
        match self.graph.node(id).op {
            Op::Const(c) => literal(c, self.float),
            _ if !in_uniform && is_uniform(self.graph, id) => format!("uniform.v{}", id.0),
            _ => format!("v{}", id.0),
        }
    }

    /// What a node computes.
    fn value(&self, id: NodeId, in_uniform: bool) -> String {
        let read = |id: NodeId| self.operand(id, in_uniform);
        let t = self.float.keyword();
        match self.graph.node(id).op {
            Op::Param(i) => match (self.params.get(usize::from(i)), self.float) {
                (Some(p), Float::F64) => p.clone(),
                (Some(p), Float::F32) => format!("{p} as f32"),
                (None, _) => format!("{t}::NAN"),
            },
            Op::Input(i) => {
                let column = self.columns.get(usize::from(i)).map_or("", String::as_str);
                let below = self.graph.inputs[usize::from(i)].range.is_nonpos();
                // A zero has the sign of the side that it is approached from.
                let zero = if below { "-0.0" } else { "0.0" };
                format!("if {column} == 0.0 {{ {zero} }} else {{ {column} }}")
            }
            Op::Unary(op, a) => unary(op, &read(a), t),
            Op::Binary(op, a, b) => binary(op, &read(a), &read(b)),
            Op::Select(c, a, b) => {
                format!("if {} > 0.0 {{ {} }} else {{ {} }}", read(c), read(a), read(b))
            }
            // Constants stand where they are used, and `fits` refuses the rest.
            _ => read(id),
        }
    }
}

fn is_constant(graph: &Graph, id: NodeId) -> bool {
    matches!(graph.node(id).op, Op::Const(_))
}

fn is_uniform(graph: &Graph, id: NodeId) -> bool {
    graph.node(id).level < Level::Example
}

fn unary(op: Unary, a: &str, t: &str) -> String {
    if let Some(helper) = Helper::of_unary(op) {
        return format!("{}({a})", helper.name());
    }
    let method = match op {
        Unary::Neg if a.starts_with('-') => return format!("-({a})"),
        Unary::Neg => return format!("-{a}"),
        Unary::Exp => "exp",
        Unary::Log => "ln",
        Unary::Log1p => "ln_1p",
        Unary::Expm1 => "exp_m1",
        Unary::Abs => "abs",
        _ => return a.to_owned(),
    };
    // The path form needs no type for a literal and no brackets for a sign.
    format!("{t}::{method}({a})")
}

fn binary(op: Binary, a: &str, b: &str) -> String {
    if let Some(helper) = Helper::of_binary(op) {
        return format!("{}({a}, {b})", helper.name());
    }
    let sign = match op {
        Binary::Add => "+",
        Binary::Sub => "-",
        Binary::Mul => "*",
        _ => "/",
    };
    format!("{a} {sign} {b}")
}

/// A literal that reads back to the same value of the type.
fn literal(x: f64, float: Float) -> String {
    let t = float.keyword();
    let (text, infinite, nan) = match float {
        Float::F64 => (format!("{x:?}"), x.is_infinite(), x.is_nan()),
        Float::F32 => {
            let x = x as f32;
            (format!("{x:?}"), x.is_infinite(), x.is_nan())
        }
    };
    let negative = text.starts_with('-');
    match (nan, infinite, negative) {
        (true, ..) => format!("{t}::NAN"),
        (_, true, false) => format!("{t}::INFINITY"),
        (_, true, true) => format!("{t}::NEG_INFINITY"),
        _ => format!("{text}_{t}"),
    }
}
