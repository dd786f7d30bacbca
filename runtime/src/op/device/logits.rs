//! The loss from logits on a card: a pass over the rows, the loss on the host, a pass back in place.

use super::{blocks, check_vocabulary, floats, targets, upload};
use crate::kernel::{Argument, Machine, row_of};
use crate::logprob::{Each, Statistic};
use crate::op::fused::{Task, check_reference, check_rows};
use crate::op::{Columns, Evaluated, LossKernel, RuntimeError, TokenRows, finite};
use ponens_compiler::codegen::cuda::stream::{Argument as Wanted, Kernel, Pass, Row};
use ponens_compiler::codegen::cuda::{Element, Lanes, Wants, prelude};

/// Logits in the memory of a machine, `[N, V]`, row-major.
#[derive(Debug)]
pub struct DeviceLogits<'a, B> {
    /// Their type.
    pub element: Element,
    /// V
    pub vocabulary: usize,
    /// The policy's.
    pub own: &'a B,
    /// The reference's, for a loss that reads a divergence.
    pub reference: Option<&'a B>,
}

impl<B> Clone for DeviceLogits<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B> Copy for DeviceLogits<'_, B> {}

/// The kernels for what a loss reads.
#[derive(Clone, Copy, Debug)]
struct Kernels {
    forward: Kernel,
    /// Log-probabilities only: the reference's normaliser, and the pass back of most losses.
    plain: Wants,
}

impl Kernels {
    fn new(element: Element, vocabulary: usize, wanted: Each<bool>) -> Self {
        let wants = Wants {
            squares: wanted[Statistic::LogSumP2],
            entropy: wanted[Statistic::Entropy],
            kl_to: wanted[Statistic::KlToReference],
            kl_from: wanted[Statistic::KlFromReference],
        };
        let lanes = Lanes::suited_to(vocabulary);
        let forward = Kernel { pass: Pass::Forward, element, lanes, wants };
        Self { forward, plain: Wants::default() }
    }

    fn reference(&self) -> Kernel {
        Kernel { wants: self.plain, ..self.forward }
    }

    fn backward(&self, plain: bool) -> Kernel {
        let wants = if plain { self.plain } else { self.forward.wants };
        Kernel { pass: Pass::Backward, wants, ..self.forward }
    }
}

/// The streaming kernels that a loss needs.
pub fn kernels(element: Element, vocabulary: usize, wanted: Each<bool>) -> Vec<Kernel> {
    let k = Kernels::new(element, vocabulary, wanted);
    let mut all = vec![k.forward];
    let reference = k.forward.wants.other().then(|| k.reference());
    for kernel in reference.into_iter().chain([k.backward(true), k.backward(false)]) {
        if !all.contains(&kernel) {
            all.push(kernel);
        }
    }
    all
}

/// The program that a machine has to have loaded: CUDA C.
pub fn program(element: Element, vocabulary: usize, wanted: Each<bool>) -> String {
    let all = kernels(element, vocabulary, wanted);
    let texts: Vec<String> = all.iter().map(Kernel::text).collect();
    format!("{}\n{}", prelude(), texts.join("\n"))
}

/// What the forward pass leaves: the loss, and on the machine a few numbers a row.
#[derive(Debug)]
pub struct LogitsPass<B> {
    /// The loss of each example and the gradients of its columns.
    pub value: Evaluated,
    kernels: Kernels,
    targets: B,
    /// By kind of number, in the order of the kernels' arguments.
    values: Vec<(Row, B)>,
    /// By statistic: d(loss of the batch) / d(sum over the sequence's tokens).
    weights: Each<Vec<f64>>,
}

fn value_of(statistic: Statistic) -> Row {
    match statistic {
        Statistic::LogProb => Row::Logp,
        Statistic::Entropy => Row::Entropy,
        Statistic::LogSumP2 => Row::Squares,
        Statistic::KlFromReference => Row::KlFrom,
        Statistic::KlToReference => Row::KlTo,
    }
}

/// The statistics of every row that counts, and their sums.
struct Summed<B> {
    kernels: Kernels,
    targets: B,
    values: Vec<(Row, B)>,
    sums: Each<Vec<f64>>,
}

