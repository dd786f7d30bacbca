//! The loss from hidden states and the head on a card: logits exist as tiles in shared memory only.
//!
//! A frozen head takes two products in all: the pass that makes the logits also makes d logp / d hidden,
//! and the pass back scales it. A trained head takes two more: its gradient makes the logits once again.

use super::{blocks, check_vocabulary, floats, targets, upload};
use crate::kernel::{Argument, Machine};
use crate::op::{RuntimeError, TokenRows};
use ponens_compiler::codegen::cuda::head::{
    Argument as Wanted, Kernel, TILE_ROWS, TILE_VOCABULARY,
};
use ponens_compiler::codegen::cuda::{Element, THREADS, head, prelude};

/// Blocks that fill the cards of today twice over.
const FILL: usize = 264;
/// Bytes for the parts of d logp / d hidden at most, where more than one split would take more.
const PARTS: usize = 64 << 20;

/// Hidden states `[N, H]` and the head `[V, H]` in the memory of a machine, row-major, in one type.
#[derive(Debug)]
pub struct DeviceHead<'a, B> {
    /// Their type.
    pub element: Element,
    /// V
    pub vocabulary: usize,
    /// H
    pub width: usize,
    /// `[N, H]`
    pub hidden: &'a B,
    /// `[V, H]`
    pub head: &'a B,
}

impl<B> Clone for DeviceHead<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B> Copy for DeviceHead<'_, B> {}

/// The program that a machine has to have loaded: CUDA C.
pub fn program(element: Element) -> String {
    format!("{}\n{}", prelude(), head::program(&[element]))
}

/// What the forward pass leaves on the machine, and the log-probabilities.
#[derive(Debug)]
pub struct HeadPass<B> {
    /// By row: log p(target), 0 where it does not count.
    pub logp: Vec<f32>,
    /// By row: log sum_v e^{z_v}, 0 where it does not count.
    pub normaliser: Vec<f32>,
    rows: usize,
    targets: B,
    on_machine: Rows<B>,
    /// d logp / d hidden `[N, H]`, f32, if it was asked for.
    direction: Option<B>,
}

/// A few numbers a row on the machine.
#[derive(Debug)]
struct Rows<B> {
    logp: B,
    normaliser: B,
}

/// How many parts the vocabulary is cut into, so that few rows fill a card too.
fn splits(rows: usize, vocabulary: usize, width: usize) -> usize {
    let tiles = rows.div_ceil(TILE_ROWS).max(1);
    let words = vocabulary.div_ceil(TILE_VOCABULARY).max(1);
    let in_memory = PARTS / (4 * rows * width).max(1);
    FILL.div_ceil(tiles).min(words).min(in_memory).max(1)
}

/// One launch: the arguments that a kernel shares with others, and its own.
struct Launch<'a, B> {
    inputs: DeviceHead<'a, B>,
    rows: usize,
    splits: usize,
    targets: &'a B,
    on_machine: &'a Rows<B>,
}

