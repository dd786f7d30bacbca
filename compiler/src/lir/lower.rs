//! From MIR to the plan: levels become loops, batch reductions and sorts become phase boundaries.

use super::{Let, Partial, Phase, Plan, Source, Statistic, Stream};
use crate::mir::{Graph, Level, NodeId, Op, Reduce};
use std::fmt;

/// Why a graph has no kernel plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanError {
    /// The operation is not planned for kernels.
    Unsupported {
        /// Its node.
        node: NodeId,
        /// What it does.
        what: &'static str,
    },
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PlanError::Unsupported { node, what } => {
                write!(f, "node {node}: {what} has no kernel")
            }
        }
    }
}

impl std::error::Error for PlanError {}

/// Plans the kernels of a graph.
///
/// # Errors
/// Loops over tokens or candidates above the sums of [`Source`], scans over a batch and a batch's
/// log-sum-exp have no kernel.
pub fn plan(graph: &Graph) -> Result<Plan, PlanError> {
    let live = live(graph);
    for (i, n) in graph.nodes.iter().enumerate() {
        if let Some(what) = live[i].then(|| unsupported(graph, n.op, n.level)).flatten() {
            return Err(PlanError::Unsupported { node: NodeId(i as u32), what });
        }
    }
    let depth = depths(graph);
    let deepest = graph.roots.iter().map(|r| depth[r.node.0 as usize]).max().unwrap_or(0);
    let build = Build { graph, live: &live, depth: &depth };
    let mut saved = Vec::new();
    let mut phases: Vec<Phase> =
        (0..=deepest).map(|p| build.phase(p, p == deepest, &mut saved)).collect();
    build.rank(&mut phases);
    let mut header = Graph::new(graph.name.clone());
    header.stage = graph.stage;
    header.params.clone_from(&graph.params);
    header.inputs.clone_from(&graph.inputs);
    let trained: Vec<String> =
        graph.inputs.iter().filter(|i| i.differentiable).map(|i| model(&i.name)).collect();
    let source = |name: &str| Source::of(name, |m| trained.iter().any(|t| t == m));
    let sources: Vec<Source> = graph.inputs.iter().map(|i| source(&i.name)).collect();
    let streams = streams(graph, &sources);
    Ok(Plan { header, sources, streams, uniform: build.lets(&live, Level::Uniform), phases })
}

/// The model of a quantity `kind(model,..)` of one model; divergences name two and decide nothing.
fn model(column: &str) -> String {
    let arguments = column.strip_suffix(')').and_then(|c| c.split_once('('));
    match arguments {
        Some((kind, rest)) if kind != "kl" => rest.split(',').next().unwrap_or_default().to_owned(),
        _ => String::new(),
    }
}

/// One pass a model, in the order in which the columns name them.
fn streams(graph: &Graph, sources: &[Source]) -> Vec<Stream> {
    let mut streams: Vec<Stream> = Vec::new();
    let mut of = |model: &str| -> usize {
        streams.iter().position(|s| s.model == model).unwrap_or_else(|| {
            let (statistics, gradients) = (Vec::new(), Vec::new());
            streams.push(Stream { model: model.to_owned(), statistics, gradients });
            streams.len() - 1
        })
    };
    let mut wanted: Vec<(usize, &Statistic, bool)> = Vec::new();
    for (input, source) in graph.inputs.iter().zip(sources) {
        let Source::Tokens(sum) = source else { continue };
        let gradient = input.differentiable && graph.root(&format!("d/{}", input.name)).is_some();
        wanted.push((of(&sum.model), &sum.statistic, gradient));
        if let Some(other) = sum.statistic.other() {
            // The other model's normaliser is wanted.
            of(other);
        }
    }
    for (stream, statistic, gradient) in wanted {
        let stream = &mut streams[stream];
        if !stream.statistics.contains(statistic) {
            stream.statistics.push(statistic.clone());
        }
        if gradient && !stream.gradients.contains(statistic) {
            stream.gradients.push(statistic.clone());
        }
    }
    streams
}

/// True for operations that read what earlier phases have left.
fn crosses(op: &Op) -> bool {
    matches!(op, Op::Reduce(..) | Op::Sort(_) | Op::Unsort(..))
}

struct Build<'a> {
    graph: &'a Graph,
    live: &'a [bool],
    /// By node: the first phase that can compute it.
    depth: &'a [usize],
}