/// By statistic, the sum over the tokens of each sequence: what a frozen model's columns are made of, with
/// the bits that [`forward`] itself sees. Statistics that are not wanted are 0.
///
/// The machine has [`program`] loaded for the logits' type, their vocabulary and `wanted`.
///
/// # Errors
/// As [`forward`], but for columns and kernel. Logits are only read.
pub fn sequence_statistics<M: Machine>(
    machine: &mut M,
    logits: DeviceLogits<'_, M::Buffer>,
    rows: &TokenRows,
    wanted: Each<bool>,
) -> Result<Each<Vec<f64>>, RuntimeError> {
    let len = numbers(rows, logits.vocabulary)?;
    check_rows(rows, len, logits.vocabulary)?;
    check_reference(wanted, len, logits.reference.map(|_| len), "a statistic")?;
    Ok(summed(machine, logits, rows, wanted)?.sums)
}

/// Runs the forward pass: statistics of every row that counts, their sums, the loss.
///
/// The machine has [`program`] loaded for the logits' type, their vocabulary and `columns.wanted()`;
/// `logits.own`, and the reference's where there is one, hold `rows` x `vocabulary` numbers.
///
/// # Errors
/// If labels, shapes or columns disagree, a logit of a row that counts is NaN or infinite (row, sequence
/// and token are named), the loss reads a divergence without a reference, the kernel refuses its columns,
/// or the machine fails. Logits are only read.
pub fn forward<M: Machine>(
    machine: &mut M,
    logits: DeviceLogits<'_, M::Buffer>,
    rows: &TokenRows,
    columns: &Columns,
    kernel: &dyn LossKernel,
) -> Result<LogitsPass<M::Buffer>, RuntimeError> {
    let task = Task { vocabulary: logits.vocabulary, rows, columns, kernel };
    let len = numbers(rows, logits.vocabulary)?;
    task.check(len, logits.reference.map(|_| len))?;
    let Summed { kernels, targets, values, sums } =
        summed(machine, logits, rows, columns.wanted())?;
    let (value, weights) = task.evaluate(&sums)?;
    Ok(LogitsPass { value, kernels, targets, values, weights })
}

/// How many logits the rows have.
fn numbers(rows: &TokenRows, vocabulary: usize) -> Result<usize, RuntimeError> {
    let n = rows.targets().len();
    n.checked_mul(vocabulary).ok_or_else(|| {
        RuntimeError::argument("logits", format!("{n} rows of {vocabulary} are no size"))
    })
}

/// The first pass, over arguments that are checked but for the logits' values.
fn summed<M: Machine>(
    machine: &mut M,
    logits: DeviceLogits<'_, M::Buffer>,
    rows: &TokenRows,
    wanted: Each<bool>,
) -> Result<Summed<M::Buffer>, RuntimeError> {
    let DeviceLogits { element, vocabulary, own, reference } = logits;
    check_vocabulary(vocabulary)?;
    let n = rows.targets().len();
    let kernels = Kernels::new(element, vocabulary, wanted);
    let targets = targets(machine, rows)?;
    let mut values = statistics(machine, &kernels.forward, logits, &targets, n)?;
    if let Some(other) = reference.filter(|_| kernels.forward.wants.other()) {
        let logits = DeviceLogits { own: other, reference: None, ..logits };
        let of_other = statistics(machine, &kernels.reference(), logits, &targets, n)?;
        let normaliser = of_other.into_iter().find(|(row, _)| *row == Row::Normaliser);
        values.extend(normaliser.map(|(_, b)| (Row::OtherNormaliser, b)));
    }
    let mut read = Vec::new();
    for (row, buffer) in &values {
        read.push((*row, floats(machine, buffer)?));
    }
    let bad = rows.kept().find(|(r, ..)| read.iter().any(|(_, v)| !v[*r].is_finite()));
    if let Some((row, ..)) = bad {
        let found = not_finite(&machine.download(own)?, "logits", row, rows, logits);
        let other = match (found.is_some(), reference) {
            (false, Some(other)) => {
                not_finite(&machine.download(other)?, "reference", row, rows, logits)
            }
            _ => None,
        };
        return Err(found
            .or(other)
            .unwrap_or_else(|| RuntimeError::argument("logits", format!("row {row} overflows"))));
    }
    let mut sums = Each::new(|_| vec![0f64; rows.lengths().len()]);
    for statistic in Statistic::ALL {
        let Some((_, of_row)) = read.iter().find(|(row, _)| *row == value_of(statistic)) else {
            continue;
        };
        for (r, _, s) in rows.kept() {
            sums[statistic][s] += f64::from(of_row[r]);
        }
    }
    Ok(Summed { kernels, targets, values, sums })
}

