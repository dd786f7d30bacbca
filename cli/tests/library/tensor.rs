//! A loss of the source file as an operation of candle.

use ponens::candle::{self, DType, Device, Tensor, Var};
use ponens::{Loss, Options};
use ponens_macros::catalogue_loss;

catalogue_loss!(
    #[ponens(candle)]
    tdpo1
);
catalogue_loss!(
    #[ponens(candle = "ponens::candle")]
    aot
);

const N: usize = 6;

/// Column `i` of `N` examples; log-probabilities and divergences alike are in range with a sign.
fn column(i: usize, sign: f64) -> Vec<f64> {
    (0..N).map(|e| sign * (1.5 + 0.75 * ((7 * e + 3 * i) % 5) as f64)).collect()
}

fn var(values: &[f64], dtype: DType) -> candle::Result<Var> {
    Var::from_tensor(&Tensor::new(values, &Device::Cpu)?.to_dtype(dtype)?)
}

fn list(t: &Tensor) -> candle::Result<Vec<f64>> {
    t.to_dtype(DType::F64)?.flatten_all()?.to_vec1()
}

fn near(a: &[f64], b: &[f64], epsilon: f64) {
    assert_eq!(a.len(), b.len());
    assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() <= epsilon * b.abs()), "{a:?} for {b:?}");
}

#[test]
fn values_and_gradients_are_those_of_the_slices() -> candle::Result<()> {
    let signs = [-1.0, -1.0, -1.0, -1.0, 1.0, 1.0];
    let read: Vec<Vec<f64>> = signs.iter().enumerate().map(|(i, s)| column(i, *s)).collect();
    let [w, l, rw, rl, kw, kl] = [0, 1, 2, 3, 4, 5].map(|i| read[i].as_slice());
    let mut out = vec![vec![0.0; N]; 5];
    let [loss, dw, dl, dkw, dkl] = out.as_mut_slice() else { unreachable!("five results") };
    let columns = tdpo1::Columns {
        logp_pi_w: w,
        logp_pi_l: l,
        logp_ref_w: rw,
        logp_ref_l: rl,
        kl_ref_pi_w: kw,
        kl_ref_pi_l: kl,
    };
    let mut results = tdpo1::Outputs {
        loss,
        d_logp_pi_w: dw,
        d_logp_pi_l: dl,
        d_kl_ref_pi_w: dkw,
        d_kl_ref_pi_l: dkl,
    };
    Tdpo1::default().value_and_gradient(columns, &mut results).expect("one length");

    for (dtype, epsilon) in [(DType::F64, 0.0), (DType::F32, 2e-6)] {
        let vars: Vec<Var> = read.iter().map(|c| var(c, dtype)).collect::<candle::Result<_>>()?;
        let tensors = tdpo1::Tensors {
            logp_pi_w: &vars[0],
            logp_pi_l: &vars[1],
            logp_ref_w: &vars[2],
            logp_ref_l: &vars[3],
            kl_ref_pi_w: &vars[4],
            kl_ref_pi_l: &vars[5],
        };
        let each = Tdpo1::default().tensor(tensors)?;
        assert_eq!((each.dims(), each.dtype()), ([N].as_slice(), dtype));
        near(&list(&each)?, &out[0], epsilon);
        // Every example with a weight of its own: the incoming gradient counts.
        let weights: Vec<f64> = (0..N).map(|e| 0.5 + e as f64).collect();
        let weighted = (each * Tensor::new(weights.as_slice(), &Device::Cpu)?.to_dtype(dtype)?)?;
        let gradients = weighted.sum_all()?.backward()?;
        for (var, root) in [(0, 1), (1, 2), (4, 3), (5, 4)] {
            let own = gradients.get(&vars[var]).expect("a gradient");
            let expected: Vec<f64> = out[root].iter().zip(&weights).map(|(d, w)| d * w).collect();
            near(&list(own)?, &expected, epsilon.max(1e-15));
        }
        assert!(gradients.get(&vars[2]).is_none(), "the reference takes no gradient");
    }
    Ok(())
}

#[test]
fn a_coupled_batch_is_its_mean() -> candle::Result<()> {
    let read: Vec<Vec<f64>> = (0..4).map(|i| column(i, -1.0)).collect();
    let vars: Vec<Var> = read.iter().map(|c| var(c, DType::F64)).collect::<candle::Result<_>>()?;
    let tensors = aot::Tensors {
        logp_pi_w: &vars[0],
        logp_pi_l: &vars[1],
        logp_ref_w: &vars[2],
        logp_ref_l: &vars[3],
    };
    let mean = Aot::default().tensor(tensors)?;
    let loss = Loss::named("aot").expect("in the catalogue");
    let compiled = loss.compile(&Options::default()).expect("it compiles");
    let kernel = ponens::Kernel::new(&compiled, &[0.1, 0.0], ponens::Device::Cpu).expect("it runs");
    let slices: Vec<&[f64]> = read.iter().map(Vec::as_slice).collect();
    let expected = kernel.evaluate(&slices).expect("sound columns");
    near(&[mean.to_scalar()?], &[expected.mean()], 1e-15);
    let gradients = mean.affine(3.0, 0.0)?.backward()?;
    let own = list(gradients.get(&vars[0]).expect("a gradient"))?;
    let by_w = expected.gradient("logp(pi,w)").expect("a gradient");
    near(&own, &by_w.iter().map(|d| d * 3.0 / N as f64).collect::<Vec<_>>(), 1e-14);
    Ok(())
}

#[test]
fn tensors_that_do_not_fit_are_refused() -> candle::Result<()> {
    let four = var(&[-1.0; 4], DType::F64)?;
    let three = var(&[-1.0; 3], DType::F64)?;
    let with = |w: &Var, rl: &Var| {
        Aot::default().tensor(aot::Tensors {
            logp_pi_w: w,
            logp_pi_l: &four,
            logp_ref_w: &four,
            logp_ref_l: rl,
        })
    };
    assert!(with(&four, &four).is_ok());
    let refused = with(&four, &three).expect_err("three for four").to_string();
    assert!(refused.contains("3 values for 4 examples"), "{refused}");
    assert!(with(&three, &four).is_err());
    let none = Var::zeros(0, DType::F64, &Device::Cpu)?;
    assert!(with(&none, &none).expect_err("no example").to_string().contains("without examples"));
    Ok(())
}
