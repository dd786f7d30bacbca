//! The phases of a plan on a machine: example and batch level.
//!
//! Why: what a card is asked to do is written once, and runs on a card or on an interpreter of the same
//! kernels alike. In: a plan, parameters, one value an example for every column. Out: the results of the
//! last phase. Invariant: everything is checked before the first launch.

use super::KernelError;
use ponens_compiler::codegen::cuda::{MAX_BLOCKS, THREADS, example};
use ponens_compiler::lir::Plan;
use ponens_compiler::mir::NodeId;
use std::collections::HashMap;

/// An argument of a launch.
#[derive(Debug)]
pub enum Argument<'a, B> {
    /// `int`
    I32(i32),
    /// `long long`
    I64(i64),
    /// `float`
    F32(f32),
    /// A pointer to the buffer's first byte.
    Buffer(&'a B),
}

impl<B> Clone for Argument<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B> Copy for Argument<'_, B> {}

/// What runs kernels by name, one launch after the other.
pub trait Machine {
    /// Memory of the machine.
    type Buffer;

    /// A buffer with these bytes, aligned to 256.
    ///
    /// # Errors
    /// No memory left, or the machine failed.
    fn upload(&mut self, bytes: &[u8]) -> Result<Self::Buffer, KernelError>;

    /// A buffer of that many bytes, with any contents.
    ///
    /// # Errors
    /// No memory left, or the machine failed.
    fn reserve(&mut self, bytes: usize) -> Result<Self::Buffer, KernelError>;

    /// A buffer of that many bytes, all 0.
    ///
    /// # Errors
    /// No memory left, or the machine failed.
    fn zeros(&mut self, bytes: usize) -> Result<Self::Buffer, KernelError> {
        self.upload(&vec![0; bytes])
    }

    /// The bytes of a buffer, after all launches so far.
    ///
    /// # Errors
    /// A launch failed.
    fn download(&mut self, buffer: &Self::Buffer) -> Result<Vec<u8>, KernelError>;

