//! Losses of lists, of tokens, of whole distributions and of a scalar head: gradients against differences of
//! the loss itself, and runs that resume.

use super::*;
use crate::model::ScalarHead;
use crate::op::GraphKernel;
use crate::train::nested::TokenSlopes;
use crate::train::score::score_problem;
use candle_core::{Tensor, Var};
use std::collections::HashMap;

fn kernel(name: &str, params: &[(&str, f64)]) -> GraphKernel {
    let compiled = ponens_losses::compile(name, &Default::default()).expect("in the catalogue");
    let values: HashMap<String, f64> = params.iter().map(|(n, v)| ((*n).to_owned(), *v)).collect();
    GraphKernel::nested(compiled.graph(), &values).expect("a loss")
}

fn named(responses: ResponseNames, sampler: bool) -> Names {
    Names { responses, sampler: sampler.then(|| "old".into()), ..Names::default() }
}

fn list() -> Names {
    named(ResponseNames::List { responses: "y".into() }, true)
}

fn trajectory() -> Names {
    named(ResponseNames::Trajectory { response: "y".into() }, true)
}

fn sequence(i: u32, n: u32) -> Sequence {
    let response: Vec<u32> = (0..n).map(|k| (3 * i + 5 * k) % 10 + 1).collect();
    Sequence { ids: [&[1, i % 5 + 3], response.as_slice(), &[0]].concat(), start: 2 }
}

/// Lists of two to four responses with a number each.
fn lists(n: usize) -> Vec<EncodedExample> {
    let one = |i: usize| {
        let count = 2 + i % 3;
        let mut example = EncodedExample::pair(i, sequence(0, 1), sequence(1, 1), vec![]);
        example.responses =
            (0..count).map(|k| sequence((7 * i + k) as u32, (k % 3) as u32)).collect();
        let numbers: Vec<f64> = (0..count).map(|k| ((i + 2 * k) as f64).sin()).collect();
        let best = numbers.iter().copied().fold(f64::MIN, f64::max);
        example.good = numbers.iter().map(|q| *q == best).collect();
        example.quality = numbers.clone();
        example.lists = vec![numbers];
        example
    };
    (0..n).map(one).collect()
}

fn without_lists(mut all: Vec<EncodedExample>) -> Vec<EncodedExample> {
    all.iter_mut().for_each(|e| e.lists.clear());
    all
}

/// Single responses of `tokens` tokens and the end, with a reward.
fn trajectories(n: usize, tokens: u32) -> Vec<EncodedExample> {
    let one = |i: usize| {
        let good = i.is_multiple_of(2);
        let reward = vec![f64::from(u8::from(good))];
        EncodedExample::single(i, sequence(i as u32, tokens), good, reward)
    };
    (0..n).map(one).collect()
}

fn advantages(n: usize) -> Vec<EncodedExample> {
    let mut all = trajectories(n, 3);
    for (i, e) in all.iter_mut().enumerate() {
        e.columns.clear();
        e.lists = vec![(0..4).map(|t| ((i + t) as f64).cos()).collect()];
    }
    all
}

fn policy(head: Option<HeadKind>) -> Llama {
    let model = full();
    match head {
        None => model,
        Some(kind) => {
            let head = ScalarHead::zero(16, kind == HeadKind::Reward).expect("a head");
            for (i, (_, v)) in head.variables().iter().enumerate() {
                // The head of a value is held fixed by the policy's loss, and reads what the policy moves.
                if kind == HeadKind::Reward {
                    let n = v.elem_count();
                    let numbers: Vec<f32> = (0..n).map(|k| ((k + i) as f32).sin()).collect();
                    v.set(&Tensor::from_vec(numbers, v.shape(), v.device()).unwrap()).unwrap();
                }
            }
            model.with_scalar_head(head)
        }
    }
}

/// Moves variables along a direction.
fn shift(variables: &[(String, Var)], along: &[f32], by: f64) {
    let mut rest = along;
    for (_, v) in variables {
        let (mine, after) = rest.split_at(v.elem_count());
        rest = after;
        let d = Tensor::from_slice(mine, v.dims(), v.device()).unwrap();
        v.set(&(v.as_tensor() + (d * by).unwrap()).unwrap()).unwrap();
    }
}