impl Build<'_> {
    fn lets(&self, wanted: &[bool], level: Level) -> Vec<Let> {
        let ids = (0..self.graph.nodes.len() as u32).map(NodeId);
        ids.filter(|n| wanted[n.0 as usize] && self.graph.node(*n).level == level)
            .map(|id| Let { id, op: self.graph.node(id).op })
            .collect()
    }

    /// Phase `p` without its ranks; `saved` holds what earlier phases have left, and then this one too.
    fn phase(&self, p: usize, last: bool, saved: &mut Vec<NodeId>) -> Phase {
        let g = self.graph;
        let next = |i: &usize| self.live[*i] && self.depth[*i] == p + 1;
        let mut phase = Phase::default();
        let mut save = |n: NodeId| {
            if !saved.contains(&n) {
                saved.push(n);
                phase.saves.push(n);
            }
        };
        for i in (0..g.nodes.len()).filter(next) {
            match g.nodes[i].op {
                Op::Reduce(reduce, value) => {
                    phase.partials.push(Partial { id: NodeId(i as u32), reduce, value });
                }
                Op::Sort(x) => save(x),
                Op::Unsort(ranked, key) => {
                    save(ranked);
                    save(key);
                }
                _ => {}
            }
        }
        if last {
            phase.outputs = g.roots.iter().map(|r| (r.name.clone(), r.node)).collect();
        }
        let mut needed = vec![false; g.nodes.len()];
        let outputs = phase.outputs.iter().map(|o| o.1);
        for n in
            phase.partials.iter().map(|q| q.value).chain(phase.saves.iter().copied()).chain(outputs)
        {
            needed[n.0 as usize] = true;
        }
        for i in (0..needed.len()).rev() {
            // What is finished is read, not recomputed.
            if needed[i] && !crosses(&g.nodes[i].op) && !matches!(g.nodes[i].op, Op::Count(_)) {
                for o in g.nodes[i].op.operands() {
                    needed[o.0 as usize] = true;
                }
            }
        }
        phase.batch = self.lets(&needed, Level::Batch);
        phase.example = self.lets(&needed, Level::Example);
        phase
    }

    /// Ranks each sorted value once, before the first phase that reads the order.
    fn rank(&self, phases: &mut [Phase]) {
        let mut ranked: Vec<NodeId> = Vec::new();
        for phase in phases {
            for l in &phase.example {
                let (Op::Sort(key) | Op::Unsort(_, key)) = l.op else { continue };
                if !ranked.contains(&key) {
                    ranked.push(key);
                    phase.ranks.push(key);
                }
            }
        }
    }
}

fn unsupported(graph: &Graph, op: Op, level: Level) -> Option<&'static str> {
    if level > Level::Example {
        return Some("a loop over tokens or candidates");
    }
    let of = |x: NodeId| graph.node(x).level;
    match op {
        Op::Sort(x) if of(x) != Level::Example => Some("sorting one value"),
        Op::Unsort(r, x) if of(x) != Level::Example || of(r) != Level::Example => {
            Some("sorting one value")
        }
        Op::Sort(_) | Op::Unsort(..) => None,
        _ if op.scans() => Some("a scan over a batch"),
        Op::Reduce(Reduce::LogSumExp, _) => Some("a log-sum-exp over a batch"),
        Op::Reduce(_, x) | Op::Count(x) if of(x) != Level::Example || level != Level::Batch => {
            Some("a reduction of something that is not one value an example")
        }
        _ => None,
    }
}

/// How many times the batch has to be finished before a node can be computed.
fn depths(graph: &Graph) -> Vec<usize> {
    let mut depth = vec![0usize; graph.nodes.len()];
    for (i, n) in graph.nodes.iter().enumerate() {
        let below = n.op.operands().map(|o| depth[o.0 as usize]).max().unwrap_or(0);
        depth[i] = below + usize::from(crosses(&n.op));
        // How many examples there are is known before the first phase.
        if matches!(n.op, Op::Count(_)) {
            depth[i] = 0;
        }
    }
    depth
}

fn live(graph: &Graph) -> Vec<bool> {
    let mut live = vec![false; graph.nodes.len()];
    for r in &graph.roots {
        live[r.node.0 as usize] = true;
    }
    for i in (0..live.len()).rev() {
        if live[i] && !matches!(graph.nodes[i].op, Op::Count(_)) {
            for o in graph.nodes[i].op.operands() {
                live[o.0 as usize] = true;
            }
        }
    }
    live
}
