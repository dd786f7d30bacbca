//! Checkpoints and folders: what continues, what is refused, what is left behind.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::*;
use crate::op::GraphKernel;
use crate::op::fixture::dpo_graph;
use crate::train::checkpoint;

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
    static OTHER: LazyLock<Dpo> = LazyLock::new(|| Dpo::new(50.0));
    type Change = fn(&mut Setup<'_>);
    let changes: [(Change, &str); 7] = [
        (|s| s.train[0].columns[0] = 7.5, "other data"),
        (|s| s.config.batch_size = 5, "another batch size"),
        (|s| s.config.schedule.peak = 1.0, "another learning-rate schedule"),
        (|s| s.config.length = Length::Steps(8), "another length"),
        (|s| s.config.seed = 8, "another seed"),
        (|s| drop(s.config.origin.insert("adapter".into(), "8".into())), "adapter none, not 8"),
        (|s| s.kernel = &*OTHER, "parameter `beta` 0.5, not 50.0"),
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

/// A loss whose definition was edited keeps its name, and is another loss.
#[test]
fn a_loss_of_the_same_name_is_told_apart() {
    let was = GraphKernel::new(&dpo_graph(0.5), &HashMap::new()).expect("a kernel");
    let mut edited = dpo_graph(0.5);
    for root in edited.roots.iter_mut().skip(1) {
        let other = if root.name.ends_with("w)") { "d/logp(pi,l)" } else { "d/logp(pi,w)" };
        root.name = other.to_owned();
    }
    let edited = GraphKernel::new(&edited, &HashMap::new()).expect("a kernel");
    let beta = HashMap::from([("beta".to_owned(), 0.1)]);
    let bound = GraphKernel::new(&dpo_graph(0.5), &beta).expect("a kernel");
    let dir = folder();
    let model = full();
    let mut setup = Setup::new(&model, &was, 4).stop_after(2);
    setup.output = Some(dir.path());
    setup.go(None).expect("trains");
    let from = latest_checkpoint(dir.path()).expect("readable").expect("one");
    for (kernel, want) in [
        (&edited, "another definition of the loss `dpo`"),
        (&bound, "parameter `beta` 0.5, not 0.1"),
    ] {
        let fresh = full();
        let text = message(Setup::new(&fresh, kernel, 4).go(Some(&from)));
        assert!(text.contains(want), "{text}");
        assert_eq!(weights(&fresh), weights(&full()));
    }
    let fresh = full();
    assert_eq!(Setup::new(&fresh, &was, 4).go(Some(&from)).expect("the same").steps, 4);
}

/// A run at a constant rate may be made longer, and says so; never shorter than it is.
#[test]
fn a_longer_run_is_on_record() {
    let kernel = Dpo::new(0.5);
    let dir = folder();
    let sitting = |steps: usize, from: Option<&Path>| {
        let model = full();
        let mut setup = Setup::new(&model, &kernel, steps);
        setup.config.schedule.decay = Decay::Constant;
        setup.output = Some(dir.path());
        setup.go(from)
    };
    sitting(2, None).expect("trains");
    let steps = || crate::report::read_run(dir.path()).expect("a log").run["steps"].clone();
    assert_eq!(steps(), 2);
    let newest = || latest_checkpoint(dir.path()).expect("readable").expect("one");
    assert_eq!(sitting(4, Some(&newest())).expect("goes on").steps, 4);
    assert_eq!(steps(), 4, "and not 4 of 2");
    let text = message(sitting(3, Some(&newest())));
    assert!(text.contains("it has taken 4 and 3 are asked for"), "{text}");
}

#[test]
fn the_digest_of_a_model_sees_every_bit() {
    let model = tiny();
    let flipped = |places: &[usize]| {
        let change = |(name, tensor): (String, candle_core::Tensor)| {
            if !name.contains("q_proj") {
                return (name, tensor);
            }
            let values = tensor.flatten_all().and_then(|t| t.to_vec1::<f32>());
            let mut values = values.expect("f32");
            places.iter().for_each(|&i| values[i] = -values[i]);
            let tensor = candle_core::Tensor::from_vec(values, tensor.dims(), &Device::Cpu);
            (name, tensor.expect("as before"))
        };
        let weights = model.weights().expect("weights").into_iter().map(change).collect();
        let model = Llama::new(model.config().clone(), weights).expect("a model");
        model_digest(&model).expect("a digest")
    };
    let same = flipped(&[]);
    assert_eq!(same, model_digest(&model).expect("a digest"));
    let all = [same, flipped(&[0]), flipped(&[0, 2]), flipped(&[2]), flipped(&[1, 3])];
    for (i, a) in all.iter().enumerate() {
        assert!(all[..i].iter().all(|b| a != b), "{all:?}");
    }
}

#[test]
fn the_digest_sees_every_token() {
    let data = pairs(3);
    let none: Vec<EncodedExample> = Vec::new();
    let digest = |a: &Vec<EncodedExample>, b: &Vec<EncodedExample>| {
        checkpoint::digest(&[a, b]).expect("in memory")
    };
    let base = digest(&data, &none);
    assert_ne!(base, digest(&none, &data), "the split counts");
    let mut other = data.clone();
    other[2].responses[1].ids[1] += 1;
    assert_ne!(base, digest(&other, &none));
    let mut other = data.clone();
    other[0].responses[0].start -= 1;
    assert_ne!(base, digest(&other, &none));
    assert_eq!(base, digest(&data.clone(), &none));
    // On disk they are the same data.
    let folder = folder();
    let mut writer = crate::data::StoreWriter::create(folder.path()).expect("creates");
    data.iter().for_each(|e| writer.push(e).expect("writes"));
    let store = writer.finish(folder.path()).expect("finishes");
    assert_eq!(base, checkpoint::digest(&[&store, &none]).expect("reads"));
}
