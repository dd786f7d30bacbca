//! The file: header, types, the evaluation of all roots, and the loss on the tape.

use super::{Header, Module, helper};
use crate::codegen::head;
use crate::codegen::rust::Names;
use crate::codegen::rust::helper::Helper as Scalar;
use crate::mir::{Binary, Graph, Level, NodeId, Op, Reduce, Unary};
use std::collections::BTreeSet;
use std::fmt::Write as _;

pub(super) fn module(graph: &Graph, header: &Header) -> Module {
    let writer = Writer::new(graph);
    let (params, columns) = (writer.params.clone(), writer.columns.clone());
    Module { params, columns, text: writer.file(header) }
}

struct Writer<'a> {
    graph: &'a Graph,
    needed: Vec<bool>,
    /// Nodes that are one f64 for the whole call, not a tensor.
    scalar: Vec<bool>,
    params: Vec<String>,
    columns: Vec<String>,
    gradients: Vec<(usize, NodeId)>,
    tensor_helpers: BTreeSet<&'static str>,
    scalar_helpers: BTreeSet<Scalar>,
}

impl<'a> Writer<'a> {
    fn new(graph: &'a Graph) -> Self {
        let mut needed = vec![false; graph.nodes.len()];
        graph.roots.iter().for_each(|r| needed[r.node.0 as usize] = true);
        let mut scalar = Vec::with_capacity(graph.nodes.len());
        for node in &graph.nodes {
            scalar.push(match node.op {
                Op::Input(_) => false,
                Op::Count(_) => true,
                op => op.operands().all(|o| scalar[o.0 as usize]),
            });
        }
        for i in (0..needed.len()).rev() {
            if needed[i] && !matches!(graph.nodes[i].op, Op::Count(_)) {
                graph.nodes[i].op.operands().for_each(|o| needed[o.0 as usize] = true);
            }
        }
        let mut names = Names::default();
        let params = graph.params.iter().map(|p| names.of(&p.name)).collect();
        // Columns are variables of the evaluation, beside its arguments and values.
        let values: Vec<String> = (0..graph.nodes.len()).map(|i| format!("v{i}")).collect();
        let mut taken: Vec<&str> = values.iter().map(String::as_str).collect();
        taken.extend(["loss", "out", "params", "columns", "examples"]);
        let mut names = Names::without(&taken);
        let columns = graph.inputs.iter().map(|c| names.of(&c.name)).collect();
        let gradient =
            |(i, c): (usize, &crate::mir::Input)| Some((i, graph.root(&format!("d/{}", c.name))?));
        let gradients = graph.inputs.iter().enumerate().filter_map(gradient).collect();
        let (tensor_helpers, scalar_helpers) = (BTreeSet::new(), BTreeSet::new());
        Self { graph, needed, scalar, params, columns, gradients, tensor_helpers, scalar_helpers }
    }

    fn file(mut self, header: &Header) -> String {
        let mut out = String::new();
        self.header(&mut out, header);
        // The body decides what has to be imported and defined.
        let mut body = String::new();
        self.types(&mut body);
        self.evaluate(&mut body);
        self.on_tape(&mut body);
        let helpers = helper::definitions(&self.tensor_helpers);
        let types =
            if helpers.contains("DType") { "DType, Result, Tensor" } else { "Result, Tensor" };
        let _ = writeln!(out, "use candle_core::{{Result, Tensor}};\n");
        out.push_str(&body);
        for helper in &self.scalar_helpers {
            let text = helper.definition().replace("-> T", "-> f64").replace(": T", ": f64");
            let _ = write!(out, "\n{}", text.replace("core::T", "core::f64"));
        }
        if !helpers.is_empty() {
            let _ = write!(
                out,
                "\n/// Functions that candle lacks, or has only in an inaccurate form.\nmod op {{\n    use candle_core::{{{types}}};\n\n{helpers}}}\n"
            );
        }
        out
    }

    fn header(&self, out: &mut String, header: &Header) {
        out.push_str(&head::inner_docs(self.graph, header, &self.params, &self.columns));
        out.push_str(
            "//!\n//! Columns are tensors `[E]` of one float type, one value an example of the batch.\n\n",
        );
    }

