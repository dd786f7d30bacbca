//! What all suites share: the compiler, the interpreter as a machine, numbers.

use half::{bf16, f16};
use ponens_compiler::codegen::cuda::{Element, THREADS};
use ponens_compiler::codegen::interp::Real;
use ponens_ptx::{Buffer, Launch, Memory, Module};
use ponens_runtime::kernel::{Arch, Argument, Compiler, Form, KernelError, Machine};
use std::cell::RefCell;
use std::io::Write as _;

/// NVRTC; `None`, with a message, where it is not installed and not demanded.
pub(crate) fn compiler() -> Option<Compiler> {
    match Compiler::find() {
        Ok(compiler) => Some(compiler),
        Err(e) if std::env::var_os("PONENS_REQUIRE_NVRTC").is_some() => panic!("{e}"),
        Err(e) => {
            // Past the capture of the test harness: a test that passes has shown nothing.
            let _ = writeln!(std::io::stderr(), "skipped: {e}");
            None
        }
    }
}

/// Compiles a program to PTX of sm_80 and reads it.
pub(crate) fn module(compiler: Compiler, source: &str) -> Module {
    let ptx = compiler.compile(source, Arch::SM_80, Form::Ptx).unwrap_or_else(|e| {
        let KernelError::Compile { log, .. } = e else { panic!("{e}") };
        panic!("{log}\n{source}")
    });
    ponens_ptx::parse(ptx.text()).unwrap_or_else(|e| panic!("{e}"))
}

/// A number as it is stored, and its value.
pub(crate) fn store(element: Element, x: f64) -> (Vec<u8>, f64) {
    match element {
        Element::F32 => ((x as f32).to_le_bytes().to_vec(), f64::from(x as f32)),
        Element::Bf16 => (bf16::from_f64(x).to_le_bytes().to_vec(), bf16::from_f64(x).to_f64()),
        Element::F16 => (f16::from_f64(x).to_le_bytes().to_vec(), f16::from_f64(x).to_f64()),
    }
}

/// The numbers in stored bytes.
pub(crate) fn load(element: Element, bytes: &[u8]) -> Vec<f64> {
    let one = |c: &[u8]| match element {
        Element::F32 => f64::from(f32::from_le_bytes([c[0], c[1], c[2], c[3]])),
        Element::Bf16 => bf16::from_le_bytes([c[0], c[1]]).to_f64(),
        Element::F16 => f16::from_le_bytes([c[0], c[1]]).to_f64(),
    };
    bytes.chunks_exact(element.bytes()).map(one).collect()
}

/// Instructions after which a launch counts as endless.
const LIMIT: u64 = 2_000_000_000;

/// The interpreter as a machine.
pub(crate) struct Interpreter<'a> {
    pub(crate) module: &'a Module,
    pub(crate) memory: Memory,
    pub(crate) launches: usize,
    /// Blocks at most: fewer than asked for make the loops over the grid go round.
    pub(crate) most_blocks: u32,
    /// Bytes by which buffers start past an aligned address.
    pub(crate) skew: u8,
}

impl<'a> Interpreter<'a> {
    pub(crate) fn new(module: &'a Module) -> Self {
        Self { module, memory: Memory::new(), launches: 0, most_blocks: u32::MAX, skew: 0 }
    }
}

impl Machine for Interpreter<'_> {
    type Buffer = Buffer;

    fn upload(&mut self, bytes: &[u8]) -> Result<Buffer, KernelError> {
        Ok(self.memory.upload(bytes, self.skew))
    }

    fn reserve(&mut self, bytes: usize) -> Result<Buffer, KernelError> {
        Ok(self.memory.reserve(bytes, self.skew))
    }

    fn download(&mut self, buffer: &Buffer) -> Result<Vec<u8>, KernelError> {
        assert!(self.memory.is_written(*buffer), "a result that no thread wrote");
        Ok(self.memory.bytes(*buffer).to_vec())
    }

    fn launch(
        &mut self,
        name: &str,
        blocks: u32,
        arguments: &[Argument<'_, Buffer>],
    ) -> Result<(), KernelError> {
        let refuse = |reason: String| KernelError::Launch { kernel: name.to_owned(), reason };
        let kernel = self.module.kernel(name).ok_or_else(|| refuse("is not there".to_owned()))?;
        let arguments: Vec<ponens_ptx::Argument> = arguments
            .iter()
            .map(|a| match a {
                Argument::I32(x) => ponens_ptx::Argument::I32(*x),
                Argument::I64(x) => ponens_ptx::Argument::I64(*x),
                Argument::F32(x) => ponens_ptx::Argument::F32(*x),
                Argument::Buffer(b) => ponens_ptx::Argument::Address(b.address()),
            })
            .collect();
        let shape = Launch { blocks: blocks.min(self.most_blocks), threads: THREADS, limit: LIMIT };
        self.launches += 1;
        ponens_ptx::launch(kernel, shape, &arguments, &mut self.memory)
            .map(|_| ())
            .map_err(|e| refuse(e.to_string()))
    }
}

