//! Bad input is named, with its place, before anything is written.

use candle_core::{DType, Device, Tensor};
use ponens_runtime::logprob::{Head, Statistic};
use ponens_runtime::op::fused::{loss_and_gradient_in_place, loss_and_gradient_with_reference};
use ponens_runtime::op::hidden::loss_and_gradient;
use ponens_runtime::op::tape::fused_loss;
use ponens_runtime::op::{Column, Columns, TokenRows};

use crate::oracle::{Dpo, Weighted};

fn dpo_columns(lengths: &[usize]) -> Columns {
    let columns = vec![
        Column::Sum(vec![0]),
        Column::Sum(vec![1]),
        Column::Given(vec![-1.0]),
        Column::Given(vec![-1.0]),
    ];
    Columns::new(columns, lengths.to_vec()).unwrap()
}

fn rows(targets: [u32; 3]) -> TokenRows {
    TokenRows::new(targets.to_vec(), vec![Some(0), None, Some(1)], 2).unwrap()
}

/// Runs dpo on three rows of four words, the second one masked; the error, after checking that nothing
/// was written.
fn refusal(logits: &[f32], targets: [u32; 3]) -> String {
    let mut buffer = logits.to_vec();
    let error = loss_and_gradient_in_place(
        &mut buffer,
        4,
        &rows(targets),
        &dpo_columns(&[1, 1]),
        &Dpo::new(0.1),
    );
    let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&buffer), bits(logits), "nothing is written");
    error.unwrap_err().to_string()
}

#[test]
fn logits_and_targets_are_checked_by_row_and_token() {
    let good: Vec<f32> = (0..12).map(|i| i as f32 * 0.1).collect();
    assert_eq!(
        refusal(&good, [0, 0, 4]),
        "`targets`: row 2 has token 4, outside the vocabulary of 4"
    );
    for (bad, shown) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (f32::NEG_INFINITY, "-inf")] {
        for token in 0..4 {
            let mut logits = good.clone();
            logits[8 + token] = bad;
            let want = format!("`logits`: row 2 (sequence 1), token {token} is {shown}");
            assert_eq!(refusal(&logits, [0, 0, 1]), want);
        }
    }
    assert_eq!(refusal(&good[..8], [0, 0, 1]), "`targets`: 3 for 2 rows of logits");
    assert_eq!(refusal(&good[..7], [0, 0, 1]), "`logits`: 7 numbers are no rows of 4");
    // A masked row may hold anything.
    let mut logits = good;
    logits[5] = f32::NAN;
    let columns = dpo_columns(&[1, 1]);
    let targets = rows([0, 9, 1]);
    loss_and_gradient_in_place(&mut logits, 4, &targets, &columns, &Dpo::new(0.1)).unwrap();
    assert_eq!(logits[4..8], [0.0; 4]);
}

#[test]
fn the_reference_is_checked_too() {
    let rows = TokenRows::new(vec![0], vec![Some(0)], 1).unwrap();
    let kl = Column::Statistic(Statistic::KlFromReference, vec![0]);
    let columns = Columns::new(vec![kl], vec![1]).unwrap();
    let kernel = Weighted::new(&[1.0]);
    let good = vec![0.0f32, 1.0, 2.0];
    let run = |reference: &[f32]| {
        let mut logits = good.clone();
        let out =
            loss_and_gradient_with_reference(&mut logits, reference, 3, &rows, &columns, &kernel);
        assert_eq!(logits, good);
        out.unwrap_err().to_string()
    };
    assert_eq!(run(&[0.0; 2]), "`reference`: 2 logits where the policy has 3");
    let want = "`reference`: row 0 (sequence 0), token 1 is NaN";
    assert_eq!(run(&[0.0, f32::NAN, 0.0]), want);
    let error = loss_and_gradient_in_place(&mut good.clone(), 3, &rows, &columns, &kernel);
    let error = error.unwrap_err().to_string();
    assert_eq!(error, "`reference`: loss `weighted` reads a divergence from it, and there is none");
}

#[test]
fn lengths_that_disagree_are_named() {
    let error = loss_and_gradient_in_place(
        &mut [0.0f32; 12],
        4,
        &rows([0, 0, 0]),
        &dpo_columns(&[1, 2]),
        &Dpo::new(0.1),
    );
    assert_eq!(
        error.unwrap_err().to_string(),
        "`columns`: they count [1, 2] tokens by sequence, the rows [1, 1]"
    );
    let error = TokenRows::new(vec![0, 0], vec![Some(0), Some(5)], 2).unwrap_err();
    assert_eq!(error.to_string(), "`sequence`: row 1 names sequence 5 of 2");
    let error = TokenRows::new(vec![0, 0], vec![Some(0)], 2).unwrap_err();
    assert_eq!(error.to_string(), "`targets`: 2 for 1 rows");
}

#[test]
fn an_empty_response_counts_as_zero() {
    let rows = TokenRows::new(vec![1], vec![Some(0)], 2).unwrap();
    let columns = Columns::new(
        vec![Column::Mean(vec![0]), Column::Mean(vec![1]), Column::Length(vec![1])],
        vec![1, 0],
    );
    let mut logits = [0.0f32, 0.0];
    let kernel = Weighted::new(&[1.0, 1.0, 1.0]);
    let out = loss_and_gradient_in_place(&mut logits, 2, &rows, &columns.unwrap(), &kernel);
    let loss = out.unwrap().loss[0];
    assert!((loss + std::f64::consts::LN_2).abs() < 1e-7, "{loss}");
    assert_eq!(logits, [-0.5, 0.5]);
}

