//! The plain evaluator: one node after the other, a whole vector each.
//!
//! Why: short enough to be trusted, and generic, so that the same code gives the f32, f64 and
//! high-precision values of a loss. In: a graph, its parameters and a batch. Out: one vector a root.

use super::batch::{Batch, Space};
use super::{EvalError, Real};
use super::{fold, scalar};
use crate::mir::{Graph, Level, Node, NodeId, Op};
use std::ops::Range;

/// The values of one node over its loop.
pub(super) struct Values<T> {
    pub(super) space: Space,
    pub(super) data: Vec<T>,
}

/// Evaluates every root of a graph: one vector a root, with one value for every element of its level.
///
/// `params` are in the order of [`Graph::params`]; whether they lie in their ranges is not checked.
/// Only what the roots need is computed.
///
/// # Errors
///
/// An [`EvalError`] when a column is missing, or the graph is not well formed.
pub fn evaluate<T: Real>(
    graph: &Graph,
    params: &[f64],
    batch: &Batch<T>,
) -> Result<Vec<Vec<T>>, EvalError> {
    if params.len() != graph.params.len() {
        return Err(EvalError::Params { expected: graph.params.len(), given: params.len() });
    }
    let needed = needed(graph)?;
    let mut values: Vec<Option<Values<T>>> = Vec::with_capacity(graph.nodes.len());
    for (i, node) in graph.nodes.iter().enumerate() {
        let value = if needed[i] {
            Some(Evaluator { graph, params, batch, values: &values }.node(NodeId(i as u32), node)?)
        } else {
            None
        };
        values.push(value);
    }
    let root = |id: NodeId| match values.get(id.0 as usize) {
        Some(Some(v)) => Ok(v.data.clone()),
        _ => Err(EvalError::Malformed(id)),
    };
    graph.roots.iter().map(|r| root(r.node)).collect()
}

/// Which nodes the roots depend on.
pub(super) fn needed(graph: &Graph) -> Result<Vec<bool>, EvalError> {
    let mut needed = vec![false; graph.nodes.len()];
    for root in &graph.roots {
        *needed.get_mut(root.node.0 as usize).ok_or(EvalError::Malformed(root.node))? = true;
    }
    for (i, node) in graph.nodes.iter().enumerate().rev() {
        if !needed[i] {
            continue;
        }
        for operand in node.op.operands() {
            if operand.0 as usize >= i {
                return Err(EvalError::Malformed(NodeId(i as u32)));
            }
            needed[operand.0 as usize] = true;
        }
    }
    Ok(needed)
}

struct Evaluator<'a, T> {
    graph: &'a Graph,
    params: &'a [f64],
    batch: &'a Batch<T>,
    values: &'a [Option<Values<T>>],
}