    fn types(&self, out: &mut String) {
        let g = self.graph;
        out.push_str("/// The parameters of the loss.\n#[derive(Clone, Copy, Debug, PartialEq)]\n");
        out.push_str("pub struct Params {\n");
        for (name, p) in self.params.iter().zip(&g.params) {
            let _ = writeln!(out, "    /// In {}.\n    pub {name}: f64,", p.range);
        }
        out.push_str("}\n\n");
        if g.params.iter().all(|p| p.default.is_some()) {
            out.push_str("impl Default for Params {\n    fn default() -> Self {\n        Self {");
            let fields: Vec<String> = (self.params.iter().zip(&g.params))
                .map(|(n, p)| format!(" {n}: {:?}", p.default.unwrap_or_default()))
                .collect();
            let end = if fields.is_empty() { "" } else { " " };
            let _ = writeln!(out, "{}{end}}}\n    }}\n}}\n", fields.join(","));
        }
        out.push_str("/// What the loss reads, `[E]` each.\n#[derive(Clone, Copy, Debug)]\n");
        out.push_str("pub struct Columns<'a> {\n");
        for (name, c) in self.columns.iter().zip(&g.inputs) {
            let what = head::column(&c.name);
            let _ = writeln!(out, "    /// `{}`: {what}.\n    pub {name}: &'a Tensor,", c.name);
        }
        out.push_str("}\n\n/// The loss and its gradients, none of them on the tape.\n");
        out.push_str("#[derive(Clone, Debug)]\npub struct Evaluated {\n");
        let loss = match self.per_batch() {
            true => "The loss of the batch, `[1]`",
            false => "The loss of each example, `[E]`",
        };
        let _ = writeln!(out, "    /// {loss}.\n    pub loss: Tensor,");
        for (i, _) in &self.gradients {
            let (name, column) = (&self.columns[*i], &self.graph.inputs[*i].name);
            let _ = writeln!(
                out,
                "    /// d(sum of the losses) / d `{column}`, `[E]`.\n    pub d_{name}: Tensor,"
            );
        }
        out.push_str("}\n\n");
    }

    /// Whether the loss is one number for the whole batch.
    fn per_batch(&self) -> bool {
        self.graph.root("loss").is_some_and(|n| {
            self.graph.node(n).level < Level::Example && !self.scalar[n.0 as usize]
        })
    }

    fn evaluate(&mut self, out: &mut String) {
        let nodes: Vec<NodeId> = (0..self.graph.nodes.len())
            .filter(|i| self.needed[*i])
            .map(|i| NodeId(i as u32))
            .filter(|n| !matches!(self.graph.node(*n).op, Op::Const(_) | Op::Param(_)))
            .collect();
        let reads = |f: &dyn Fn(Op) -> bool| {
            let live = self.graph.nodes.iter().zip(&self.needed);
            live.filter(|(_, needed)| **needed).any(|(n, _)| f(n.op))
        };
        let params = if reads(&|op| matches!(op, Op::Param(_))) { "params" } else { "_params" };
        let counts = |op: Op| match op {
            Op::Count(_) => true,
            Op::Reduce(Reduce::Sum | Reduce::LogSumExp, a) => self.scalar[a.0 as usize],
            _ => false,
        };
        let count = reads(&counts);
        out.push_str("/// Value and gradients of a batch.\n///\n/// # Errors\n");
        out.push_str("/// If the columns differ in length, type or device.\n");
        let _ = writeln!(
            out,
            "pub fn evaluate({params}: &Params, columns: &Columns<'_>) -> Result<Evaluated> {{"
        );
        if count && let Some(first) = self.columns.first() {
            let _ = writeln!(out, "    let examples = columns.{first}.elem_count() as f64;");
        }
        for n in nodes {
            let value = self.value(n);
            let _ = writeln!(out, "    let {} = {value};", self.name(n));
        }
        let loss = self.graph.root("loss").map(|n| self.result(n, self.per_batch()));
        let mut fields = vec![format!("loss: {}", loss.unwrap_or_default())];
        for (i, n) in self.gradients.clone() {
            let value = self.result(n, false);
            fields.push(format!("d_{}: {value}", self.columns[i]));
        }
        out.push_str("    Ok(Evaluated {\n");
        fields.iter().for_each(|f| {
            let _ = writeln!(out, "        {f},");
        });
        out.push_str("    })\n}\n\n");
    }

