//! From hidden states: both forms against the definition, and against each other.

use candle_core::{Device, Tensor, Var};
use ponens_runtime::logprob::{self, Each, Head, LogitTransform, Statistic};
use ponens_runtime::op::hidden::{hidden_loss, loss_and_gradient};
use ponens_runtime::op::{Column, Columns, LossKernel as _, TokenRows};

use crate::oracle::{Dice, Dpo, Row};

const WIDTH: usize = 24;
/// More than one tile of words for the rows below.
const VOCABULARY: usize = 4999;
const ROWS: usize = 600;

struct Case {
    hidden: Vec<f32>,
    weight: Vec<f32>,
    rows: TokenRows,
    columns: Columns,
}

/// Two pairs with masked rows between, and a row whose target is almost certain.
fn case() -> Case {
    let mut dice = Dice(31_337);
    let mut hidden = dice.numbers(ROWS * WIDTH, 1.0);
    let mut weight = dice.numbers(VOCABULARY * WIDTH, 1.0);
    let sequence: Vec<Option<u32>> =
        (0..ROWS).map(|r| (r % 7 != 3).then_some((r * 4 / ROWS) as u32)).collect();
    let targets: Vec<u32> = (0..ROWS).map(|_| (dice.roll() * VOCABULARY as f32) as u32).collect();
    let word = targets[1] as usize;
    for i in 0..WIDTH {
        hidden[WIDTH + i] = 1.5;
        weight[word * WIDTH + i] = 1.0;
    }
    let rows = TokenRows::new(targets, sequence, 4).unwrap();
    let columns = vec![
        Column::Sum(vec![0, 2]),
        Column::Sum(vec![1, 3]),
        Column::Given(vec![-1100.0, -1000.0]),
        Column::Given(vec![-1105.0, -990.0]),
    ];
    let columns = Columns::new(columns, rows.lengths().to_vec()).unwrap();
    Case { hidden, weight, rows, columns }
}

fn tensors(case: &Case) -> (Tensor, Tensor) {
    let tensor = |v: &[f32], n| Tensor::from_slice(v, (n, WIDTH), &Device::Cpu).unwrap();
    (tensor(&case.hidden, ROWS), tensor(&case.weight, VOCABULARY))
}

/// d(mean loss) / d hidden and / d weight.
fn exact(case: &Case, kernel: &Dpo) -> (Vec<f64>, Vec<f64>) {
    let wide = |x: &[f32]| -> Vec<f64> { x.iter().map(|x| f64::from(*x)).collect() };
    let (hidden, weight) = (wide(&case.hidden), wide(&case.weight));
    let logits = |r: usize| -> Vec<f64> {
        let h = &hidden[r * WIDTH..(r + 1) * WIDTH];
        weight.chunks(WIDTH).map(|w| w.iter().zip(h).map(|(w, h)| w * h).sum()).collect()
    };
    let kept: Vec<(usize, usize)> =
        (0..ROWS).filter_map(|r| case.rows.sequence()[r].map(|s| (r, s as usize))).collect();
    let by_row: Vec<Row> = kept
        .iter()
        .map(|(r, _)| {
            let x = logits(*r);
            Row::new(&x, &x)
        })
        .collect();
    let mut sums = vec![0.0; 4];
    for ((r, s), row) in kept.iter().zip(&by_row) {
        sums[*s] += row.values(case.rows.targets()[*r] as usize)[Statistic::LogProb];
    }
    let value = kernel.evaluate(&case.columns.resolve(&sums).unwrap()).unwrap();
    let weights = case.columns.pull_back(&value.grads).unwrap();
    let (mut d_hidden, mut d_weight) = (vec![0.0; ROWS * WIDTH], vec![0.0; VOCABULARY * WIDTH]);
    for ((r, s), row) in kept.iter().zip(&by_row) {
        let mut scale = Each::default();
        scale[Statistic::LogProb] = weights[*s] / 2.0;
        let d = log_prob_gradient(row, case.rows.targets()[*r] as usize, scale[Statistic::LogProb]);
        for (v, d) in d.iter().enumerate() {
            for i in 0..WIDTH {
                d_hidden[r * WIDTH + i] += d * weight[v * WIDTH + i];
                d_weight[v * WIDTH + i] += d * hidden[r * WIDTH + i];
            }
        }
    }
    (d_hidden, d_weight)
}

fn log_prob_gradient(row: &Row, target: usize, scale: f64) -> Vec<f64> {
    let rest = row.rest(target);
    let one = |(v, p): (usize, &f64)| scale * if v == target { rest } else { -p };
    row.p.iter().enumerate().map(one).collect()
}

