//! Value and gradient of dpo in every type, and the start of training.

use std::sync::Arc;

use candle_core::{Device, Var, WithDType};
use half::{bf16, f16};
use ponens_runtime::logprob::{Each, Logit, Statistic};
use ponens_runtime::op::fused::{
    loss_and_gradient, loss_and_gradient_in_place, sequence_statistics,
};
use ponens_runtime::op::{Column, Columns, LossKernel as _, TokenRows, tape};

use crate::oracle::{Dice, Dpo, Row, rows};

const VOCABULARY: usize = 5003;

fn columns(rows: &TokenRows, reference: [f64; 4]) -> Columns {
    let [w0, w1, l0, l1] = reference;
    let columns = vec![
        Column::Sum(vec![0, 1]),
        Column::Sum(vec![2, 3]),
        Column::Given(vec![w0, w1]),
        Column::Given(vec![l0, l1]),
    ];
    Columns::new(columns, rows.lengths().to_vec()).unwrap()
}

/// The gradient of the mean loss, in f64 from the logits as they are.
fn exact<L: Logit>(logits: &[L], rows: &TokenRows, columns: &Columns, kernel: &Dpo) -> Vec<f64> {
    let wide: Vec<f64> = logits.iter().map(|x| f64::from(x.to_f32())).collect();
    let by_row: Vec<Row> = wide.chunks(VOCABULARY).map(|x| Row::new(x, x)).collect();
    let mut sums = vec![0.0; 4];
    for (r, row) in by_row.iter().enumerate() {
        let target = rows.targets()[r] as usize;
        sums[rows.sequence()[r].unwrap() as usize] += row.values(target)[Statistic::LogProb];
    }
    let value = kernel.evaluate(&columns.resolve(&sums).unwrap()).unwrap();
    let weights = columns.pull_back(&value.grads).unwrap();
    let one = |(r, row): (usize, &Row)| {
        let mut weight = Each::default();
        weight[Statistic::LogProb] = weights[rows.sequence()[r].unwrap() as usize] / 2.0;
        row.gradient(rows.targets()[r] as usize, weight)
    };
    by_row.iter().enumerate().flat_map(one).collect()
}

/// The largest relative error over all numbers of the gradient that the type can hold.
fn worst<L: Logit>(got: &[L], want: &[f64], least: f64) -> f64 {
    let error = |(g, w): (&L, &f64)| (f64::from(g.to_f32()) / w - 1.0).abs();
    got.iter().zip(want).filter(|(_, w)| w.abs() > least).map(error).fold(0.0, f64::max)
}

fn case<L: Logit>(scale: f32) -> (Vec<L>, TokenRows, Columns) {
    let mut dice = Dice(0x1234_5678_9abc_def1);
    let rows = rows(&[2, 1, 0, 3], VOCABULARY, &mut dice);
    let mut logits = dice.numbers(6 * VOCABULARY, scale);
    // One target is almost certain: 1 - p is what its gradient is made of.
    logits[rows.targets()[0] as usize] = scale + 25.0;
    let columns = columns(&rows, [-20.0, -9.0, -1.0, -30.0]);
    (logits.iter().map(|x| L::from_f32(*x)).collect(), rows, columns)
}

fn relative_error<L: Logit>(scale: f32, least: f64) -> (f64, f64) {
    let (logits, rows, columns) = case::<L>(scale);
    let kernel = Dpo::new(0.1);
    let want = exact(&logits, &rows, &columns, &kernel);
    let mut in_place = logits.clone();
    let value = loss_and_gradient_in_place(&mut in_place, VOCABULARY, &rows, &columns, &kernel);
    let mut wide = vec![0f32; logits.len()];
    let other = loss_and_gradient(&logits, None, &mut wide, VOCABULARY, &rows, &columns, &kernel);
    assert_eq!(value.unwrap(), other.unwrap());
    (worst(&in_place, &want, least), worst(&wide, &want, 1e-33))
}

