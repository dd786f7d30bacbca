//! Time and memory of the fused loss against the composed one, at 512 tokens and 49,152 words.
//!
//! `cargo run --release -p ponens-runtime --example bench_fused`

use std::collections::HashMap;
use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use candle_core::{DType, Device, Tensor, Var};
use ponens_compiler::mir::{Binary, Graph, Input, Interval, Level, Op, Param, Root, Unary};
use ponens_runtime::op::composed::{Gradient, composed_loss};
use ponens_runtime::op::fused::{TokenRows, fused_loss, loss_and_gradient_in_place};
use ponens_runtime::op::{Column, Columns, GraphKernel};

const ROWS: usize = 512;
const VOCABULARY: usize = 49_152;
const PAIRS: usize = 2;
const BETA: f64 = 0.1;

/// DPO with its gradients.
fn dpo() -> Graph {
    let mut g = Graph::new("dpo");
    g.params.push(Param { name: "beta".into(), default: Some(BETA), range: Interval::REAL });
    for (name, differentiable) in
        [("logp(pi,w)", true), ("logp(pi,l)", true), ("logp(ref,w)", false), ("logp(ref,l)", false)]
    {
        let (level, range) = (Level::Example, Interval::LOG_PROB);
        g.inputs.push(Input { name: name.into(), level, range, differentiable });
    }
    let beta = g.add(Op::Param(0));
    let [w, l, rw, rl] = [0, 1, 2, 3].map(|i| g.add(Op::Input(i)));
    let chosen = g.binary(Binary::Sub, w, rw);
    let rejected = g.binary(Binary::Sub, l, rl);
    let gap = g.binary(Binary::Sub, chosen, rejected);
    let z = g.binary(Binary::Mul, beta, gap);
    let minus = g.unary(Unary::Neg, z);
    let loss = g.unary(Unary::Softplus, minus);
    let s = g.unary(Unary::Sigmoid, minus);
    let dl = g.binary(Binary::Mul, beta, s);
    let dw = g.unary(Unary::Neg, dl);
    let root = |name: &str, node| Root { name: name.into(), node };
    g.roots = vec![root("loss", loss), root("d/logp(pi,w)", dw), root("d/logp(pi,l)", dl)];
    g
}

/// A field of the process's status in MiB, where the system tells it.
fn memory(field: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with(field))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}

/// Best time of some runs, and the highest memory above what was held before.
fn measure(
    name: &str,
    runs: usize,
    mut f: impl FnMut() -> Result<(), Box<dyn Error>>,
) -> Result<f64, Box<dyn Error>> {
    // Where the system allows it, the high-water mark starts afresh.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let before = memory("VmRSS:");
    let mut best = f64::INFINITY;
    for _ in 0..runs {
        let start = Instant::now();
        f()?;
        best = best.min(start.elapsed().as_secs_f64() * 1e3);
    }
    let peak = memory("VmHWM:").zip(before).map_or(f64::NAN, |(peak, before)| peak - before);
    println!("{name:<44} {best:>9.1} ms   peak {peak:>8.0} MiB above the logits");
    Ok(best)
}

fn main() -> Result<(), Box<dyn Error>> {
    let n = ROWS * VOCABULARY;
    let mut state = 1u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    let values: Vec<f32> = (0..n).map(|_| random() * 16.0 - 8.0).collect();
    let targets = (0..ROWS).map(|_| (random() * VOCABULARY as f32) as u32).collect();
    let per = ROWS / (2 * PAIRS);
    let sequence = (0..ROWS).map(|r| Some((r / per) as u32)).collect();
    let rows = Arc::new(TokenRows::new(targets, sequence, 2 * PAIRS)?);
    let columns = Columns::new(
        vec![
            Column::Sum((0..PAIRS).collect()),
            Column::Sum((PAIRS..2 * PAIRS).collect()),
            Column::Given(vec![-1300.0; PAIRS]),
            Column::Given(vec![-1301.0; PAIRS]),
        ],
        rows.lengths().to_vec(),
    )?;
    let graph = dpo();
    let kernel = Arc::new(GraphKernel::new(&graph, &HashMap::new())?);
    println!("logits [{ROWS}, {VOCABULARY}] f32, {} MiB, {PAIRS} pairs, DPO", (n * 4) >> 20);

    let mut buffer = values.clone();
    let direct = measure("fused, in place, copy of the logits included", 8, || {
        buffer.copy_from_slice(&values);
        let out =
            loss_and_gradient_in_place(&mut buffer, VOCABULARY, &rows, &columns, kernel.as_ref())?;
        black_box(out);
        Ok(())
    })?;
    let logits = Var::from_vec(values, (ROWS, VOCABULARY), &Device::Cpu)?;
    let on_tape = measure("fused, on the tape, forward and backward", 4, || {
        let loss = fused_loss(&logits, rows.clone(), columns.clone(), kernel.clone())?;
        black_box(loss.backward()?);
        Ok(())
    })?;
    let composed = measure("composed, forward and backward", 3, || {
        let how = (DType::F32, Gradient::Tape);
        let loss = composed_loss(&logits, &rows, &columns, &graph, &[BETA], how)?;
        black_box(loss.backward()?);
        Ok(())
    })?;
    println!("composed / fused on the tape: {:.1}", composed / on_tape);
    println!("composed / fused in place:    {:.1}", composed / direct);

    let fused = fused_loss(&logits, rows.clone(), columns.clone(), kernel)?;
    let how = (DType::F32, Gradient::Tape);
    let other = composed_loss(&logits, &rows, &columns, &graph, &[BETA], how)?;
    let gradient = |loss: &Tensor| -> Result<Tensor, Box<dyn Error>> {
        let store = loss.backward()?;
        Ok(store.get(&logits).ok_or("no gradient")?.detach())
    };
    let gap = (gradient(&fused)? - gradient(&other)?)?.abs()?.max_all()?.to_scalar::<f32>()?;
    println!("largest difference of the gradients: {gap:e}");
    Ok(())
}
