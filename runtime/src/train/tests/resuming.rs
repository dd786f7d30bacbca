//! Checkpoints and folders: what continues, what is refused, what is left behind.

use super::*;
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
