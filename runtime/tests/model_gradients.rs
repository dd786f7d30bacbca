//! Gradients of whole models: finite differences for every kind of variable, with and without
//! adapters and checkpointing; and that a row's numbers are its own.

// Helpers of a test fail as the test does.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use candle_core::{Device, Tensor, Var};
use ponens_runtime::model::{
    Architecture, CausalLm, Config, Error, Gradients, Llama, LoraConfig, Rows,
};

fn config() -> Config {
    Config::small(13, 16, 2, 4, 2, 32).unwrap()
}

/// Every optional part at once: biases, an untied head, a head size that is not hidden / heads.
fn full_config() -> Config {
    Config {
        architecture: Architecture::Qwen2,
        tie_word_embeddings: false,
        qkv_bias: true,
        o_bias: true,
        mlp_bias: true,
        head_dim: 6,
        ..config()
    }
}

/// Normalised heads, and queries that see two keys.
fn bounded_config() -> Config {
    Config { architecture: Architecture::Qwen3, sliding_window: Some(2), head_dim: 6, ..config() }
}

fn rows() -> Rows {
    let mut rows = Rows::default();
    rows.push(&[1, 2, 3], &[4, 5, 6]);
    rows.push(&[1, 2, 3], &[7, 8]);
    rows.push(&[9], &[10, 11, 12, 0, 1]);
    rows
}

/// A loss of the kind that is trained: logistic in a difference of rows, plus a linear term.
fn loss(sums: &[f64]) -> f64 {
    let margin = 0.4 * (sums[0] - sums[1]);
    (-margin).exp().ln_1p() - 0.1 * sums[2]
}

fn loss_weights(sums: &[f64]) -> Vec<f32> {
    let margin = 0.4 * (sums[0] - sums[1]);
    let slope = (-0.4 / (1.0 + margin.exp())) as f32;
    vec![slope, -slope, -0.1]
}

fn gradients(model: &Llama) -> (Vec<f64>, Gradients) {
    model.backward(&rows(), &mut |sums| Ok(loss_weights(sums))).unwrap()
}

