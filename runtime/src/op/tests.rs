//! Fused = composed = kernel, on random shapes with empty sequences and masked rows.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor, Var};
use ponens_compiler::mir::{Binary, Graph, Input, Interval, Level, Op, Reduce, Root, Unary};
use proptest::prelude::*;

use super::composed::{Gradient, composed_loss, graph_loss};
use super::fixture::{Dpo, dpo_graph};
use super::fused::loss_and_gradient_in_place;
use super::tape::fused_loss;
use super::{Column, Columns, LossKernel, TokenRows};

struct Case {
    logits: Vec<f32>,
    vocabulary: usize,
    rows: TokenRows,
    columns: Columns,
}

/// Pairs of random lengths (0 included), rows in random order, one row in five masked.
fn case(seed: u64, pairs: usize, vocabulary: usize, scale: f32) -> Case {
    use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};
    let mut rng = StdRng::seed_from_u64(seed);
    let mut sequence = Vec::new();
    for s in 0..2 * pairs as u32 {
        let len = rng.random_range(0..6);
        sequence.extend(std::iter::repeat_n(Some(s), len));
    }
    for _ in 0..sequence.len() / 4 + 1 {
        sequence.push(None);
    }
    sequence.shuffle(&mut rng);
    let n = sequence.len();
    let targets = (0..n).map(|_| rng.random_range(0..vocabulary as u32)).collect();
    let logits = (0..n * vocabulary).map(|_| rng.random_range(-scale..scale)).collect();
    let rows = TokenRows::new(targets, sequence, 2 * pairs).expect("valid");
    let reference = |rng: &mut StdRng| {
        Column::Given((0..pairs).map(|_| rng.random_range(-30.0..0.0)).collect())
    };
    let columns = vec![
        Column::Sum((0..pairs).collect()),
        Column::Sum((pairs..2 * pairs).collect()),
        reference(&mut rng),
        reference(&mut rng),
    ];
    let columns = Columns::new(columns, rows.lengths().to_vec()).expect("valid");
    Case { logits, vocabulary, rows, columns }
}

/// Value and gradient in f64 straight from the definition.
fn by_definition(case: &Case, kernel: &dyn LossKernel) -> (f64, Vec<f64>) {
    let v = case.vocabulary;
    let x: Vec<f64> = case.logits.iter().map(|&x| f64::from(x)).collect();
    let mut sums = vec![0.0; case.rows.lengths().len()];
    let mut softmax = vec![0.0; x.len()];
    for (r, row) in x.chunks(v).enumerate() {
        let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let z: f64 = row.iter().map(|x| (x - max).exp()).sum();
        for (p, x) in softmax[r * v..].iter_mut().zip(row) {
            *p = (x - max).exp() / z;
        }
        if let Some(s) = case.rows.sequence()[r] {
            sums[s as usize] += row[case.rows.targets()[r] as usize] - max - z.ln();
        }
    }
    let out = kernel.evaluate(&case.columns.resolve(&sums).expect("sums")).expect("value");
    let weights = case.columns.pull_back(&out.grads).expect("gradients");
    let n = case.columns.examples() as f64;
    let mut gradient = vec![0.0; x.len()];
    for r in 0..case.rows.targets().len() {
        let Some(s) = case.rows.sequence()[r] else { continue };
        let w = weights[s as usize] / n;
        for i in 0..v {
            gradient[r * v + i] = -w * softmax[r * v + i];
        }
        gradient[r * v + case.rows.targets()[r] as usize] += w;
    }
    (out.loss.iter().sum::<f64>() / n, gradient)
}

fn assert_close(what: &str, got: &[f32], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len());
    for (i, (&g, &w)) in got.iter().zip(want).enumerate() {
        let error = (f64::from(g) - w).abs();
        assert!(error <= tolerance * (1.0 + w.abs()), "{what}[{i}]: {g} where {w} is right");
    }
}

