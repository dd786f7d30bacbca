//! The struct of what depends on parameters alone, the function of one example, and what both this
//! function and that of a batch ([`super::batch`]) are written with.

use super::helper::Helper;
use super::name::Names;
use super::share::{Member, Part, Shared};
use super::{Float, Form, zero};
use crate::mir::{Binary, Graph, Level, NodeId, Op, Unary};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// The items of a graph whose needed nodes fit the form.
pub(super) fn text(graph: &Graph, float: Float, needed: &[bool], form: &Form) -> String {
    let mut writer = Writer::new(graph, float, needed, form);
    let mut out = String::new();
    writer.uniform(&mut out);
    match form {
        Form::Example => writer.example(&mut out),
        Form::Batch(plan) => writer.batch(plan, &mut out),
    }
    writer.definitions(&mut out);
    out
}

/// The names of parameters and columns as arguments, each in the order of the graph.
pub(super) fn arguments(graph: &Graph) -> (Vec<String>, Vec<String>) {
    // The prefixes keep names of the loss apart from the names of values.
    let mut names = Names::default();
    let params = graph.params.iter().map(|p| names.of(&format!("param {}", p.name))).collect();
    let columns = graph.inputs.iter().map(|c| names.of(&format!("in {}", c.name))).collect();
    (params, columns)
}

pub(super) struct Writer<'a> {
    pub(super) graph: &'a Graph,
    pub(super) float: Float,
    pub(super) needed: &'a [bool],
    params: Vec<String>,
    pub(super) columns: Vec<String>,
    /// Uniform nodes that examples read: the fields of `Uniform`.
    pub(super) carried: BTreeSet<NodeId>,
    pub(super) helpers: BTreeSet<Helper>,
    /// Nodes above this level are in `Uniform`.
    deepest_uniform: Level,
    /// Nodes of which the sign of a zero shows.
    signed: Vec<bool>,
}

impl<'a> Writer<'a> {
    fn new(graph: &'a Graph, float: Float, needed: &'a [bool], form: &Form) -> Self {
        let (params, columns) = arguments(graph);
        let deepest_uniform = match form {
            Form::Example => Level::Batch,
            Form::Batch(_) => Level::Uniform,
        };
        let (carried, helpers) = (BTreeSet::new(), BTreeSet::new());
        let signed = zero::shows(graph, needed);
        let mut writer = Self {
            graph,
            float,
            needed,
            params,
            columns,
            carried,
            helpers,
            deepest_uniform,
            signed,
        };
        let uniform = |id: &NodeId| writer.is_uniform(*id) && !writer.is_constant(*id);
        let mut carried: BTreeSet<NodeId> =
            graph.roots.iter().map(|r| r.node).filter(uniform).collect();
        for (i, node) in graph.nodes.iter().enumerate().filter(|(i, _)| needed[*i]) {
            if !writer.is_uniform(NodeId(i as u32)) {
                carried.extend(node.op.operands().filter(uniform));
            }
        }
        writer.carried = carried;
        writer
    }

    /// The helpers that the functions turned out to need.
    fn definitions(&self, out: &mut String) {
        let t = self.float.keyword();
        for helper in &self.helpers {
            let text = helper.definition();
            let text = text.replace("-> T", &format!("-> {t}")).replace(": T", &format!(": {t}"));
            let text = text.replace("[T]", &format!("[{t}]")).replace("as T", &format!("as {t}"));
            let text = text.replace("(T, T)", &format!("({t}, {t})"));
            out.push('\n');
            out.push_str(&text.replace("core::T", &format!("core::{t}")));
        }
    }

    /// The needed nodes on one side of the line between uniform and other values, constants left out:
    /// these stand where they are used.
    pub(super) fn nodes(&self, uniform: bool) -> Vec<NodeId> {
        let ids = (0..self.graph.nodes.len() as u32).map(NodeId);
        ids.filter(|id| {
            self.needed[id.0 as usize] && !self.is_constant(*id) && self.is_uniform(*id) == uniform
        })
        .collect()
    }

    fn uniform(&mut self, out: &mut String) {
        let t = self.float.keyword();
        out.push_str("/// What depends on the parameters alone.\n");
        out.push_str("#[derive(Clone, Copy, Debug, PartialEq)]\npub struct Uniform {\n");
        for id in &self.carried {
            let _ = writeln!(out, "    v{}: {t},", id.0);
        }
        out.push_str("}\n\n/// Computes what depends on the parameters alone.\n#[inline]\n");
        let nodes = self.nodes(true);
        let read = |i: usize| nodes.iter().any(|n| self.graph.node(*n).op == Op::Param(i as u16));
        let argument =
            |(i, p): (usize, &String)| format!("{}{p}: f64", if read(i) { "" } else { "_" });
        let arguments: Vec<String> = self.params.iter().enumerate().map(argument).collect();
        let _ = writeln!(out, "pub fn uniform({}) -> Uniform {{", arguments.join(", "));
        let local = |id: NodeId| format!("v{}", id.0);
        self.lines(&nodes, "    ", &local, &mut |_, _| {}, out);
        let fields: Vec<String> = self.carried.iter().map(|id| format!("v{}", id.0)).collect();
        let _ = writeln!(out, "    Uniform {{ {} }}\n}}\n", fields.join(", "));
    }

