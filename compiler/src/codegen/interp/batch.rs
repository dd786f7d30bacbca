//! A batch of examples: the columns that a graph reads, and the ragged loops that they live in.
//!
//! In: f64 columns, level by level. Out: columns of the working type with the shape that the evaluators
//! share. Invariants: every column's length fits its loop; a zero of a column whose domain is one-sided
//! has the sign of that side, because probability one is approached from below: with -0.0,
//! 1 / expm1(log p) is -inf there, as its limit is, and not inf.

use super::{EvalError, Real};
use crate::mir::{Graph, Level};
use std::ops::Range;

/// The loop that a value runs over: a level, and at token level which response's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Space {
    pub(super) level: Level,
    /// Index into [`Batch::tokens`]; `None` above token level.
    pub(super) tokens: Option<usize>,
}

impl Space {
    pub(super) fn at(level: Level) -> Self {
        Self { level, tokens: None }
    }
}

/// A loop inside another: the elements of parent `i` are `offsets[i]..offsets[i + 1]`.
#[derive(Clone, Debug, PartialEq)]
struct Ragged {
    /// [`Level::Example`] or [`Level::Candidate`].
    parent: Level,
    offsets: Vec<usize>,
    /// The parent of every element.
    owners: Vec<u32>,
}

impl Ragged {
    fn new(parent: Level, counts: &[usize]) -> Self {
        let mut offsets = vec![0];
        let mut owners = Vec::new();
        for (i, &count) in counts.iter().enumerate() {
            owners.resize(owners.len() + count, i as u32);
            offsets.push(owners.len());
        }
        Self { parent, offsets, owners }
    }

    fn len(&self) -> usize {
        self.owners.len()
    }

    /// The elements of the parents in a range.
    fn range(&self, parents: Range<usize>) -> Option<Range<usize>> {
        Some(*self.offsets.get(parents.start)?..*self.offsets.get(parents.end)?)
    }
}

#[derive(Clone, Debug)]
struct Column<T> {
    values: Vec<T>,
    space: Space,
}

/// The inputs of one evaluation.
#[derive(Clone, Debug)]
pub struct Batch<T> {
    examples: usize,
    candidates: Option<Ragged>,
    tokens: Vec<Ragged>,
    columns: Vec<Option<Column<T>>>,
}

impl<T: Real> Batch<T> {
    /// A batch of that many examples, without columns yet.
    pub fn new(examples: usize) -> Self {
        Self { examples, candidates: None, tokens: Vec::new(), columns: Vec::new() }
    }

    /// States how many candidates each example has; the counts' length is the number of examples.
    ///
    /// # Errors
    ///
    /// [`EvalError::Length`] when there are not as many counts as examples.
    pub fn with_candidates(mut self, counts: &[usize]) -> Result<Self, EvalError> {
        if counts.len() != self.examples {
            let input = "candidates".to_owned();
            return Err(EvalError::Length { input, expected: self.examples, given: counts.len() });
        }
        self.candidates = Some(Ragged::new(Level::Example, counts));
        Ok(self)
    }

    /// The number of examples.
    pub fn examples(&self) -> usize {
        self.examples
    }

    /// Sets the column of an input at batch, example or candidate level: one value an element, the
    /// candidates of the first example first.
    ///
    /// # Errors
    ///
    /// [`EvalError::UnknownInput`], [`EvalError::Length`], or [`EvalError::NoLoop`] when the level's
    /// counts are missing (at token level use [`Batch::set_tokens`]).
    pub fn set(&mut self, graph: &Graph, input: u16, values: &[f64]) -> Result<(), EvalError> {
        let declared = graph.inputs.get(input as usize).ok_or(EvalError::UnknownInput(input))?;
        let space = Space::at(declared.level);
        self.insert(graph, input, values, space)
    }

    /// Sets the column of an input at token level. `counts` gives the tokens of every element of `owner`:
    /// of every example, or of every candidate. Columns with the same owner and counts share their tokens
    /// and may be combined.
    ///
    /// # Errors
    ///
    /// [`EvalError::UnknownInput`], [`EvalError::Length`], or [`EvalError::NoLoop`] when `owner` is neither
    /// level or the batch has no candidates.
    pub fn set_tokens(
        &mut self,
        graph: &Graph,
        input: u16,
        values: &[f64],
        owner: Level,
        counts: &[usize],
    ) -> Result<(), EvalError> {
        let declared = graph.inputs.get(input as usize).ok_or(EvalError::UnknownInput(input))?;
        let owners = match owner {
            Level::Example => Some(self.examples),
            Level::Candidate => self.candidates.as_ref().map(Ragged::len),
            _ => None,
        };
        let expected = owners.ok_or(EvalError::NoLoop(owner))?;
        if counts.len() != expected {
            let input = declared.name.clone();
            return Err(EvalError::Length { input, expected, given: counts.len() });
        }
        let ragged = Ragged::new(owner, counts);
        let known = self.tokens.iter().position(|t| *t == ragged);
        let index = known.unwrap_or_else(|| {
            self.tokens.push(ragged);
            self.tokens.len() - 1
        });
        self.insert(graph, input, values, Space { level: Level::Token, tokens: Some(index) })
    }

