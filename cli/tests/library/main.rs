//! What programs rely on: one definition behind every entry, errors as values, no shared state.

mod examples;
mod goldens;
mod tensor;

use ponens::compiler::codegen::interp::{Batch, evaluate};
use ponens::compiler::relate::Order;
use ponens::runtime::op::LossKernel;
use ponens::{Comparison, Compiled, Device, Evaluation, Kernel, Logic, Loss, Options, Refusal};
use std::sync::Arc;

#[test]
fn everything_may_cross_threads() {
    fn crosses<T: Send + Sync + 'static>() {}
    crosses::<Loss>();
    crosses::<Compiled>();
    crosses::<Options>();
    crosses::<Logic>();
    crosses::<Comparison>();
    crosses::<Kernel>();
    crosses::<Evaluation>();
    crosses::<Box<Refusal>>();
    crosses::<Arc<dyn LossKernel>>();
}

#[test]
fn what_ran_before_or_beside_changes_nothing() {
    const NAMES: [&str; 4] = ["dpo", "orpo", "lattice.CE_ref", "sft"];
    let graph = |name: &str| {
        let loss = Loss::named(name).expect("in the catalogue");
        loss.compile(&Options::default()).expect("it compiles").graph().to_string()
    };
    let alone: Vec<String> = NAMES.iter().map(|n| graph(n)).collect();
    let again: Vec<String> = NAMES.iter().rev().map(|n| graph(n)).collect();
    assert_eq!(alone, again.into_iter().rev().collect::<Vec<_>>());
    let beside: Vec<String> = std::thread::scope(|s| {
        let runs: Vec<_> = NAMES.iter().map(|n| s.spawn(|| graph(n))).collect();
        runs.into_iter().map(|r| r.join().expect("no panic")).collect()
    });
    assert_eq!(alone, beside);
}

#[test]
fn a_kernel_gives_the_interpreters_numbers() {
    for name in ["dpo", "orpo", "kto", "aot"] {
        let loss = Loss::named(name).expect("in the catalogue");
        let (compiled, params) =
            (loss.compile(&Options::default()).unwrap(), loss.values().unwrap());
        let kernel = loss.kernel(Device::Cpu).expect("it runs on the processor");
        let graph = compiled.graph();
        let column = |i: usize, e: usize| match kernel.columns()[i] {
            "label" | "good" => f64::from(e.is_multiple_of(2)),
            c if c.starts_with("len") => 5.0 + e as f64,
            _ => -1.5 - 0.75 * ((7 * e + 3 * i) % 5) as f64,
        };
        let columns: Vec<Vec<f64>> =
            (0..graph.inputs.len()).map(|i| (0..6).map(|e| column(i, e)).collect()).collect();
        let slices: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
        let got = kernel.evaluate(&slices).expect("sound columns");
        let mut batch = Batch::<f64>::new(6);
        for (i, values) in columns.iter().enumerate() {
            batch.set(graph, i as u16, values).expect("sound columns");
        }
        let expected = evaluate::<f64>(graph, &params, &batch).expect("it evaluates");
        for (root, values) in graph.roots.iter().zip(&expected) {
            let own = match root.name.strip_prefix("d/") {
                None => Some(got.loss.as_slice()),
                Some(c) => got.gradient(c),
            };
            // A value of the whole batch stands at every example.
            let values = if values.len() == 1 { vec![values[0]; 6] } else { values.clone() };
            assert_eq!(own, Some(values.as_slice()), "{} of {name}", root.name);
        }
    }
}

#[test]
fn tensors_get_the_kernels_gradient() {
    use ponens::candle::{Device as Place, Tensor, Var};
    let kernel = Loss::named("orpo").unwrap().kernel(Device::Cpu).unwrap();
    let (w, l) = ([-0.4, -1.0, -2.5], [-0.6, -0.9, -0.1]);
    let at = |x: &[f64; 3]| Var::new(x, &Place::Cpu).expect("a vector");
    let (x, y) = (at(&w), at(&l));
    let loss = kernel.tensor(&[x.as_tensor().clone(), y.as_tensor().clone()]).expect("two columns");
    let expected = kernel.evaluate(&[&w, &l]).expect("sound columns");
    let near = |a: &Tensor, b: &[f64]| {
        let a = a.to_vec1::<f64>().expect("a vector");
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-12 * b.abs()), "{a:?} for {b:?}");
    };
    near(&loss, &expected.loss);
    let gradients = loss.sum_all().unwrap().backward().expect("it is differentiable");
    near(gradients.get(&x).unwrap(), expected.gradient("mean_logp(pi,w)").unwrap());
    near(gradients.get(&y).unwrap(), expected.gradient("mean_logp(pi,l)").unwrap());
    assert_eq!(kernel.tensor(&[x.as_tensor().clone()]).unwrap_err().codes(), ["E0401"]);
}

