//! The fast evaluator: a graph scheduled once, run over chunks of examples that stay in the cache.
//!
//! In: a graph. Out: a [`Tape`] that any number of batches run through, with a [`Scratch`] that is
//! allocated once. Operations that need the whole batch (a reduction to it, a sort) end a phase: within
//! one, every chunk of examples runs through all nodes before the next chunk starts; what a later
//! phase or a root needs is stored for all examples. Invariant: the values are those of
//! [`super::evaluate`] to the last bit.

mod lane;

use super::batch::{Batch, Space};
use super::evaluate::needed;
use super::{EvalError, Real, fold};
use crate::mir::{Graph, Level, NodeId, Op};
use lane::Arg;
use std::ops::Range;

/// At most this many examples run together.
const LANES: usize = 256;
/// At most this many elements of one loop run together, unless a single example has more.
const ELEMENTS: usize = 8192;

/// When a node is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Once, before the chunks of its phase: at batch level or above.
    Once,
    /// For every chunk of its phase.
    Chunk,
    /// From all examples, after the chunks of its phase.
    Whole,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    place: Place,
    phase: usize,
    needed: bool,
    /// The values of all examples are kept.
    stored: bool,
}

/// A scheduled graph.
#[derive(Clone, Debug)]
pub struct Tape {
    graph: Graph,
    steps: Vec<Step>,
    phases: usize,
}

/// The memory of a run; it grows to what the largest batch needs and is reused.
#[derive(Clone, Debug)]
pub struct Scratch<T> {
    spaces: Vec<Space>,
    stored: Vec<Vec<T>>,
    chunk: Vec<Vec<T>>,
}

impl<T> Default for Scratch<T> {
    fn default() -> Self {
        Self { spaces: Vec::new(), stored: Vec::new(), chunk: Vec::new() }
    }
}

impl Tape {
    /// Schedules a graph.
    ///
    /// # Errors
    ///
    /// [`EvalError::Malformed`] when a node or root refers to a node that does not come before it.
    pub fn new(graph: &Graph) -> Result<Self, EvalError> {
        let needed = needed(graph)?;
        let mut steps: Vec<Step> = Vec::with_capacity(graph.nodes.len());
        for (i, node) in graph.nodes.iter().enumerate() {
            let place = place(graph, node.op, node.level);
            let step = |id: NodeId| steps.get(id.0 as usize).copied();
            // Unneeded nodes are not checked, so their operands may not exist.
            let operands = node.op.operands().filter_map(step);
            let phase = operands.map(|s| s.phase + usize::from(s.place == Place::Whole)).max();
            let phase = phase.unwrap_or(0);
            steps.push(Step { place, phase, needed: needed[i], stored: place != Place::Chunk });
        }
        for (i, node) in graph.nodes.iter().enumerate().filter(|(i, _)| needed[*i]) {
            for operand in node.op.operands() {
                let later = steps[i].place == Place::Whole
                    || steps[i].phase > steps[operand.0 as usize].phase;
                steps[operand.0 as usize].stored |= later;
            }
        }
        for root in &graph.roots {
            steps[root.node.0 as usize].stored = true;
        }
        let phases = steps.iter().map(|s| s.phase + 1).max().unwrap_or(0);
        Ok(Self { graph: graph.clone(), steps, phases })
    }

    /// Evaluates every root: one vector a root, as [`super::evaluate`] gives it, borrowed from the scratch.
    ///
    /// # Errors
    ///
    /// As [`super::evaluate`].
    pub fn run<'s, T: Real>(
        &self,
        params: &[f64],
        batch: &Batch<T>,
        scratch: &'s mut Scratch<T>,
    ) -> Result<Vec<&'s [T]>, EvalError> {
        let expected = self.graph.params.len();
        if params.len() != expected {
            return Err(EvalError::Params { expected, given: params.len() });
        }
        let nodes = self.graph.nodes.len();
        scratch.spaces.clear();
        scratch.stored.resize_with(nodes, Vec::new);
        scratch.chunk.resize_with(nodes, Vec::new);
        for i in 0..nodes {
            let space = self.space(i, batch, &scratch.spaces)?;
            scratch.spaces.push(space);
            if self.steps[i].needed && self.steps[i].stored {
                let count = batch.count(space).ok_or(EvalError::NoLoop(space.level))?;
                scratch.stored[i].resize(count, T::from_f64(0.0));
            }
        }
        let mut run = Run { tape: self, params, batch, scratch };
        for phase in 0..self.phases {
            run.phase(phase)?;
        }
        let scratch: &'s Scratch<T> = run.scratch;
        let root = |id: NodeId| scratch.stored[id.0 as usize].as_slice();
        Ok(self.graph.roots.iter().map(|r| root(r.node)).collect())
    }

    fn space<T: Real>(
        &self,
        node: usize,
        batch: &Batch<T>,
        before: &[Space],
    ) -> Result<Space, EvalError> {
        let level = self.graph.nodes[node].level;
        if !self.steps[node].needed {
            return Ok(Space::at(level));
        }
        let op = self.graph.nodes[node].op;
        let misfit = EvalError::Levels(NodeId(node as u32));
        let operands = || op.operands().map(|id| before[id.0 as usize]);
        let space = match op {
            Op::Input(i) => batch.column(&self.graph, i)?.1,
            Op::Reduce(..) | Op::Count(_) => {
                let inner = operands().next().ok_or(misfit.clone())?;
                let space = if inner.level == level { inner } else { Space::at(level) };
                if !batch.contains(space, inner) {
                    return Err(misfit);
                }
                space
            }
            _ => {
                let space = operands().max_by_key(|s| s.level).unwrap_or(Space::at(Level::Uniform));
                if operands().any(|s| !batch.contains(s, space)) {
                    return Err(misfit);
                }
                space
            }
        };
        if let Op::Unsort(_, key) = op
            && before[key.0 as usize] != space
        {
            return Err(misfit);
        }
        if space.level == level { Ok(space) } else { Err(misfit) }
    }
}