/// Choices from one number (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.bits() % n.max(1) as u64) as usize
    }

    /// In [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(crate) fn between(&mut self, lo: f64, hi: f64) -> f64 {
        lo + self.unit() * (hi - lo)
    }
}

thread_local! {
    static NOISE: RefCell<Dice> = const { RefCell::new(Dice(1)) };
}

/// An f32 whose every operation is off by some units in the last place: the spread of a few runs tells
/// how far two right evaluations may differ.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Noisy(pub(crate) f32);

/// Starts the noise anew.
pub(crate) fn reseed(seed: u64) {
    NOISE.with(|n| *n.borrow_mut() = Dice(seed));
}

fn noise(x: f32) -> Noisy {
    if !x.is_finite() || x == 0.0 {
        return Noisy(x);
    }
    let steps = NOISE.with(|n| n.borrow_mut().below(7)) as i32 - 3;
    let mut y = x;
    for _ in 0..steps.abs() {
        y = if steps > 0 { y.next_up() } else { y.next_down() };
    }
    Noisy(y)
}

macro_rules! noisy {
    ($($name:ident),*) => {$(
        fn $name(&self) -> Self {
            noise(Real::$name(&self.0))
        }
    )*};
}

macro_rules! noisy_two {
    ($($name:ident),*) => {$(
        fn $name(&self, b: &Self) -> Self {
            noise(Real::$name(&self.0, &b.0))
        }
    )*};
}

impl Real for Noisy {
    fn from_f64(x: f64) -> Self {
        Noisy(x as f32)
    }
    fn to_f64(&self) -> f64 {
        f64::from(self.0)
    }
    fn neg(&self) -> Self {
        Noisy(-self.0)
    }
    fn abs(&self) -> Self {
        Noisy(self.0.abs())
    }
    noisy!(exp, ln, ln_1p, exp_m1, log1mexp, softplus, sigmoid);
    noisy_two!(add, sub, mul, div, pow, logaddexp);
    fn is_positive(&self) -> bool {
        self.0 > 0.0
    }
    fn is_negative(&self) -> bool {
        self.0 < 0.0
    }
    fn is_nan(&self) -> bool {
        self.0.is_nan()
    }
    fn exceeds(&self, b: &Self) -> bool {
        self.0 > b.0
    }
}

/// Checks a kernel's value against what noisy evaluations give: within their spread, times a factor.
/// Returns false where the value is too uncertain to say anything: some evaluations are not finite.
pub(crate) fn agrees(what: &str, got: f32, plain: f32, noisy: &[f32]) -> bool {
    let finite = |x: &f32| x.is_finite();
    if !plain.is_finite() || !noisy.iter().all(finite) {
        let same = |x: &f32| x.to_bits() == plain.to_bits() || (x.is_nan() && plain.is_nan());
        if noisy.iter().all(same) {
            let equal = got == plain || (got.is_nan() && plain.is_nan());
            assert!(equal, "{what}: the kernel gives {got:e}, the interpreter {plain:e}");
        }
        return false;
    }
    let spread = noisy.iter().map(|x| (x - plain).abs()).fold(0.0, f32::max);
    // Below the normal range the kernels' exponential may give 0.
    let tolerance = 8.0 * spread + 16.0 * f32::EPSILON * plain.abs() + 4.0 * f32::MIN_POSITIVE;
    assert!(
        (got - plain).abs() <= tolerance,
        "{what}: the kernel gives {got:e}, the interpreter {plain:e}, tolerance {tolerance:e}"
    );
    spread <= 1e-3 * plain.abs()
}
