//! Runs a kernel: the threads of a block in turn, each to its next synchronisation.

use crate::fault::Fault;
use crate::instruction::{Operation, Register, Source, Space, Special};
use crate::memory::{Cells, Memory, Who};
use crate::parse::Kernel;
use crate::schedule;

/// One argument of a launch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Argument {
    /// `int`
    I32(i32),
    /// `long long`
    I64(i64),
    /// `float`
    F32(f32),
    /// A pointer.
    Address(u64),
}

impl Argument {
    fn bytes(self) -> (u64, usize) {
        match self {
            Argument::I32(x) => (u64::from(x as u32), 4),
            Argument::F32(x) => (u64::from(x.to_bits()), 4),
            Argument::I64(x) => (x as u64, 8),
            Argument::Address(x) => (x, 8),
        }
    }
}

/// The shape of a launch; one dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Number of blocks.
    pub blocks: u32,
    /// Threads of a block.
    pub threads: u32,
    /// Instructions of the whole launch after which it is stopped as endless.
    pub limit: u64,
}

/// What a launch did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Instructions of all threads.
    pub instructions: u64,
    /// Loads of 16 bytes from global memory.
    pub wide_loads: u64,
    /// Stores of 16 bytes to global memory.
    pub wide_stores: u64,
}

/// Where a thread stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Running,
    AtBarrier,
    AtShuffle,
    Done,
}

/// One block in flight.
pub(crate) struct Block<'a> {
    pub(crate) kernel: &'a Kernel,
    pub(crate) index: u32,
    pub(crate) launch: Launch,
    pub(crate) registers: Vec<u64>,
    pub(crate) next: Vec<usize>,
    pub(crate) states: Vec<State>,
    pub(crate) shared: Cells,
    /// Barriers passed.
    pub(crate) epoch: u32,
}

/// Runs a kernel on the whole grid. Buffers that it wrote are in `memory` afterwards.
///
/// # Errors
/// The first fault; `memory` is then as the threads before it left it.
pub fn launch(
    kernel: &Kernel,
    launch: Launch,
    arguments: &[Argument],
    memory: &mut Memory,
) -> Result<Statistics, Fault> {
    let refuse = |reason: String| Fault {
        kernel: kernel.name.clone(),
        block: 0,
        thread: 0,
        line: 0,
        reason,
    };
    let parameters = parameters(kernel, arguments).map_err(refuse)?;
    if launch.threads == 0 || launch.threads > 1024 || launch.blocks == 0 {
        return Err(refuse("a launch has blocks, and 1 to 1024 threads in each".to_owned()));
    }
    let mut run = Run { memory, parameters, statistics: Statistics::default() };
    for index in 0..launch.blocks {
        let n = launch.threads as usize;
        let mut block = Block {
            kernel,
            index,
            launch,
            registers: vec![0; n * kernel.registers],
            next: vec![0; n],
            states: vec![State::Running; n],
            shared: Cells::empty(kernel.shared),
            epoch: 0,
        };
        loop {
            for thread in 0..n {
                if block.states[thread] == State::Running {
                    run.thread(&mut block, thread)?;
                }
            }
            if schedule::release(&mut block)? {
                break;
            }
        }
    }
    run.memory.settle();
    Ok(run.statistics)
}

/// The argument bytes at the offsets that the kernel declares.
fn parameters(kernel: &Kernel, arguments: &[Argument]) -> Result<Vec<u64>, String> {
    if arguments.len() != kernel.parameters.len() {
        let (n, given) = (kernel.parameters.len(), arguments.len());
        return Err(format!("takes {n} arguments, {given} were given"));
    }
    let mut values = Vec::with_capacity(arguments.len());
    for (i, (a, p)) in arguments.iter().zip(&kernel.parameters).enumerate() {
        let (value, bytes) = a.bytes();
        if bytes != p.bytes {
            return Err(format!("argument {i} has {bytes} bytes, the kernel reads {}", p.bytes));
        }
        values.push(value);
    }
    Ok(values)
}

struct Run<'a> {
    memory: &'a mut Memory,
    parameters: Vec<u64>,
    statistics: Statistics,
}

impl Block<'_> {
    pub(crate) fn fault(&self, thread: usize, reason: impl Into<String>) -> Fault {
        let instruction = self.next.get(thread).and_then(|pc| self.kernel.code.get(*pc));
        Fault {
            kernel: self.kernel.name.clone(),
            block: self.index,
            thread: thread as u32,
            line: instruction.map_or(0, |i| i.line),
            reason: reason.into(),
        }
    }

    #[inline]
    pub(crate) fn value(&self, thread: usize, source: Source) -> u64 {
        match source {
            Source::Register(r) => self.registers[thread * self.kernel.registers + r as usize],
            Source::Immediate(x) => x,
            Source::Special(s) => u64::from(match s {
                Special::Thread => thread as u32,
                Special::Threads => self.launch.threads,
                Special::Block => self.index,
                Special::Blocks => self.launch.blocks,
                Special::Lane => thread as u32 % 32,
            }),
        }
    }

    #[inline]
    pub(crate) fn set(&mut self, thread: usize, register: Register, value: u64) {
        self.registers[thread * self.kernel.registers + register as usize] = value;
    }
}

