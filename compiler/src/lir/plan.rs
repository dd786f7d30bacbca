//! From MIR to the plan: levels become loops, batch reductions become phase boundaries.

use super::{Partial, Phase, Plan, TokenStatistics};
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
/// Sorting a batch, and loops over tokens or candidates, have no kernel.
pub fn plan(graph: &Graph) -> Result<Plan, PlanError> {
    for (i, n) in graph.nodes.iter().enumerate() {
        if let Some(what) = unsupported(graph, n.op, n.level) {
            return Err(PlanError::Unsupported { node: NodeId(i as u32), what });
        }
    }
    let depth = depths(graph);
    let deepest = graph.roots.iter().map(|r| depth[r.node.0 as usize]).max().unwrap_or(0);
    let live = live(graph);
    let ids = || (0..graph.nodes.len() as u32).map(NodeId);
    let uniform =
        ids().filter(|n| live[n.0 as usize] && graph.node(*n).level == Level::Uniform).collect();
    let mut phases = Vec::new();
    for p in 0..=deepest {
        let partials: Vec<Partial> = ids()
            .filter(|n| live[n.0 as usize] && depth[n.0 as usize] == p + 1)
            .filter_map(|n| match graph.node(n).op {
                Op::Reduce(reduce, value) => Some(Partial { node: n, reduce, value }),
                _ => None,
            })
            .collect();
        let outputs: Vec<(String, NodeId)> = if p == deepest {
            graph.roots.iter().map(|r| (r.name.clone(), r.node)).collect()
        } else {
            Vec::new()
        };
        let mut needed = vec![false; graph.nodes.len()];
        for n in partials.iter().map(|q| q.value).chain(outputs.iter().map(|o| o.1)) {
            needed[n.0 as usize] = true;
        }
        for i in (0..needed.len()).rev() {
            // A finished statistic is read, not recomputed.
            let finished = matches!(graph.nodes[i].op, Op::Reduce(..));
            if needed[i] && !finished {
                for o in graph.nodes[i].op.operands() {
                    needed[o.0 as usize] = true;
                }
            }
        }
        let at = |level: Level| {
            ids().filter(|n| needed[n.0 as usize] && graph.node(*n).level == level).collect()
        };
        phases.push(Phase { body: at(Level::Example), batch: at(Level::Batch), partials, outputs });
    }
    let token = TokenStatistics {
        target_logp: graph.inputs.iter().any(|i| i.name.contains("logp(")),
        log_sum_p2: graph.inputs.iter().any(|i| i.name.starts_with("log_sum_p2(")),
        kl: graph.inputs.iter().any(|i| i.name.starts_with("kl(")),
    };
    Ok(Plan { graph: graph.clone(), token, uniform, phases })
}

fn unsupported(graph: &Graph, op: Op, level: Level) -> Option<&'static str> {
    if level > Level::Example {
        return Some("a loop over tokens or candidates");
    }
    match op {
        Op::Sort(_) | Op::Unsort(..) => Some("sorting a batch"),
        _ if op.scans() => Some("a scan over a batch"),
        Op::Reduce(Reduce::Max | Reduce::LogSumExp, _) => Some("a maximum over a batch"),
        Op::Reduce(_, x) | Op::Count(x) if graph.node(x).level != Level::Example => {
            Some("a reduction of something that is not one value an example")
        }
        _ => None,
    }
}

/// How many batch reductions have to be finished before a node can be computed.
fn depths(graph: &Graph) -> Vec<usize> {
    let mut depth = vec![0usize; graph.nodes.len()];
    for (i, n) in graph.nodes.iter().enumerate() {
        let below = n.op.operands().map(|o| depth[o.0 as usize]).max().unwrap_or(0);
        depth[i] = below + usize::from(matches!(n.op, Op::Reduce(..)));
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
