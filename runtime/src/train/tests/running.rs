//! Steps, gradients, records, bindings.

use super::*;

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

#[test]
fn micro_batches_leave_value_and_gradient_as_they_are() {
    let (dpo, coupled) = (Dpo::new(0.5), spread());
    for kernel in [&dpo as &dyn LossKernel, &coupled] {
        let model = full();
        let data = pairs(7);
        let batch: Vec<&EncodedExample> = data.iter().collect();
        let binding = Binding::new(kernel, &Names::default()).expect("binds");
        let reference = reference_log_probs(&tiny(), &data, 3, |_| {}).expect("reference");
        let at = |micro: usize| match gradient(
            &model,
            kernel,
            &binding,
            &batch,
            Some(&reference),
            &[],
            micro,
        ) {
            Ok(r) => (r.loss, r.sums.logp, flat(&r.gradients)),
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
    assert!(matches!(&setup.records[0], Record::Run(r) if r.steps == 60 && r.train_examples == 20));
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
    let responses =
        ResponseNames::Pair { chosen: "good".into(), rejected: "l".into(), further: vec![] };
    let names = Names { policy: "p".into(), responses, ..Names::default() };
    let kernel = Custom::new(
        &["mean_logp(p,good)", "logp(ref,l)", "mean_logp(ref, good)", "len(l)", "margin"],
        |c| Evaluated { loss: vec![0.0; c[0].len()], grads: vec![None; 5] },
    );
    let binding = Binding::new(&kernel, &names).expect("binds");
    assert_eq!(binding.data_columns()[0].name, "margin");
    assert!(binding.needs_reference());
    assert_eq!(binding.reward(), Reward { reference: true, mean: true, head: false });
    let data = pairs(2);
    let batch: Vec<&EncodedExample> = data.iter().collect();
    let columns =
        binding.columns(&batch, Some(&[vec![-4.0, -6.0], vec![-8.0, -9.0]])).expect("columns");
    let got = resolve(&columns, &[-3.0, -1.0, -8.0, -1.0]);
    // Lengths with the end token: chosen 3 and 4, rejected 2 and 3.
    assert_eq!(got, [[-1.0, -2.0], [-6.0, -9.0], [-4.0 / 3.0, -2.0], [2.0, 3.0], [0.0, 1.0]]);
    assert!(binding.columns(&batch, None).is_err(), "a reference is wanted");
    for unknown in ["kl(ref,other,w)", "logp(pi,y)", "logp(other,w)", "shared_logp(pi,w)"] {
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
    let reference = vec![vec![-5.0, -5.0]; 5];
    let scores =
        score(&model, &kernel, &binding, Beside::default(), &data, Some(&reference), (2, 1))
            .expect("scores");
    assert_eq!(scores.iter().map(|s| s.row).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    for s in &scores {
        let (chosen, rejected) = (s.chosen.expect("chosen"), s.rejected.expect("rejected"));
        let margin = s.margin.expect("a pair");
        assert!((margin - (chosen.logp - rejected.logp)).abs() < 1e-12);
        let z = 0.5 * margin;
        assert!((s.loss - (1.0 + (-z).exp()).ln()).abs() < 1e-12);
    }
    assert!(summarise(&[]).accuracy.is_nan());
    assert!(
        score(&model, &kernel, &binding, Beside::default(), &data, Some(&reference[..2]), (2, 1))
            .is_err()
    );
}

#[test]
fn an_error_of_the_loss_comes_back_as_itself() {
    let kernel = Custom::new(&["logp(pi,w)", "logp(pi,l)"], |_| Evaluated {
        loss: vec![0.0],
        grads: vec![None],
    });
    let (model, data) = (full(), pairs(2));
    let batch: Vec<&EncodedExample> = data.iter().collect();
    let binding = Binding::new(&kernel, &Names::default()).expect("binds");
    match gradient(&model, &kernel, &binding, &batch, None, &[], 2) {
        Err(BatchError::Other(RuntimeError::Shape(text))) => assert!(text.contains("gradients")),
        Err(BatchError::Other(e)) => panic!("{e}"),
        _ => panic!("one gradient for two inputs"),
    }
}

/// The end comes with the evaluation that exhausts the patience, and is the same for a run that is resumed
/// between.
#[test]
fn a_run_without_progress_ends_early() {
    let kernel = Dpo::new(0.5);
    // A rate of 0 leaves the held-out loss where it is.
    let run = |steps: usize, stop: Option<usize>, from: Option<&Path>, dir: &Path| {
        let model = full();
        let mut setup = Setup::new(&model, &kernel, steps);
        setup.config.schedule.peak = 0.0;
        (setup.config.eval_every, setup.config.patience) = (Some(2), Some(3));
        setup.output = Some(dir);
        setup.stop_after = stop;
        setup.go(from).expect("trains")
    };
    let one = folder();
    let whole = run(20, None, None, one.path());
    assert_eq!((whole.steps, whole.finished, whole.ended_early), (6, true, true));
    let two = folder();
    let part = run(20, Some(3), None, two.path());
    assert_eq!((part.steps, part.finished, part.ended_early), (3, false, false));
    let from = latest_checkpoint(two.path()).expect("readable").expect("one");
    let rest = run(20, None, Some(&from), two.path());
    assert_eq!((rest.steps, rest.finished, rest.ended_early), (6, true, true));
    let short = run(4, None, None, folder().path());
    assert_eq!((short.steps, short.ended_early), (4, false));
}

/// A first evaluation that is NaN is no loss to be below: patience counts from the first number.
#[test]
fn patience_passes_over_a_nan() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let mut kernel = Custom::new(&["logp(pi,w)", "logp(pi,l)"], move |c| {
        // The first evaluation of the 8 held-out pairs takes 2 calls.
        let first = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < 2;
        let n = c[0].len();
        let grads = vec![Some(vec![0.1; n]), None];
        Evaluated { loss: vec![if first { f64::NAN } else { 1.0 }; n], grads }
    });
    kernel.couples = false;
    let model = full();
    let mut setup = Setup::new(&model, &kernel, 20);
    (setup.config.eval_every, setup.config.patience) = (Some(1), Some(3));
    let outcome = setup.go(None).expect("trains");
    // Step 1 has the first loss, and steps 2 to 4 none below it.
    assert_eq!((outcome.steps, outcome.ended_early), (4, true));
}

/// By sorting as by counting all couples, ties within the rounding of log-probabilities included.
#[test]
fn single_responses_are_compared_in_all_couples() {
    let kernel = Custom::new(&["logp(pi,y)", "label"], |c| Evaluated {
        loss: vec![0.0; c[0].len()],
        grads: vec![Some(vec![0.0; c[0].len()]), None],
    });
    let responses = ResponseNames::Labelled { response: "y".into() };
    let names = Names { responses, ..Names::default() };
    let binding = Binding::new(&kernel, &names).expect("binds");
    let data: Vec<EncodedExample> = pairs(23)
        .into_iter()
        .enumerate()
        .map(|(i, e)| EncodedExample::single(i, e.responses[0].clone(), i % 2 == 0, vec![]))
        .collect();
    let scores = score(&full(), &kernel, &binding, Beside::default(), &data, None, (23, 23))
        .expect("scores");
    let (mut won, mut couples, mut ties) = (0.0, 0.0, 0);
    for c in scores.iter().filter_map(|s| s.chosen) {
        for r in scores.iter().filter_map(|s| s.rejected) {
            let tie = (c.logp - r.logp).abs() <= 1e-6 * (c.logp.abs() + r.logp.abs());
            won += if tie { 0.5 } else { f64::from(u8::from(c.logp > r.logp)) };
            couples += 1.0;
            ties += usize::from(tie);
        }
    }
    assert_eq!(couples, 12.0 * 11.0);
    assert!(ties >= 8, "example i + 15 is example i");
    assert_eq!(summarise(&scores).accuracy, won / couples);
}

/// WPO's weight: a statistic of the policy's distributions that the gradient does not pass through.
#[test]
fn a_statistic_weighs_an_example_without_a_gradient() {
    let weighted = |slope: f64| {
        Custom::new(&["logp(pi,w)", "log_sum_p2(pi,w)", "logp(pi,l)"], move |c| {
            let weight = |e: usize| (3.0 * (c[0][e] - c[1][e])).exp();
            let n = c[0].len();
            let loss = (0..n).map(|e| weight(e) * (c[2][e] - c[0][e])).collect();
            let up = (0..n).map(|e| -weight(e)).collect();
            let down = (0..n).map(weight).collect();
            Evaluated { loss, grads: vec![Some(up), Some(vec![slope; n]), Some(down)] }
        })
    };
    let plain = Custom::new(&["logp(pi,w)", "logp(pi,l)"], |c| Evaluated {
        loss: c[0].iter().zip(&c[1]).map(|(w, l)| l - w).collect(),
        grads: vec![Some(vec![-1.0; c[0].len()]), Some(vec![1.0; c[0].len()])],
    });
    let model = full();
    let data = pairs(1);
    let batch: Vec<&EncodedExample> = data.iter().collect();
    let run = |kernel: &Custom| {
        let binding = Binding::new(kernel, &Names::default()).expect("binds");
        match gradient(&model, kernel, &binding, &batch, None, &[], 1) {
            Ok(r) => Ok((r.loss[0], flat(&r.gradients))),
            Err(BatchError::Other(e)) => Err(e.to_string()),
            Err(BatchError::NotFinite { .. }) => panic!("finite"),
        }
    };
    let rows = crate::train::problem::rows(&batch);
    let tokens = model.token_statistics(&rows).expect("statistics").remove(0);
    let gap: f64 = tokens.iter().map(|t| f64::from(t.row.logp - t.log_sum_p2)).sum();
    let weight = (3.0 * gap).exp();
    assert!((weight - 1.0).abs() > 1e-3, "a weight that is seen: {weight}");
    let (whole, by) = (run(&weighted(0.0)).expect("runs"), run(&plain).expect("runs"));
    assert!((whole.0 - weight * by.0).abs() < 1e-5 * by.0.abs(), "{} {}", whole.0, by.0);
    let size = by.1.iter().fold(0f32, |m, v| m.max(v.abs()));
    for (a, b) in whole.1.iter().zip(&by.1) {
        assert!((f64::from(*a) - weight * f64::from(*b)).abs() < 1e-5 * f64::from(size), "{a} {b}");
    }
}