fn flat(t: &Tensor) -> Vec<f32> {
    let t = t.flatten_all().and_then(|t| t.to_dtype(DType::F32));
    t.and_then(|t| t.to_vec1()).expect("f32")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn all_forms_agree(seed: u64, pairs in 1usize..6, v in 2usize..120, scale in 0.1f32..30.0) {
        let case = case(seed, pairs, v, scale);
        let kernel = Dpo::new(0.3);
        let (value, gradient) = by_definition(&case, &kernel);
        let shape = (case.rows.targets().len(), v);

        let mut in_place = case.logits.clone();
        let out = loss_and_gradient_in_place(&mut in_place, v, &case.rows, &case.columns, &kernel)
            .expect("fused");
        let mean = out.loss.iter().sum::<f64>() / pairs as f64;
        prop_assert!((mean - value).abs() < 1e-5 * (1.0 + value.abs()));
        assert_close("in place", &in_place, &gradient, 1e-5);

        // An incoming gradient of 2.5 must scale the whole result.
        let x = Var::from_vec(case.logits.clone(), shape, &Device::Cpu).expect("var");
        let rows = Arc::new(case.rows.clone());
        let loss = fused_loss(&x, None, rows, case.columns.clone(), Arc::new(Dpo::new(0.3)))
            .expect("fused");
        let scaled: Vec<f64> = gradient.iter().map(|g| 2.5 * g).collect();
        let grads = loss.affine(2.5, 1.0).and_then(|l| l.backward()).expect("backward");
        assert_close("fused", &flat(grads.get(&x).expect("gradient")), &scaled, 1e-5);

        for mode in [Gradient::Tape, Gradient::Adjoint] {
            for dtype in [DType::F32, DType::F64] {
                let loss = composed_loss(
                    &x, None, &case.rows, &case.columns, &dpo_graph(0.3), &[0.3], (dtype, mode),
                ).expect("composed");
                let got = f64::from(flat(&loss)[0]);
                prop_assert!((got - value).abs() < 2e-5 * (1.0 + value.abs()), "{got} {value}");
                let grads = loss.backward().expect("backward");
                let got = grads.get(&x).map_or(vec![0.0; gradient.len()], flat);
                assert_close("composed", &got, &gradient, 1e-5);
            }
        }
    }
}

#[test]
fn masked_rows_and_a_nearly_certain_token() {
    // Row 0 is masked and holds NaN; row 1 has 1 - p = 1e-6, which a rounded p would spoil.
    let mut logits = vec![f32::NAN, 1.0, 14.0, 0.184_489_5];
    let rows = TokenRows::new(vec![0, 0], vec![None, Some(0)], 2).expect("valid");
    let columns = vec![
        Column::Sum(vec![0]),
        Column::Sum(vec![1]),
        Column::Given(vec![0.0]),
        Column::Given(vec![0.0]),
    ];
    let columns = Columns::new(columns, vec![1, 0]).expect("valid");
    let kernel = Dpo::new(1.0);
    loss_and_gradient_in_place(&mut logits, 2, &rows, &columns, &kernel).expect("fused");
    assert_eq!(logits[..2], [0.0, 0.0], "a masked row counts for nothing");
    let rest = 1.0 / (1.0 + (14.0 - f64::from(0.184_489_5f32)).exp());
    let want = -0.5 * rest;
    assert!((f64::from(logits[2]) - want).abs() < 1e-5 * rest, "{} {want}", logits[2]);
    assert!((f64::from(logits[3]) + want).abs() < 1e-5 * rest);

    let mut logits = vec![f32::NAN, 1.0, 14.0, f32::NAN];
    let before = logits.clone();
    let error = loss_and_gradient_in_place(&mut logits, 2, &rows, &columns, &kernel);
    let error = error.expect_err("a NaN in a row that counts").to_string();
    assert_eq!(error, "`logits`: row 1 (sequence 0), token 1 is NaN");
    let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&logits), bits(&before), "nothing is written");
}

