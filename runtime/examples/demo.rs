//! Teaches a small model to answer four letters in alphabetical order, by preference.
//!
//! `cargo run -p ponens-runtime --example demo` trains; with `write` it makes the data files again.

use std::error::Error;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use ponens_compiler::mir::{Input, Interval, Level};
use ponens_runtime::demo;
use ponens_runtime::op::{Evaluated, LossKernel, RuntimeError, batch_len};
use ponens_runtime::optim::{Decay, Schedule};
use ponens_runtime::train::{Length, Names, Record, TrainConfig};

/// DPO by hand, beta 0.1.
struct Dpo(Vec<Input>);

impl LossKernel for Dpo {
    fn name(&self) -> &str {
        "dpo"
    }

    fn inputs(&self) -> &[Input] {
        &self.0
    }

    fn couples_examples(&self) -> bool {
        false
    }

    fn evaluate(&self, c: &[Vec<f64>]) -> Result<Evaluated, RuntimeError> {
        let z = |e: usize| 0.1 * ((c[0][e] - c[2][e]) - (c[1][e] - c[3][e]));
        let z: Vec<f64> = (0..batch_len(self, c)?).map(z).collect();
        let loss = z.iter().map(|z| (-z).max(0.0) + (-z.abs()).exp().ln_1p()).collect();
        let slope: Vec<f64> = z.iter().map(|z| -0.1 / (1.0 + z.exp())).collect();
        let other = slope.iter().map(|s| -s).collect();
        Ok(Evaluated { loss, grads: vec![Some(slope), Some(other), None, None] })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|a| a == "write") {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/demo");
        let (train, held_out) = demo::make(1024, 128, 2026);
        std::fs::write(format!("{folder}/train.jsonl"), demo::jsonl(&train))?;
        std::fs::write(format!("{folder}/held_out.jsonl"), demo::jsonl(&held_out))?;
        return Ok(());
    }
    let number = |i: usize| arguments.get(i).and_then(|a| a.parse::<f64>().ok());
    let mut config: TrainConfig = demo::train_config(number(0).unwrap_or(1.0) as u64);
    if let Some(peak) = number(1) {
        config.schedule = Schedule { peak, warmup: 10, decay: Decay::Linear };
    }
    if let Some(steps) = number(2) {
        config.length = Length::Steps(steps as usize);
    }
    let names = ["logp(pi,w)", "logp(pi,l)", "logp(ref,w)", "logp(ref,l)"];
    let input = |(i, name): (usize, &&str)| Input {
        name: (*name).to_owned(),
        level: Level::Example,
        range: Interval::LOG_PROB,
        differentiable: i < 2,
    };
    let kernel = Dpo(names.iter().enumerate().map(input).collect());
    let start = Instant::now();
    let mut observe = |r: &Record| {
        if let Record::Eval(e) = r {
            println!(
                "step {:>3}: held-out loss {:.4}, accuracy {:.3}, margin {:>6.2}, chosen log-prob a token {:>6.3} ({:+.3}), {:.1} s",
                e.step,
                e.summary.loss,
                e.summary.accuracy,
                e.summary.margin,
                e.summary.chosen_logp_per_token,
                e.chosen_change_per_token,
                e.seconds
            );
        }
    };
    let report = demo::run(
        &kernel,
        &Names::default(),
        &config,
        (None, &AtomicBool::new(false)),
        |p| {
            if p.step == p.steps || p.step % 50 == 0 {
                println!(
                    "base model {:>3}/{}: loss {:.3}, {:.1} s",
                    p.step,
                    p.steps,
                    p.loss,
                    start.elapsed().as_secs_f64()
                );
            }
        },
        &mut observe,
    )?;
    println!(
        "exact answers: {:.3} before, {:.3} after; {:.1} s in all",
        report.before.exactness(),
        report.after.exactness(),
        start.elapsed().as_secs_f64()
    );
    for (i, prompt) in report.prompts.iter().enumerate() {
        println!("{prompt}  {}  ->  {}", report.before.texts[i], report.after.texts[i]);
    }
    Ok(())
}