/// The gradient of the body, and of the head where it has one, is the slope of the mean loss along itself,
/// whatever the micro-batch.
fn assert_gradient(name: &str, params: &[(&str, f64)], names: &Names, data: &[EncodedExample]) {
    let kernel = kernel(name, params);
    let binding = Binding::new(&kernel, names).unwrap_or_else(|e| panic!("{name}: {e}"));
    let model = policy(binding.head());
    let reference = reference_numbers(&tiny(), &data, 3, binding.grain(), |_| {})
        .expect("reference")
        .iter()
        .map(|r| r.iter().enumerate().map(|(i, v)| v - 0.1 * (i as f64 + 1.0)).collect())
        .collect::<Vec<Vec<f64>>>();
    let frozen = tiny();
    let live = Llama::random(frozen.config().clone(), 8, &Device::Cpu).expect("another");
    let problem = Problem { live: Some(&live), ..Problem::plain(&kernel, &binding) };
    let batch: Vec<&EncodedExample> = data.iter().collect();
    let at = |micro: usize| match batch::gradient(&model, problem, &batch, Some(&reference), micro)
    {
        Ok(r) => (r.loss, flat(&r.gradients), flat(&r.of_head)),
        Err(BatchError::Other(e)) => panic!("{name}: {e}"),
        Err(BatchError::NotFinite { what, .. }) => panic!("{name}: {what}"),
    };
    let (loss, body, head) = at(data.len());
    assert_eq!(loss.len(), data.len());
    let (parts_loss, parts, _) = at(2);
    for (a, b) in loss.iter().zip(&parts_loss) {
        assert!((a - b).abs() < 2e-6 * (1.0 + a.abs()), "{name}: {a} {b}");
    }
    for (a, b) in body.iter().zip(&parts) {
        assert!((a - b).abs() < 3e-5 * (1.0 + a.abs()), "{name}: {a} {b}");
    }
    let value = || {
        let scores = score_problem(&model, problem, data, Some(&reference), None, (data.len(), 2));
        summarise(&scores.expect("scores")).loss
    };
    let mut sides = vec![(model.trainable(), &body)];
    if let Some(h) = model.scalar_head().filter(|_| head.iter().any(|g| *g != 0.0)) {
        sides.push((h.variables(), &head));
    }
    for (variables, along) in sides {
        let norm: f64 = along.iter().map(|g| f64::from(*g).powi(2)).sum();
        assert!(norm > 1e-8, "{name}: a gradient of 0");
        let step = 2e-3 / norm.sqrt();
        shift(variables, along, step);
        let up = value();
        shift(variables, along, -2.0 * step);
        let down = value();
        shift(variables, along, step);
        let slope = (up - down) / (2.0 * step);
        assert!((slope - norm).abs() < 1e-2 * norm, "{name}: {slope} {norm}");
    }
}

#[test]
fn lists_have_the_gradient_of_their_loss() {
    assert_gradient("dpo_pl", &[("beta", 0.5)], &list(), &without_lists(lists(5)));
    assert_gradient("rloo", &[], &list(), &lists(5));
    assert_gradient("gspo", &[("below", 0.9), ("above", 0.9)], &list(), &lists(5));
}

#[test]
fn tokens_and_distributions_have_the_gradient_of_their_loss() {
    assert_gradient("ppo_clip", &[("epsilon", 0.9)], &trajectory(), &advantages(5));
    // Of one token nothing comes later, so that the loss is its own surrogate.
    let single = named(ResponseNames::Trajectory { response: "y".into() }, false);
    let oreo = [("beta", 0.5), ("alpha", 0.7)];
    assert_gradient("oreo_policy", &oreo, &single, &trajectories(5, 0));
    let pairs: Vec<EncodedExample> = pairs(5)
        .into_iter()
        .map(|mut e| {
            e.columns.clear();
            e
        })
        .collect();
    assert_gradient("tdpo1", &[("beta", 0.5)], &Names::default(), &pairs);
}

#[test]
fn a_reward_head_trains_the_model_below_it() {
    // The pairs' column is the margin.
    assert_gradient("reward_bt", &[], &Names::default(), &pairs(5));
}