    fn on_tape(&mut self, out: &mut String) {
        let of = if self.per_batch() { "the batch, `[1]`" } else { "each example, `[E]`" };
        let _ = writeln!(
            out,
            "/// The loss of {of}, on the tape: differentiate its sum or mean.\n///\n/// # Errors\n/// As [`evaluate`]."
        );
        out.push_str("pub fn loss(params: &Params, columns: &Columns<'_>) -> Result<Tensor> {\n");
        out.push_str("    let out = evaluate(params, columns)?;\n");
        let last = self.gradients.len();
        for (k, (i, _)) in self.gradients.iter().enumerate() {
            self.tensor_helpers.insert("attach");
            let name = &self.columns[*i];
            let from = if k == 0 { "out.loss" } else { "loss" };
            let call = format!("op::attach({from}, columns.{name}, &out.d_{name})");
            let _ = match k + 1 == last {
                true => writeln!(out, "    {call}"),
                false => writeln!(out, "    let loss = {call}?;"),
            };
        }
        if last == 0 {
            out.push_str("    Ok(out.loss)\n");
        }
        out.push_str("}\n");
    }

    /// A root in the shape of its field.
    fn result(&mut self, n: NodeId, per_batch: bool) -> String {
        let like = self.columns.first().map(|c| format!("columns.{c}")).unwrap_or_default();
        if self.scalar[n.0 as usize] {
            self.tensor_helpers.insert("full");
            return format!("op::full({like}, {})?", self.name(n));
        }
        match self.graph.node(n).level < Level::Example && !per_batch {
            true => format!("{}.broadcast_as({like}.shape())?.contiguous()?", self.name(n)),
            // Several roots may be one node.
            false => format!("{}.clone()", self.name(n)),
        }
    }

    fn name(&self, n: NodeId) -> String {
        match self.graph.node(n).op {
            Op::Const(c) if c < 0.0 => format!("({c:?})"),
            Op::Const(c) => format!("{c:?}"),
            Op::Param(p) => format!("params.{}", self.params[usize::from(p)]),
            Op::Input(c) => self.columns[usize::from(c)].clone(),
            _ => format!("v{}", n.0),
        }
    }

    fn value(&mut self, n: NodeId) -> String {
        let node = *self.graph.node(n);
        if self.scalar[n.0 as usize] {
            return self.scalar_value(node.op);
        }
        match node.op {
            Op::Input(i) if self.graph.inputs[usize::from(i)].range.is_nonpos() => {
                let column = format!("columns.{}", self.name(n));
                self.call("from_below", &[column])
            }
            Op::Input(_) => format!("columns.{}.detach()", self.name(n)),
            Op::Unary(op, a) => self.unary(op, a),
            Op::Binary(op, a, b) => self.binary(op, a, b, node.level),
            Op::Select(c, a, b) => {
                let [c, a, b] = [c, a, b].map(|o| self.expanded(o, [c, a, b], node.level));
                self.call("select", &[c, a, b])
            }
            Op::Reduce(op, a) if self.graph.node(a).level > node.level => {
                let x = self.name(a);
                match op {
                    Reduce::Sum => format!("{x}.sum_keepdim(0)?"),
                    Reduce::Mean => format!("{x}.mean_keepdim(0)?"),
                    Reduce::Max => format!("{x}.max_keepdim(0)?"),
                    Reduce::LogSumExp => self.call("log_sum_exp", &[format!("&{x}")]),
                }
            }
            Op::Sort(a) => self.call_on("sort", a),
            Op::SuffixSum(a) => self.call_on("suffix_sum", a),
            Op::PrefixSum(a) => format!("{}.cumsum(0)?", self.name(a)),
            Op::Unsort(g, key) => {
                let (g, key) = (self.name(g), self.name(key));
                self.call("unsort", &[format!("&{g}"), format!("&{key}")])
            }
            Op::Shift(a, places) => {
                let x = self.name(a);
                self.call("shift", &[format!("&{x}"), places.to_string()])
            }
            // Refused before anything is written.
            Op::LogSumExps(_, a) | Op::Recurrence(_, a, _) | Op::Position(a) => self.name(a),
            // A loop of one turn.
            Op::Reduce(_, a) => format!("{}.clone()", self.name(a)),
            Op::Const(_) | Op::Param(_) | Op::Count(_) => self.scalar_value(node.op),
        }
    }

    fn call(&mut self, helper: &'static str, arguments: &[String]) -> String {
        self.tensor_helpers.insert(helper);
        format!("op::{helper}({})?", arguments.join(", "))
    }

    fn call_on(&mut self, helper: &'static str, a: NodeId) -> String {
        let x = format!("&{}", self.name(a));
        self.call(helper, &[x])
    }

