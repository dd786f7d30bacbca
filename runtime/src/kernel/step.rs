//! One step from logits: statistics of the tokens, sums, the loss, and the gradient of the logits.
//!
//! In: the logits of every model at the completion tokens, their targets, which rows belong to which
//! example's response, and the columns of the data. Out: the losses, the gradients of the columns, and
//! d loss / d logits of every trained model, which the pass back writes over the logits.
//! Invariants: shapes, labels and ranges are checked before anything is uploaded; a row whose statistics
//! are not finite is an error that names model, row and token, before anything is overwritten.

use super::KernelError;
use super::launch::{Argument, Machine, Outputs, blocks, bytes, check_params, floats, phases};
use super::rows::{Column, Rows, check, columns, row_of};
use ponens_compiler::codegen::cuda::THREADS;
use ponens_compiler::codegen::cuda::stream::{self, Argument as Wanted, Lanes, Row};
use ponens_compiler::lir::{Plan, SequenceSum, Statistic, Stream};
use std::collections::HashMap;
use std::ops::Range;

/// Blocks of a streaming kernel at most: enough to fill any card several times over.
const MOST: u32 = 1 << 16;

/// What a step gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Losses and gradients of the columns, of each example's own loss.
    pub outputs: Outputs,
    /// By column: the value that the streams gave, or the data.
    pub columns: Outputs,
    /// By trained model: d loss / d logits in bytes, of the mean over the examples where each has a loss
    /// of its own.
    pub gradients: Vec<(String, Vec<u8>)>,
}

/// Runs a step.
///
/// # Errors
/// [`KernelError::Input`] names the argument that does not fit, or the row whose logits are not finite.
pub fn step<M: Machine>(
    machine: &mut M,
    plan: &Plan,
    params: &[f64],
    rows: &Rows<'_>,
) -> Result<Step, KernelError> {
    check_params(plan, params)?;
    check(plan, rows)?;
    let columns = columns(plan, rows)?;
    Runner { machine, plan, rows, lanes: Lanes::suited_to(rows.vocabulary) }.run(params, &columns)
}

struct Runner<'a, M> {
    machine: &'a mut M,
    plan: &'a Plan,
    rows: &'a Rows<'a>,
    lanes: Lanes,
}

/// What the forward pass of one model left.
type Values<B> = HashMap<Row, B>;

