//! Time and memory of one training step of a real model, optimiser excluded: two pairs of rows, an
//! example of a preference loss, forward and backward pass.
//!
//! ```text
//! cargo run --release --example training_step -- models/SmolLM2-135M-Instruct.Q4_1.gguf \
//!     [--full] [--checkpoint] [--tokens 128] [--prompt 32] [--steps 3] [--generate]
//! ```
// A measuring program stops at the first error.
#![allow(clippy::unwrap_used)]

use std::{ops::ControlFlow, time::Instant};

use candle_core::Device;
use ponens_runtime::{
    generate::{Options, generate},
    model::{CausalLm, LoraConfig, Rows, Source},
    tokenizer::Tokenizer,
};

fn number(arguments: &[String], name: &str, default: usize) -> usize {
    let at = arguments.iter().position(|a| a == name);
    at.and_then(|i| arguments.get(i + 1)).map_or(default, |v| v.parse().unwrap())
}

/// Current and highest resident memory in MB, where the system tells.
fn memory() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find(|l| l.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    (field("VmRSS").unwrap_or(0) / 1000, field("VmHWM").unwrap_or(0) / 1000)
}

/// Processor seconds of this process, where the system tells.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> =
        stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let flag = |name: &str| arguments.iter().any(|a| a == name);
    let (tokens, prompt) =
        (number(&arguments, "--tokens", 128), number(&arguments, "--prompt", 32));
    let source = Source::find(&arguments[1]).unwrap();
    let start = Instant::now();
    let base = source.load(&Device::Cpu).unwrap();
    println!("load {:.2} s, memory {:?} MB", start.elapsed().as_secs_f64(), memory());
    if flag("--generate") {
        let tokenizer = Tokenizer::load(&source).unwrap();
        let ids = tokenizer.encode("Once upon a time", false).unwrap();
        let options = Options { max_tokens: 64, ..Options::default() };
        let start = Instant::now();
        let text = generate(&base, &ids, &options, |_| ControlFlow::Continue(())).unwrap();
        let seconds = start.elapsed().as_secs_f64();
        println!("{:?}", tokenizer.decode(&text.ids, false).unwrap());
        println!("{} tokens, {:.1} tokens/s", text.ids.len(), text.ids.len() as f64 / seconds);
        return;
    }
    // Two pairs; with --share both rows of a pair have one prompt, as preference data has.
    let mut rows = Rows::default();
    for row in 0..4 {
        let id = |row: usize, j: usize| (17 + (row * 7919 + j * 104_729) % 40_000) as u32;
        let owner = if flag("--share") { row % 2 } else { row };
        let ids: Vec<u32> =
            (0..tokens).map(|j| id(if j < prompt { owner } else { row }, j)).collect();
        rows.push(&ids[..prompt], &ids[prompt..]);
    }
    let reference = base.without_adapter();
    let model = if flag("--full") {
        base.into_trainable().unwrap()
    } else {
        base.with_adapter(&LoraConfig::default(), 1).unwrap()
    };
    let model = model.with_checkpointing(flag("--checkpoint"));
    for _ in 0..number(&arguments, "--steps", 3) {
        let (start, cpu) = (Instant::now(), processor_seconds());
        let base_sums = reference.completion_logps(&rows).unwrap();
        let reference_time = start.elapsed().as_secs_f64();
        let (sums, gradients) = model
            .backward(&rows, &mut |sums| {
                let reward = |r: usize| 0.1 * (sums[r] - base_sums[r]);
                let slope = |pair: usize| {
                    let margin = reward(pair) - reward(pair + 2);
                    (-0.05 / (1.0 + margin.exp())) as f32
                };
                Ok(vec![slope(0), slope(1), -slope(0), -slope(1)])
            })
            .unwrap();
        let norm = gradients.norm().unwrap();
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "step {seconds:.2} s (reference {reference_time:.2}), processor {:.2} s, {:.0} tokens/s, \
             gradient norm {norm:.4}, log-probability {:.2}, memory {:?} MB",
            processor_seconds() - cpu,
            rows.tokens() as f64 / seconds,
            sums[0],
            memory()
        );
    }
}