#[test]
fn sizes_are_checked() {
    let c = case(1, 2, 7, 1.0);
    let kernel = Dpo::new(0.1);
    let mut short = c.logits[..c.logits.len() - 7].to_vec();
    assert!(loss_and_gradient_in_place(&mut short, 7, &c.rows, &c.columns, &kernel).is_err());
    let mut x = c.logits.clone();
    assert!(loss_and_gradient_in_place(&mut x, 0, &c.rows, &c.columns, &kernel).is_err());
    assert!(TokenRows::new(vec![1], vec![Some(3)], 2).is_err());
    assert!(TokenRows::new(vec![1], vec![], 2).is_err());
    let rows = TokenRows::new(vec![9], vec![Some(0)], 1).expect("valid");
    assert!(rows.check(1, 9).is_err(), "target outside the vocabulary");
    assert!(Columns::new(vec![], vec![1]).is_err());
    assert!(Columns::new(vec![Column::Sum(vec![2])], vec![1, 1]).is_err());
    assert!(kernel.evaluate(&[vec![0.0], vec![0.0]]).is_err());
}

#[test]
fn means_of_empty_sequences_are_zero() {
    let columns =
        Columns::new(vec![Column::Mean(vec![0, 1]), Column::Length(vec![0, 1])], vec![0, 4])
            .expect("valid");
    assert_eq!(columns.resolve(&[0.0, -8.0]).expect("sums"), [[0.0, -2.0], [0.0, 4.0]]);
    let back = columns.pull_back(&[Some(vec![1.0, 1.0]), Some(vec![9.0, 9.0])]);
    assert_eq!(back.expect("gradients"), [1.0, 0.25]);
}

/// One input, one operation.
fn scalar_graph(
    level: Level,
    build: impl FnOnce(&mut Graph) -> ponens_compiler::mir::NodeId,
) -> Graph {
    let mut g = Graph::new("scalar");
    for name in ["x", "y"] {
        g.inputs.push(Input {
            name: name.into(),
            level,
            range: Interval::REAL,
            differentiable: true,
        });
    }
    let node = build(&mut g);
    g.roots.push(Root { name: "loss".into(), node });
    g
}

/// Values and tape gradients of a two-input graph over the columns x, y.
fn run(g: &Graph, x: &[f64], y: &[f64]) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let vars = [x, y].map(|v| Var::from_slice(v, v.len(), &Device::Cpu).expect("var"));
    let inputs = vars.clone().map(|v| v.as_tensor().clone());
    let out = graph_loss(g, &[], &inputs, Gradient::Tape).expect("emits");
    let grads = out.backward().expect("backward");
    let get =
        |v: &Var| grads.get(v).map_or(vec![0.0; x.len()], |g| g.to_vec1::<f64>().expect("f64"));
    (out.to_vec1::<f64>().expect("f64"), get(&vars[0]), get(&vars[1]))
}

