//! MIR: the loss as a graph of scalar operations in the log domain.
//!
//! Why: one small, total, level-typed language between the logic and the back ends. In: [`crate::lower`]
//! (as written) and [`crate::adjoint`]. Out: [`crate::rewrite`], [`crate::lir`], [`crate::codegen`].
//!
//! Invariants, checked by [`verify()`]:
//! * nodes are in topological order: an operand's index is smaller than the node's own;
//! * a node's level is the deepest level of its operands, except where a reduction makes it shallower;
//! * in a graph of stage [`Stage::Total`] the interval analysis proves every `log` argument
//!   non-negative, every divisor of one sign and every `log1mexp` argument non-positive, so that no
//!   evaluation inside the declared input domain yields NaN.

mod dice;
pub mod dot;
pub mod infix;
pub mod interval;
pub mod parse;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
pub mod text;
#[cfg(test)]
mod text_tests;
pub mod transfer;
pub mod verify;

pub use dice::Dice;
pub use interval::Interval;
pub use verify::{Violation, verify};

use std::fmt;

/// Index of a node in a [`Graph`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

/// The loop that a value lives in, outermost first. A value of an outer level is broadcast
/// where an inner one is wanted; the other direction needs a [`Reduce`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// One value a run: constants and parameters.
    Uniform,
    /// One value a batch.
    Batch,
    /// One value an example.
    Example,
    /// One value a response of a ranked list or group.
    Candidate,
    /// One value a token of one response.
    Token,
}

/// Whether partial operations may stand unproved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// As lowered from the text: `log` and `div` may be partial.
    Written,
    /// After rewriting: total by construction.
    Total,
}

/// Operations of one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unary {
    /// -x
    Neg,
    /// e^x
    Exp,
    /// ln x, x >= 0; -inf at 0
    Log,
    /// ln(1 + x), x >= -1
    Log1p,
    /// e^x - 1
    Expm1,
    /// ln(1 - e^x), x <= 0; -inf at 0
    Log1mExp,
    /// ln(1 + e^x)
    Softplus,
    /// 1 / (1 + e^-x)
    Sigmoid,
    /// |x|
    Abs,
    /// 1 where x > 0, else 0: the derivative of max(x, 0), with 0 at the kink
    Step,
    /// 1, 0 or -1
    Sign,
    /// x, with derivative 0
    StopGradient,
}

/// Operations of two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Binary {
    /// a + b
    Add,
    /// a - b
    Sub,
    /// a b
    Mul,
    /// a / b
    Div,
    /// max(a, b)
    Max,
    /// min(a, b)
    Min,
    /// a^b = e^(b ln a), a >= 0
    Pow,
    /// ln(e^a + e^b)
    LogAddExp,
}

/// Reductions over one loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reduce {
    /// Sum; 0 when empty
    Sum,
    /// Mean; 0 when empty
    Mean,
    /// Maximum; -inf when empty
    Max,
    /// ln of the sum of e^x; -inf when empty
    LogSumExp,
}

/// Which way a scan runs along its loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// From the first value on: a place sees what stands before it.
    Earlier,
    /// From the last value back: a place sees what stands behind it.
    Later,
}

impl Direction {
    /// The other way.
    #[must_use]
    pub fn reversed(self) -> Self {
        match self {
            Direction::Earlier => Direction::Later,
            Direction::Later => Direction::Earlier,
        }
    }