/// One forward kernel: its numbers by row.
fn statistics<M: Machine>(
    machine: &mut M,
    kernel: &Kernel,
    logits: DeviceLogits<'_, M::Buffer>,
    targets: &M::Buffer,
    n: usize,
) -> Result<Vec<(Row, M::Buffer)>, RuntimeError> {
    let mut values = Vec::new();
    for a in kernel.arguments() {
        if let Wanted::Value(row) = a {
            values.push((row, machine.reserve(4 * n)?));
        }
    }
    let arguments = arguments(kernel, logits, targets, n, &values, &[])?;
    machine.launch(&kernel.name(), blocks(n, kernel.rows_per_block()), &arguments)?;
    Ok(values)
}

fn arguments<'a, B>(
    kernel: &Kernel,
    logits: DeviceLogits<'a, B>,
    targets: &'a B,
    n: usize,
    values: &'a [(Row, B)],
    slopes: &'a [(Row, B)],
) -> Result<Vec<Argument<'a, B>>, RuntimeError> {
    let of = |list: &'a [(Row, B)], row: Row| {
        let found = list.iter().find(|(r, _)| *r == row).map(|(_, b)| Argument::Buffer(b));
        found.ok_or_else(|| RuntimeError::argument("logits", format!("{row:?} was not computed")))
    };
    let one = |a: &Wanted| {
        Ok(match a {
            Wanted::Rows => Argument::I64(n as i64),
            Wanted::Vocabulary => Argument::I64(logits.vocabulary as i64),
            Wanted::Logits => Argument::Buffer(logits.own),
            Wanted::Other => Argument::Buffer(logits.reference.ok_or_else(|| {
                RuntimeError::argument("reference", "a divergence is read, and there is none")
            })?),
            Wanted::Target => Argument::Buffer(targets),
            Wanted::Value(row) => of(values, *row)?,
            Wanted::Slope(row) => of(slopes, *row)?,
        })
    };
    kernel.arguments().iter().map(one).collect()
}

/// Says which token of a row is NaN or infinite.
fn not_finite<B>(
    bytes: &[u8],
    argument: &'static str,
    row: usize,
    rows: &TokenRows,
    logits: DeviceLogits<'_, B>,
) -> Option<RuntimeError> {
    let of_row: Vec<f32> = row_of(logits.element, bytes, row, logits.vocabulary).collect();
    finite::of_logits(argument, row, rows, &of_row)
}

impl<B> LogitsPass<B> {
    /// Overwrites `logits.own`, which holds what the forward pass has read, with `scale` times
    /// d(mean loss) / d logits.
    ///
    /// # Errors
    /// The machine fails.
    pub fn backward<M: Machine<Buffer = B>>(
        &self,
        machine: &mut M,
        logits: DeviceLogits<'_, B>,
        rows: &TokenRows,
        scale: f64,
    ) -> Result<(), RuntimeError> {
        let extra = Statistic::ALL.into_iter().filter(|s| *s != Statistic::LogProb);
        let plain = extra.clone().all(|s| self.weights[s].iter().all(|w| *w == 0.0));
        let kernel = self.kernels.backward(plain);
        let n = rows.targets().len();
        let mut slopes = Vec::new();
        for statistic in Statistic::ALL {
            if !kernel.arguments().contains(&Wanted::Slope(value_of(statistic))) {
                continue;
            }
            let weight = |s: &Option<u32>| {
                s.map_or(0.0, |s| (self.weights[statistic][s as usize] * scale) as f32)
            };
            let of_rows: Vec<f32> = rows.sequence().iter().map(weight).collect();
            slopes.push((value_of(statistic), upload(machine, &of_rows)?));
        }
        let arguments = arguments(&kernel, logits, &self.targets, n, &self.values, &slopes)?;
        machine.launch(&kernel.name(), blocks(n, kernel.rows_per_block()), &arguments)?;
        Ok(())
    }
}
