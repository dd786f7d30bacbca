//! The interpreter of the plan's phases: example and batch level.
//!
//! Why: thousands of plans can be run where a kernel compiler would take minutes; what this gives is what
//! the kernels must give. In: a verified plan, parameters, one value an example for every column. Out:
//! the results of the last phase. Invariant: batch statistics are summed in f64, as the kernels do.

use super::{Let, Phase, Plan};
use crate::codegen::interp::{Real, fold, scalar};
use crate::mir::{Interval, NodeId, Op, Reduce};
use std::collections::HashMap;
use std::fmt;

/// Why a plan cannot be run on given columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LirError {
    /// Not as many parameters as the plan has.
    Params {
        /// How many it has.
        expected: usize,
        /// How many were given.
        given: usize,
    },
    /// A column is missing, or has not one value an example.
    Column {
        /// Its name.
        name: String,
        /// Examples.
        expected: usize,
        /// Values given.
        given: usize,
    },
    /// The plan is not verified: a value is used that nothing computes.
    Undefined(NodeId),
}

impl fmt::Display for LirError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LirError::Params { expected, given } => {
                write!(f, "the loss has {expected} parameters, {given} were given")
            }
            LirError::Column { name, expected, given } => {
                write!(f, "column `{name}` has {given} values for {expected} examples")
            }
            LirError::Undefined(id) => write!(f, "{id} is used but not computed"),
        }
    }
}

impl std::error::Error for LirError {}

/// Runs all phases on `examples` examples: the results in order, with one value an example, or one in
/// all for a loss of the whole batch.
///
/// # Errors
/// The columns do not fit the plan, or the plan is not verified.
pub fn evaluate<T: Real>(
    plan: &Plan,
    params: &[f64],
    columns: &[Vec<T>],
    examples: usize,
) -> Result<Vec<(String, Vec<T>)>, LirError> {
    if params.len() != plan.header.params.len() {
        return Err(LirError::Params { expected: plan.header.params.len(), given: params.len() });
    }
    for (i, input) in plan.header.inputs.iter().enumerate() {
        let given = columns.get(i).map_or(0, Vec::len);
        if given != examples {
            return Err(LirError::Column { name: input.name.clone(), expected: examples, given });
        }
    }
    let mut run =
        Run { plan, params, columns, examples, left: Left::default(), uniform: HashMap::new() };
    let mut uniform = HashMap::new();
    for l in &plan.uniform {
        let value = run.value(l, &uniform, 0)?;
        uniform.insert(l.id, value);
    }
    run.uniform = uniform;
    let mut results = Vec::new();
    for phase in &plan.phases {
        results = run.phase(phase)?;
    }
    Ok(results)
}

/// What phases leave behind.
struct Left<T> {
    statistics: HashMap<NodeId, T>,
    saved: HashMap<NodeId, Vec<T>>,
    /// Values in ascending order.
    sorted: HashMap<NodeId, Vec<T>>,
    /// The rank of every example.
    ranks: HashMap<NodeId, Vec<usize>>,
}

impl<T> Default for Left<T> {
    fn default() -> Self {
        let (statistics, saved) = (HashMap::new(), HashMap::new());
        Self { statistics, saved, sorted: HashMap::new(), ranks: HashMap::new() }
    }
}

struct Run<'a, T> {
    plan: &'a Plan,
    params: &'a [f64],
    columns: &'a [Vec<T>],
    examples: usize,
    left: Left<T>,
    uniform: HashMap<NodeId, T>,
}

