//! The loss from hidden states and the head on a card: logits exist as tiles in shared memory only.

use super::{blocks, check_vocabulary, floats, targets, upload};
use crate::kernel::{Argument, Machine};
use crate::op::{RuntimeError, TokenRows};
use ponens_compiler::codegen::cuda::head::{
    Argument as Wanted, Kernel, TILE_ROWS, TILE_VOCABULARY,
};
use ponens_compiler::codegen::cuda::{Element, THREADS, head, prelude};

/// Blocks that fill the cards of today twice over.
const FILL: usize = 264;
/// Bytes for the parts of d loss / d hidden at most.
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
    splits: usize,
    targets: B,
    on_machine: [B; 2],
}

/// How many parts the vocabulary is cut into, so that few rows fill a card too.
fn splits(rows: usize, vocabulary: usize, width: usize) -> usize {
    let tiles = rows.div_ceil(TILE_ROWS).max(1);
    let words = vocabulary.div_ceil(TILE_VOCABULARY).max(1);
    let in_memory = PARTS / (4 * rows * width).max(1);
    FILL.div_ceil(tiles).min(words).min(in_memory).max(1)
}

/// The log-probability of every row's target.
///
/// The machine has [`program`] loaded for the type; the buffers hold `rows` x `width` and `vocabulary` x
/// `width` numbers.
///
/// # Errors
/// If a label is outside the vocabulary, or the machine fails. A row whose logits are not finite is not
/// refused here: its log-probability or its normaliser is not finite.
pub fn forward<M: Machine>(
    machine: &mut M,
    inputs: DeviceHead<'_, M::Buffer>,
    rows: &TokenRows,
) -> Result<HeadPass<M::Buffer>, RuntimeError> {
    let n = rows.targets().len();
    rows.check(n, inputs.vocabulary)?;
    check_vocabulary(inputs.vocabulary)?;
    let targets = targets(machine, rows)?;
    let splits = splits(n, inputs.vocabulary, inputs.width);
    let parts = [(); 3].map(|()| machine.reserve(4 * splits * n));
    let [max, sum, target] = parts;
    let parts = [max?, sum?, target?];
    let on_machine = [machine.reserve(4 * n)?, machine.reserve(4 * n)?];
    let common = Common { inputs, rows: n, splits, targets: &targets, on_machine: &on_machine };
    for kernel in [Kernel::Forward(inputs.element), Kernel::Join] {
        let items = match kernel {
            Kernel::Join => n.div_ceil(THREADS as usize),
            _ => n.div_ceil(TILE_ROWS) * splits,
        };
        let own = |a: &Wanted| match a {
            Wanted::PartMax => Some(Argument::Buffer(&parts[0])),
            Wanted::PartSum => Some(Argument::Buffer(&parts[1])),
            Wanted::PartTarget => Some(Argument::Buffer(&parts[2])),
            _ => None,
        };
        let arguments = common.arguments(kernel, own)?;
        machine.launch(&kernel.name(), blocks(items, 1), &arguments)?;
    }
    let [logp, normaliser] = &on_machine;
    let (logp, normaliser) = (floats(machine, logp)?, floats(machine, normaliser)?);
    Ok(HeadPass { logp, normaliser, rows: n, splits, targets, on_machine })
}

/// Arguments that several kernels share.
struct Common<'a, B> {
    inputs: DeviceHead<'a, B>,
    rows: usize,
    splits: usize,
    targets: &'a B,
    on_machine: &'a [B; 2],
}

