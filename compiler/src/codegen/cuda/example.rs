//! The example kernels: value and adjoints, one kernel a phase.

use super::identifier;
use crate::lir::{Let, Phase, Plan};
use crate::mir::{Binary, NodeId, Op, Reduce, Unary};
use std::fmt::Write as _;

/// An argument of an example kernel. Arrays have one value an example unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// Number of examples, 64 bits.
    Examples,
    /// A parameter, f32.
    Param(u16),
    /// A column, f32.
    Column(u16),
    /// Blocks that the earlier phases were launched with, i32.
    Blocks,
    /// Partial sums of a statistic by block, f64.
    Finished(NodeId),
    /// A saved value in ascending order, f32.
    Sorted(NodeId),
    /// A value saved by an earlier phase, f32.
    Saved(NodeId),
    /// The rank of a saved value, i64.
    Rank(NodeId),
    /// Written: partial sums by block, f64.
    Partial(NodeId),
    /// Written: a value for later phases, f32.
    Save(NodeId),
    /// Written: a result by its index, f32; one number in all where it is scalar.
    Output(usize),
}

/// The name of a phase's kernel.
pub fn name(plan: &Plan, phase: usize) -> String {
    format!("{}_phase{phase}", identifier(&plan.header.name))
}

/// The arguments of a phase's kernel in order.
pub fn arguments(plan: &Plan, phase: &Phase) -> Vec<Argument> {
    let mut list = vec![Argument::Examples];
    let mut push = |a: Argument| {
        if !list.contains(&a) {
            list.push(a);
        }
    };
    (0..plan.header.params.len()).for_each(|i| push(Argument::Param(i as u16)));
    for l in &phase.example {
        if let Op::Input(i) = l.op {
            push(Argument::Column(i));
        }
    }
    for l in phase.batch.iter().filter(|l| matches!(l.op, Op::Reduce(..))) {
        push(Argument::Blocks);
        push(Argument::Finished(l.id));
    }
    for l in &phase.example {
        match l.op {
            Op::Sort(key) => push(Argument::Sorted(key)),
            Op::Unsort(ranked, key) => {
                push(Argument::Saved(ranked));
                push(Argument::Rank(key));
            }
            _ => {}
        }
    }
    phase.partials.iter().for_each(|q| push(Argument::Partial(q.id)));
    phase.saves.iter().for_each(|id| push(Argument::Save(*id)));
    (0..phase.outputs.len()).for_each(|i| push(Argument::Output(i)));
    list
}

/// The example kernels of a plan.
pub fn emit(plan: &Plan) -> String {
    let mut out = String::new();
    for (i, phase) in plan.phases.iter().enumerate() {
        if i > 0 {
            out.push('\n');
        }
        Writer { plan, phase, index: i, out: &mut out }.kernel();
    }
    out
}

struct Writer<'a> {
    plan: &'a Plan,
    phase: &'a Phase,
    index: usize,
    out: &'a mut String,
}