impl<T: Real> Evaluator<'_, T> {
    fn operand(&self, user: NodeId, id: NodeId) -> Result<&Values<T>, EvalError> {
        match self.values.get(id.0 as usize) {
            Some(Some(v)) => Ok(v),
            _ => Err(EvalError::Malformed(user)),
        }
    }

    fn node(&self, id: NodeId, node: &Node) -> Result<Values<T>, EvalError> {
        let uniform =
            |x: f64| Values { space: Space::at(Level::Uniform), data: vec![T::from_f64(x)] };
        let result = match node.op {
            Op::Const(c) => uniform(c),
            Op::Param(i) => uniform(*self.params.get(i as usize).ok_or(EvalError::Malformed(id))?),
            Op::Input(i) => {
                let (column, space) = self.batch.column(self.graph, i)?;
                Values { space, data: column.to_vec() }
            }
            Op::Unary(op, a) => {
                let f = scalar::unary(op);
                self.elementwise(id, [a], |[x]| f(x))?
            }
            Op::Binary(op, a, b) => {
                let f = scalar::binary(op);
                self.elementwise(id, [a, b], |[x, y]| f(x, y))?
            }
            Op::Select(c, a, b) => self.elementwise(id, [c, a, b], |[c, x, y]| {
                if c.is_positive() { x.clone() } else { y.clone() }
            })?,
            Op::Reduce(op, a) => self.per_loop(id, a, node.level, |part| fold::reduce(op, part))?,
            Op::Count(a) => {
                self.per_loop(id, a, node.level, |part| T::from_f64(part.len() as f64))?
            }
            Op::Sort(a) => self.along(id, a, fold::sorted)?,
            Op::Unsort(ranked, key) => self.unsort(id, ranked, key)?,
            Op::SuffixSum(a) => self.along(id, a, fold::suffix_sums)?,
            Op::PrefixSum(a) => self.along(id, a, fold::prefix_sums)?,
            Op::Shift(a, n) => self.along(id, a, |part, out| fold::shifted(part, n, out))?,
            Op::LogSumExps(d, a) => {
                self.along(id, a, |part, out| fold::log_sum_exps(d, part, out))?
            }
            Op::Recurrence(d, a, x) => {
                // Broadcasts both to the deeper loop.
                let factor = a;
                let a = self.elementwise(id, [factor, x], |[a, _]| a.clone())?;
                let mut x = self.elementwise(id, [x, factor], |[x, _]| x.clone())?;
                let wide = x.data.clone();
                for s in self.segments(id, x.space, self.batch.parent(x.space))? {
                    fold::recurrence(d, &a.data[s.clone()], &wide[s.clone()], &mut x.data[s]);
                }
                x
            }
            Op::Position(a) => self.along(id, a, fold::positions)?,
        };
        if result.space.level == node.level { Ok(result) } else { Err(EvalError::Levels(id)) }
    }

    /// The deepest of the operands' loops, which must contain one another.
    fn elementwise<const N: usize>(
        &self,
        id: NodeId,
        operands: [NodeId; N],
        f: impl Fn([&T; N]) -> T,
    ) -> Result<Values<T>, EvalError> {
        let mut sources = Vec::with_capacity(N);
        for operand in operands {
            sources.push(self.operand(id, operand)?);
        }
        let deepest = sources.iter().map(|v| v.space).max_by_key(|s| s.level);
        let space = deepest.ok_or(EvalError::Malformed(id))?;
        if sources.iter().any(|s| !self.batch.contains(s.space, space)) {
            return Err(EvalError::Levels(id));
        }
        let count = self.batch.count(space).ok_or(EvalError::NoLoop(space.level))?;
        let mut data = Vec::with_capacity(count);
        for i in 0..count {
            let mut places = [0; N];
            for (place, source) in places.iter_mut().zip(&sources) {
                let owner = self.batch.owner(source.space, space, i);
                *place = owner.ok_or(EvalError::Levels(id))?;
            }
            data.push(f(std::array::from_fn(|k| &sources[k].data[places[k]])));
        }
        Ok(Values { space, data })
    }

    /// `f` of the elements of `a` that belong to each element of a level.
    fn per_loop(
        &self,
        id: NodeId,
        a: NodeId,
        level: Level,
        f: impl Fn(&[T]) -> T,
    ) -> Result<Values<T>, EvalError> {
        let source = self.operand(id, a)?;
        let space = if level == source.space.level { source.space } else { Space::at(level) };
        let segments = self.segments(id, source.space, space)?;
        Ok(Values { space, data: segments.into_iter().map(|s| f(&source.data[s])).collect() })
    }

    /// `f(values, out)` of every loop of `a`.
    fn along(
        &self,
        id: NodeId,
        a: NodeId,
        f: impl Fn(&[T], &mut [T]),
    ) -> Result<Values<T>, EvalError> {
        let Values { space, data } = self.operand(id, a)?;
        let mut out = data.clone();
        for s in self.segments(id, *space, self.batch.parent(*space))? {
            f(&data[s.clone()], &mut out[s]);
        }
        Ok(Values { space: *space, data: out })
    }

    fn unsort(&self, id: NodeId, ranked: NodeId, key: NodeId) -> Result<Values<T>, EvalError> {
        // Broadcasts `ranked` to the loop of the key.
        let mut wide = self.elementwise(id, [ranked, key], |[x, _]| x.clone())?;
        let key = self.operand(id, key)?;
        if key.space != wide.space {
            return Err(EvalError::Levels(id));
        }
        let ranked = wide.data.clone();
        for s in self.segments(id, key.space, self.batch.parent(key.space))? {
            fold::unsorted(&ranked[s.clone()], &key.data[s.clone()], &mut wide.data[s]);
        }
        Ok(wide)
    }

    /// The elements of `inner` that belong to each element of `outer`.
    fn segments(
        &self,
        id: NodeId,
        inner: Space,
        outer: Space,
    ) -> Result<Vec<Range<usize>>, EvalError> {
        if !self.batch.contains(outer, inner) {
            return Err(EvalError::Levels(id));
        }
        let count = self.batch.count(outer).ok_or(EvalError::NoLoop(outer.level))?;
        let segment = |i| self.batch.within(outer, i..i + 1, inner).ok_or(EvalError::Levels(id));
        (0..count).map(segment).collect()
    }
}