fn flat(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

/// Each row to 1e-5 of its own largest number.
fn close(what: &str, got: &Tensor, want: &[f64]) {
    let got = flat(got);
    assert_eq!(got.len(), want.len());
    for (r, (g, w)) in got.chunks(WIDTH).zip(want.chunks(WIDTH)).enumerate() {
        let size = w.iter().fold(1e-30, |m: f64, w| m.max(w.abs()));
        for (g, w) in g.iter().zip(w) {
            let error = (f64::from(*g) - w).abs() / size;
            assert!(error < 1e-5, "{what}, row {r}: {g} where {w} is right ({error:e})");
        }
    }
}

#[test]
fn both_forms_are_the_definition() {
    let (case, kernel) = (case(), Dpo::new(0.1));
    let (hidden, weight) = tensors(&case);
    let (d_hidden, d_weight) = exact(&case, &kernel);
    let head = Head::new(weight.clone());
    let run = |train| loss_and_gradient(&hidden, &head, train, &case.rows, &case.columns, &kernel);
    let (value, frozen) = run(false).unwrap();
    close("frozen, hidden", &frozen.hidden, &d_hidden);
    assert!(frozen.weight.is_none());
    let (other, trained) = run(true).unwrap();
    assert_eq!(value, other, "both forms see the same bits");
    close("trained, hidden", &trained.hidden, &d_hidden);
    close("trained, head", trained.weight.as_ref().unwrap(), &d_weight);

    // On the tape: the head gets a gradient where it is a variable.
    let x = Var::from_tensor(&hidden).unwrap();
    for trained in [false, true] {
        let w = Var::from_tensor(&weight).unwrap();
        let head = Head::new(if trained { w.as_tensor().clone() } else { weight.clone() });
        let loss = hidden_loss(&x, &head, &case.rows, &case.columns, &kernel).unwrap();
        let grads = loss.affine(2.0, 0.0).unwrap().backward().unwrap();
        let twice = |v: &[f64]| v.iter().map(|x| 2.0 * x).collect::<Vec<_>>();
        close("tape, hidden", grads.get(&x).unwrap(), &twice(&d_hidden));
        match grads.get(&w) {
            Some(g) if trained => close("tape, head", g, &twice(&d_weight)),
            g => assert!(g.is_none() && !trained),
        }
    }
}

#[test]
fn where_policy_and_reference_are_one_dpo_is_log_2_to_the_bit() {
    let case = case();
    let (hidden, weight) = tensors(&case);
    let head = Head::new(weight);
    // The reference's pass has no gradient; the policy's makes one on the way, or keeps rows for later.
    let kept: Vec<u32> =
        (0..ROWS as u32).filter(|r| case.rows.sequence()[*r as usize].is_some()).collect();
    let targets: Vec<u32> = kept.iter().map(|r| case.rows.targets()[*r as usize]).collect();
    let index = Tensor::from_slice(&kept, kept.len(), &Device::Cpu).unwrap();
    let rows = logprob::forward(&hidden.index_select(&index, 0).unwrap(), &head, &targets).unwrap();
    let mut r = [0.0; 4];
    for (row, stats) in kept.iter().zip(rows) {
        r[case.rows.sequence()[*row as usize].unwrap() as usize] += f64::from(stats.logp);
    }
    let columns = vec![
        Column::Sum(vec![0, 2]),
        Column::Sum(vec![1, 3]),
        Column::Given(vec![r[0], r[2]]),
        Column::Given(vec![r[1], r[3]]),
    ];
    let columns = Columns::new(columns, case.rows.lengths().to_vec()).unwrap();
    for train in [false, true] {
        let kernel = Dpo::new(0.1);
        let (value, _) =
            loss_and_gradient(&hidden, &head, train, &case.rows, &columns, &kernel).unwrap();
        assert_eq!(value.loss, [std::f64::consts::LN_2; 2]);
    }
}

#[test]
fn an_almost_certain_token_keeps_its_direction() {
    // u = W[y] - P W cancels to nothing where p(y) rounds to 1.
    let mut dice = Dice(5);
    let hidden = Tensor::from_vec(vec![1.0f32; 8], (1, 8), &Device::Cpu).unwrap();
    let mut weight = dice.numbers(300 * 8, 0.1);
    weight[..8].fill(3.0);
    let wide: Vec<f64> = weight.chunks(8).map(|w| w.iter().map(|w| f64::from(*w)).sum()).collect();
    let row = Row::new(&wide, &wide);
    let mut want = [0.0; 8];
    for (v, d) in log_prob_gradient(&row, 0, 1.0).iter().enumerate() {
        (0..8).for_each(|i| want[i] += d * f64::from(weight[v * 8 + i]));
    }
    let weight = Tensor::from_vec(weight, (300, 8), &Device::Cpu).unwrap();
    for softcap in [None, Some(1e6)] {
        let transform = LogitTransform { softcap, ..LogitTransform::default() };
        let head = Head { transform, ..Head::new(weight.clone()) };
        let got = flat(&logprob::forward_frozen(&hidden, &head, &[0]).unwrap().direction);
        for (g, w) in got.iter().zip(want) {
            assert!((f64::from(*g) / w - 1.0).abs() < 1e-4, "{got:?} where {want:?} is right");
        }
    }
}