impl Writer<'_> {
    fn line(&mut self, indent: usize, text: &str) {
        let _ = writeln!(self.out, "{}{text}", "    ".repeat(indent));
    }

    fn kernel(&mut self) {
        let (plan, phase) = (self.plan, self.phase);
        let header = format!(
            "// Phase {} of {}, at most {} blocks.",
            self.index,
            plan.phases.len(),
            super::MAX_BLOCKS
        );
        self.line(0, &header);
        for id in &phase.ranks {
            self.line(0, &format!("// Before it: ponens_rank of save_{}.", id.0));
        }
        let parameters: Vec<String> =
            arguments(plan, phase).iter().map(|a| self.parameter(*a)).collect();
        let head = format!(
            "extern \"C\" __global__ void __launch_bounds__(PONENS_THREADS) {}(\n    {}) {{",
            name(plan, self.index),
            parameters.join(",\n    ")
        );
        self.line(0, &head);
        for l in &plan.uniform {
            self.statement(l, 1);
        }
        for l in &phase.batch {
            self.statement(l, 1);
        }
        for q in &phase.partials {
            let start = if q.reduce == Reduce::Max { "-PONENS_INF" } else { "0.0" };
            self.line(1, &format!("double own_{} = {start};", q.id.0));
        }
        self.examples();
        for i in 0..phase.outputs.len() {
            if self.is_scalar(i) {
                let (output, id) = (self.output(i), phase.outputs[i].1.0);
                let text = format!("if (blockIdx.x == 0 && threadIdx.x == 0) {output}[0] = v{id};");
                self.line(1, &text);
            }
        }
        self.block_reduce();
        self.line(0, "}");
    }

    /// The loop over the examples.
    fn examples(&mut self) {
        let phase = self.phase;
        let any = (0..phase.outputs.len()).any(|i| !self.is_scalar(i));
        if !any && phase.partials.is_empty() && phase.saves.is_empty() {
            return;
        }
        self.line(
            1,
            "for (long long e = blockIdx.x * (long long)blockDim.x + threadIdx.x; e < examples;",
        );
        self.line(1, "     e += (long long)gridDim.x * blockDim.x) {");
        for l in &phase.example {
            self.statement(l, 2);
        }
        for q in &phase.partials {
            let (own, v) = (q.id.0, q.value.0);
            let text = if q.reduce == Reduce::Max {
                format!("own_{own} = ponens_max(v{v}, (float)own_{own});")
            } else {
                format!("own_{own} += (double)v{v};")
            };
            self.line(2, &text);
        }
        for id in &phase.saves {
            self.line(2, &format!("save_{}[e] = v{};", id.0, id.0));
        }
        for (i, (_, id)) in phase.outputs.iter().enumerate() {
            // Shallower values are broadcast: every example gets its gradient.
            if !self.is_scalar(i) {
                let text = format!("{}[e] = v{};", self.output(i), id.0);
                self.line(2, &text);
            }
        }
        self.line(1, "}");
    }

    /// Joins the threads' sums in a fixed tree.
    fn block_reduce(&mut self) {
        if self.phase.partials.is_empty() {
            return;
        }
        self.line(1, "__shared__ double tree[PONENS_THREADS];");
        for q in &self.phase.partials {
            let i = q.id.0;
            let join = if q.reduce == Reduce::Max {
                "tree[threadIdx.x] = ponens_max((float)tree[threadIdx.x], (float)tree[threadIdx.x + half]);"
            } else {
                "tree[threadIdx.x] += tree[threadIdx.x + half];"
            };
            self.line(1, &format!("tree[threadIdx.x] = own_{i};"));
            self.line(1, "__syncthreads();");
            self.line(1, "for (int half = PONENS_THREADS / 2; half > 0; half /= 2) {");
            self.line(2, &format!("if (threadIdx.x < half) {join}"));
            self.line(2, "__syncthreads();");
            self.line(1, "}");
            self.line(1, &format!("if (threadIdx.x == 0) partial_{i}[blockIdx.x] = tree[0];"));
            self.line(1, "__syncthreads();");
        }
    }

    fn is_scalar(&self, output: usize) -> bool {
        self.phase.outputs.get(output).is_some_and(|(n, _)| self.plan.is_scalar_output(n))
    }

    fn parameter(&self, a: Argument) -> String {
        let read = |kind: &str, name: String| format!("const {kind}* __restrict__ {name}");
        match a {
            Argument::Examples => "long long examples".to_owned(),
            Argument::Param(i) => format!("float {}", self.param(i)),
            Argument::Column(i) => read("float", self.column(i)),
            Argument::Blocks => "int blocks".to_owned(),
            Argument::Finished(id) => read("double", format!("finished_{}", id.0)),
            Argument::Sorted(id) => read("float", format!("sorted_{}", id.0)),
            Argument::Saved(id) => read("float", format!("saved_{}", id.0)),
            Argument::Rank(id) => read("long long", format!("rank_{}", id.0)),
            Argument::Partial(id) => format!("double* __restrict__ partial_{}", id.0),
            Argument::Save(id) => format!("float* __restrict__ save_{}", id.0),
            Argument::Output(i) => format!("float* __restrict__ {}", self.output(i)),
        }
    }

    fn param(&self, i: u16) -> String {
        let names = self.plan.header.params.iter().map(|p| p.name.as_str());
        unique("param", names, i as usize)
    }

    fn column(&self, i: u16) -> String {
        unique("in", self.plan.header.inputs.iter().map(|c| c.name.as_str()), i as usize)
    }

    fn output(&self, i: usize) -> String {
        unique("out", self.phase.outputs.iter().map(|(n, _)| n.as_str()), i)
    }

    fn statement(&mut self, l: &Let, indent: usize) {
        let v = |id: NodeId| format!("v{}", id.0);
        let id = l.id.0;
        let value = match l.op {
            Op::Const(c) => literal(c),
            Op::Param(p) => self.param(p),
            Op::Input(i) => {
                let range = self.plan.header.inputs.get(i as usize).map(|c| c.range);
                let nonpositive = range.is_some_and(|r| r.is_nonpos());
                let read = if nonpositive { "ponens_nonpositive" } else { "ponens_column" };
                format!("{read}({}[e])", self.column(i))
            }
            Op::Unary(u, a) => unary(u, &v(a)),
            Op::Binary(b, x, y) => binary(b, &v(x), &v(y)),
            Op::Select(c, a, b) => format!("{} > 0.0f ? {} : {}", v(c), v(a), v(b)),
            Op::Count(_) => "(float)examples".to_owned(),
            Op::Sort(key) => format!("sorted_{}[e]", key.0),
            Op::Unsort(ranked, key) => format!("saved_{}[rank_{}[e]]", ranked.0, key.0),
            Op::Reduce(reduce, _) => return self.finish(l.id, reduce, indent),
            // The verifier refuses these.
            _ => "PONENS_INF - PONENS_INF".to_owned(),
        };
        self.line(indent, &format!("float v{id} = {value};"));
    }

    /// Every thread joins the blocks' results in the same order, so that all agree to the bit.
    fn finish(&mut self, id: NodeId, reduce: Reduce, indent: usize) {
        let i = id.0;
        let (start, step, end) = match reduce {
            Reduce::Max => (
                "-PONENS_INF",
                format!("sum_{i} = ponens_max((float)finished_{i}[b], (float)sum_{i});"),
                format!("(float)sum_{i}"),
            ),
            Reduce::Mean => (
                "0.0",
                format!("sum_{i} += finished_{i}[b];"),
                format!("examples > 0 ? (float)(sum_{i} / (double)examples) : 0.0f"),
            ),
            Reduce::Sum | Reduce::LogSumExp => {
                ("0.0", format!("sum_{i} += finished_{i}[b];"), format!("(float)sum_{i}"))
            }
        };
        self.line(indent, &format!("double sum_{i} = {start};"));
        self.line(indent, &format!("for (int b = 0; b < blocks; ++b) {step}"));
        self.line(indent, &format!("float v{i} = {end};"));
    }
}

