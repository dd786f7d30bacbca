//! Entropy, sums of squares and divergences in the passes of the loss, with their gradients.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor, Var};
use half::bf16;
use ponens_runtime::logprob::{Each, Logit, Statistic};
use ponens_runtime::op::fused::{
    loss_and_gradient, loss_and_gradient_with_reference, sequence_statistics,
};
use ponens_runtime::op::tape::fused_loss;
use ponens_runtime::op::{Column, Columns, TokenRows, composed};

use crate::oracle::{Dice, Row, Weighted, rows};

const VOCABULARY: usize = 2051;
const WEIGHTS: [f64; 5] = [0.7, -1.3, 0.4, 0.9, -0.6];

fn case<L: Logit>() -> (Vec<L>, Vec<L>, TokenRows) {
    let mut dice = Dice(4242);
    let rows = rows(&[3, 2], VOCABULARY, &mut dice);
    let mut numbers =
        || -> Vec<L> { dice.numbers(5 * VOCABULARY, 6.0).into_iter().map(L::from_f32).collect() };
    (numbers(), numbers(), rows)
}

/// All five statistics, or one of them.
fn columns(rows: &TokenRows, only: Option<Statistic>) -> (Columns, Weighted) {
    let kept: Vec<(Statistic, f64)> = Statistic::ALL
        .into_iter()
        .zip(WEIGHTS)
        .filter(|(s, _)| only.is_none_or(|o| o == *s))
        .collect();
    let column = |(s, _): &(Statistic, f64)| match s {
        Statistic::LogProb => Column::Sum(vec![0, 1]),
        s => Column::Statistic(*s, vec![0, 1]),
    };
    let columns = kept.iter().map(column).collect();
    let columns = Columns::new(columns, rows.lengths().to_vec()).unwrap();
    let weights: Vec<f64> = kept.iter().map(|(_, w)| *w).collect();
    (columns, Weighted::new(&weights))
}

fn exact<L: Logit>(
    policy: &[L],
    reference: &[L],
    rows: &TokenRows,
    only: Option<Statistic>,
) -> (Each<Vec<f64>>, Vec<f64>) {
    let wide = |x: &[L]| -> Vec<f64> { x.iter().map(|x| f64::from(x.to_f32())).collect() };
    let (x, y) = (wide(policy), wide(reference));
    let mut sums = Each::new(|_| vec![0.0; 2]);
    let mut gradient = Vec::new();
    for (r, (x, y)) in x.chunks(VOCABULARY).zip(y.chunks(VOCABULARY)).enumerate() {
        let (row, target) = (Row::new(x, y), rows.targets()[r] as usize);
        let values = row.values(target);
        for s in Statistic::ALL {
            sums[s][rows.sequence()[r].unwrap() as usize] += values[s];
        }
        let weight = Each::new(|s| match only {
            Some(o) if o != s => 0.0,
            _ => WEIGHTS[s as usize] / 2.0,
        });
        gradient.extend(row.gradient(target, weight));
    }
    (sums, gradient)
}

/// The largest error relative to the largest number of its row.
fn worst(got: &[f32], want: &[f64]) -> f64 {
    let row = |(g, w): (&[f32], &[f64])| {
        let size = w.iter().fold(0.0, |m: f64, w| m.max(w.abs()));
        g.iter().zip(w).map(|(g, w)| (f64::from(*g) - w).abs() / size).fold(0.0, f64::max)
    };
    got.chunks(VOCABULARY).zip(want.chunks(VOCABULARY)).map(row).fold(0.0, f64::max)
}