#[test]
fn every_number_of_the_gradient_is_right_to_the_types_precision() {
    for scale in [1.0, 8.0, 30.0, 500.0] {
        let (own, wide) = relative_error::<f32>(scale, 1e-33);
        assert!(own < 1e-5 && wide < 1e-5, "f32, logits of {scale}: {own:e} {wide:e}");
        let (own, wide) = relative_error::<bf16>(scale, 1e-33);
        assert!(own < 1e-2 && wide < 1e-5, "bf16, logits of {scale}: {own:e} {wide:e}");
        // Below 6e-5 an f16 has fewer digits.
        let (own, wide) = relative_error::<f16>(scale, 6.2e-5);
        assert!(own < 1e-2 && wide < 1e-5, "f16, logits of {scale}: {own:e} {wide:e}");
    }
}

#[test]
fn a_sum_over_1024_bf16_tokens_is_right_to_a_thousandth_of_a_nat() {
    let (tokens, vocabulary) = (1024, 49_152);
    let mut dice = Dice(99);
    let rows = rows(&[tokens], vocabulary, &mut dice);
    let narrow = |x: f32| bf16::from_f32(x);
    let logits: Vec<bf16> =
        dice.numbers(tokens * vocabulary, 12.0).into_iter().map(narrow).collect();
    let wanted = Each::new(|s| s == Statistic::LogProb);
    let sums = sequence_statistics(&logits, None, vocabulary, &rows, wanted).unwrap();
    let mut want = 0.0;
    for (row, target) in logits.chunks(vocabulary).zip(rows.targets()) {
        let sum: f64 = row.iter().map(|x| (f64::from(x.to_f32()) - 12.0).exp()).sum();
        want += f64::from(row[*target as usize].to_f32()) - 12.0 - sum.ln();
    }
    let got = sums[Statistic::LogProb][0];
    assert!((got - want).abs() < 1e-3, "{got} where {want} is right");
}

fn starts_at_log_2<L: Logit>() {
    let (logits, rows, _) = case::<L>(8.0);
    let wanted = Each::new(|s| s == Statistic::LogProb);
    let reference = sequence_statistics(&logits, None, VOCABULARY, &rows, wanted).unwrap();
    let r = &reference[Statistic::LogProb];
    let columns = columns(&rows, [r[0], r[1], r[2], r[3]]);
    let mut buffer = logits;
    let value =
        loss_and_gradient_in_place(&mut buffer, VOCABULARY, &rows, &columns, &Dpo::new(0.1));
    assert_eq!(value.unwrap().loss, [std::f64::consts::LN_2; 2], "{}", L::NAME);
}

/// The same on tensors: the reference's path and the tape's.
fn starts_at_log_2_on_the_tape<L: Logit + WithDType>() {
    let (logits, rows, _) = case::<L>(8.0);
    let logits = Var::from_vec(logits, (rows.targets().len(), VOCABULARY), &Device::Cpu).unwrap();
    let wanted = Each::new(|s| s == Statistic::LogProb);
    let reference = tape::sequence_statistics(&logits, None, &rows, wanted).unwrap();
    let r = &reference[Statistic::LogProb];
    let columns = columns(&rows, [r[0], r[1], r[2], r[3]]);
    let kernel = Arc::new(Dpo::new(0.1));
    let loss = tape::fused_loss(&logits, None, Arc::new(rows), columns, kernel).unwrap();
    assert_eq!(loss.to_scalar::<f32>().unwrap(), std::f32::consts::LN_2, "{}", L::NAME);
}

#[test]
fn where_policy_and_reference_are_one_dpo_is_log_2_to_the_bit() {
    starts_at_log_2::<f32>();
    starts_at_log_2::<bf16>();
    starts_at_log_2::<f16>();
    starts_at_log_2_on_the_tape::<f32>();
    starts_at_log_2_on_the_tape::<bf16>();
    starts_at_log_2_on_the_tape::<f16>();
}
