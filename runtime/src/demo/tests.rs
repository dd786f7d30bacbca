//! The assets, and a short run of the whole.

use std::collections::HashSet;
use std::sync::atomic::AtomicBool;

use super::*;
use crate::op::fixture::Dpo;
use crate::train::{Length, Names, Record};

const TRAIN_PAIRS: usize = 1024;
const HELD_OUT_PAIRS: usize = 128;
const SEED: u64 = 2026;

#[test]
fn the_files_are_what_the_generator_makes() {
    let (train, held_out) = make(TRAIN_PAIRS, HELD_OUT_PAIRS, SEED);
    assert_eq!(jsonl(&train), TRAIN);
    assert_eq!(jsonl(&held_out), HELD_OUT);
    let letters = |e: &Example| e.chosen.clone();
    let seen: HashSet<String> = train.iter().map(letters).collect();
    assert!(held_out.iter().all(|e| !seen.contains(&e.chosen)));
    for e in train.iter().chain(&held_out) {
        assert!(e.chosen.as_bytes().is_sorted() && !e.rejected.as_bytes().is_sorted());
        let set = |s: &str| s.trim_end_matches('=').chars().collect::<HashSet<_>>();
        assert_eq!(set(&e.prompt), set(&e.chosen));
        assert_eq!(set(&e.rejected), set(&e.chosen));
    }
    let (train, held_out) = load().expect("valid files");
    assert_eq!((train.len(), held_out.len()), (TRAIN_PAIRS, HELD_OUT_PAIRS));
}

#[test]
fn it_learns_the_order() {
    let kernel = Dpo::new(0.1);
    let config = train_config(1);
    let mut sft = Vec::new();
    let mut steps = 0;
    let report = run(
        &kernel,
        &Names::default(),
        &config,
        (None, &AtomicBool::new(false)),
        |p| sft.push(p.loss),
        &mut |r| steps += usize::from(matches!(r, Record::Step(_))),
    )
    .expect("runs");
    assert!(matches!(config.length, Length::Steps(n) if n == steps));
    // ln(24) / 5 is what random orders leave unknown.
    let left = sft.iter().rev().take(10).sum::<f64>() / 10.0;
    assert!(left < 24f64.ln() / 5.0 + 0.15, "the base model has a loss of {left}");
    let (first, last) = (report.outcome.first_eval, report.outcome.last_eval);
    let (first, last) = (first.expect("eval").summary, last.expect("eval").summary);
    assert_eq!(first.accuracy, 0.5);
    assert!(last.accuracy > 0.9, "{last:?}");
    assert!(report.before.exactness() < 0.3, "{}", report.before.exactness());
    assert!(report.after.exactness() > report.before.exactness() + 0.2, "{:?}", report.after.exact);
    assert_eq!(report.after.texts.len(), HELD_OUT_PAIRS);
}

#[test]
fn the_base_model_is_fixed_by_its_seed() {
    let weights = |seed| {
        let (model, _) = base_model(seed, |_| {}).expect("trains");
        let (_, first) = &crate::model::CausalLm::trainable(&model)[0];
        first.flatten_all().and_then(|t| t.to_vec1::<f32>()).expect("f32")
    };
    let one = weights(3);
    assert_eq!(one, weights(3));
    assert_ne!(one, weights(4));
}