fn check<L: Logit>(own_tolerance: f64) {
    let (policy, reference, rows) = case::<L>();
    let choices = Statistic::ALL.into_iter().map(Some).chain([None]);
    for only in choices {
        let (columns, kernel) = columns(&rows, only);
        let (sums, want) = exact(&policy, &reference, &rows, only);
        let other = Some(reference.as_slice());
        let got = sequence_statistics(&policy, other, VOCABULARY, &rows, columns.wanted()).unwrap();
        for s in Statistic::ALL.into_iter().filter(|s| columns.wanted()[*s]) {
            for (g, w) in got[s].iter().zip(&sums[s]) {
                assert!((g - w).abs() < 3e-6 * w.abs().max(1.0), "{s:?}: {g} where {w} is right");
            }
        }
        let mut wide = vec![0f32; policy.len()];
        let value =
            loss_and_gradient(&policy, other, &mut wide, VOCABULARY, &rows, &columns, &kernel)
                .unwrap();
        assert!(worst(&wide, &want) < 1e-5, "{} {only:?}: {:e}", L::NAME, worst(&wide, &want));
        let mut own = policy.clone();
        let again = loss_and_gradient_with_reference(
            &mut own, &reference, VOCABULARY, &rows, &columns, &kernel,
        );
        assert_eq!(again.unwrap(), value);
        let own: Vec<f32> = own.iter().map(|x| x.to_f32()).collect();
        let error = worst(&own, &want);
        assert!(error < own_tolerance, "{} {only:?} in place: {error:e}", L::NAME);
    }
}

#[test]
fn values_and_gradients_are_those_of_the_definition() {
    check::<f32>(1e-5);
    check::<bf16>(1e-2);
    check::<half::f16>(1e-2);
}

#[test]
fn the_log_probability_has_the_same_bits_whatever_else_is_read() {
    let (policy, reference, rows) = case::<f32>();
    let logp = |wanted: Each<bool>| {
        let other = Some(reference.as_slice());
        let sums = sequence_statistics(&policy, other, VOCABULARY, &rows, wanted).unwrap();
        sums[Statistic::LogProb].clone()
    };
    let alone = logp(Each::new(|s| s == Statistic::LogProb));
    for also in Statistic::ALL {
        assert_eq!(logp(Each::new(|s| s == Statistic::LogProb || s == also)), alone, "{also:?}");
    }
    let same = Some(policy.as_slice());
    let all = Each::new(|_| true);
    let sums = sequence_statistics(&policy, same, VOCABULARY, &rows, all).unwrap();
    assert_eq!(sums[Statistic::KlFromReference], [0.0; 2], "a model is at no distance from itself");
    assert_eq!(sums[Statistic::KlToReference], [0.0; 2]);
}

#[test]
fn the_tape_gives_the_same_gradient() {
    let (policy, reference, rows) = case::<f32>();
    let (columns, kernel) = columns(&rows, None);
    let mut direct = policy.clone();
    let value = loss_and_gradient_with_reference(
        &mut direct,
        &reference,
        VOCABULARY,
        &rows,
        &columns,
        &kernel,
    )
    .unwrap();
    let shape = (5, VOCABULARY);
    let logits = Var::from_vec(policy, shape, &Device::Cpu).unwrap();
    let other = Tensor::from_vec(reference, shape, &Device::Cpu).unwrap();
    let loss =
        fused_loss(&logits, Some(&other), Arc::new(rows), columns, Arc::new(kernel)).unwrap();
    let mean = value.loss.iter().sum::<f64>() / 2.0;
    assert_eq!(loss.to_scalar::<f32>().unwrap(), mean as f32);
    let gradient = loss.backward().unwrap().get(&logits).unwrap().flatten_all().unwrap();
    assert_eq!(gradient.to_vec1::<f32>().unwrap(), direct);
}

#[test]
fn composed_operations_agree() {
    let (policy, reference, rows) = case::<f32>();
    let all = Each::new(|_| true);
    let own = sequence_statistics(&policy, Some(&reference), VOCABULARY, &rows, all).unwrap();
    let tensor = |x: &[f32]| Tensor::from_slice(x, (5, VOCABULARY), &Device::Cpu).unwrap();
    let (x, y) = (tensor(&policy), tensor(&reference));
    let other = composed::sequence_statistics(&x, Some(&y), &rows, DType::F64, all).unwrap();
    for s in Statistic::ALL {
        let other = other[s].as_ref().unwrap().to_vec1::<f64>().unwrap();
        for (a, b) in own[s].iter().zip(other) {
            assert!((a - b).abs() < 2e-5 * a.abs().max(1.0), "{s:?}: {a} {b}");
        }
    }
    let alone = composed::sequence_statistics(&x, None, &rows, DType::F32, all);
    assert!(alone.unwrap_err().to_string().starts_with("`reference`"));
}