#[test]
fn unary_operations_have_exact_values_and_derivatives() {
    type F = fn(f64) -> f64;
    let sigmoid: F = |x| 1.0 / (1.0 + (-x).exp());
    let real = [-800.0, -40.0, -1.0, -1e-9, 0.0, 1e-9, 0.5, 30.0, 600.0];
    let positive = [0.0, 1e-300, 1e-9, 0.5, 1.0, 1e10];
    let above = [-1.0 + 1e-9, -1e-12, 0.0, 1e-12, 3.0];
    let log_prob = [-1e4, -40.0, -0.7, -0.6, -1e-12];
    let cases: Vec<(Unary, &[f64], F, F)> = vec![
        (Unary::Neg, &real, |x| -x, |_| -1.0),
        (Unary::Exp, &real, f64::exp, f64::exp),
        (Unary::Log, &positive, f64::ln, |x| (1.0 / x).min(f64::MAX)),
        (Unary::Log1p, &above, f64::ln_1p, |x| 1.0 / (1.0 + x)),
        (Unary::Expm1, &real, f64::exp_m1, f64::exp),
        (Unary::Log1mExp, &log_prob, |x| (-x.exp_m1()).ln(), |x| -1.0 / (-x).exp_m1()),
        (Unary::Softplus, &real, |x| x.max(0.0) + (-x.abs()).exp().ln_1p(), sigmoid),
        (Unary::Sigmoid, &real, sigmoid, |x| 1.0 / (2.0 + x.exp() + (-x).exp())),
        (Unary::Abs, &real, f64::abs, |x| if x == 0.0 { 0.0 } else { x.signum() }),
        (Unary::Step, &real, |x| f64::from(u8::from(x > 0.0)), |_| 0.0),
        (Unary::Sign, &real, |x| if x == 0.0 { 0.0 } else { x.signum() }, |_| 0.0),
        (Unary::StopGradient, &real, |x| x, |_| 0.0),
    ];
    for (op, at, value, derivative) in cases {
        let g = scalar_graph(Level::Example, |g| {
            let x = g.add(Op::Input(0));
            g.unary(op, x)
        });
        let (v, d, _) = run(&g, at, at);
        for (i, &x) in at.iter().enumerate() {
            let same = |got: f64, want: f64| {
                got == want || (got - want).abs() <= 1e-12 * want.abs().max(1e-290)
            };
            // ln(1 - e^x) far from 0 is itself the tiny number -e^x.
            let want =
                if op == Unary::Log1mExp && x < -1.0 { (-x.exp()).ln_1p() } else { value(x) };
            assert!(same(v[i], want), "{op:?}({x}) = {} where {want} is right", v[i]);
            let want = derivative(x);
            assert!(same(d[i], want), "d {op:?}({x}) = {} where {want} is right", d[i]);
        }
    }
}

#[test]
fn binary_operations_follow_the_definition_at_ties() {
    let inf = f64::NEG_INFINITY;
    let check = |op: Binary, x: f64, y: f64, want: [f64; 3]| {
        let g = scalar_graph(Level::Example, |g| {
            let (x, y) = (g.add(Op::Input(0)), g.add(Op::Input(1)));
            g.binary(op, x, y)
        });
        let (v, dx, dy) = run(&g, &[x, x], &[y, y]);
        for (got, want) in [v[0], dx[0], dy[0]].into_iter().zip(want) {
            let same = got == want || (got - want).abs() < 1e-14 * want.abs().max(1.0);
            assert!(same, "{op:?}({x}, {y}): {got} where {want} is right");
        }
    };
    check(Binary::Add, 2.0, 3.0, [5.0, 1.0, 1.0]);
    check(Binary::Sub, 2.0, 3.0, [-1.0, 1.0, -1.0]);
    check(Binary::Mul, 2.0, 3.0, [6.0, 3.0, 2.0]);
    check(Binary::Div, 3.0, 2.0, [1.5, 0.5, -0.75]);
    check(Binary::Max, 2.0, 3.0, [3.0, 0.0, 1.0]);
    check(Binary::Max, 2.0, 2.0, [2.0, 0.0, 0.0]);
    check(Binary::Min, 2.0, 3.0, [2.0, 1.0, 0.0]);
    check(Binary::Min, 2.0, 2.0, [2.0, 0.0, 0.0]);
    check(Binary::Pow, 3.0, 2.0, [9.0, 6.0, 9.0 * 3f64.ln()]);
    check(Binary::Pow, 0.0, 0.0, [1.0, 0.0, 0.0]);
    check(Binary::LogAddExp, 1.0, 1.0, [1.0 + std::f64::consts::LN_2, 0.5, 0.5]);
    check(Binary::LogAddExp, inf, inf, [inf, 0.0, 0.0]);
    check(Binary::LogAddExp, inf, -3.0, [-3.0, 0.0, 1.0]);
}