/// `prefix_name`, with the index where another name gives the same identifier.
fn unique<'n>(prefix: &str, names: impl Iterator<Item = &'n str>, index: usize) -> String {
    let all: Vec<String> = names.map(identifier).collect();
    let own = all.get(index).cloned().unwrap_or_default();
    if all.iter().filter(|n| **n == own).count() > 1 {
        format!("{prefix}{index}_{own}")
    } else {
        format!("{prefix}_{own}")
    }
}

/// A float literal that reads back to the nearest f32.
fn literal(x: f64) -> String {
    let x = x as f32;
    if x.is_infinite() {
        return if x > 0.0 { "PONENS_INF".to_owned() } else { "-PONENS_INF".to_owned() };
    }
    format!("{x:?}f")
}

fn unary(op: Unary, a: &str) -> String {
    match op {
        Unary::Neg => format!("-{a}"),
        Unary::Exp => format!("expf({a})"),
        Unary::Log => format!("logf({a})"),
        Unary::Log1p => format!("log1pf({a})"),
        Unary::Expm1 => format!("expm1f({a})"),
        Unary::Log1mExp => format!("ponens_log1mexp({a})"),
        Unary::Softplus => format!("ponens_softplus({a})"),
        Unary::Sigmoid => format!("ponens_sigmoid({a})"),
        Unary::Abs => format!("fabsf({a})"),
        Unary::Step => format!("{a} > 0.0f ? 1.0f : 0.0f"),
        Unary::Sign => format!("{a} > 0.0f ? 1.0f : ({a} < 0.0f ? -1.0f : 0.0f)"),
        Unary::StopGradient => a.to_owned(),
    }
}

fn binary(op: Binary, a: &str, b: &str) -> String {
    match op {
        Binary::Add => format!("{a} + {b}"),
        Binary::Sub => format!("{a} - {b}"),
        Binary::Mul => format!("{a} * {b}"),
        Binary::Div => format!("{a} / {b}"),
        Binary::Max => format!("ponens_max({a}, {b})"),
        Binary::Min => format!("ponens_min({a}, {b})"),
        Binary::Pow => format!("ponens_pow({a}, {b})"),
        Binary::LogAddExp => format!("ponens_logaddexp({a}, {b})"),
    }
}