fn values(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

fn shift(var: &Var, base: &[f32], direction: &[f32], step: f64) {
    let moved: Vec<f32> = base
        .iter()
        .zip(direction)
        .map(|(b, d)| (f64::from(*b) + step * f64::from(*d)) as f32)
        .collect();
    var.set(&Tensor::from_vec(moved, var.shape(), &Device::Cpu).unwrap()).unwrap();
}

/// The derivative along each gradient equals the gradient's norm.
fn assert_finite_differences(model: &Llama) {
    let (_, gradients) = gradients(model);
    gradients.assert_all_reached(model.trainable()).unwrap();
    for (name, var) in model.trainable() {
        let gradient = values(gradients.get(name).unwrap());
        let base = values(var);
        let norm = gradient.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
        assert!(norm > 1e-4, "{name}: no gradient ({norm})");
        let unit: Vec<f32> = gradient.iter().map(|g| (f64::from(*g) / norm) as f32).collect();
        let at = |step: f64| {
            shift(var, &base, &unit, step);
            loss(&model.completion_logps(&rows()).unwrap())
        };
        let h = 4e-3;
        // Fourth order, so that a large step stays above the rounding of f32.
        let numeric = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
        shift(var, &base, &unit, 0.0);
        assert!((numeric - norm).abs() < 5e-3 * norm + 2e-4, "{name}: {numeric}, expected {norm}");
    }
}

fn adapted(config: Config, dropout: f64) -> Llama {
    let lora = LoraConfig {
        rank: 3,
        alpha: 6.0,
        dropout,
        target_modules: LoraConfig::MODULES.map(str::to_owned).to_vec(),
    };
    let model = Llama::random(config, 5, &Device::Cpu).unwrap().with_adapter(&lora, 6).unwrap();
    // B starts at zero, where A has no gradient; the checks want a general point.
    for (i, (name, var)) in model.trainable().iter().enumerate() {
        if name.contains("lora_B") {
            let n = var.elem_count();
            let b: Vec<f32> = (0..n).map(|j| ((i * 31 + j) as f32 * 0.7).sin() * 0.1).collect();
            var.set(&Tensor::from_vec(b, var.shape(), &Device::Cpu).unwrap()).unwrap();
        }
    }
    model
}

#[test]
fn all_weights_match_finite_differences() {
    for config in [config(), full_config(), bounded_config()] {
        for checkpointing in [false, true] {
            let model = Llama::random(config.clone(), 3, &Device::Cpu).unwrap();
            let model = model.into_trainable().unwrap().with_checkpointing(checkpointing);
            assert_eq!(model.trainable().len(), config.parameters().len());
            assert_finite_differences(&model);
        }
    }
}

#[test]
fn adapters_match_finite_differences_and_the_base_takes_no_gradient() {
    for config in [config(), full_config(), bounded_config()] {
        for checkpointing in [false, true] {
            let model = adapted(config.clone(), 0.0).with_checkpointing(checkpointing);
            assert_eq!(model.trainable().len(), 2 * 7 * 2);
            assert_finite_differences(&model);
        }
    }
}

#[test]
fn checkpointing_changes_no_number_even_with_dropout() {
    let full = || Llama::random(config(), 3, &Device::Cpu).unwrap().into_trainable().unwrap();
    for make in [&full as &dyn Fn() -> Llama, &|| adapted(config(), 0.3)] {
        let (sums, plain) = gradients(&make());
        let (checkpointed_sums, checkpointed) = gradients(&make().with_checkpointing(true));
        assert_eq!(sums, checkpointed_sums);
        assert_eq!(plain.norm().unwrap(), checkpointed.norm().unwrap());
        for ((name, a), (other, b)) in plain.iter().zip(checkpointed.iter()) {
            assert_eq!(name, other);
            assert_eq!(values(a), values(b), "{name}");
        }
    }
}

#[test]
fn dropout_acts_in_training_only_and_differs_between_passes() {
    let model = adapted(config(), 0.5);
    let (first, _) = gradients(&model);
    let (second, _) = gradients(&model);
    assert_ne!(first, second);
    model.set_passes(0);
    assert_eq!(gradients(&model).0, first);
    let quiet = adapted(config(), 0.0);
    let evaluated = model.completion_logps(&rows()).unwrap();
    assert_eq!(evaluated, quiet.completion_logps(&rows()).unwrap());
    assert_ne!(evaluated, first);
}

#[test]
fn an_adapter_on_a_single_map_is_reached_in_every_layer() {
    let lora = LoraConfig { target_modules: vec!["down_proj".into()], ..LoraConfig::default() };
    let model = Llama::random(config(), 5, &Device::Cpu).unwrap();
    for checkpointing in [false, true] {
        let model = model.with_adapter(&lora, 6).unwrap().with_checkpointing(checkpointing);
        gradients(&model).1.assert_all_reached(model.trainable()).unwrap();
    }
}

#[test]
fn a_row_has_the_same_numbers_alone_and_in_any_batch() {
    for config in [full_config(), bounded_config()] {
        rows_are_their_own(config);
    }
}

fn rows_are_their_own(config: Config) {
    let model = Llama::random(config, 3, &Device::Cpu).unwrap().into_trainable().unwrap();
    let together = model.token_logps(&rows()).unwrap();
    for (i, row) in together.iter().enumerate() {
        let alone = Rows { ids: vec![rows().ids[i].clone()], start: vec![rows().start[i]] };
        for (a, b) in model.token_logps(&alone).unwrap()[0].iter().zip(row) {
            assert!((a - b).abs() < 2e-6, "row {i}: {a} {b}");
        }
    }
    // Gradients of the batch are the sum of the rows' gradients.
    let one = |row: usize| {
        let rows = Rows { ids: vec![rows().ids[row].clone()], start: vec![rows().start[row]] };
        model.backward(&rows, &mut |_| Ok(vec![[0.5, -1.0, 2.0][row]])).unwrap().1
    };
    let mut sum = one(0);
    sum.add_assign(&one(1)).unwrap();
    sum.add_assign(&one(2)).unwrap();
    let (_, batch) = model.backward(&rows(), &mut |_| Ok(vec![0.5, -1.0, 2.0])).unwrap();
    for ((name, a), (_, b)) in sum.iter().zip(batch.iter()) {
        let size = values(a).iter().fold(1e-2f32, |m, v| m.max(v.abs()));
        for (a, b) in values(a).iter().zip(values(b)) {
            assert!((a - b).abs() < 2e-5 * size, "{name}: {a} {b}");
        }
    }
}

#[test]
fn log_probabilities_are_those_of_a_distribution() {
    let model = Llama::random(config(), 3, &Device::Cpu).unwrap();
    let mut all = Rows::default();
    (0..13).for_each(|token| all.push(&[4, 2, 9, 1], &[token]));
    let total: f64 = model.completion_logps(&all).unwrap().iter().map(|l| l.exp()).sum();
    assert!((total - 1.0).abs() < 1e-5, "{total}");
    let stats = model.token_statistics(&all).unwrap();
    let logps = model.token_logps(&all).unwrap();
    let entropy: f64 = -logps.iter().map(|l| f64::from(l[0]).exp() * f64::from(l[0])).sum::<f64>();
    assert!((f64::from(stats[5][0].entropy) - entropy).abs() < 1e-5);
    assert_eq!(stats.iter().filter(|s| s[0].is_top1).count(), 1);
}

#[test]
fn reference_models_stay_or_follow_as_they_say() {
    let base = Llama::random(config(), 3, &Device::Cpu).unwrap();
    let start = base.completion_logps(&rows()).unwrap();
    let model = base.with_adapter(&LoraConfig::default(), 1).unwrap();
    assert_eq!(model.completion_logps(&rows()).unwrap(), start, "B is zero at the start");
    let (view, snapshot, reference) =
        (model.frozen(), model.snapshot().unwrap(), model.without_adapter());
    for (name, var) in model.trainable() {
        if name.contains("lora_B") {
            var.set(&Tensor::full(0.3f32, var.shape(), &Device::Cpu).unwrap()).unwrap();
        }
    }
    let moved = model.completion_logps(&rows()).unwrap();
    assert_ne!(moved, start);
    assert_eq!(view.completion_logps(&rows()).unwrap(), moved);
    assert_eq!(snapshot.completion_logps(&rows()).unwrap(), start);
    assert_eq!(reference.completion_logps(&rows()).unwrap(), start);
    let merged = model.merged().unwrap().completion_logps(&rows()).unwrap();
    for (a, b) in merged.iter().zip(&moved) {
        assert!((a - b).abs() < 1e-4, "{a} {b}");
    }
    let full = model.merged().unwrap().into_trainable().unwrap();
    let copy = full.snapshot().unwrap();
    let before = full.completion_logps(&rows()).unwrap();
    full.trainable()[0].1.set(&full.trainable()[0].1.affine(0.5, 0.0).unwrap()).unwrap();
    assert_ne!(full.completion_logps(&rows()).unwrap(), before);
    assert_eq!(copy.completion_logps(&rows()).unwrap(), before);
}

#[test]
fn token_weights_reach_single_tokens() {
    let model = Llama::random(config(), 3, &Device::Cpu).unwrap().into_trainable().unwrap();
    let mut one = Rows::default();
    one.push(&[1, 2, 3], &[4]);
    let (_, direct) = model.backward(&one, &mut |_| Ok(vec![1.0])).unwrap();
    let (_, picked) = model
        .backward_tokens(&rows(), &mut |logps| {
            let mut weights: Vec<Vec<f32>> = logps.iter().map(|r| vec![0.0; r.len()]).collect();
            weights[0][0] = 1.0;
            Ok(weights)
        })
        .unwrap();
    assert!((direct.norm().unwrap() - picked.norm().unwrap()).abs() < 1e-4);
}

#[test]
fn empty_completions_count_as_zero_and_alone_they_teach_nothing() {
    let model = Llama::random(config(), 3, &Device::Cpu).unwrap().into_trainable().unwrap();
    let mut some = rows();
    some.push(&[1, 2], &[]);
    assert_eq!(model.completion_logps(&some).unwrap()[3], 0.0);
    let mut none = Rows::default();
    none.push(&[1, 2], &[]);
    let error = model.backward(&none, &mut |_| Ok(vec![1.0])).unwrap_err();
    assert!(matches!(error, Error::NoCompletion));
}

#[test]
fn wrong_requests_are_errors() {
    let model = Llama::random(config(), 3, &Device::Cpu).unwrap();
    let frozen = model.backward(&rows(), &mut |_| Ok(vec![1.0; 3])).unwrap_err();
    assert!(matches!(frozen, Error::NothingTrainable));
    let trainable = model.into_trainable().unwrap();
    let wrong = trainable.backward(&rows(), &mut |_| Ok(vec![1.0])).unwrap_err();
    assert!(wrong.to_string().contains("1 weights for 3 rows"), "{wrong}");
    let failed = trainable.backward(&rows(), &mut |_| Err(Error::Loss("no data".into())));
    assert_eq!(failed.unwrap_err().to_string(), "no data");
    let lora = LoraConfig { target_modules: vec!["head".into()], ..LoraConfig::default() };
    assert!(trainable.with_adapter(&lora, 0).unwrap_err().to_string().contains("`head`"));
}

#[test]
fn missing_extra_and_misshapen_weights_are_named() {
    let weights = || -> BTreeMap<String, Tensor> {
        ponens_runtime::model::random_weights(&config(), 1, &Device::Cpu)
            .unwrap()
            .into_iter()
            .collect()
    };
    let build = |w: BTreeMap<String, Tensor>| {
        Llama::new(config(), w.into_iter().collect()).unwrap_err().to_string()
    };
    let mut missing = weights();
    missing.remove("model.layers.1.mlp.up_proj.weight");
    assert!(build(missing).contains("`model.layers.1.mlp.up_proj.weight`"));
    let mut extra = weights();
    let norm = extra["model.norm.weight"].clone();
    extra.insert("model.layers.0.self_attn.q_norm.weight".into(), norm.clone());
    assert!(build(extra).contains("q_norm"));
    let mut misshapen = weights();
    misshapen.insert("model.layers.0.self_attn.k_proj.weight".into(), norm);
    let message = build(misshapen);
    assert!(message.contains("k_proj") && message.contains("[8, 16]"), "{message}");
}