    /// The shift that brings the neighbour seen by this direction to a place.
    pub fn step(self) -> i8 {
        match self {
            Direction::Earlier => -1,
            Direction::Later => 1,
        }
    }
}

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Op {
    /// A finite number, exact as an f64. Irrational constants are expressions.
    Const(f64),
    /// Index into [`Graph::params`].
    Param(u16),
    /// Index into [`Graph::inputs`].
    Input(u16),
    /// One operand.
    Unary(Unary, NodeId),
    /// Two operands.
    Binary(Binary, NodeId, NodeId),
    /// `if c > 0 { a } else { b }`, only the chosen side counts, in the gradient as well.
    Select(NodeId, NodeId, NodeId),
    /// Reduces from the operand's level to the level of this node.
    Reduce(Reduce, NodeId),
    /// How many values of the operand's level one value of this node's level has.
    Count(NodeId),
    /// The values of a batch in ascending order.
    Sort(NodeId),
    /// `Unsort(g, key)`: the value at rank r of `g`, put at the place that `key` had before sorting.
    /// The adjoint of [`Op::Sort`].
    Unsort(NodeId, NodeId),
    /// Sum of this and all later values of the same loop.
    SuffixSum(NodeId),
    /// Sum of this and all earlier values of the same loop.
    PrefixSum(NodeId),
    /// The value `n` places later in the same loop, 0 past the end (negative: earlier).
    Shift(NodeId, i8),
    /// ln of the sum of e^x over the values before (behind) this one in the same loop; -inf where there
    /// are none.
    LogSumExps(Direction, NodeId),
    /// `Recurrence(d, a, x)`: y = x + a y', where y' is y at the neighbour before (behind) this place, and
    /// y = x where there is none. With a = 1 a running sum; with a constant a < 1 a discounted one.
    Recurrence(Direction, NodeId, NodeId),
    /// The place of a value in its loop, from 0.
    Position(NodeId),
}

impl Op {
    /// True for the scans that only the interpreters run so far.
    pub fn is_scan(&self) -> bool {
        matches!(self, Op::LogSumExps(..) | Op::Recurrence(..) | Op::Position(_))
    }

    /// The operands in order.
    pub fn operands(&self) -> impl Iterator<Item = NodeId> {
        let list: [Option<NodeId>; 3] = match *self {
            Op::Const(_) | Op::Param(_) | Op::Input(_) => [None; 3],
            Op::Unary(_, a)
            | Op::Reduce(_, a)
            | Op::Count(a)
            | Op::Sort(a)
            | Op::SuffixSum(a)
            | Op::PrefixSum(a)
            | Op::Shift(a, _)
            | Op::LogSumExps(_, a)
            | Op::Position(a) => [Some(a), None, None],
            Op::Binary(_, a, b) | Op::Unsort(a, b) | Op::Recurrence(_, a, b) => {
                [Some(a), Some(b), None]
            }
            Op::Select(a, b, c) => [Some(a), Some(b), Some(c)],
        };
        list.into_iter().flatten()
    }

    /// The same operation on other operands.
    #[must_use]
    pub fn map(self, mut f: impl FnMut(NodeId) -> NodeId) -> Op {
        match self {
            Op::Const(_) | Op::Param(_) | Op::Input(_) => self,
            Op::Unary(u, a) => Op::Unary(u, f(a)),
            Op::Binary(b, x, y) => Op::Binary(b, f(x), f(y)),
            Op::Select(c, a, b) => Op::Select(f(c), f(a), f(b)),
            Op::Reduce(r, a) => Op::Reduce(r, f(a)),
            Op::Count(a) => Op::Count(f(a)),
            Op::Sort(a) => Op::Sort(f(a)),
            Op::Unsort(a, b) => Op::Unsort(f(a), f(b)),
            Op::SuffixSum(a) => Op::SuffixSum(f(a)),
            Op::PrefixSum(a) => Op::PrefixSum(f(a)),
            Op::Shift(a, n) => Op::Shift(f(a), n),
            Op::LogSumExps(d, a) => Op::LogSumExps(d, f(a)),
            Op::Recurrence(d, a, x) => Op::Recurrence(d, f(a), f(x)),
            Op::Position(a) => Op::Position(f(a)),
        }
    }

    /// True where a value depends on others of its loop, or on its place among them.
    pub fn scans(&self) -> bool {
        matches!(
            self,
            Op::Sort(_)
                | Op::Unsort(..)
                | Op::SuffixSum(_)
                | Op::PrefixSum(_)
                | Op::Shift(..)
                | Op::LogSumExps(..)
                | Op::Recurrence(..)
                | Op::Position(_)
        )
    }
}

