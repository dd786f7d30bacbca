//! Decoded instructions. Registers hold 64 bits; a narrower value stands in the low ones, the rest is 0.

use crate::convert::Conversion;

/// Index of a register of a thread.
pub(crate) type Register = u32;

/// Three operands to a result; unused operands are 0.
pub(crate) type Compute = fn(u64, u64, u64) -> u64;

/// A value that an instruction reads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Source {
    Register(Register),
    Immediate(u64),
    Special(Special),
}

/// What a thread knows of its place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Special {
    Thread,
    Threads,
    Block,
    Blocks,
    Lane,
}

/// Where memory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Space {
    Global,
    Shared,
    Parameter,
}

/// How a shuffle picks its source lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shuffle {
    Up,
    Down,
    Butterfly,
    Index,
}

#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Compute {
        function: Compute,
        to: Register,
        from: [Source; 3],
    },
    Convert {
        conversion: Conversion,
        to: Register,
        from: Source,
    },
    /// Low bits first.
    Pack {
        to: Register,
        from: Vec<Source>,
        bits: u32,
    },
    Unpack {
        to: Vec<Option<Register>>,
        from: Source,
        bits: u32,
    },
    Load {
        space: Space,
        bytes: u8,
        signed: bool,
        to: Vec<Option<Register>>,
        base: Source,
        offset: i64,
    },
    Store {
        space: Space,
        bytes: u8,
        from: Vec<Source>,
        base: Source,
        offset: i64,
    },
    Branch(usize),
    Barrier,
    Shuffle {
        mode: Shuffle,
        to: Register,
        valid: Option<Register>,
        from: Source,
        by: Source,
        clamp: Source,
        mask: Source,
    },
    /// D = A B + C by a whole warp, with f32 C and D.
    Multiply {
        bf16: bool,
        to: [Register; 4],
        a: [Source; 4],
        b: [Source; 2],
        c: [Source; 4],
    },
    Return,
}

#[derive(Clone, Debug)]
pub(crate) struct Instruction {
    /// Runs only where the register is nonzero (or zero, for `false`).
    pub(crate) guard: Option<(Register, bool)>,
    pub(crate) operation: Operation,
    /// Line in the text.
    pub(crate) line: usize,
}
