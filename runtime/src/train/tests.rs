//! A model of a few thousand numbers, trained for a few steps.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use candle_core::Device;

use super::batch::{BatchError, gradient};
use super::checkpoint;
use super::*;
use crate::data::{EncodedPair, Sequence};
use crate::model::{Architecture, CausalLm, Config, Gradients, Llama, LoraConfig};
use crate::op::fixture::{Custom, Dpo, spread};
use crate::op::{Evaluated, LossKernel, RuntimeError};
use crate::optim::{Decay, Schedule};

fn tiny() -> Llama {
    let config = Config {
        architecture: Architecture::Llama,
        hidden_size: 16,
        intermediate_size: 32,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        num_key_value_heads: 1,
        head_dim: 8,
        vocab_size: 12,
        max_position_embeddings: 32,
        rope_theta: 10_000.0,
        rope_scaling: None,
        rms_norm_eps: 1e-5,
        tie_word_embeddings: true,
        qkv_bias: false,
        o_bias: false,
        mlp_bias: false,
        initializer_range: 0.02,
        bos_token_id: None,
        eos_token_ids: vec![0],
    };
    Llama::random(config, 5, &Device::Cpu).expect("valid configuration")
}

fn full() -> Llama {
    tiny().into_trainable().expect("trainable")
}

fn adapter(dropout: f64) -> Llama {
    let config = LoraConfig { rank: 2, dropout, ..LoraConfig::default() };
    tiny().with_adapter(&config, 3).expect("adapter")
}

/// Prompts of two tokens; the chosen response counts up, the rejected one down, of unequal lengths.
fn pairs(n: usize) -> Vec<EncodedPair> {
    let one = |i: usize| {
        let a = (i % 5) as u32 + 3;
        let up: Vec<u32> = (0..2 + i % 3).map(|k| (a + k as u32) % 11 + 1).collect();
        let down: Vec<u32> = (0..1 + i % 4).map(|k| (a + 11 - k as u32) % 11 + 1).collect();
        let side = |r: &[u32]| Sequence { ids: [&[1, a], r, &[0]].concat(), start: 2 };
        let columns = vec![i as f64];
        EncodedPair { row: i, chosen: side(&up), rejected: side(&down), columns }
    };
    (0..n).map(one).collect()
}

fn config(steps: usize) -> TrainConfig {
    TrainConfig {
        length: Length::Steps(steps),
        batch_size: 6,
        micro_batch: 4,
        schedule: Schedule { peak: 3e-3, warmup: 2, decay: Decay::Cosine },
        clip: Some(1.0),
        seed: 9,
        eval_every: Some(4),
        ..TrainConfig::default()
    }
}

struct Setup<'a> {
    policy: &'a Llama,
    kernel: &'a dyn LossKernel,
    config: TrainConfig,
    output: Option<&'a Path>,
    train: Vec<EncodedPair>,
    stop: AtomicBool,
    records: Vec<Record>,
    /// Ask to stop when this step was recorded.
    stop_after: Option<usize>,
}

impl<'a> Setup<'a> {
    fn new(policy: &'a Llama, kernel: &'a dyn LossKernel, steps: usize) -> Self {
        Self {
            policy,
            kernel,
            config: config(steps),
            output: None,
            train: pairs(20),
            stop: AtomicBool::new(false),
            records: Vec::new(),
            stop_after: None,
        }
    }

    fn go(&mut self, from: Option<&Path>) -> Result<Outcome, RuntimeError> {
        let held_out: Vec<EncodedPair> = pairs(28).split_off(20);
        let (stop, stop_after, records) = (&self.stop, self.stop_after, &mut self.records);
        let mut observe = |r: &Record| {
            if let (Record::Step(s), Some(last)) = (r, stop_after) {
                stop.store(s.step >= last, std::sync::atomic::Ordering::Relaxed);
            }
            records.push(r.clone());
        };
        let run = Run {
            policy: self.policy,
            kernel: self.kernel,
            names: &Names::default(),
            config: &self.config,
            train: &self.train,
            held_out: &held_out,
            reference: Reference::Initial,
            output: self.output,
            stop: &self.stop,
            observe: &mut observe,
        };
        match from {
            None => train(run),
            Some(checkpoint) => resume(run, checkpoint),
        }
    }
}