impl<'a, B> Launch<'a, B> {
    /// Runs a kernel in that many blocks at most; `own` holds the buffers that are not shared.
    fn run<M: Machine<Buffer = B>>(
        &self,
        machine: &mut M,
        kernel: Kernel,
        items: usize,
        own: &[(Wanted, &'a B)],
    ) -> Result<(), RuntimeError> {
        let DeviceHead { vocabulary, width, hidden, head, .. } = self.inputs;
        let one = |a: &Wanted| {
            Ok(match a {
                Wanted::Rows => Argument::I64(self.rows as i64),
                Wanted::Vocabulary => Argument::I64(vocabulary as i64),
                Wanted::Width => Argument::I64(width as i64),
                Wanted::Splits => Argument::I32(self.splits as i32),
                Wanted::Hidden => Argument::Buffer(hidden),
                Wanted::Head => Argument::Buffer(head),
                Wanted::Target => Argument::Buffer(self.targets),
                Wanted::Logp => Argument::Buffer(&self.on_machine.logp),
                Wanted::Normaliser => Argument::Buffer(&self.on_machine.normaliser),
                other => match own.iter().find(|(a, _)| a == other) {
                    Some(&(_, buffer)) => Argument::Buffer(buffer),
                    None => {
                        let reason = format!("{} has no {other:?}", kernel.name());
                        return Err(RuntimeError::argument("head", reason));
                    }
                },
            })
        };
        let arguments: Result<Vec<_>, RuntimeError> = kernel.arguments().iter().map(one).collect();
        Ok(machine.launch(&kernel.name(), blocks(items, 1), &arguments?)?)
    }
}

/// Numbers, one a thread, as blocks.
fn threads(numbers: usize) -> usize {
    numbers.div_ceil(THREADS as usize)
}

/// The log-probability of every row's target and, if `direction`, d logp / d hidden.
///
/// The machine has [`program`] loaded for the type; the buffers hold `rows` x `width` and `vocabulary` x
/// `width` numbers. The log-probabilities have the same bits with and without directions.
///
/// # Errors
/// If a label is outside the vocabulary, or the machine fails. A row whose logits are not finite is not
/// refused here: its log-probability or its normaliser is not finite.
pub fn forward<M: Machine>(
    machine: &mut M,
    inputs: DeviceHead<'_, M::Buffer>,
    rows: &TokenRows,
    direction: bool,
) -> Result<HeadPass<M::Buffer>, RuntimeError> {
    let n = rows.targets().len();
    rows.check(n, inputs.vocabulary)?;
    check_vocabulary(inputs.vocabulary)?;
    let targets = targets(machine, rows)?;
    let (element, numbers) = (inputs.element, n * inputs.width);
    let splits = splits(n, inputs.vocabulary, inputs.width);
    let on_machine = Rows { logp: machine.reserve(4 * n)?, normaliser: machine.reserve(4 * n)? };
    let max = machine.reserve(4 * splits * n)?;
    let sum = machine.reserve(4 * splits * n)?;
    let target = machine.reserve(4 * splits * n)?;
    let mut parts =
        vec![(Wanted::PartMax, &max), (Wanted::PartSum, &sum), (Wanted::PartTarget, &target)];
    let launch = Launch { inputs, rows: n, splits, targets: &targets, on_machine: &on_machine };
    let tiles = n.div_ceil(TILE_ROWS) * splits;
    let direction = if direction {
        let part = machine.reserve(4 * splits * numbers)?;
        let whole = machine.reserve(4 * numbers)?;
        parts.push((Wanted::PartDirection, &part));
        launch.run(machine, Kernel::Direction(element), tiles, &parts)?;
        launch.run(machine, Kernel::Join, threads(n), &parts)?;
        let own =
            [(Wanted::PartMax, &max), (Wanted::PartDirection, &part), (Wanted::Direction, &whole)];
        launch.run(machine, Kernel::JoinDirection(element), threads(numbers), &own)?;
        Some(whole)
    } else {
        launch.run(machine, Kernel::Forward(element), tiles, &parts)?;
        launch.run(machine, Kernel::Join, threads(n), &parts)?;
        None
    };
    let logp = floats(machine, &on_machine.logp)?;
    let normaliser = floats(machine, &on_machine.normaliser)?;
    Ok(HeadPass { logp, normaliser, rows: n, targets, on_machine, direction })
}

impl<B> HeadPass<B> {
    fn back<M: Machine<Buffer = B>>(
        &self,
        machine: &mut M,
        inputs: DeviceHead<'_, B>,
        slopes: &[f32],
        (kernel, items): (Kernel, usize),
        own: &[(Wanted, &B)],
    ) -> Result<(), RuntimeError> {
        if slopes.len() != self.rows {
            let reason = format!("{} for {} rows", slopes.len(), self.rows);
            return Err(RuntimeError::argument("slopes", reason));
        }
        let slopes = upload(machine, slopes)?;
        let Self { rows, targets, on_machine, .. } = self;
        let launch = Launch { inputs, rows: *rows, splits: 1, targets, on_machine };
        let mut all = vec![(Wanted::Slope, &slopes)];
        all.extend(own);
        launch.run(machine, kernel, items, &all)
    }

    /// Writes d loss / d hidden `[N, H]`, in the type of the hidden states, into `to`; `slopes` is
    /// d loss / d log-probability by row.
    ///
    /// # Errors
    /// The number of slopes is wrong, the forward pass left no directions, or the machine fails.
    pub fn backward_hidden<M: Machine<Buffer = B>>(
        &self,
        machine: &mut M,
        inputs: DeviceHead<'_, B>,
        slopes: &[f32],
        to: &B,
    ) -> Result<(), RuntimeError> {
        let Some(direction) = &self.direction else {
            let reason = "the forward pass made log-probabilities only";
            return Err(RuntimeError::argument("hidden", reason));
        };
        let launch = (Kernel::Scale(inputs.element), threads(self.rows * inputs.width));
        let own = [(Wanted::Direction, direction), (Wanted::SlopeHidden, to)];
        self.back(machine, inputs, slopes, launch, &own)
    }

    /// Adds d loss / d head `[V, H]` to the f32 numbers in `to`.
    ///
    /// # Errors
    /// The number of slopes is wrong, or the machine fails.
    pub fn backward_head<M: Machine<Buffer = B>>(
        &self,
        machine: &mut M,
        inputs: DeviceHead<'_, B>,
        slopes: &[f32],
        to: &B,
    ) -> Result<(), RuntimeError> {
        let words = inputs.vocabulary.div_ceil(TILE_VOCABULARY);
        let launch = (Kernel::BackwardHead(inputs.element), words);
        self.back(machine, inputs, slopes, launch, &[(Wanted::SlopeHead, to)])
    }
}
