//! LIR: the kernel plan, a loop nest by level.
//!
//! Why: the heavy part of a loss, streaming over the vocabulary, does not depend on the loss; the
//! generated part is a handful of scalars an example. The plan says which streamed statistics the loss
//! asks for, and splits the generated part into phases wherever a statistic of the whole batch has to
//! be finished first. In: a graph of stage `total` with value and gradients. Out: [`Plan`], which every
//! kernel back end walks. Invariant: a phase reads only inputs, parameters and batch statistics of
//! earlier phases; within a phase, values precede their users.

mod plan;
mod text;

pub use plan::{PlanError, plan};

use crate::mir::{Graph, NodeId, Reduce};

/// What the streaming pass over the vocabulary has to produce for each token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenStatistics {
    /// Log-probability of the target token.
    pub target_logp: bool,
    /// log sum_v p_v^2
    pub log_sum_p2: bool,
    /// KL divergence between two models' distributions.
    pub kl: bool,
}

/// A statistic of the whole batch that a phase contributes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Partial {
    /// The reduction's node.
    pub node: NodeId,
    /// Sum or mean.
    pub reduce: Reduce,
    /// The value an example contributes.
    pub value: NodeId,
}

/// One loop over the examples.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// Values of an example, in order of computation.
    pub body: Vec<NodeId>,
    /// Batch-level values computed from finished statistics, in order.
    pub batch: Vec<NodeId>,
    /// The statistics that this phase contributes to.
    pub partials: Vec<Partial>,
    /// Root names and the values written at the end; only in the last phase.
    pub outputs: Vec<(String, NodeId)>,
}

/// The plan of a loss.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The graph that node ids refer to.
    pub graph: Graph,
    /// What is streamed over the vocabulary.
    pub token: TokenStatistics,
    /// Values of the run: parameters, constants and what follows from them.
    pub uniform: Vec<NodeId>,
    /// Loops over the examples; a barrier over the whole batch lies between two phases.
    pub phases: Vec<Phase>,
}
