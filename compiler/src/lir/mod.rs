//! LIR: the kernel plan, a loop nest by level: vocabulary, token, sequence, example, batch.
//!
//! Why: the heavy part of a loss, streaming over the vocabulary, does not depend on the loss; the
//! generated part is a handful of scalars an example. The plan says which statistics are streamed for
//! the tokens of each model, how they become one number a sequence, and what is computed of an example,
//! in phases: a phase ends wherever something of the whole batch has to be finished first. In: a graph
//! of stage `total` with value and gradients. Out: a [`Plan`], which every kernel back end walks.
//!
//! Invariants, checked by [`verify()`]:
//! * a value is computed before it is used, in its own phase or among the uniform values;
//! * a phase reads only columns, parameters, and what earlier phases have left: finished statistics,
//!   saved and ranked values;
//! * results are written by the last phase;
//! * what a column sums is streamed, with its gradient where the loss has one.

mod column;
mod eval;
mod lower;
mod parse;
pub mod stream;
#[cfg(test)]
mod tests;
mod text;
pub mod verify;

pub use column::{Part, SequenceSum, Source, Statistic};
pub use eval::{LirError, evaluate};
pub use lower::{PlanError, plan};
pub use parse::parse;
pub use verify::{Fault, verify};

use crate::mir::{Graph, NodeId, Op, Reduce};

/// The pass over the vocabulary for the tokens of one model: vocabulary to token.
#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    /// The model whose logits are read.
    pub model: String,
    /// What is produced for each token; the normaliser always is.
    pub statistics: Vec<Statistic>,
    /// The statistics that the loss has a gradient of: the pass back writes the sum over them.
    pub gradients: Vec<Statistic>,
}

/// One computed value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Let {
    /// Its name, unique in its phase.
    pub id: NodeId,
    /// How it is computed. In a phase, [`Op::Reduce`] reads the statistic that an earlier phase has
    /// finished, [`Op::Sort`] the value of rank e for example e, and [`Op::Unsort`] the saved value at
    /// the rank that example e has.
    pub op: Op,
}

/// A statistic of the whole batch that a phase contributes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Partial {
    /// The name under which later phases read it.
    pub id: NodeId,
    /// Sum, mean or maximum.
    pub reduce: Reduce,
    /// The value an example contributes.
    pub value: NodeId,
}

/// One loop over the examples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Phase {
    /// Values saved by earlier phases that are ranked over the batch before this loop.
    pub ranks: Vec<NodeId>,
    /// Values of the batch, computed from what is finished.
    pub batch: Vec<Let>,
    /// Values of an example, in order of computation.
    pub example: Vec<Let>,
    /// The statistics that this phase contributes to.
    pub partials: Vec<Partial>,
    /// Values of an example that later phases rank, or read at a rank.
    pub saves: Vec<NodeId>,
    /// Names and values of the results; only in the last phase.
    pub outputs: Vec<(String, NodeId)>,
}

/// The plan of a loss.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Name, parameters and columns; no nodes and no roots.
    pub header: Graph,
    /// Where each column comes from, in the order of [`Graph::inputs`].
    pub sources: Vec<Source>,
    /// Vocabulary and token level: one pass a model.
    pub streams: Vec<Stream>,
    /// Values of the run: parameters, constants and what follows from them.
    pub uniform: Vec<Let>,
    /// Loops over the examples; a barrier over the whole batch lies between two phases.
    pub phases: Vec<Phase>,
}

impl Plan {
    /// The results of the last phase by name: the loss first, then gradients.
    pub fn outputs(&self) -> &[(String, NodeId)] {
        self.phases.last().map_or(&[], |p| &p.outputs)
    }

    /// True when the value stands at example level: one number an example, not one a batch.
    pub fn is_per_example(&self, phase: usize, id: NodeId) -> bool {
        self.phases.get(phase).is_some_and(|p| p.example.iter().any(|l| l.id == id))
    }

    /// True when a result has one number for the whole batch: a loss that is a batch's own. Gradients
    /// always have one number an example.
    pub fn is_scalar_output(&self, name: &str) -> bool {
        let last = self.phases.len().saturating_sub(1);
        let output = self.outputs().iter().find(|(n, _)| n == name);
        output.is_some_and(|(n, id)| !n.starts_with("d/") && !self.is_per_example(last, *id))
    }
}