#[test]
fn batch_operations_and_their_adjoints() {
    let x = [3.0, 1.0, 2.0, 1.0];
    let y = [1.0, 10.0, 100.0, 1000.0];
    // sum_e y_e f(x)_e, so that dx shows the transpose of f applied to y.
    let weighted =
        |build: fn(&mut Graph, ponens_compiler::mir::NodeId) -> ponens_compiler::mir::NodeId| {
            let g = scalar_graph(Level::Example, |g| {
                let (x, y) = (g.add(Op::Input(0)), g.add(Op::Input(1)));
                let f = build(g, x);
                let p = g.binary(Binary::Mul, f, y);
                g.add_at(Op::Reduce(Reduce::Mean, p), Level::Batch)
            });
            let (v, dx, dy) = run(&g, &x, &y);
            // The loss stands at each of 4 examples; the sum of copies of a mean is the sum.
            (v[0] * 4.0, dx, dy)
        };
    let (v, dx, f) = weighted(|g, x| g.add(Op::Sort(x)));
    assert_eq!(f, [1.0, 1.0, 2.0, 3.0]);
    assert_eq!(dx, [1000.0, 1.0, 100.0, 10.0], "equal values keep their order");
    assert_eq!(v, 3211.0);
    let (_, dx, f) = weighted(|g, x| g.add(Op::PrefixSum(x)));
    assert_eq!((f, dx), (vec![3.0, 4.0, 6.0, 7.0], vec![1111.0, 1110.0, 1100.0, 1000.0]));
    let (_, dx, f) = weighted(|g, x| g.add(Op::SuffixSum(x)));
    assert_eq!((f, dx), (vec![7.0, 4.0, 3.0, 1.0], vec![1.0, 11.0, 111.0, 1111.0]));
    let (_, dx, f) = weighted(|g, x| g.add(Op::Shift(x, 1)));
    assert_eq!((f, dx), (vec![1.0, 2.0, 1.0, 0.0], vec![0.0, 1.0, 10.0, 100.0]));
    let (_, dx, f) = weighted(|g, x| g.add(Op::Shift(x, -1)));
    assert_eq!((f, dx), (vec![0.0, 3.0, 1.0, 2.0], vec![10.0, 100.0, 1000.0, 0.0]));
    let (_, _, f) = weighted(|g, x| g.add(Op::Shift(x, 100)));
    assert_eq!(f, [0.0; 4]);
    // Unsort(g, key) with g = key's own ranks puts the values back.
    let (_, _, f) = weighted(|g, x| {
        let s = g.add(Op::Sort(x));
        g.add(Op::Unsort(s, x))
    });
    assert_eq!(f, x);
    let (_, _, f) = weighted(|g, x| g.add_at(Op::Reduce(Reduce::LogSumExp, x), Level::Batch));
    let lse = x.iter().map(|x| x.exp()).sum::<f64>().ln();
    assert!(f.iter().all(|v| (v - lse).abs() < 1e-14));
    let (_, _, f) = weighted(|g, x| g.add_at(Op::Count(x), Level::Batch));
    assert_eq!(f, [4.0; 4]);
}

#[test]
fn select_takes_only_the_chosen_side() {
    let g = scalar_graph(Level::Example, |g| {
        let (x, y) = (g.add(Op::Input(0)), g.add(Op::Input(1)));
        let twice = g.binary(Binary::Add, y, y);
        g.add(Op::Select(x, y, twice))
    });
    let (v, dx, dy) = run(&g, &[1.0, 0.0, -1.0], &[5.0, 6.0, 7.0]);
    assert_eq!((v, dx, dy), (vec![5.0, 12.0, 14.0], vec![0.0; 3], vec![1.0, 2.0, 2.0]));
}

#[test]
fn deeper_levels_are_refused() {
    let g = scalar_graph(Level::Token, |g| g.add(Op::Input(0)));
    let x = Tensor::zeros(3, DType::F64, &Device::Cpu).expect("tensor");
    let error = graph_loss(&g, &[], &[x.clone(), x], Gradient::Tape).expect_err("token level");
    assert!(error.to_string().contains("token"), "{error}");
}