#[test]
fn parameters_are_checked_when_they_are_given() {
    let dpo = Loss::named("dpo").unwrap();
    let codes = |r: Result<Loss, Box<Refusal>>| r.unwrap_err().codes();
    assert_eq!(codes(dpo.clone().with("beta", 0.0)), ["E0301"]);
    assert_eq!(codes(dpo.clone().with("beta", f64::NAN)), ["E0301"]);
    let refused = dpo.clone().with("bta", 1.0).unwrap_err();
    assert_eq!(refused.codes(), ["E0303"]);
    assert_eq!(refused.diagnostics[0].help.as_deref(), Some("did you mean `beta`?"));
    let twice = dpo.with("beta", 0.2).and_then(|l| l.with("beta", 0.3)).unwrap();
    assert_eq!(twice.values().unwrap(), [0.3]);

    let text = "loss a(x in [0, 1], y = 2) { data pair(w > l) model pi = policy \
                minimize x * y * nll(pi, w) }";
    let open = Loss::parse(text).unwrap();
    assert_eq!(open.values().unwrap_err().codes(), ["E0302"]);
    assert_eq!(open.kernel(Device::Cpu).unwrap_err().codes(), ["E0302"]);
    assert_eq!(open.with("x", 1.0).unwrap().values().unwrap(), [1.0, 2.0]);
}

#[test]
fn wrong_input_is_a_value() {
    let codes = |text: &str| Loss::parse(text).unwrap_err().codes();
    assert_eq!(codes(""), ["E0103"]);
    assert_eq!(codes("loss a = dpo with { beta = 1 }\nloss b = dpo with { beta = 2 }"), ["E0103"]);
    assert_eq!(codes("loss a = dpoo with { beta = 1 }"), ["E0103"]);
    assert_eq!(codes("loss a() { data pair(w > l) model pi = policy minimize log p }"), ["E0001"]);
    assert_eq!(Loss::open("no/such/file.loss").unwrap_err().codes(), ["E0003"]);
    assert_eq!(Loss::named("").unwrap_err().codes(), ["E0103"]);

    let kernel = Loss::named("dpo").unwrap().kernel(Device::Cpu).unwrap();
    let run = |columns: &[&[f64]]| kernel.evaluate(columns).unwrap_err().codes();
    assert_eq!(run(&[&[-1.0]]), ["E0401"]);
    assert_eq!(run(&[&[f64::NAN], &[-1.0], &[-1.0], &[-1.0]]), ["E0405"]);
    let none: [&[f64]; 4] = [&[]; 4];
    assert!(kernel.evaluate(&none).unwrap().loss.is_empty());
}

/// Where there is a card it computes what the processor does; elsewhere the refusal says what is missing.
#[test]
fn a_card_is_a_device() {
    let columns: [&[f64]; 4] = [&[-10.0, -25.0], &[-22.0, -20.0], &[-12.0, -22.0], &[-20.0, -22.0]];
    let dpo = Loss::named("dpo").unwrap();
    match dpo.kernel(Device::Cuda(0)) {
        Ok(kernel) => {
            assert_eq!(kernel.device().to_string(), "cuda:0");
            let expected = dpo.kernel(Device::Cpu).unwrap().evaluate(&columns).unwrap();
            let got = kernel.evaluate(&columns).unwrap();
            assert!((got.mean() - expected.mean()).abs() < 1e-6, "{got:?}");
        }
        Err(refused) => {
            assert_eq!(refused.codes(), ["E0702"]);
            let first = &refused.diagnostics[0];
            assert!(first.message.contains("looked for") || first.message.contains("no graphics"));
            assert_eq!(first.help.as_deref(), Some("`Device::Cpu` runs everywhere"));
        }
    }
    let far = dpo.kernel(Device::Cuda(4096)).unwrap_err();
    assert_eq!(far.codes(), ["E0702"], "there is no such card: {far}");
}

#[test]
fn parameters_count_in_a_comparison() {
    let margin = |gamma: f64| Loss::named("simpo").unwrap().with("gamma", gamma).unwrap();
    let order = |a: f64, b: f64| margin(a).compare(&margin(b)).unwrap().order();
    assert_eq!(order(0.5, 0.5), Some(Order::Equal));
    assert_eq!(order(1.0, 0.5), Some(Order::Entails));
    // What is arithmetic only has no order, and says why.
    let none = Loss::named("sft").unwrap().compare(&Loss::named("dpo").unwrap()).unwrap();
    assert_eq!(none.order(), None);
    assert!(none.reason().is_some_and(|r| r.contains("no logical core")));
}