/// A node: what it computes and at which level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Node {
    /// The operation.
    pub op: Op,
    /// The level of its values.
    pub level: Level,
}

/// A number fixed for a whole run.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// The name in the loss text.
    pub name: String,
    /// The default.
    pub default: Option<f64>,
    /// The values allowed.
    pub range: Interval,
}

/// A column of numbers that the loss reads.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// The canonical column name: `logp(pi,w)`, `len(w)`, `label`, ...
    pub name: String,
    /// Its level: example or deeper.
    pub level: Level,
    /// The domain of its values.
    pub range: Interval,
    /// True when the loss has a gradient with respect to it (false for the reference, lengths, labels).
    pub differentiable: bool,
}

/// A named result.
#[derive(Clone, Debug, PartialEq)]
pub struct Root {
    /// `loss`, or `d/` and an input's name.
    pub name: String,
    /// The node that computes it.
    pub node: NodeId,
}

/// A multi-root graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    /// The name of the loss.
    pub name: String,
    /// Whether it is proved total.
    pub stage: Stage,
    /// Parameters by index.
    pub params: Vec<Param>,
    /// Inputs by index.
    pub inputs: Vec<Input>,
    /// Nodes in topological order.
    pub nodes: Vec<Node>,
    /// Results: the loss first.
    pub roots: Vec<Root>,
}

impl Graph {
    /// An empty graph.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            stage: Stage::Written,
            params: Vec::new(),
            inputs: Vec::new(),
            nodes: Vec::new(),
            roots: Vec::new(),
        }
    }

    /// The node behind an id of this graph.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// Adds an operation, or returns the node that already computes it. The level is inferred:
    /// the deepest operand's, an input's own, uniform for constants and parameters.
    ///
    /// Not for [`Op::Reduce`] and [`Op::Count`], whose level is chosen: see [`Graph::add_at`].
    pub fn add(&mut self, op: Op) -> NodeId {
        debug_assert!(!matches!(op, Op::Reduce(..) | Op::Count(..)));
        let level = match op {
            Op::Input(i) => self.inputs[i as usize].level,
            _ => op.operands().map(|o| self.node(o).level).max().unwrap_or(Level::Uniform),
        };
        self.add_at(op, level)
    }

    /// Adds an operation at a level, or returns the node that already computes it.
    pub fn add_at(&mut self, op: Op, level: Level) -> NodeId {
        let node = Node { op, level };
        // Bitwise comparison keeps 0.0 and -0.0 apart.
        let same = |n: &Node| match (n.op, op) {
            (Op::Const(a), Op::Const(b)) => a.to_bits() == b.to_bits(),
            _ => *n == node,
        };
        if let Some(i) = self.nodes.iter().position(same) {
            return NodeId(i as u32);
        }
        self.nodes.push(node);
        NodeId(self.nodes.len() as u32 - 1)
    }

    /// A constant.
    pub fn constant(&mut self, value: f64) -> NodeId {
        self.add(Op::Const(value))
    }

    /// A one-operand operation.
    pub fn unary(&mut self, op: Unary, a: NodeId) -> NodeId {
        self.add(Op::Unary(op, a))
    }

    /// A two-operand operation.
    pub fn binary(&mut self, op: Binary, a: NodeId, b: NodeId) -> NodeId {
        self.add(Op::Binary(op, a, b))
    }

    /// The node of the root with this name.
    pub fn root(&self, name: &str) -> Option<NodeId> {
        self.roots.iter().find(|r| r.name == name).map(|r| r.node)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Direction::Earlier => "earlier",
            Direction::Later => "later",
        })
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Uniform => "uniform",
            Level::Batch => "batch",
            Level::Example => "example",
            Level::Candidate => "candidate",
            Level::Token => "token",
        })
    }
}