impl<T: Real> Run<'_, T> {
    fn phase(&mut self, phase: &Phase) -> Result<Vec<(String, Vec<T>)>, LirError> {
        for key in &phase.ranks {
            let values = self.left.saved.get(key).ok_or(LirError::Undefined(*key))?;
            let order = fold::ascending(values);
            let mut ranks = vec![0; values.len()];
            for (rank, place) in order.iter().enumerate() {
                ranks[*place] = rank;
            }
            let sorted = order.iter().map(|p| values[*p].clone()).collect();
            self.left.sorted.insert(*key, sorted);
            self.left.ranks.insert(*key, ranks);
        }
        let mut batch = self.uniform.clone();
        for l in &phase.batch {
            let value = self.value(l, &batch, 0)?;
            batch.insert(l.id, value);
        }
        let mut contributions: Vec<Vec<T>> = vec![Vec::new(); phase.partials.len()];
        let mut saves: Vec<Vec<T>> = vec![Vec::new(); phase.saves.len()];
        let mut outputs: Vec<Vec<T>> = vec![Vec::new(); phase.outputs.len()];
        let scalar: Vec<bool> =
            phase.outputs.iter().map(|(name, _)| self.plan.is_scalar_output(name)).collect();
        for e in 0..self.examples {
            let mut values = batch.clone();
            for l in &phase.example {
                let value = self.value(l, &values, e)?;
                values.insert(l.id, value);
            }
            let push = |to: &mut Vec<T>, id: NodeId| {
                to.push(values.get(&id).ok_or(LirError::Undefined(id))?.clone());
                Ok(())
            };
            for (to, p) in contributions.iter_mut().zip(&phase.partials) {
                push(to, p.value)?;
            }
            for (to, id) in saves.iter_mut().zip(&phase.saves) {
                push(to, *id)?;
            }
            for ((to, (_, id)), scalar) in outputs.iter_mut().zip(&phase.outputs).zip(&scalar) {
                if !scalar {
                    push(to, *id)?;
                }
            }
        }
        for (p, values) in phase.partials.iter().zip(contributions) {
            self.left.statistics.insert(p.id, finish(p.reduce, &values));
        }
        self.left.saved.extend(phase.saves.iter().copied().zip(saves));
        for ((to, (_, id)), scalar) in outputs.iter_mut().zip(&phase.outputs).zip(&scalar) {
            if *scalar {
                to.push(batch.get(id).ok_or(LirError::Undefined(*id))?.clone());
            }
        }
        Ok(phase.outputs.iter().map(|(n, _)| n.clone()).zip(outputs).collect())
    }

    fn value(&self, l: &Let, known: &HashMap<NodeId, T>, e: usize) -> Result<T, LirError> {
        let v = |id: NodeId| known.get(&id).ok_or(LirError::Undefined(id));
        let gone = LirError::Undefined(l.id);
        Ok(match l.op {
            Op::Const(c) => T::from_f64(c),
            Op::Param(p) => T::from_f64(*self.params.get(p as usize).ok_or(gone)?),
            Op::Input(i) => self.input(i, e).ok_or(gone)?,
            Op::Unary(op, a) => scalar::unary::<T>(op)(v(a)?),
            Op::Binary(op, a, b) => scalar::binary::<T>(op)(v(a)?, v(b)?),
            Op::Select(c, a, b) => if v(c)?.is_positive() { v(a)? } else { v(b)? }.clone(),
            Op::Count(_) => T::from_f64(self.examples as f64),
            Op::Reduce(..) => self.left.statistics.get(&l.id).ok_or(gone)?.clone(),
            Op::Sort(key) => self.left.sorted.get(&key).and_then(|s| s.get(e)).ok_or(gone)?.clone(),
            Op::Unsort(ranked, key) => {
                let rank = self.left.ranks.get(&key).and_then(|r| r.get(e)).ok_or(gone)?;
                let saved = self.left.saved.get(&ranked);
                saved.and_then(|s| s.get(*rank)).ok_or(LirError::Undefined(ranked))?.clone()
            }
            // The verifier refuses the other scans.
            _ => return Err(gone),
        })
    }

    /// A column's value; a zero of a one-sided domain is approached from inside.
    fn input(&self, i: u16, e: usize) -> Option<T> {
        let x = self.columns.get(i as usize)?.get(e)?;
        let range: Interval = self.plan.header.inputs.get(i as usize)?.range;
        let zero = if range.is_nonpos() { -0.0 } else { 0.0 };
        Some(if x.to_f64() == 0.0 { T::from_f64(zero) } else { x.clone() })
    }
}

/// A finished statistic: sums in f64.
fn finish<T: Real>(reduce: Reduce, values: &[T]) -> T {
    let sum = || values.iter().map(Real::to_f64).sum::<f64>();
    match reduce {
        Reduce::Mean if values.is_empty() => T::from_f64(0.0),
        Reduce::Mean => T::from_f64(sum() / values.len() as f64),
        Reduce::Sum => T::from_f64(sum()),
        Reduce::Max | Reduce::LogSumExp => fold::reduce(reduce, values),
    }
}