#[test]
fn what_does_not_fit_a_loss_of_lists_is_refused() {
    let kernel = kernel("rloo", &[]);
    let binding = Binding::new(&kernel, &list()).expect("binds");
    let bare = without_lists(lists(2));
    for data in [pairs(2), bare] {
        let batch: Vec<&EncodedExample> = data.iter().collect();
        let error = binding.columns(&batch, None).expect_err("other data").to_string();
        assert!(error.contains("another loss"), "{error}");
    }
    assert_eq!(TokenSlopes::default().not_finite(), None);
    let text = message(Setup::new(&full(), &kernel, 2).go(None));
    assert!(text.contains("rloo"), "{text}");
}

/// The first evaluation from log-probabilities that are known is the one from a pass, to the last bit.
#[test]
fn a_first_evaluation_can_be_known() {
    let kernel = Dpo::new(0.5);
    let binding = Binding::new(&kernel, &Names::default()).expect("binds");
    let (model, data) = (full(), pairs(5));
    let reference = vec![vec![-5.0, -5.5]; 5];
    let tokens = reference_numbers(&model, &data, 5, Grain::Token, |_| {}).expect("tokens");
    let problem = Problem::plain(&kernel, &binding);
    let run = |known| score_problem(&model, problem, &data, Some(&reference), known, (5, 5));
    assert_eq!(run(Some(&tokens)).expect("scores"), run(None).expect("scores"));
    let other = vec![vec![-1.0; 9]; 5];
    assert_ne!(run(Some(&other)).expect("scores"), run(None).expect("scores"));
}

/// OREO: the policy and its value head follow losses of their own, and a run that was stopped ends bit-equal
/// to one that was not, the head and its optimiser included.
#[test]
fn two_optimisers_learn_and_resume() {
    let (policy_loss, head_loss) =
        (kernel("oreo_policy", &[("beta", 0.5)]), kernel("oreo_value", &[("beta", 0.5)]));
    let names = named(ResponseNames::Trajectory { response: "y".into() }, false);
    let data = trajectories(20, 3);
    let held: Vec<EncodedExample> = data[..6].to_vec();
    let frozen = tiny();
    let run = |stop_after: Option<usize>, from: Option<&Path>, output: &Path| {
        let model = adapter(0.0).with_scalar_head(ScalarHead::zero(16, false).expect("a head"));
        let stop = AtomicBool::new(false);
        let mut losses = Vec::new();
        let mut observe = |r: &Record| {
            if let Record::Step(s) = r {
                losses.push(s.head_loss.expect("a head's loss"));
                if let Some(last) = stop_after {
                    stop.store(s.step >= last, std::sync::atomic::Ordering::Relaxed);
                }
            }
        };
        let schedule = Schedule { peak: 2e-2, warmup: 0, decay: Decay::Constant };
        let config = TrainConfig { schedule, head_rate: Some(5e-2), ..config(40) };
        let run = Run {
            policy: &model,
            kernel: &policy_loss,
            names: &names,
            config: &config,
            train: &data,
            held_out: &held,
            reference: Reference::Model(&frozen),
            beside: Beside {
                head_loss: Some(&head_loss),
                reference: Some(&frozen),
                ..Beside::default()
            },
            output: Some(output),
            stop: &stop,
            observe: &mut observe,
        };
        let outcome = match from {
            None => train(run),
            Some(checkpoint) => resume(run, checkpoint),
        };
        let outcome = outcome.expect("trains");
        let head = model.scalar_head().expect("a head").variables();
        let head: Vec<Vec<f32>> =
            head.iter().map(|(_, v)| v.flatten_all().unwrap().to_vec1().unwrap()).collect();
        (outcome, weights(&model), head, losses)
    };
    let one = folder();
    let (outcome, straight, head, losses) = run(None, None, one.path());
    assert!(losses[39] < 0.5 * losses[0], "the values are learnt: {losses:?}");
    let (first, last) = (outcome.first_eval.expect("eval"), outcome.last_eval.expect("eval"));
    assert_eq!(first.summary.accuracy, 0.5, "policy and reference are the same");
    assert!(last.summary.accuracy > 0.8, "rewarded responses gain: {last:?}");
    let two = folder();
    run(Some(7), None, two.path());
    let from = latest_checkpoint(two.path()).expect("readable").expect("one");
    let (_, resumed, resumed_head, _) = run(None, Some(&from), two.path());
    assert_eq!(resumed, straight);
    assert_eq!(resumed_head, head);
}