    fn example(&mut self, out: &mut String) {
        let t = self.float.keyword();
        let nodes = self.nodes(false);
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
        let graph = self.graph;
        let deepest = self.deepest_uniform;
        let place = move |id: NodeId| match graph.node(id).level <= deepest {
            true => format!("uniform.v{}", id.0),
            false => format!("v{}", id.0),
        };
        self.lines(&nodes, "    ", &place, &mut |_, _| {}, out);
        let results: Vec<String> =
            self.graph.roots.iter().map(|r| self.operand(r.node, &place)).collect();
        let _ = writeln!(out, "    [{}]\n}}", results.join(", "));
    }

    /// One `let` a node, in order; `place` says where a node before it is read, `after` what follows its
    /// line.
    pub(super) fn lines(
        &mut self,
        nodes: &[NodeId],
        indent: &str,
        place: &dyn Fn(NodeId) -> String,
        after: &mut dyn FnMut(NodeId, &mut String),
        out: &mut String,
    ) {
        let mut shared = Shared::of(self.graph, nodes);
        for &id in nodes {
            for part in shared.missing(id) {
                let line = self.part(part, place);
                let _ = writeln!(out, "{indent}let {line};");
            }
            let value = match shared.member(id) {
                None => Some(self.value(id, place)),
                Some(member) => self.member(id, member, place),
            };
            if let Some(value) = value {
                let _ = writeln!(out, "{indent}let v{} = {value};", id.0);
            }
            after(id, out);
        }
    }

    /// What a group has in common: name and value.
    fn part(&mut self, part: Part, place: &dyn Fn(NodeId) -> String) -> String {
        let t = self.float.keyword();
        match part {
            Part::Exponential(x) => {
                format!("e{} = {t}::exp(-{t}::abs({}))", x.0, self.operand(x, place))
            }
            Part::Log(x) => format!("l{0} = {t}::ln_1p(e{0})", x.0),
            Part::Complement(log, difference) => {
                let helper = Helper::Log1mExpAndExpm1;
                self.helpers.insert(helper);
                let operands: Vec<NodeId> = self.graph.node(log).op.operands().collect();
                let of: Vec<String> = operands.iter().map(|a| self.operand(*a, place)).collect();
                format!("(v{}, v{}) = {}({})", log.0, difference.0, helper.name(), of.join(", "))
            }
        }
    }

    /// A node from what its group has in common; nothing where that is the node itself.
    fn member(
        &mut self,
        id: NodeId,
        member: Member,
        place: &dyn Fn(NodeId) -> String,
    ) -> Option<String> {
        let (helper, common) = match member {
            Member::Complement { .. } => return None,
            Member::Sigmoid(x) => (Helper::SigmoidFrom, format!("e{}", x.0)),
            Member::Softplus(x) => (Helper::SoftplusFrom, format!("e{}", x.0)),
            Member::SoftplusOfLog(x) => (Helper::SoftplusWith, format!("l{}", x.0)),
        };
        self.helpers.insert(helper);
        let operand = self.graph.node(id).op.operands().next()?;
        Some(format!("{}({}, {common})", helper.name(), self.operand(operand, place)))
    }

    /// A node where another reads it.
    pub(super) fn operand(&self, id: NodeId, place: &dyn Fn(NodeId) -> String) -> String {
        match self.graph.node(id).op {
            Op::Const(c) => literal(c, self.float),
            _ => place(id),
        }
    }

    /// What an elementwise node computes.
    fn value(&mut self, id: NodeId, place: &dyn Fn(NodeId) -> String) -> String {
        let t = self.float.keyword();
        match self.graph.node(id).op {
            Op::Param(i) => match (self.params.get(usize::from(i)), self.float) {
                (Some(p), Float::F64) => p.clone(),
                (Some(p), Float::F32) => format!("{p} as f32"),
                (None, _) => format!("{t}::NAN"),
            },
            Op::Input(i) => {
                let column = self.columns.get(usize::from(i)).map_or("", String::as_str);
                if !self.signed[id.0 as usize] {
                    return column.to_owned();
                }
                let below = self.graph.inputs[usize::from(i)].range.is_nonpos();
                // A zero has the sign of the side that it is approached from.
                let zero = if below { "-0.0" } else { "0.0" };
                format!("if {column} == 0.0 {{ {zero} }} else {{ {column} }}")
            }
            Op::Unary(op, a) => {
                self.helpers.extend(Helper::of_unary(op));
                unary(op, &self.operand(a, place), t)
            }
            Op::Binary(op, a, b) => {
                self.helpers.extend(Helper::of_binary(op));
                binary(op, &self.operand(a, place), &self.operand(b, place))
            }
            Op::Select(c, a, b) => {
                let read = |id| self.operand(id, place);
                format!("if {} > 0.0 {{ {} }} else {{ {} }}", read(c), read(a), read(b))
            }
            // Constants stand where they are used, and `fits` refuses the rest.
            _ => self.operand(id, place),
        }
    }

    pub(super) fn is_constant(&self, id: NodeId) -> bool {
        matches!(self.graph.node(id).op, Op::Const(_))
    }

    pub(super) fn is_uniform(&self, id: NodeId) -> bool {
        self.graph.node(id).level <= self.deepest_uniform
    }
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
pub(super) fn literal(x: f64, float: Float) -> String {
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