    /// Replaces every column by `f(index, values)`, in the same shape: for perturbations in tests.
    pub(crate) fn perturb(&mut self, mut f: impl FnMut(usize, &mut [T])) {
        for (i, column) in self.columns.iter_mut().enumerate() {
            if let Some(column) = column {
                f(i, &mut column.values);
            }
        }
    }

    fn insert(
        &mut self,
        graph: &Graph,
        input: u16,
        values: &[f64],
        space: Space,
    ) -> Result<(), EvalError> {
        let declared = graph.inputs.get(input as usize).ok_or(EvalError::UnknownInput(input))?;
        let expected = self.count(space).ok_or(EvalError::NoLoop(space.level))?;
        if values.len() != expected {
            let input = declared.name.clone();
            return Err(EvalError::Length { input, expected, given: values.len() });
        }
        let zero = if declared.range.is_nonpos() { -0.0 } else { 0.0 };
        let canonical = |x: &f64| T::from_f64(if *x == 0.0 { zero } else { *x });
        let column = Column { values: values.iter().map(canonical).collect(), space };
        let index = input as usize;
        if self.columns.len() <= index {
            self.columns.resize_with(index + 1, || None);
        }
        self.columns[index] = Some(column);
        Ok(())
    }

    pub(super) fn column(&self, graph: &Graph, input: u16) -> Result<(&[T], Space), EvalError> {
        let declared = graph.inputs.get(input as usize).ok_or(EvalError::UnknownInput(input))?;
        match self.columns.get(input as usize) {
            Some(Some(column)) => Ok((&column.values, column.space)),
            _ => Err(EvalError::MissingInput(declared.name.clone())),
        }
    }

    /// How many values a space has.
    pub(super) fn count(&self, space: Space) -> Option<usize> {
        match space.level {
            Level::Uniform | Level::Batch => Some(1),
            Level::Example => Some(self.examples),
            Level::Candidate => self.candidates.as_ref().map(Ragged::len),
            Level::Token => self.ragged(space).map(Ragged::len),
        }
    }

    fn ragged(&self, space: Space) -> Option<&Ragged> {
        match space.level {
            Level::Candidate => self.candidates.as_ref(),
            Level::Token => self.tokens.get(space.tokens?),
            _ => None,
        }
    }

    /// The level that directly contains a space's loop.
    pub(super) fn parent(&self, space: Space) -> Space {
        match space.level {
            Level::Uniform => space,
            Level::Batch | Level::Example => Space::at(Level::Batch),
            _ => self.ragged(space).map_or(Space::at(Level::Example), |r| Space::at(r.parent)),
        }
    }

    /// True when every element of `inner` belongs to one element of `outer`.
    pub(super) fn contains(&self, outer: Space, inner: Space) -> bool {
        outer == inner
            || (outer.level < inner.level
                && (outer.level <= Level::Batch || self.contains(outer, self.parent(inner))))
    }

    /// The elements of `inner` inside a range of elements of `outer`; `None` when `outer` does not
    /// contain `inner`.
    pub(super) fn within(
        &self,
        outer: Space,
        range: Range<usize>,
        inner: Space,
    ) -> Option<Range<usize>> {
        if outer == inner {
            return Some(range);
        }
        if outer.level >= inner.level {
            return None;
        }
        if outer.level <= Level::Batch {
            return Some(0..self.count(inner)?);
        }
        let ragged = self.ragged(inner)?;
        ragged.range(self.within(outer, range, Space::at(ragged.parent))?)
    }

    /// The element of `outer` that contains an element of `inner`; `None` when `outer` does not
    /// contain `inner`.
    pub(super) fn owner(&self, outer: Space, inner: Space, element: usize) -> Option<usize> {
        if outer == inner {
            return Some(element);
        }
        if outer.level >= inner.level {
            return None;
        }
        if outer.level <= Level::Batch {
            return Some(0);
        }
        let ragged = self.ragged(inner)?;
        let parent = *ragged.owners.get(element)? as usize;
        self.owner(outer, Space::at(ragged.parent), parent)
    }
}
