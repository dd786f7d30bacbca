//! How exact the kernels are, beside how fast: against the definition in f64 on the same inputs.

use super::Result;
use super::report::{Demand, Group};
use super::work::{Dice, Shape, Target, dpo, rows};
use half::bf16;
use ponens_runtime::logprob::{Each, Logit, Statistic};
use ponens_runtime::op::fused::{loss_and_gradient_in_place, sequence_statistics};
use ponens_runtime::op::{Column, Columns, LossKernel as _, TokenRows};

/// Tokens of a response where the gradient is compared: every logit is.
const TOKENS: usize = 8;
/// Tokens of the long response.
const LONG: usize = 1024;

/// log sum_v e^{x_v}
fn normaliser<L: Logit>(row: &[L]) -> f64 {
    let wide = |x: &L| f64::from(x.to_f32());
    let max = row.iter().map(wide).fold(f64::NEG_INFINITY, f64::max);
    max + row.iter().map(|x| (wide(x) - max).exp()).sum::<f64>().ln()
}

/// The sums of the log-probabilities by sequence.
fn sums<L: Logit>(logits: &[L], rows: &TokenRows, vocabulary: usize) -> Vec<f64> {
    let mut sums = vec![0.0; rows.lengths().len()];
    let places = rows.targets().iter().zip(rows.sequence());
    for (row, (target, sequence)) in logits.chunks_exact(vocabulary).zip(places) {
        if let Some(s) = sequence {
            sums[*s as usize] += f64::from(row[*target as usize].to_f32()) - normaliser(row);
        }
    }
    sums
}

/// The largest relative error of a gradient's components.
fn gradient<L: Logit>(shape: Shape, logits: &[L]) -> Result<f64> {
    let (rows, v) = (rows(shape)?, shape.vocabulary);
    let dpo = dpo(shape, &rows)?;
    let mut got = logits.to_vec();
    loss_and_gradient_in_place(&mut got, v, &rows, &dpo.columns, &dpo.kernel)?;
    let value = dpo.kernel.evaluate(&dpo.columns.resolve(&sums(logits, &rows, v))?)?;
    let slopes = dpo.columns.pull_back(&value.grads)?;
    let mut worst = 0f64;
    for (r, (row, got)) in logits.chunks_exact(v).zip(got.chunks_exact(v)).enumerate() {
        let slope = rows.sequence()[r].map_or(0.0, |s| slopes[s as usize]);
        let slope = slope / dpo.columns.examples() as f64;
        let (z, target) = (normaliser(row), rows.targets()[r] as usize);
        for (word, (x, got)) in row.iter().zip(got).enumerate() {
            let p = (f64::from(x.to_f32()) - z).exp();
            let want = slope * (f64::from(u8::from(word == target)) - p);
            worst = worst.max((f64::from(got.to_f32()) - want).abs() / want.abs().max(1e-30));
        }
    }
    Ok(worst)
}

/// |error| of the log-probability of one long response in bf16, in nats.
fn long_sum(vocabulary: usize) -> Result<f64> {
    let shape = Shape { responses: 1, tokens: LONG, vocabulary };
    let rows = rows(shape)?;
    let logits: Vec<bf16> =
        Dice::new(5).numbers(LONG * vocabulary, 8.0).into_iter().map(bf16::from_f32).collect();
    let wanted = Each::new(|s| s == Statistic::LogProb);
    let got = sequence_statistics(&logits, None, vocabulary, &rows, wanted)?;
    Ok((got[Statistic::LogProb][0] - sums(&logits, &rows, vocabulary)[0]).abs())
}

/// |loss - log 2| of dpo where the reference is the policy.
fn first_step(shape: Shape, logits: &[f32]) -> Result<f64> {
    let (rows, v) = (rows(shape)?, shape.vocabulary);
    let dpo = dpo(shape, &rows)?;
    let wanted = Each::new(|s| s == Statistic::LogProb);
    let of_reference = sequence_statistics(logits, None, v, &rows, wanted)?;
    let of_reference = &of_reference[Statistic::LogProb];
    let half = shape.responses / 2;
    let both = [of_reference[..half].to_vec(), of_reference[half..].to_vec()];
    let mut columns = dpo.columns.columns().to_vec();
    for (column, input) in columns.iter_mut().zip(dpo.kernel.inputs()) {
        match input.name.as_str() {
            "logp(ref,w)" => *column = Column::Given(both[0].clone()),
            "logp(ref,l)" => *column = Column::Given(both[1].clone()),
            _ => {}
        }
    }
    let columns = Columns::new(columns, rows.lengths().to_vec())?;
    let mut buffer = logits.to_vec();
    let out = loss_and_gradient_in_place(&mut buffer, v, &rows, &columns, &dpo.kernel)?;
    Ok(out.loss.iter().map(|x| (x - std::f64::consts::LN_2).abs()).fold(0.0, f64::max))
}

pub(super) fn measure(shape: Shape) -> Result<Group> {
    let small = Shape { tokens: shape.tokens.min(TOKENS), ..shape };
    let logits = Dice::new(1).numbers(small.rows() * small.vocabulary, 8.0);
    let halves: Vec<bf16> = logits.iter().map(|x| bf16::from_f32(*x)).collect();
    let v = shape.vocabulary;
    Ok(Group {
        title: Target::Accuracy(shape).to_string(),
        rows: Vec::new(),
        demands: vec![
            Demand::at_most(
                "gradient in f32, largest relative error",
                Some(gradient(small, &logits)?),
                1e-5,
            ),
            Demand::at_most(
                "gradient in bf16, largest relative error",
                Some(gradient(small, &halves)?),
                1e-2,
            ),
            Demand::at_most(
                "log-probability of 1024 tokens in bf16, error in nats",
                Some(long_sum(v)?),
                1e-3,
            ),
            Demand::at_most(
                "first step, policy = reference: |loss - log 2|",
                Some(first_step(small, &logits)?),
                0.0,
            ),
        ],
    })
}