impl Run<'_> {
    /// Runs one thread until it waits or ends.
    fn thread(&mut self, block: &mut Block<'_>, thread: usize) -> Result<(), Fault> {
        let kernel = block.kernel;
        loop {
            let Some(instruction) = kernel.code.get(block.next[thread]) else {
                block.states[thread] = State::Done;
                return Ok(());
            };
            self.statistics.instructions += 1;
            if self.statistics.instructions > block.launch.limit {
                return Err(block.fault(thread, "the launch does not end"));
            }
            if let Some((register, wanted)) = instruction.guard
                && (block.value(thread, Source::Register(register)) != 0) != wanted
            {
                block.next[thread] += 1;
                continue;
            }
            match &instruction.operation {
                Operation::Compute { function, to, from } => {
                    let [a, b, c] = from.map(|s| block.value(thread, s));
                    block.set(thread, *to, function(a, b, c));
                }
                Operation::Convert { conversion, to, from } => {
                    let value = conversion.apply(block.value(thread, *from));
                    block.set(thread, *to, value);
                }
                Operation::Pack { to, from, bits } => {
                    let parts = from.iter().enumerate();
                    let value =
                        parts.fold(0, |v, (i, s)| v | block.value(thread, *s) << (i as u32 * bits));
                    block.set(thread, *to, value);
                }
                Operation::Unpack { to, from, bits } => {
                    let value = block.value(thread, *from);
                    for (i, register) in to.iter().enumerate() {
                        let part = crate::convert::truncated(value >> (i as u32 * bits), *bits);
                        register.iter().for_each(|r| block.set(thread, *r, part));
                    }
                }
                Operation::Load { .. } | Operation::Store { .. } => {
                    self.access(block, thread, &instruction.operation)
                        .map_err(|reason| block.fault(thread, reason))?;
                }
                Operation::Branch(to) => {
                    block.next[thread] = *to;
                    continue;
                }
                Operation::Barrier => {
                    block.states[thread] = State::AtBarrier;
                    return Ok(());
                }
                Operation::Shuffle { .. } | Operation::Multiply { .. } => {
                    block.states[thread] = State::AtShuffle;
                    return Ok(());
                }
                Operation::Return => {
                    block.states[thread] = State::Done;
                    return Ok(());
                }
            }
            block.next[thread] += 1;
        }
    }

    fn access(
        &mut self,
        block: &mut Block<'_>,
        thread: usize,
        operation: &Operation,
    ) -> Result<(), String> {
        let who = Who { block: block.index, thread: thread as u32, epoch: block.epoch };
        match operation {
            Operation::Load { space: Space::Parameter, to, base, .. } => {
                let index = block.value(thread, *base) as usize;
                let value = self.parameters.get(index).copied().unwrap_or_default();
                to.iter().flatten().for_each(|r| block.set(thread, *r, value));
            }
            Operation::Load { space, bytes, signed, to, base, offset } => {
                let address = block.value(thread, *base).wrapping_add_signed(*offset);
                let (width, length) = (*bytes as usize, *bytes as usize * to.len());
                aligned(address, length)?;
                let mut values = [0u64; 4];
                {
                    let read = match space {
                        Space::Shared => block.shared.read(address, length, who)?,
                        _ => {
                            self.statistics.wide_loads += u64::from(length == 16);
                            let (cells, at) = self.memory.at(address)?;
                            cells.read(at, length, who)?
                        }
                    };
                    for (value, chunk) in values.iter_mut().zip(read.chunks_exact(width)) {
                        let mut word = [0; 8];
                        word[..width].copy_from_slice(chunk);
                        *value = u64::from_le_bytes(word);
                    }
                }
                for (register, value) in to.iter().zip(values) {
                    let bits = u32::from(*bytes) * 8;
                    let value =
                        if *signed { crate::convert::extended(value, bits) as u64 } else { value };
                    register.iter().for_each(|r| block.set(thread, *r, value));
                }
            }
            Operation::Store { space, bytes, from, base, offset } => {
                let address = block.value(thread, *base).wrapping_add_signed(*offset);
                let (width, length) = (*bytes as usize, *bytes as usize * from.len());
                aligned(address, length)?;
                let mut data = [0u8; 32];
                for (chunk, source) in data.chunks_exact_mut(width).zip(from) {
                    chunk.copy_from_slice(&block.value(thread, *source).to_le_bytes()[..width]);
                }
                let data = &data[..length];
                if *space == Space::Shared {
                    block.shared.write(address, data, who)?;
                } else {
                    self.statistics.wide_stores += u64::from(length == 16);
                    let (cells, at) = self.memory.at(address)?;
                    cells.write(at, data, who)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn aligned(address: u64, length: usize) -> Result<(), String> {
    if address.is_multiple_of(length as u64) {
        Ok(())
    } else {
        Err(format!("accesses {length} bytes at {address:#x}, which is not aligned to them"))
    }
}