impl<M: Machine> Runner<'_, M> {
    fn run(mut self, params: &[f64], columns: &[Column]) -> Result<Step, KernelError> {
        let (plan, rows) = (self.plan, self.rows);
        let targets: Vec<u8> = rows.targets.iter().flat_map(|t| t.to_le_bytes()).collect();
        let targets = self.machine.upload(&targets)?;
        let mut logits = HashMap::new();
        for s in &plan.streams {
            let given = rows.logits.iter().find(|l| l.model == s.model);
            let bytes = given.map_or(&[][..], |l| l.bytes);
            logits.insert(s.model.as_str(), self.machine.upload(bytes)?);
        }
        let mut values = HashMap::new();
        for s in &plan.streams {
            values.insert(s.model.as_str(), self.forward(s, &logits, &targets)?);
        }
        for s in &plan.streams {
            self.check_finite(s, &values[s.model.as_str()])?;
        }
        let mut ranges = Vec::new();
        let mut buffers = Vec::new();
        for column in columns {
            let (buffer, bounds) = match column {
                Column::Host(v) => (self.machine.upload(&bytes(v))?, None),
                Column::Sum(sum, part) => {
                    let bounds = self.bounds(part)?;
                    (self.sum(sum, &bounds, &targets, &values)?, Some(bounds))
                }
            };
            buffers.push(buffer);
            ranges.push(bounds);
        }
        let outputs = phases(self.machine, plan, params, &buffers, rows.examples)?;
        let mut gradients = Vec::new();
        for s in &plan.streams {
            if s.gradients.is_empty() {
                continue;
            }
            let slopes = self.slopes(s, columns, &ranges, &outputs, &targets)?;
            self.backward(s, &logits, &targets, &values, &slopes)?;
            gradients.push((s.model.clone(), self.machine.download(&logits[s.model.as_str()])?));
        }
        let mut results = Vec::new();
        for ((name, _), buffer) in plan.outputs().iter().zip(&outputs) {
            results.push((name.clone(), floats(&self.machine.download(buffer)?)));
        }
        let mut read = Vec::new();
        for (input, buffer) in plan.header.inputs.iter().zip(&buffers) {
            read.push((input.name.clone(), floats(&self.machine.download(buffer)?)));
        }
        Ok(Step { outputs: results, columns: read, gradients })
    }

    /// The other model that a stream's divergences name.
    fn other<'p>(&self, s: &'p Stream) -> Option<&'p str> {
        s.statistics.iter().find_map(Statistic::other)
    }

    fn launch_rows(
        &mut self,
        kernel: &stream::Kernel,
        arguments: &[Argument<'_, M::Buffer>],
    ) -> Result<(), KernelError> {
        let grid = blocks(self.rows.targets.len(), kernel.rows_per_block(), MOST);
        self.machine.launch(&kernel.name(), grid, arguments)
    }

    fn forward(
        &mut self,
        s: &Stream,
        logits: &HashMap<&str, M::Buffer>,
        targets: &M::Buffer,
    ) -> Result<Values<M::Buffer>, KernelError> {
        let kernel = stream::forward(s, self.rows.element, self.lanes);
        let n = self.rows.targets.len();
        let mut values = HashMap::new();
        for a in kernel.arguments() {
            if let Wanted::Value(row) = a {
                values.insert(row, self.machine.reserve(4 * n)?);
            }
        }
        let other = self.other(s).and_then(|m| logits.get(m));
        let mut arguments = Vec::new();
        for a in kernel.arguments() {
            arguments.push(match a {
                Wanted::Value(row) => Argument::Buffer(&values[&row]),
                a => self.common(a, &logits[s.model.as_str()], other, targets)?,
            });
        }
        self.launch_rows(&kernel, &arguments)?;
        Ok(values)
    }

    fn common<'b>(
        &self,
        a: Wanted,
        logits: &'b M::Buffer,
        other: Option<&'b M::Buffer>,
        targets: &'b M::Buffer,
    ) -> Result<Argument<'b, M::Buffer>, KernelError> {
        Ok(match a {
            Wanted::Rows => Argument::I64(self.rows.targets.len() as i64),
            Wanted::Vocabulary => Argument::I64(self.rows.vocabulary as i64),
            Wanted::Logits => Argument::Buffer(logits),
            Wanted::Target => Argument::Buffer(targets),
            Wanted::Other | Wanted::Value(_) | Wanted::Slope(_) => {
                let missing = || KernelError::input("logits", "of the other model are missing");
                Argument::Buffer(other.ok_or_else(missing)?)
            }
        })
    }

    /// NaN or infinite logits show in a row's normaliser or in its target's log-probability; which of them
    /// it was is looked up in the bytes from the host.
    fn check_finite(&mut self, s: &Stream, values: &Values<M::Buffer>) -> Result<(), KernelError> {
        for row in [Row::Normaliser, Row::Logp] {
            let read = floats(&self.machine.download(&values[&row])?);
            let Some(i) = read.iter().position(|x| !x.is_finite()) else { continue };
            let logits = self.rows.logits.iter().find(|l| l.model == s.model);
            let found = logits.and_then(|l| {
                let of_row = row_of(self.rows.element, l.bytes, i, self.rows.vocabulary);
                of_row.enumerate().find(|(_, x)| !x.is_finite())
            });
            let reason = found.map_or(format!("row {i} overflows"), |(token, x)| {
                format!("row {i}, token {token} is {x}")
            });
            return Err(KernelError::input(format!("logits of `{}`", s.model), reason));
        }
        Ok(())
    }

    /// First and past-the-end row of each example.
    fn bounds(&mut self, part: &[Range<usize>]) -> Result<[M::Buffer; 2], KernelError> {
        let pack = |f: fn(&Range<usize>) -> usize| -> Vec<u8> {
            part.iter().flat_map(|r| (f(r) as i64).to_le_bytes()).collect()
        };
        Ok([self.machine.upload(&pack(|r| r.start))?, self.machine.upload(&pack(|r| r.end))?])
    }

    fn sum(
        &mut self,
        sum: &SequenceSum,
        [start, end]: &[M::Buffer; 2],
        targets: &M::Buffer,
        values: &HashMap<&str, Values<M::Buffer>>,
    ) -> Result<M::Buffer, KernelError> {
        let n = self.rows.examples;
        let column = self.machine.reserve(4 * n)?;
        let statistic =
            values.get(sum.model.as_str()).and_then(|v| v.get(&Row::of(&sum.statistic)));
        let Some(statistic) = statistic else {
            return Err(KernelError::input(
                "the plan",
                "a sum is not streamed: it is not verified",
            ));
        };
        let arguments = [
            Argument::I64(n as i64),
            Argument::Buffer(start),
            Argument::Buffer(end),
            Argument::Buffer(targets),
            Argument::Buffer(statistic),
            Argument::I32(i32::from(sum.mean)),
            Argument::Buffer(&column),
        ];
        let grid = blocks(n, THREADS as usize / 32, MOST);
        self.machine.launch("ponens_sequence_sum", grid, &arguments)?;
        Ok(column)
    }

    /// The derivative of the loss with respect to each statistic of each row.
    fn slopes(
        &mut self,
        s: &Stream,
        columns: &[Column],
        ranges: &[Option<[M::Buffer; 2]>],
        outputs: &[M::Buffer],
        targets: &M::Buffer,
    ) -> Result<Values<M::Buffer>, KernelError> {
        let (plan, n) = (self.plan, self.rows.examples);
        let scale = if plan.is_scalar_output("loss") || n == 0 { 1.0 } else { 1.0 / n as f32 };
        let zeros = vec![0; 4 * self.rows.targets.len()];
        let mut slopes = HashMap::from([(Row::Logp, self.machine.upload(&zeros)?)]);
        for statistic in &s.gradients {
            slopes.insert(Row::of(statistic), self.machine.upload(&zeros)?);
        }
        for ((input, column), bounds) in plan.header.inputs.iter().zip(columns).zip(ranges) {
            let (Column::Sum(sum, _), Some([start, end])) = (column, bounds) else { continue };
            let name = format!("d/{}", input.name);
            let output = plan.outputs().iter().position(|(n, _)| *n == name);
            let (Some(output), true) = (output, sum.model == s.model) else { continue };
            let Some(to) = slopes.get(&Row::of(&sum.statistic)) else { continue };
            let arguments = [
                Argument::I64(n as i64),
                Argument::Buffer(start),
                Argument::Buffer(end),
                Argument::Buffer(targets),
                Argument::Buffer(&outputs[output]),
                Argument::I32(i32::from(sum.mean)),
                Argument::F32(scale),
                Argument::Buffer(to),
            ];
            let grid = blocks(n, THREADS as usize / 32, MOST);
            self.machine.launch("ponens_sequence_back", grid, &arguments)?;
        }
        Ok(slopes)
    }

    fn backward(
        &mut self,
        s: &Stream,
        logits: &HashMap<&str, M::Buffer>,
        targets: &M::Buffer,
        values: &HashMap<&str, Values<M::Buffer>>,
        slopes: &Values<M::Buffer>,
    ) -> Result<(), KernelError> {
        let Some(kernel) = stream::backward(s, self.rows.element, self.lanes) else {
            return Ok(());
        };
        let other = self.other(s);
        let own = &values[s.model.as_str()];
        let gone =
            || KernelError::input("the plan", "a statistic is not streamed: it is not verified");
        let mut arguments = Vec::new();
        for a in kernel.arguments() {
            arguments.push(match a {
                Wanted::Value(Row::OtherNormaliser) => {
                    let of_other = other.and_then(|m| values.get(m)?.get(&Row::Normaliser));
                    Argument::Buffer(of_other.ok_or_else(gone)?)
                }
                Wanted::Value(row) => Argument::Buffer(own.get(&row).ok_or_else(gone)?),
                Wanted::Slope(row) => Argument::Buffer(slopes.get(&row).ok_or_else(gone)?),
                a => {
                    let other = other.and_then(|m| logits.get(m));
                    self.common(a, &logits[s.model.as_str()], other, targets)?
                }
            });
        }
        self.launch_rows(&kernel, &arguments)
    }
}