fn weights(model: &Llama) -> Vec<(String, Vec<f32>)> {
    let read = |(n, v): &(String, candle_core::Var)| {
        let values = v.flatten_all().and_then(|t| t.to_vec1::<f32>()).expect("f32");
        (n.clone(), values)
    };
    model.trainable().iter().map(read).collect()
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

#[test]
fn a_pause_changes_no_bit() {
    let kernel = Dpo::new(0.5);
    let coupled = spread();
    type Make = fn() -> Llama;
    let with_dropout: Make = || adapter(0.2);
    let cases: [(Make, &dyn LossKernel); 3] =
        [(full, &kernel), (with_dropout, &kernel), (full, &coupled)];
    for (make, kernel) in cases {
        let straight = make();
        Setup::new(&straight, kernel, 10).go(None).expect("trains");

        let dir = folder();
        let first = make();
        let mut sitting = Setup::new(&first, kernel, 10);
        (sitting.output, sitting.stop_after) = (Some(dir.path()), Some(5));
        let outcome = sitting.go(None).expect("trains");
        assert_eq!((outcome.steps, outcome.finished), (5, false));
        assert_ne!(weights(&first), weights(&straight));

        // A fresh process: a fresh model, and all state from the checkpoint.
        let second = make();
        let mut sitting = Setup::new(&second, kernel, 10);
        sitting.output = Some(dir.path());
        let from = latest_checkpoint(dir.path()).expect("readable").expect("one");
        let outcome = sitting.go(Some(&from)).expect("resumes");
        assert_eq!((outcome.steps, outcome.finished), (10, true));
        assert_eq!(weights(&second), weights(&straight));

        let lines = std::fs::read_to_string(dir.path().join("metrics.jsonl")).expect("metrics");
        let steps: Vec<u64> = lines
            .lines()
            .map(|l| serde_json::from_str::<serde_json::Value>(l).expect("JSON"))
            .filter(|v| v["type"] == "step")
            .map(|v| v["step"].as_u64().expect("number"))
            .collect();
        assert_eq!(steps, (1..=10).collect::<Vec<_>>());
    }
}

#[test]
fn a_run_is_repeatable_and_depends_on_the_seed() {
    let kernel = Dpo::new(0.5);
    let run = |seed: u64| {
        let model = full();
        let mut setup = Setup::new(&model, &kernel, 4);
        setup.config.seed = seed;
        setup.go(None).expect("trains");
        weights(&model)
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

fn flat(g: &Gradients) -> Vec<f32> {
    g.iter().flat_map(|(_, t)| t.flatten_all().unwrap().to_vec1::<f32>().unwrap()).collect()
}

#[test]
fn micro_batches_leave_value_and_gradient_as_they_are() {
    let (dpo, coupled) = (Dpo::new(0.5), spread());
    for kernel in [&dpo as &dyn LossKernel, &coupled] {
        let model = full();
        let data = pairs(7);
        let batch: Vec<&EncodedPair> = data.iter().collect();
        let binding = Binding::new(kernel, &Names::default()).expect("binds");
        let reference = reference_log_probs(&tiny(), &data, 3, |_| {}).expect("reference");
        let at = |micro: usize| match gradient(
            &model,
            kernel,
            &binding,
            &batch,
            Some(&reference),
            micro,
        ) {
            Ok(r) => (r.loss, r.sums, flat(&r.gradients)),
            Err(_) => panic!("a valid batch"),
        };
        let (loss, sums, whole) = at(7);
        assert!(whole.iter().any(|g| g.abs() > 1e-3));
        for micro in [1, 2, 5] {
            let (l, s, parts) = at(micro);
            for (a, b) in loss.iter().chain(&sums).zip(l.iter().chain(&s)) {
                assert!((a - b).abs() < 2e-6 * (1.0 + a.abs()), "{} {a} {b}", kernel.name());
            }
            for (a, b) in whole.iter().zip(&parts) {
                assert!((a - b).abs() < 2e-5, "{}: {a} {b}", kernel.name());
            }
        }
    }
}

#[test]
fn it_learns_and_reports() {
    let kernel = Dpo::new(0.5);
    let model = full();
    let mut setup = Setup::new(&model, &kernel, 60);
    setup.config.schedule.peak = 1e-2;
    let outcome = setup.go(None).expect("trains");
    let (first, last) = (outcome.first_eval.expect("eval"), outcome.last_eval.expect("eval"));
    // The reference is the policy itself: all margins are 0, all pairs tie.
    assert_eq!((first.step, first.summary.accuracy), (0, 0.5));
    assert!(first.summary.margin.abs() < 1e-6, "{first:?}");
    assert!((first.summary.loss - std::f64::consts::LN_2).abs() < 1e-6);
    assert_eq!(first.chosen_change_per_token, 0.0);
    assert_eq!(last.step, 60);
    assert!(last.summary.accuracy > 0.9, "{last:?}");
    assert!(last.summary.loss < 0.4, "{last:?}");
    let change = last.summary.chosen_logp_per_token - first.summary.chosen_logp_per_token;
    assert_eq!(last.chosen_change_per_token, change);
    // Of the held-out pairs 20..28 (lengths 2 + i % 3 against 1 + i % 4), by hand.
    let expected: f64 = (20..28)
        .map(|i| match (2 + i % 3).cmp(&(1 + i % 4)) {
            std::cmp::Ordering::Greater => 1.0,
            std::cmp::Ordering::Equal => 0.5,
            std::cmp::Ordering::Less => 0.0,
        })
        .sum::<f64>()
        / 8.0;
    assert_eq!(last.summary.longer_accuracy, expected);
    assert_eq!(last.summary.shorter_accuracy, 1.0 - expected);
    let steps: Vec<&StepRecord> = setup
        .records
        .iter()
        .filter_map(|r| if let Record::Step(s) = r { Some(s) } else { None })
        .collect();
    assert_eq!(steps.len(), 60);
    assert!((steps[0].loss - std::f64::consts::LN_2).abs() < 1e-6);
    assert!(steps.iter().all(|s| s.gradient_norm > 0.0 && s.tokens_per_second > 0.0));
    assert!((steps[1].lr - 1e-2 * 2.0 / 3.0).abs() < 1e-12);
    assert!((steps[9].epoch - 3.0).abs() < 1e-12);
    let evals = setup.records.iter().filter(|r| matches!(r, Record::Eval(_))).count();
    assert_eq!(evals, 1 + 15, "before the first step and after every fourth");
    assert!(matches!(&setup.records[0], Record::Run(r) if r.steps == 60 && r.train_pairs == 20));
}

/// A kernel that gives NaN from its `bad`-th evaluation on: in the loss, or in the gradient alone.
fn failing(bad: usize, in_gradient: bool) -> Custom {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let mut kernel = Custom::new(&["logp(pi,w)", "logp(pi,l)"], move |c| {
        let n = c[0].len();
        let now = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1 >= bad;
        let (loss, grad) = match (now, in_gradient) {
            (false, _) => (1.0, -0.1),
            (true, true) => (1.0, f64::NAN),
            (true, false) => (f64::NAN, -0.1),
        };
        Evaluated { loss: vec![loss; n], grads: vec![Some(vec![grad; n]), None] }
    });
    kernel.couples = false;
    kernel
}

#[test]
fn nan_stops_the_run_before_the_step() {
    for in_gradient in [false, true] {
        // One evaluation of the 8 held-out pairs takes 2, each step 2 micro-batches: bad in step 3.
        let kernel = failing(2 + 4 + 1, in_gradient);
        let model = full();
        let mut setup = Setup::new(&model, &kernel, 9);
        let error = setup.go(None).expect_err("NaN");
        let RuntimeError::Diverged { step, rows, value, what } = &error else {
            panic!("{error}");
        };
        assert_eq!((*step, rows.len()), (3, 6));
        assert!(value.is_nan());
        assert_eq!(what.contains("gradient"), in_gradient, "{what}");
        assert!(error.to_string().starts_with("step 3: "), "{error}");
        let before = full();
        let sane = failing(usize::MAX, false);
        Setup::new(&before, &sane, 9).stop_after(2).go(None).expect("two steps");
        assert_eq!(weights(&model), weights(&before), "the bad step changed nothing");
    }
}

impl Setup<'_> {
    fn stop_after(mut self, step: usize) -> Self {
        self.stop_after = Some(step);
        self
    }
}

fn message(r: Result<Outcome, RuntimeError>) -> String {
    r.expect_err("refused").to_string()
}

#[test]
fn an_unusable_folder_is_refused_and_nothing_is_left() {
    let kernel = Dpo::new(0.5);
    let dir = folder();
    let file = dir.path().join("file");
    std::fs::write(&file, "x").expect("writes");
    let model = full();
    let mut setup = Setup::new(&model, &kernel, 2);
    setup.output = Some(&file);
    assert!(message(setup.go(None)).contains("file"));
    assert_eq!(std::fs::read_to_string(&file).expect("there"), "x");

    // A run in the way is never overwritten.
    let used = dir.path().join("used");
    let mut setup = Setup::new(&model, &kernel, 2);
    setup.output = Some(&used);
    setup.go(None).expect("trains");
    assert!(message(setup.go(None)).contains("resume it or choose another folder"));

    // Something in the way of a checkpoint: the run ends with an error, without an unfinished folder.
    let blocked = dir.path().join("blocked");
    std::fs::create_dir(&blocked).expect("creates");
    std::fs::write(blocked.join("checkpoint-00000002"), "in the way").expect("writes");
    let mut setup = Setup::new(&model, &kernel, 2);
    setup.output = Some(&blocked);
    assert!(message(setup.go(None)).contains("checkpoint-00000002"));
    let names: Vec<String> = std::fs::read_dir(&blocked)
        .expect("reads")
        .map(|e| e.expect("entry").file_name().to_string_lossy().into_owned())
        .collect();
    assert!(names.iter().all(|n| !n.contains("unfinished")), "{names:?}");
    assert_eq!(
        std::fs::read_to_string(blocked.join("checkpoint-00000002")).expect("there"),
        "in the way"
    );
}

#[test]
fn old_checkpoints_go_and_the_newest_is_found() {
    let kernel = Dpo::new(0.5);
    let dir = folder();
    let model = full();
    let mut setup = Setup::new(&model, &kernel, 7);
    setup.config.save_every = Some(2);
    setup.output = Some(dir.path());
    setup.go(None).expect("trains");
    // A folder that a crash left without its state is no checkpoint.
    std::fs::create_dir(dir.path().join("checkpoint-00000099")).expect("creates");
    let newest = latest_checkpoint(dir.path()).expect("readable").expect("one");
    assert!(newest.ends_with("checkpoint-00000007"));
    assert!(dir.path().join("checkpoint-00000006").is_dir());
    assert!(!dir.path().join("checkpoint-00000004").exists(), "two are kept");
    assert_eq!(latest_checkpoint(&dir.path().join("nowhere")).expect("none"), None);

    // Resuming a finished run changes nothing and takes no step.
    let again = full();
    let mut setup = Setup::new(&again, &kernel, 7);
    setup.output = Some(dir.path());
    setup.config.save_every = Some(2);
    let outcome = setup.go(Some(&newest)).expect("resumes");
    assert_eq!((outcome.steps, outcome.finished), (7, true));
    assert_eq!(weights(&again), weights(&model));
}

#[test]
fn a_checkpoint_of_something_else_is_refused_untouched() {
    let kernel = Dpo::new(0.5);
    let dir = folder();
    let model = full();
    let mut setup = Setup::new(&model, &kernel, 4).stop_after(2);
    setup.output = Some(dir.path());
    setup.go(None).expect("trains");
    let from = latest_checkpoint(dir.path()).expect("readable").expect("one");
    type Change = fn(&mut Setup<'_>);
    let changes: [(Change, &str); 5] = [
        (|s| s.train[0].columns[0] = 7.5, "other data"),
        (|s| s.config.batch_size = 5, "another batch size"),
        (|s| s.config.schedule.peak = 1.0, "another learning-rate schedule"),
        (|s| s.config.length = Length::Steps(8), "another length"),
        (|s| s.config.seed = 8, "another seed"),
    ];
    for (change, want) in changes {
        let fresh = full();
        let mut setup = Setup::new(&fresh, &kernel, 4);
        change(&mut setup);
        let text = message(setup.go(Some(&from)));
        assert!(text.contains(want), "{text}");
        assert_eq!(weights(&fresh), weights(&full()));
    }
    let coupled = spread();
    let fresh = full();
    assert!(message(Setup::new(&fresh, &coupled, 4).go(Some(&from))).contains("the loss `dpo`"));
    let other = adapter(0.0);
    assert!(message(Setup::new(&other, &kernel, 4).go(Some(&from))).contains("another model"));
    std::fs::write(from.join("state.json"), "{").expect("writes");
    assert!(message(Setup::new(&fresh, &kernel, 4).go(Some(&from))).contains("state.json"));
    std::fs::remove_file(from.join("state.json")).expect("removes");
    assert!(message(Setup::new(&fresh, &kernel, 4).go(Some(&from))).contains("cannot read"));
}

#[test]
fn settings_out_of_range_are_refused() {
    let kernel = Dpo::new(0.5);
    let model = full();
    type Change = fn(&mut TrainConfig);
    let changes: [Change; 8] = [
        |c| c.batch_size = 0,
        |c| c.batch_size = 21,
        |c| c.micro_batch = 0,
        |c| c.length = Length::Steps(0),
        |c| c.length = Length::Epochs(f64::NAN),
        |c| c.schedule.peak = -1.0,
        |c| c.clip = Some(0.0),
        |c| c.eval_every = Some(0),
    ];
    for change in changes {
        let mut setup = Setup::new(&model, &kernel, 2);
        change(&mut setup.config);
        assert!(matches!(setup.go(None), Err(RuntimeError::Setting(_))), "{:?}", setup.config);
    }
    let steps = |length| TrainConfig { length, ..config(1) }.steps(20).expect("valid");
    assert_eq!(steps(Length::Epochs(1.0)), 4, "20 pairs in batches of 6");
    assert_eq!(steps(Length::Epochs(0.3)), 1);
}

#[test]
fn inputs_find_their_sources() {
    let names = Names { policy: "p".into(), chosen: "good".into(), ..Names::default() };
    let kernel = Custom::new(
        &["mean_logp(p,good)", "logp(ref,l)", "mean_logp(ref, good)", "len(l)", "margin"],
        |c| Evaluated { loss: vec![0.0; c[0].len()], grads: vec![None; 5] },
    );
    let binding = Binding::new(&kernel, &names).expect("binds");
    assert_eq!(binding.data_columns()[0].name, "margin");
    assert!(binding.needs_reference());
    assert_eq!(binding.reward(), Reward { reference: true, mean: true });
    let data = pairs(2);
    let batch: Vec<&EncodedPair> = data.iter().collect();
    let columns = binding.columns(&batch, Some(&[[-4.0, -6.0], [-8.0, -9.0]])).expect("columns");
    let got = columns.resolve(&[-3.0, -1.0, -8.0, -1.0]).expect("sums");
    // Lengths with the end token: chosen 3 and 4, rejected 2 and 3.
    assert_eq!(got, [[-1.0, -2.0], [-6.0, -9.0], [-4.0 / 3.0, -2.0], [2.0, 3.0], [0.0, 1.0]]);
    assert!(binding.columns(&batch, None).is_err(), "a reference is wanted");
    for unknown in ["kl(ref,pi,w)", "logp(pi,y)", "logp(other,w)", "token_logp(pi,w)"] {
        let kernel = Custom::new(&[unknown], |_| Evaluated { loss: vec![], grads: vec![] });
        let error = Binding::new(&kernel, &Names::default()).expect_err(unknown).to_string();
        assert!(error.contains(unknown) && error.contains("supplies"), "{error}");
    }
}

#[test]
fn scores_of_pairs() {
    let kernel = Dpo::new(0.5);
    let binding = Binding::new(&kernel, &Names::default()).expect("binds");
    let (model, data) = (full(), pairs(5));
    let reference = vec![[-5.0, -5.0]; 5];
    let scores = score(&model, &kernel, &binding, &data, Some(&reference), (2, 1)).expect("scores");
    assert_eq!(scores.iter().map(|s| s.row).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    for s in &scores {
        assert_eq!(s.margin, s.chosen_logp - s.rejected_logp);
        let z = 0.5 * s.margin;
        assert!((s.loss - (1.0 + (-z).exp()).ln()).abs() < 1e-12);
    }
    assert_eq!(summarise(&[]), Summary::default());
    assert!(score(&model, &kernel, &binding, &data, Some(&reference[..2]), (2, 1)).is_err());
}

#[test]
fn an_error_of_the_loss_comes_back_as_itself() {
    let kernel = Custom::new(&["logp(pi,w)", "logp(pi,l)"], |_| Evaluated {
        loss: vec![0.0],
        grads: vec![None],
    });
    let (model, data) = (full(), pairs(2));
    let batch: Vec<&EncodedPair> = data.iter().collect();
    let binding = Binding::new(&kernel, &Names::default()).expect("binds");
    match gradient(&model, &kernel, &binding, &batch, None, 2) {
        Err(BatchError::Other(RuntimeError::Shape(text))) => assert!(text.contains("gradients")),
        Err(BatchError::Other(e)) => panic!("{e}"),
        _ => panic!("one gradient for two inputs"),
    }
}

#[test]
fn the_digest_sees_every_token() {
    let data = pairs(3);
    let base = checkpoint::digest(&[&data, &[]]);
    assert_ne!(base, checkpoint::digest(&[&[], &data]), "the split counts");
    let mut other = data.clone();
    other[2].rejected.ids[1] += 1;
    assert_ne!(base, checkpoint::digest(&[&other, &[]]));
    let mut other = data.clone();
    other[0].chosen.start -= 1;
    assert_ne!(base, checkpoint::digest(&[&other, &[]]));
    assert_eq!(base, checkpoint::digest(&[&data.clone(), &[]]));
}