    /// Runs a kernel in `blocks` blocks of [`THREADS`] threads, after all earlier launches.
    ///
    /// # Errors
    /// There is no such kernel, or the machine refuses or interrupts it.
    fn launch(
        &mut self,
        kernel: &str,
        blocks: u32,
        arguments: &[Argument<'_, Self::Buffer>],
    ) -> Result<(), KernelError>;
}

/// Results by name: one value an example, or one in all for a loss of the whole batch.
pub type Outputs = Vec<(String, Vec<f32>)>;

/// Runs the phases of a plan on columns from the host.
///
/// `params` in the order of the plan's; `columns` `[inputs][examples]`.
///
/// # Errors
/// [`KernelError::Input`] when they do not fit the plan, or what the machine reports.
pub fn evaluate<M: Machine>(
    machine: &mut M,
    plan: &Plan,
    params: &[f64],
    columns: &[Vec<f32>],
    examples: usize,
) -> Result<Outputs, KernelError> {
    if columns.len() != plan.header.inputs.len() {
        let reason =
            format!("{} given, the loss reads {}", columns.len(), plan.header.inputs.len());
        return Err(KernelError::input("columns", reason));
    }
    for (input, column) in plan.header.inputs.iter().zip(columns) {
        if column.len() != examples {
            let reason = format!("{} values for {examples} examples", column.len());
            return Err(KernelError::input(format!("column `{}`", input.name), reason));
        }
    }
    check_params(plan, params)?;
    let mut buffers = Vec::with_capacity(columns.len());
    for column in columns {
        buffers.push(machine.upload(&bytes(column))?);
    }
    let outputs = phases(machine, plan, params, &buffers, examples)?;
    let mut results = Vec::with_capacity(outputs.len());
    for ((name, _), buffer) in plan.outputs().iter().zip(&outputs) {
        results.push((name.clone(), floats(&machine.download(buffer)?)));
    }
    Ok(results)
}

pub(super) fn check_params(plan: &Plan, params: &[f64]) -> Result<(), KernelError> {
    if params.len() != plan.header.params.len() {
        let reason = format!("{} given, the loss has {}", params.len(), plan.header.params.len());
        return Err(KernelError::input("parameters", reason));
    }
    Ok(())
}

/// Blocks for that many independent items, `per_block` at a time.
pub(super) fn blocks(items: usize, per_block: usize, most: u32) -> u32 {
    u32::try_from(items.div_ceil(per_block.max(1))).unwrap_or(u32::MAX).clamp(1, most)
}

/// What earlier phases have left on the machine.
struct Left<B> {
    partials: HashMap<NodeId, B>,
    saved: HashMap<NodeId, B>,
    ranks: HashMap<NodeId, B>,
    sorted: HashMap<NodeId, B>,
}

/// Runs the phases on columns that the machine already holds; the results of the last one.
pub(super) fn phases<M: Machine>(
    machine: &mut M,
    plan: &Plan,
    params: &[f64],
    columns: &[M::Buffer],
    examples: usize,
) -> Result<Vec<M::Buffer>, KernelError> {
    let grid = blocks(examples, THREADS as usize, MAX_BLOCKS);
    let count = Argument::I64(examples as i64);
    let mut left = Left {
        partials: HashMap::new(),
        saved: HashMap::new(),
        ranks: HashMap::new(),
        sorted: HashMap::new(),
    };
    let mut outputs = Vec::new();
    for (index, phase) in plan.phases.iter().enumerate() {
        for key in &phase.ranks {
            let rank = machine.reserve(8 * examples)?;
            let sorted = machine.reserve(4 * examples)?;
            let values = found(&left.saved, *key)?;
            let arguments = [
                count,
                Argument::Buffer(values),
                Argument::Buffer(&rank),
                Argument::Buffer(&sorted),
            ];
            machine.launch("ponens_rank", grid, &arguments)?;
            left.ranks.insert(*key, rank);
            left.sorted.insert(*key, sorted);
        }
        for q in &phase.partials {
            left.partials.insert(q.id, machine.reserve(8 * grid as usize)?);
        }
        for id in &phase.saves {
            left.saved.insert(*id, machine.reserve(4 * examples)?);
        }
        for (name, _) in &phase.outputs {
            let values = if plan.is_scalar_output(name) { 1 } else { examples };
            outputs.push(machine.reserve(4 * values)?);
        }
        let mut arguments = Vec::new();
        for a in example::arguments(plan, phase) {
            arguments.push(match a {
                example::Argument::Examples => count,
                example::Argument::Param(i) => {
                    Argument::F32(params.get(i as usize).copied().unwrap_or(f64::NAN) as f32)
                }
                example::Argument::Column(i) => {
                    let column = columns.get(i as usize);
                    Argument::Buffer(
                        column.ok_or_else(|| KernelError::input("columns", "too few"))?,
                    )
                }
                example::Argument::Blocks => Argument::I32(grid as i32),
                example::Argument::Finished(id) | example::Argument::Partial(id) => {
                    Argument::Buffer(found(&left.partials, id)?)
                }
                example::Argument::Saved(id) | example::Argument::Save(id) => {
                    Argument::Buffer(found(&left.saved, id)?)
                }
                example::Argument::Sorted(id) => Argument::Buffer(found(&left.sorted, id)?),
                example::Argument::Rank(id) => Argument::Buffer(found(&left.ranks, id)?),
                example::Argument::Output(i) => {
                    let output = outputs.get(i);
                    Argument::Buffer(
                        output.ok_or_else(|| KernelError::input("outputs", "too few"))?,
                    )
                }
            });
        }
        machine.launch(&example::name(plan, index), grid, &arguments)?;
    }
    Ok(outputs)
}

fn found<B>(buffers: &HashMap<NodeId, B>, id: NodeId) -> Result<&B, KernelError> {
    buffers.get(&id).ok_or_else(|| {
        KernelError::input("the plan", format!("no phase leaves {id}: it is not verified"))
    })
}

/// The bytes of f32 numbers as the machine has them.
pub(super) fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// The f32 numbers in a machine's bytes.
pub(super) fn floats(bytes: &[u8]) -> Vec<f32> {
    let word = |c: &[u8]| f32::from_le_bytes([c[0], c[1], c[2], c[3]]);
    bytes.chunks_exact(4).map(word).collect()
}