#[test]
fn tensors_of_other_types_and_shapes_are_named() {
    let f64s = Tensor::zeros((3, 4), DType::F64, &Device::Cpu).unwrap();
    let kernel = std::sync::Arc::new(Dpo::new(0.1));
    let rows = std::sync::Arc::new(rows([0, 0, 0]));
    let columns = dpo_columns(&[1, 1]);
    let error = fused_loss(&f64s, None, rows.clone(), columns.clone(), kernel.clone());
    let error = error.unwrap_err().to_string();
    assert!(error.starts_with("`logits`: the fused loss takes f32, bf16 and f16"), "{error}");
    let of = |logits: &Tensor, reference: &Tensor| {
        let (rows, columns) = (rows.clone(), columns.clone());
        fused_loss(logits, Some(reference), rows, columns, kernel.clone()).unwrap_err().to_string()
    };
    let f32s = f64s.to_dtype(DType::F32).unwrap();
    let want = "`reference`: [3, 4] of F64 where the policy has [3, 4] of F32";
    assert_eq!(of(&f32s, &f64s), want);
    let want = "`reference`: [2, 4] of F32 where the policy has [3, 4] of F32";
    assert_eq!(of(&f32s, &f32s.narrow(0, 0, 2).unwrap()), want);
    let cube = f32s.reshape((3, 2, 2)).unwrap();
    assert_eq!(of(&cube, &cube), "`logits`: a matrix is wanted, not [3, 2, 2]");

    let zeros = |n: usize, m: usize| Tensor::zeros((n, m), DType::F32, &Device::Cpu).unwrap();
    let run = |hidden: &Tensor, head: &Head| {
        let out = loss_and_gradient(hidden, head, false, &rows, &columns, kernel.as_ref());
        out.unwrap_err().to_string()
    };
    let head = Head::new(zeros(4, 2));
    assert_eq!(run(&zeros(3, 5), &head), "`hidden`: 5 columns where the head takes 2");
    assert_eq!(run(&zeros(2, 2), &head), "`targets`: 3 for 2 rows of logits");
    let bias = Head { bias: Some(zeros(1, 3)), ..head.clone() };
    assert_eq!(run(&zeros(3, 2), &bias), "`head`: a bias of shape [1, 3] for 4 words");
    let wrong = Head::new(zeros(4, 2).to_dtype(DType::F64).unwrap());
    assert_eq!(run(&zeros(3, 2), &wrong), "`head`: an f32 matrix is wanted, not [4, 2] of f64");
}

#[test]
fn hidden_states_and_heads_that_give_no_finite_logits_are_named() {
    let kernel = Dpo::new(0.1);
    let columns = dpo_columns(&[1, 1]);
    let matrix =
        |values: &[f32]| Tensor::from_slice(values, (values.len() / 2, 2), &Device::Cpu).unwrap();
    let good = ([0.5f32, -1.0, 1.5, 2.0, 0.25, 1.0], [1.0f32, 2.0, 0.5, -1.0, 0.0, 1.0, -2.0, 0.5]);
    let run = |hidden: &[f32], head: &Head, train: bool| {
        let hidden = matrix(hidden);
        let out = loss_and_gradient(&hidden, head, train, &rows([0, 0, 1]), &columns, &kernel);
        out.err().map_or(String::new(), |e| e.to_string())
    };
    for train in [false, true] {
        let head = Head::new(matrix(&good.1));
        assert_eq!(run(&good.0, &head, train), "");
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut hidden = good.0;
            hidden[3] = bad;
            assert_eq!(run(&hidden, &head, train), "", "a masked row may hold anything");
            hidden[5] = bad;
            let want = format!("`hidden`: row 2 (sequence 1), element 1 is {bad}");
            assert_eq!(run(&hidden, &head, train), want);
            let mut weight = good.1;
            weight[6] = bad;
            let want = format!("`head`: token 3, element 0 is {bad}");
            assert_eq!(run(&good.0, &Head::new(matrix(&weight)), train), want);
            let bias = Tensor::new(&[0.0, bad, 0.0, 0.0], &Device::Cpu).unwrap();
            let biased = Head { bias: Some(bias), ..head.clone() };
            assert_eq!(
                run(&good.0, &biased, train),
                format!("`head`: the bias of token 1 is {bad}")
            );
        }
        // Each is finite, their product is not; a logit of -inf would go unseen in a sum of exponentials.
        for (sign, shown) in [(1.0, "inf"), (-1.0, "-inf")] {
            let (mut hidden, mut weight) = (good.0, good.1);
            (hidden[4], weight[6]) = (2e38, sign * 2e38);
            let want = format!("`hidden`: row 2 (sequence 1) gives token 3 the logit {shown}");
            assert_eq!(run(&hidden, &Head::new(matrix(&weight)), train), want);
        }
    }
}

#[test]
fn more_rows_than_memory_are_refused() {
    // One number, shown as many: the gradient would be larger than any address.
    let (n, v) = (1_000_000, 4_000_000_000_000);
    let one = Tensor::zeros((1, 1), DType::F32, &Device::Cpu).unwrap();
    let hidden = one.broadcast_as((n, v)).unwrap();
    let rows = TokenRows::new(vec![0; n], vec![Some(0); n], 1).unwrap();
    let columns = Columns::new(vec![Column::Sum(vec![0])], vec![n]).unwrap();
    let head = Head::new(one.broadcast_as((1, v)).unwrap());
    let error = loss_and_gradient(&hidden, &head, false, &rows, &columns, &Weighted::new(&[1.0]));
    let error = error.unwrap_err().to_string();
    let want = "`hidden`: 1000000 rows of 4000000000000 need 14901161193.8 GiB";
    assert!(error.starts_with(want), "{error}");
}
