//! A model of a few thousand numbers, trained for a few steps.

mod diverging;
mod dropping;
mod labelled;
mod nested;
mod resuming;
mod running;

use std::path::Path;
use std::sync::atomic::AtomicBool;

use candle_core::Device;

use super::batch::BatchResult;
use super::nested::Inputs;
use super::problem::{BatchError, Problem};
use super::*;
use crate::data::{EncodedExample, Sequence};
use crate::model::{CausalLm, Config, Gradients, Llama, LoraConfig, TokenNumbers};
use crate::op::fixture::{Custom, Dpo, spread};
use crate::op::{Evaluated, LossKernel, RuntimeError};
use crate::optim::{Decay, Schedule};

fn tiny() -> Llama {
    let small = Config::small(12, 16, 1, 2, 1, 32).expect("sizes that fit");
    let config = Config { intermediate_size: 32, eos_token_ids: vec![0], ..small };
    Llama::random(config, 5, &Device::Cpu).expect("valid configuration")
}

fn full() -> Llama {
    tiny().into_trainable().expect("trainable")
}

fn adapter(dropout: f64) -> Llama {
    let config = LoraConfig { rank: 2, dropout, ..LoraConfig::default() };
    tiny().with_adapter(&config, 3).expect("adapter")
}

/// Prompts of two tokens; the chosen response counts up, the rejected one down, of unequal lengths.
fn pairs(n: usize) -> Vec<EncodedExample> {
    let one = |i: usize| {
        let a = (i % 5) as u32 + 3;
        let up: Vec<u32> = (0..2 + i % 3).map(|k| (a + k as u32) % 11 + 1).collect();
        let down: Vec<u32> = (0..1 + i % 4).map(|k| (a + 11 - k as u32) % 11 + 1).collect();
        let side = |r: &[u32]| Sequence { ids: [&[1, a], r, &[0]].concat(), start: 2 };
        let columns = vec![i as f64];
        EncodedExample::pair(i, side(&up), side(&down), columns)
    };
    (0..n).map(one).collect()
}

fn config(steps: usize) -> TrainConfig {
    TrainConfig {
        length: Length::Steps(steps),
        batch_size: 6,
        micro_batch: 4,
        schedule: Schedule { peak: 3e-3, warmup: 2, decay: Decay::Cosine },
        clip: Some(1.0),
        seed: 9,
        eval_every: Some(4),
        ..TrainConfig::default()
    }
}

struct Setup<'a> {
    policy: &'a Llama,
    kernel: &'a dyn LossKernel,
    config: TrainConfig,
    output: Option<&'a Path>,
    train: Vec<EncodedExample>,
    stop: AtomicBool,
    records: Vec<Record>,
    /// Ask to stop when this step was recorded.
    stop_after: Option<usize>,
}

impl<'a> Setup<'a> {
    fn new(policy: &'a Llama, kernel: &'a dyn LossKernel, steps: usize) -> Self {
        Self {
            policy,
            kernel,
            config: config(steps),
            output: None,
            train: pairs(20),
            stop: AtomicBool::new(false),
            records: Vec::new(),
            stop_after: None,
        }
    }

    fn go(&mut self, from: Option<&Path>) -> Result<Outcome, RuntimeError> {
        let held_out: Vec<EncodedExample> = pairs(28).split_off(20);
        let (stop, stop_after, records) = (&self.stop, self.stop_after, &mut self.records);
        let mut observe = |r: &Record| {
            if let (Record::Step(s), Some(last)) = (r, stop_after) {
                stop.store(s.step >= last, std::sync::atomic::Ordering::Relaxed);
            }
            records.push(r.clone());
        };
        let run = Run {
            policy: self.policy,
            kernel: self.kernel,
            names: &Names::default(),
            config: &self.config,
            train: &self.train,
            held_out: &held_out,
            reference: Reference::Initial,
            beside: Beside::default(),
            output: self.output,
            stop: &self.stop,
            observe: &mut observe,
        };
        match from {
            None => train(run),
            Some(checkpoint) => resume(run, checkpoint),
        }
    }
}

/// [`super::batch::gradient`] of a loss without a head's.
fn gradient(
    policy: &Llama,
    kernel: &dyn LossKernel,
    binding: &Binding,
    examples: &[&EncodedExample],
    reference: Option<&[Vec<f64>]>,
    past: &[Running],
    micro: usize,
) -> Result<BatchResult, BatchError> {
    let problem = Problem { past, ..Problem::plain(kernel, binding) };
    batch::gradient(policy, problem, examples, reference, micro)
}

/// The columns of sums, each at the first token of its sequence.
fn resolve(inputs: &Inputs, sums: &[f64]) -> Vec<Vec<f64>> {
    let logps = sums.iter().map(|s| vec![*s as f32]).collect();
    inputs.resolve(&TokenNumbers { logps, ..TokenNumbers::default() }).expect("sums")
}

fn weights(model: &Llama) -> Vec<(String, Vec<f32>)> {
    let read = |(n, v): &(String, candle_core::Var)| {
        let values = v.flatten_all().and_then(|t| t.to_vec1::<f32>()).expect("f32");
        (n.clone(), values)
    };
    model.trainable().iter().map(read).collect()
}

fn flat(g: &Gradients) -> Vec<f32> {
    g.iter().flat_map(|(_, t)| t.flatten_all().unwrap().to_vec1::<f32>().unwrap()).collect()
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

impl Setup<'_> {
    fn stop_after(mut self, step: usize) -> Self {
        self.stop_after = Some(step);
        self
    }
}

fn message(r: Result<Outcome, RuntimeError>) -> String {
    r.expect_err("refused").to_string()
}
