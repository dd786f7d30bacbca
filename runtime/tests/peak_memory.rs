//! Memory of the passes, counted by the allocator: beside inputs and returned gradients at most 64 MiB from
//! hidden states, and next to nothing from logits in place.

// A global allocator is `unsafe` by its trait; this one hands everything on and counts.
#![allow(unsafe_code, clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use candle_core::{Device, Tensor};
use ponens_compiler::mir::{Input, Interval, Level};
use ponens_runtime::logprob::Head;
use ponens_runtime::model::{CausalLm, Config, Llama, LoraConfig, Rows};
use ponens_runtime::op::fused::loss_and_gradient_in_place;
use ponens_runtime::op::hidden::loss_and_gradient;
use ponens_runtime::op::{
    Column, Columns, Evaluated, LossKernel, RuntimeError, TokenRows, batch_len,
};

struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is handed to the system's allocator with the arguments it came with.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(now, Relaxed);
        // SAFETY: see the impl.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(now, Relaxed);
        // SAFETY: see the impl.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: see the impl.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most bytes that were allocated at a time while `f` ran, above what was there before.
fn peak<R>(f: impl FnOnce() -> R) -> (usize, R) {
    let before = NOW.load(Relaxed);
    PEAK.store(before, Relaxed);
    let out = f();
    (PEAK.load(Relaxed) - before, out)
}

struct Sum(Vec<Input>);

impl LossKernel for Sum {
    fn name(&self) -> &str {
        "sum"
    }

    fn inputs(&self) -> &[Input] {
        &self.0
    }

    fn evaluate(&self, c: &[Vec<f64>]) -> Result<Evaluated, RuntimeError> {
        let n = batch_len(self, c)?;
        Ok(Evaluated { loss: c[0].clone(), grads: vec![Some(vec![1.0; n])] })
    }
}

/// One sequence of `n` rows, and the sum of its log-probabilities as the loss.
fn task(n: usize, vocabulary: usize) -> (TokenRows, Columns, Sum) {
    let targets = (0..n).map(|r| (r * 7919 % vocabulary) as u32).collect();
    let rows = TokenRows::new(targets, vec![Some(0); n], 1).unwrap();
    let columns = Columns::new(vec![Column::Sum(vec![0])], vec![n]).unwrap();
    let input = Input {
        name: "logp(pi,y)".into(),
        level: Level::Example,
        range: Interval::LOG_PROB,
        differentiable: true,
    };
    (rows, columns, Sum(vec![input]))
}

const MIB: usize = 1 << 20;

// One test: a second one would allocate meanwhile.
#[test]
fn extra_memory_is_bounded_whatever_the_shape() {
    for (n, vocabulary, width) in
        [(512, 49_152, 8), (64, 151_936, 8), (1, 1_000_003, 4), (9000, 700, 16), (3, 2, 1)]
    {
        let (rows, columns, kernel) = task(n, vocabulary);
        let value = |i: usize| ((i * 31 + 7) % 1009) as f32 / 1009.0 - 0.5;
        let matrix = |rows: usize| {
            let values: Vec<f32> = (0..rows * width).map(value).collect();
            Tensor::from_vec(values, (rows, width), &Device::Cpu).unwrap()
        };
        let (hidden, head) = (matrix(n), Head::new(matrix(vocabulary)));
        for train in [false, true] {
            let run = || loss_and_gradient(&hidden, &head, train, &rows, &columns, &kernel);
            let (bytes, out) = peak(run);
            let (_, gradients) = out.unwrap();
            let returned = 4 * width * (n + if train { vocabulary } else { 0 });
            assert_eq!(gradients.weight.is_some(), train);
            let extra = bytes.saturating_sub(returned);
            assert!(
                extra <= 64 * MIB,
                "{n} rows, {vocabulary} words of {width}, trained {train}: {} MiB",
                extra / MIB
            );
        }
    }

    let (n, vocabulary) = (200, 10_007);
    let (rows, columns, kernel) = task(n, vocabulary);
    let mut logits: Vec<f32> = (0..n * vocabulary).map(|i| (i % 97) as f32 * 0.1).collect();
    let run = || loss_and_gradient_in_place(&mut logits, vocabulary, &rows, &columns, &kernel);
    let (bytes, out) = peak(run);
    out.unwrap();
    assert!(bytes < MIB, "{bytes} bytes beside {} of logits", 4 * n * vocabulary);

    // An adapter's backward pass holds no second table of the frozen embedding.
    let vocabulary = 100_003;
    let config = Config::small(vocabulary, 64, 2, 4, 2, 32).unwrap();
    let base = Llama::random(config, 1, &Device::Cpu).unwrap();
    let mut rows = Rows::default();
    rows.push(&[1, 2, 3], &[4, 5, 6]);
    for checkpointing in [false, true] {
        let model = base.with_adapter(&LoraConfig::default(), 1).unwrap();
        let model = model.with_checkpointing(checkpointing);
        let (bytes, out) = peak(|| model.backward(&rows, &mut |sums| Ok(vec![1.0; sums.len()])));
        out.unwrap();
        let table = 4 * 64 * vocabulary;
        assert!(bytes < table / 2, "{bytes} bytes, a table is {table}");
    }
}