impl<'a, B> Common<'a, B> {
    fn arguments(
        &self,
        kernel: Kernel,
        own: impl Fn(&Wanted) -> Option<Argument<'a, B>>,
    ) -> Result<Vec<Argument<'a, B>>, RuntimeError> {
        let DeviceHead { vocabulary, width, hidden, head, .. } = self.inputs;
        let one = |a: &Wanted| {
            let shared = match a {
                Wanted::Rows => Some(Argument::I64(self.rows as i64)),
                Wanted::Vocabulary => Some(Argument::I64(vocabulary as i64)),
                Wanted::Width => Some(Argument::I64(width as i64)),
                Wanted::Count => Some(Argument::I64((self.rows * width) as i64)),
                Wanted::Splits => Some(Argument::I32(self.splits as i32)),
                Wanted::Hidden => Some(Argument::Buffer(hidden)),
                Wanted::Head => Some(Argument::Buffer(head)),
                Wanted::Target => Some(Argument::Buffer(self.targets)),
                Wanted::Logp => Some(Argument::Buffer(&self.on_machine[0])),
                Wanted::Normaliser => Some(Argument::Buffer(&self.on_machine[1])),
                _ => None,
            };
            shared.or_else(|| own(a)).ok_or_else(|| {
                RuntimeError::argument("head", format!("{} has no {a:?}", kernel.name()))
            })
        };
        kernel.arguments().iter().map(one).collect()
    }
}

impl<B> HeadPass<B> {
    fn common<'a>(&'a self, inputs: DeviceHead<'a, B>) -> Common<'a, B> {
        let Self { rows, splits, targets, on_machine, .. } = self;
        Common { inputs, rows: *rows, splits: *splits, targets, on_machine }
    }

    fn check(&self, slopes: &[f32]) -> Result<(), RuntimeError> {
        if slopes.len() == self.rows {
            return Ok(());
        }
        let reason = format!("{} for {} rows", slopes.len(), self.rows);
        Err(RuntimeError::argument("slopes", reason))
    }

    /// Writes d loss / d hidden `[N, H]`, in the type of the hidden states, into `to`; `slopes` is
    /// d loss / d log-probability by row.
    ///
    /// # Errors
    /// The number of slopes is wrong, or the machine fails.
    pub fn backward_hidden<M: Machine<Buffer = B>>(
        &self,
        machine: &mut M,
        inputs: DeviceHead<'_, B>,
        slopes: &[f32],
        to: &B,
    ) -> Result<(), RuntimeError> {
        self.check(slopes)?;
        let slopes = upload(machine, slopes)?;
        let part = machine.zeros(4 * self.splits * self.rows * inputs.width)?;
        let element = inputs.element;
        let tiles = self.rows.div_ceil(TILE_ROWS) * self.splits;
        let numbers = (self.rows * inputs.width).div_ceil(THREADS as usize);
        for (kernel, items) in
            [(Kernel::BackwardHidden(element), tiles), (Kernel::Add(element), numbers)]
        {
            let own = |a: &Wanted| match a {
                Wanted::Slope => Some(Argument::Buffer(&slopes)),
                Wanted::PartHidden => Some(Argument::Buffer(&part)),
                Wanted::SlopeHidden => Some(Argument::Buffer(to)),
                _ => None,
            };
            let arguments = self.common(inputs).arguments(kernel, own)?;
            machine.launch(&kernel.name(), blocks(items, 1), &arguments)?;
        }
        Ok(())
    }

    /// Adds d loss / d head `[V, H]` to the f32 numbers in `to`.
    ///
    /// # Errors
    /// As [`Self::backward_hidden`].
    pub fn backward_head<M: Machine<Buffer = B>>(
        &self,
        machine: &mut M,
        inputs: DeviceHead<'_, B>,
        slopes: &[f32],
        to: &B,
    ) -> Result<(), RuntimeError> {
        self.check(slopes)?;
        let slopes = upload(machine, slopes)?;
        let kernel = Kernel::BackwardHead(inputs.element);
        let own = |a: &Wanted| match a {
            Wanted::Slope => Some(Argument::Buffer(&slopes)),
            Wanted::SlopeHead => Some(Argument::Buffer(to)),
            _ => None,
        };
        let arguments = self.common(inputs).arguments(kernel, own)?;
        let words = inputs.vocabulary.div_ceil(TILE_VOCABULARY);
        machine.launch(&kernel.name(), blocks(words, 1), &arguments)?;
        Ok(())
    }
}
