//! The example kernels: value and adjoints, one kernel a phase.

use super::identifier;
use crate::lir::{Phase, Plan};
use crate::mir::{Binary, Interval, Level, NodeId, Op, Reduce, Unary};
use std::fmt::Write as _;

/// Blocks of a launch at most: the next phase adds their partial sums in order.
const MAX_BLOCKS: usize = 256;

/// The example kernels of a plan.
pub(super) fn emit(plan: &Plan) -> String {
    let mut out = String::new();
    for (i, p) in plan.phases.iter().enumerate() {
        if i > 0 {
            out.push('\n');
        }
        kernel(&mut out, plan, i, p);
    }
    out
}

fn kernel(out: &mut String, plan: &Plan, index: usize, phase: &Phase) {
    let g = &plan.graph;
    let last = index + 1 == plan.phases.len();
    let name = identifier(&g.name);
    let mut args = vec!["long long examples".to_owned()];
    args.extend(g.params.iter().map(|p| format!("float {}", param(&p.name))));
    for (i, input) in g.inputs.iter().enumerate() {
        if phase.body.iter().any(|n| g.node(*n).op == Op::Input(i as u16)) {
            args.push(format!("const float* __restrict__ {}", column(&input.name)));
        }
    }
    for q in earlier(plan, index) {
        args.push(format!("const float* __restrict__ partial_{}, int blocks_{}", q.0, q.0));
    }
    args.extend(phase.partials.iter().map(|q| format!("float* __restrict__ partial_{}", q.node.0)));
    args.extend(phase.outputs.iter().map(|(n, _)| format!("float* __restrict__ {}", output(n))));
    let _ = writeln!(
        out,
        "// Phase {index} of {}: launch at most {MAX_BLOCKS} blocks of 256 threads.",
        plan.phases.len()
    );
    let head = format!("extern \"C\" __global__ void {name}_phase{index}(");
    let pad = " ".repeat(4);
    let _ = writeln!(out, "{head}\n{pad}{}) {{", args.join(&format!(",\n{pad}")));
    for n in &plan.uniform {
        statement(out, plan, *n, 1);
    }
    for n in &phase.batch {
        match g.node(*n).op {
            Op::Reduce(r, _) => finish(out, *n, r),
            _ => statement(out, plan, *n, 1),
        }
    }
    for q in &phase.partials {
        let _ = writeln!(out, "    float own_{} = 0.0f;", q.node.0);
    }
    let per_example: Vec<_> =
        phase.outputs.iter().filter(|(_, n)| g.node(*n).level == Level::Example).collect();
    if !phase.body.is_empty() || !per_example.is_empty() || !phase.partials.is_empty() {
        out.push_str(
            "    for (long long e = blockIdx.x * (long long)blockDim.x + threadIdx.x; e < examples;\n         e += (long long)gridDim.x * blockDim.x) {\n",
        );
        for n in &phase.body {
            statement(out, plan, *n, 2);
        }
        for q in &phase.partials {
            let _ = writeln!(out, "        own_{} += v{};", q.node.0, q.value.0);
        }
        for (name, n) in &phase.outputs {
            // Shallower values are broadcast: every example gets its gradient.
            let broadcast = g.node(*n).level < Level::Example && name != "loss";
            if g.node(*n).level == Level::Example || broadcast {
                let _ = writeln!(out, "        {}[e] = v{};", output(name), n.0);
            }
        }
        out.push_str("    }\n");
    }
    for (name, n) in &phase.outputs {
        if g.node(*n).level < Level::Example && name == "loss" {
            let _ = writeln!(
                out,
                "    if (blockIdx.x == 0 && threadIdx.x == 0) {}[0] = v{};",
                output(name),
                n.0
            );
        }
    }
    if !phase.partials.is_empty() {
        block_sum(out, phase);
    }
    debug_assert!(last || phase.outputs.is_empty());
    out.push_str("}\n");
}

/// The statistics that earlier phases have left in memory.
fn earlier(plan: &Plan, index: usize) -> Vec<NodeIndex> {
    plan.phases[index]
        .batch
        .iter()
        .filter(|n| matches!(plan.graph.node(**n).op, Op::Reduce(..)))
        .map(|n| NodeIndex(n.0))
        .collect()
}

#[derive(Clone, Copy)]
struct NodeIndex(u32);

impl std::fmt::Display for NodeIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Every thread adds the blocks' sums in the same order, so that all agree to the bit.
fn finish(out: &mut String, n: NodeId, reduce: Reduce) {
    let i = n.0;
    let _ = writeln!(out, "    float v{i} = 0.0f;");
    let _ = writeln!(out, "    for (int b = 0; b < blocks_{i}; ++b) v{i} += partial_{i}[b];");
    if reduce == Reduce::Mean {
        let _ = writeln!(out, "    v{i} = examples > 0 ? v{i} / (float)examples : 0.0f;");
    }
}

/// Adds the threads' sums in a fixed tree.
fn block_sum(out: &mut String, phase: &Phase) {
    out.push_str("    __shared__ float tree[256];\n");
    for q in &phase.partials {
        let i = q.node.0;
        let _ = write!(
            out,
            "    tree[threadIdx.x] = own_{i};
    __syncthreads();
    for (int half = 128; half > 0; half /= 2) {{
        if (threadIdx.x < half) tree[threadIdx.x] += tree[threadIdx.x + half];
        __syncthreads();
    }}
    if (threadIdx.x == 0) partial_{i}[blockIdx.x] = tree[0];
    __syncthreads();
"
        );
    }
}

fn param(name: &str) -> String {
    format!("param_{}", identifier(name))
}

fn column(name: &str) -> String {
    format!("in_{}", identifier(name))
}

fn output(name: &str) -> String {
    format!("out_{}", identifier(name))
}

/// A float literal that reads back to the nearest f32.
fn literal(x: f64) -> String {
    let x = x as f32;
    if x.is_infinite() {
        return if x > 0.0 { "PONENS_INF".to_owned() } else { "-PONENS_INF".to_owned() };
    }
    format!("{x:?}f")
}

fn statement(out: &mut String, plan: &Plan, n: NodeId, indent: usize) {
    let g = &plan.graph;
    let v = |id: NodeId| format!("v{}", id.0);
    let value = match g.node(n).op {
        Op::Const(c) => literal(c),
        Op::Param(p) => param(&g.params[p as usize].name),
        Op::Input(i) => {
            let input = &g.inputs[i as usize];
            let read = format!("{}[e]", column(&input.name));
            if input.range == Interval::LOG_PROB {
                format!("ponens_log_prob({read})")
            } else {
                read
            }
        }
        Op::Unary(u, a) => unary(u, &v(a)),
        Op::Binary(b, x, y) => binary(b, &v(x), &v(y)),
        Op::Select(c, a, b) => format!("{} > 0.0f ? {} : {}", v(c), v(a), v(b)),
        Op::Count(_) => "(float)examples".to_owned(),
        // The plan refuses everything else.
        _ => "PONENS_INF".to_owned(),
    };
    let _ = writeln!(out, "{}float v{} = {value};", "    ".repeat(indent), n.0);
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
        Binary::Max => format!("fmaxf({a}, {b})"),
        Binary::Min => format!("fminf({a}, {b})"),
        Binary::Pow => format!("powf({a}, {b})"),
        Binary::LogAddExp => format!("ponens_logaddexp({a}, {b})"),
    }
}