fn place(graph: &Graph, op: Op, level: Level) -> Place {
    let shallow = level <= Level::Batch;
    match op {
        Op::Reduce(_, a) | Op::Count(a) if shallow => {
            let inner = graph.nodes.get(a.0 as usize).map_or(level, |n| n.level);
            if inner <= Level::Batch { Place::Once } else { Place::Whole }
        }
        _ if op.scans() && level == Level::Example => Place::Whole,
        _ if shallow => Place::Once,
        _ => Place::Chunk,
    }
}

/// One evaluation under way.
struct Run<'a, 's, T> {
    tape: &'a Tape,
    params: &'a [f64],
    batch: &'a Batch<T>,
    scratch: &'s mut Scratch<T>,
}

impl<'s, T: Real> Run<'_, 's, T> {
    fn phase(&mut self, phase: usize) -> Result<(), EvalError> {
        self.each(phase, Place::Once, 0..0)?;
        let examples = self.batch.examples();
        let mut start = 0;
        while start < examples {
            let end = self.chunk_end(start);
            self.each(phase, Place::Chunk, start..end)?;
            start = end;
        }
        self.each(phase, Place::Whole, 0..examples)
    }

    fn each(
        &mut self,
        phase: usize,
        place: Place,
        examples: Range<usize>,
    ) -> Result<(), EvalError> {
        for node in 0..self.tape.steps.len() {
            let step = self.tape.steps[node];
            if step.needed && step.phase == phase && step.place == place {
                self.node(node, place, &examples)?;
            }
        }
        Ok(())
    }

    /// The end of the chunk that starts at an example.
    fn chunk_end(&self, start: usize) -> usize {
        let last = (start + LANES).min(self.batch.examples());
        let fits = |end: usize| {
            self.scratch.spaces.iter().all(|space| {
                let part = self.batch.within(Space::at(Level::Example), start..end, *space);
                part.is_none_or(|p| p.len() <= ELEMENTS)
            })
        };
        // Halving finds a chunk that fits in a few probes.
        let mut end = last;
        while end > start + 1 && !fits(end) {
            end = start + (end - start) / 2;
        }
        end
    }

    /// The elements of a space that the given examples hold.
    fn part(&self, space: Space, examples: &Range<usize>) -> Range<usize> {
        let part = self.batch.within(Space::at(Level::Example), examples.clone(), space);
        part.unwrap_or(0..self.batch.count(space).unwrap_or(0))
    }

    fn node(
        &mut self,
        node: usize,
        place: Place,
        examples: &Range<usize>,
    ) -> Result<(), EvalError> {
        let space = self.scratch.spaces[node];
        let part = self.part(space, examples);
        let target =
            if place == Place::Chunk { &mut self.scratch.chunk } else { &mut self.scratch.stored };
        let mut out = std::mem::take(&mut target[node]);
        out.resize(part.len(), T::from_f64(0.0));
        let result = self.compute(node, examples, &part, &mut out);
        if place == Place::Chunk {
            if self.tape.steps[node].stored {
                self.scratch.stored[node][part].clone_from_slice(&out);
            }
            self.scratch.chunk[node] = out;
        } else {
            self.scratch.stored[node] = out;
        }
        result
    }

    /// The values of a node in the chunk under way, and the place of the first of them in its loop.
    fn values(&self, user: usize, node: usize, examples: &Range<usize>) -> (&[T], usize) {
        let part = self.part(self.scratch.spaces[node], examples);
        let (user, step) = (self.tape.steps[user], self.tape.steps[node]);
        let here = step.place == Place::Chunk && step.phase == user.phase;
        if here && user.place == Place::Chunk {
            (&self.scratch.chunk[node], part.start)
        } else {
            let start = part.start;
            (&self.scratch.stored[node][part], start)
        }
    }

    fn arg(&self, user: usize, operand: NodeId, examples: &Range<usize>) -> Arg<'_, T> {
        let operand = operand.0 as usize;
        let (outer, inner) = (self.scratch.spaces[operand], self.scratch.spaces[user]);
        let (values, base) = self.values(user, operand, examples);
        match values {
            [value] if outer.level <= Level::Batch => Arg::Scalar(value),
            _ if outer == inner => Arg::Slice(values),
            _ => {
                let start = self.part(inner, examples).start;
                Arg::Gather { values, base, batch: self.batch, outer, inner, start }
            }
        }
    }

    fn compute(
        &self,
        node: usize,
        examples: &Range<usize>,
        part: &Range<usize>,
        out: &mut [T],
    ) -> Result<(), EvalError> {
        let arg = |id| self.arg(node, id, examples);
        match self.tape.graph.nodes[node].op {
            Op::Const(c) => out.fill(T::from_f64(c)),
            Op::Param(i) => {
                let value = self.params.get(i as usize);
                let value = value.ok_or(EvalError::Malformed(NodeId(node as u32)))?;
                out.fill(T::from_f64(*value));
            }
            Op::Input(i) => {
                let (column, _) = self.batch.column(&self.tape.graph, i)?;
                out.clone_from_slice(&column[part.clone()]);
            }
            Op::Unary(op, a) => lane::unary(op, arg(a), out),
            Op::Binary(op, a, b) => lane::binary(op, arg(a), arg(b), out),
            Op::Select(c, a, b) => lane::select(arg(c), arg(a), arg(b), out),
            Op::Reduce(op, a) => {
                self.per_loop(node, a, examples, part, out, |x| fold::reduce(op, x));
            }
            Op::Count(a) => {
                self.per_loop(node, a, examples, part, out, |x| T::from_f64(x.len() as f64));
            }
            Op::Sort(a) => self.along(node, a, examples, out, fold::sorted),
            Op::SuffixSum(a) => self.along(node, a, examples, out, fold::suffix_sums),
            Op::PrefixSum(a) => self.along(node, a, examples, out, fold::prefix_sums),
            Op::Shift(a, n) => {
                self.along(node, a, examples, out, |x, out| fold::shifted(x, n, out));
            }
            Op::LogSumExps(d, a) => {
                self.along(node, a, examples, out, |x, out| fold::log_sum_exps(d, x, out));
            }
            Op::Position(a) => self.along(node, a, examples, out, fold::positions),
            Op::Recurrence(d, a, x) => {
                let (mut factor, mut summand) = (out.to_vec(), out.to_vec());
                lane::unary(crate::mir::Unary::StopGradient, arg(a), &mut factor);
                lane::unary(crate::mir::Unary::StopGradient, arg(x), &mut summand);
                let base = part.start;
                for s in self.loops(node, examples) {
                    let s = s.start - base..s.end - base;
                    let (a, x) = (&factor[s.clone()], &summand[s.clone()]);
                    fold::recurrence(d, a, x, &mut out[s]);
                }
            }
            Op::Unsort(ranked, key) => {
                let mut wide = out.to_vec();
                lane::unary(crate::mir::Unary::StopGradient, arg(ranked), &mut wide);
                let (keys, base) = self.values(node, key.0 as usize, examples);
                for s in self.loops(node, examples) {
                    let s = s.start - base..s.end - base;
                    fold::unsorted(&wide[s.clone()], &keys[s.clone()], &mut out[s]);
                }
            }
        }
        Ok(())
    }

    fn per_loop(
        &self,
        node: usize,
        a: NodeId,
        examples: &Range<usize>,
        part: &Range<usize>,
        out: &mut [T],
        f: impl Fn(&[T]) -> T,
    ) {
        let (outer, inner) = (self.scratch.spaces[node], self.scratch.spaces[a.0 as usize]);
        let (values, base) = self.values(node, a.0 as usize, examples);
        for (to, i) in out.iter_mut().zip(part.clone()) {
            if let Some(s) = self.batch.within(outer, i..i + 1, inner) {
                *to = f(&values[s.start - base..s.end - base]);
            }
        }
    }

    /// The loops of a node's values in the chunk under way.
    fn loops(&self, node: usize, examples: &Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let space = self.scratch.spaces[node];
        let parent = self.batch.parent(space);
        let batch = self.batch;
        self.part(parent, examples).filter_map(move |i| batch.within(parent, i..i + 1, space))
    }

    fn along(
        &self,
        node: usize,
        a: NodeId,
        examples: &Range<usize>,
        out: &mut [T],
        f: impl Fn(&[T], &mut [T]),
    ) {
        let (values, base) = self.values(node, a.0 as usize, examples);
        for s in self.loops(node, examples) {
            let s = s.start - base..s.end - base;
            f(&values[s.clone()], &mut out[s]);
        }
    }
}