    fn unary(&mut self, op: Unary, a: NodeId) -> String {
        let method = match op {
            Unary::Neg => "neg",
            Unary::Exp => "exp",
            Unary::Log => "log",
            Unary::Abs => "abs",
            Unary::StopGradient => return format!("{}.clone()", self.name(a)),
            Unary::Log1p => return self.call_on("log1p", a),
            Unary::Expm1 => return self.call_on("expm1", a),
            Unary::Log1mExp => return self.call_on("log1mexp", a),
            Unary::Softplus => return self.call_on("softplus", a),
            Unary::Sigmoid => return self.call_on("sigmoid", a),
            Unary::Step => return self.call_on("step", a),
            Unary::Sign => return self.call_on("sign", a),
        };
        format!("{}.{method}()?", self.name(a))
    }

    fn binary(&mut self, op: Binary, a: NodeId, b: NodeId, level: Level) -> String {
        let arithmetic = match op {
            Binary::Add => Some(("+", "add")),
            Binary::Sub => Some(("-", "sub")),
            Binary::Mul => Some(("*", "mul")),
            Binary::Div => Some(("/", "div")),
            _ => None,
        };
        if let Some((sign, method)) = arithmetic {
            let scalar = |n: NodeId| self.scalar[n.0 as usize];
            let mixed = !scalar(a)
                && !scalar(b)
                && self.graph.node(a).level.min(Level::Example)
                    != self.graph.node(b).level.min(Level::Example);
            if mixed {
                return format!("{}.broadcast_{method}(&{})?", self.name(a), self.name(b));
            }
            let text = |n: NodeId| format!("{}{}", if scalar(n) { "" } else { "&" }, self.name(n));
            return format!("({} {sign} {})?", text(a), text(b));
        }
        let [a, b] = [a, b].map(|o| self.expanded(o, [a, b, a], level));
        match op {
            Binary::Max => format!("{}.maximum({b})?", a.trim_start_matches('&')),
            Binary::Min => format!("{}.minimum({b})?", a.trim_start_matches('&')),
            Binary::Pow => self.call("power", &[a, b]),
            _ => self.call("log_add_exp", &[a, b]),
        }
    }

    /// An operand as a reference to a tensor of the node's shape.
    fn expanded(&mut self, n: NodeId, all: [NodeId; 3], level: Level) -> String {
        let deep = |o: &NodeId| !self.scalar[o.0 as usize] && self.graph.node(*o).level == level;
        let like = all.into_iter().find(deep).map(|o| self.name(o)).unwrap_or_default();
        let name = self.name(n);
        if self.scalar[n.0 as usize] {
            self.tensor_helpers.insert("full");
            format!("&op::full(&{like}, {name})?")
        } else if self.graph.node(n).level < level {
            format!("&{name}.broadcast_as({like}.shape())?")
        } else {
            format!("&{name}")
        }
    }

    fn scalar_value(&mut self, op: Op) -> String {
        match op {
            Op::Unary(op, a) => {
                let x = self.name(a);
                if let Some(helper) = Scalar::of_unary(op) {
                    self.scalar_helpers.insert(helper);
                    return format!("{}({x})", helper.name());
                }
                match op {
                    Unary::Neg => format!("-{x}"),
                    Unary::Exp => format!("f64::exp({x})"),
                    Unary::Log => format!("f64::ln({x})"),
                    Unary::Log1p => format!("f64::ln_1p({x})"),
                    Unary::Abs => format!("f64::abs({x})"),
                    _ => x,
                }
            }
            Op::Binary(op, a, b) => {
                let (a, b) = (self.name(a), self.name(b));
                if let Some(helper) = Scalar::of_binary(op) {
                    self.scalar_helpers.insert(helper);
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
            Op::Select(c, a, b) => {
                let [c, a, b] = [c, a, b].map(|n| self.name(n));
                format!("if {c} > 0.0 {{ {a} }} else {{ {b} }}")
            }
            Op::Reduce(Reduce::Sum, a) => format!("{} * examples", self.name(a)),
            Op::Reduce(Reduce::LogSumExp, a) => format!("{} + examples.ln()", self.name(a)),
            Op::Count(_) => "examples".to_owned(),
            // What is the same for all has itself as its mean, its order and its maximum.
            op => op.operands().next().map(|a| self.name(a)).unwrap_or_default(),
        }
    }
}
