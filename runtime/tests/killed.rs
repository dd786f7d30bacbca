//! A run that is killed at random moments, twenty times, ends as the run that was never stopped: bit for
//! bit, with every step in its metrics once.
//!
//! The trainee is this same program, started again with a folder in its environment.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use ponens_compiler::mir::{Input, Interval, Level};
use ponens_runtime::data::{EncodedExample, Sequence, SplitMix};
use ponens_runtime::model::{Config, Llama, LoraConfig};
use ponens_runtime::op::{Evaluated, LossKernel, RuntimeError, batch_len};
use ponens_runtime::optim::{Decay, Schedule};
use ponens_runtime::train::{
    Beside, Length, Names, Reference, Run, TrainConfig, discard_unsaved, latest_checkpoint, resume,
    train,
};

const FOLDER: &str = "PONENS_TEST_TRAINEE_FOLDER";
const STEPS: usize = 60;

/// Squared distance of the margin from the reference's plus one.
struct Squared(Vec<Input>);

impl LossKernel for Squared {
    fn name(&self) -> &str {
        "squared"
    }

    fn inputs(&self) -> &[Input] {
        &self.0
    }

    fn couples_examples(&self) -> bool {
        false
    }

    fn evaluate(&self, c: &[Vec<f64>]) -> Result<Evaluated, RuntimeError> {
        let z: Vec<f64> = (0..batch_len(self, c)?)
            .map(|e| (c[0][e] - c[2][e]) - (c[1][e] - c[3][e]) - 1.0)
            .collect();
        let up: Vec<f64> = z.iter().map(|z| 2.0 * z).collect();
        let down = up.iter().map(|g| -g).collect();
        let loss = z.iter().map(|z| z * z).collect();
        Ok(Evaluated { loss, grads: vec![Some(up), Some(down), None, None] })
    }
}

fn kernel() -> Squared {
    let names = ["logp(pi,w)", "logp(pi,l)", "logp(ref,w)", "logp(ref,l)"];
    let one = |(i, name): (usize, &&str)| Input {
        name: (*name).to_owned(),
        level: Level::Example,
        range: Interval::LOG_PROB,
        differentiable: i < 2,
    };
    Squared(names.iter().enumerate().map(one).collect())
}

fn policy() -> Llama {
    let small = Config::small(24, 16, 2, 2, 1, 32).expect("sizes that fit");
    let config =
        Config { intermediate_size: 32, initializer_range: 0.1, eos_token_ids: vec![0], ..small };
    let model = Llama::random(config, 5, &ponens_runtime::model::cpu()).expect("valid");
    let lora = LoraConfig { rank: 2, dropout: 0.1, ..LoraConfig::default() };
    model.with_adapter(&lora, 3).expect("adapter")
}

fn examples() -> Vec<EncodedExample> {
    let side = |prompt: u32, response: [u32; 3]| {
        let ids = [vec![1, prompt], response.to_vec(), vec![0]].concat();
        Sequence { ids, start: 2 }
    };
    let one = |i: usize| {
        let a = i as u32 % 20 + 1;
        let (up, down) = ([a, a + 1, a + 2], [a + 2, a + 1, a]);
        EncodedExample::pair(i, side(a, up), side(a, down), vec![])
    };
    (0..40).map(one).collect()
}

/// Trains in a folder from where it stands.
fn go(folder: &Path) {
    let (policy, kernel, data) = (policy(), kernel(), examples());
    let (held_out, train_part) = data.split_at(8);
    let config = TrainConfig {
        length: Length::Steps(STEPS),
        batch_size: 6,
        micro_batch: 4,
        schedule: Schedule { peak: 1e-2, warmup: 4, decay: Decay::Cosine },
        eval_every: Some(10),
        save_every: Some(2),
        seed: 4,
        ..TrainConfig::default()
    };
    let stop = AtomicBool::new(false);
    let run = Run {
        policy: &policy,
        kernel: &kernel,
        names: &Names::default(),
        config: &config,
        train: &train_part,
        held_out,
        reference: Reference::Initial,
        beside: Beside::default(),
        output: Some(folder),
        stop: &stop,
        observe: &mut |_| {},
    };
    match latest_checkpoint(folder).expect("a readable folder") {
        Some(checkpoint) => resume(run, &checkpoint).expect("resumes"),
        None => {
            discard_unsaved(folder).expect("nothing to lose");
            train(run).expect("trains")
        }
    };
}

/// The program that is killed; nothing when the suite runs it by itself.
#[test]
fn trainee() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        go(Path::new(&folder));
    }
}

fn start(folder: &Path) -> Child {
    Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "trainee", "--test-threads", "1"])
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts")
}

/// Everything of a finished run that must be equal: weights, optimiser, and the figures of each step.
fn result(folder: &Path) -> (Vec<u8>, Vec<u8>, Vec<String>) {
    let last: PathBuf = latest_checkpoint(folder).expect("readable").expect("a checkpoint");
    assert!(last.ends_with(format!("checkpoint-{STEPS:08}")), "{}", last.display());
    let read = |name: &str| std::fs::read(last.join(name)).expect(name);
    let text = std::fs::read_to_string(folder.join("metrics.jsonl")).expect("metrics");
    let figures = text.lines().filter_map(|line| {
        let mut v: serde_json::Value = serde_json::from_str(line).expect("a whole line");
        let fields = v.as_object_mut().expect("an object");
        // Times differ, and so do the places of checkpoints.
        for name in ["seconds", "tokens_per_second"] {
            fields.remove(name);
        }
        (fields["type"] != "saved").then(|| v.to_string())
    });
    (read("weights.safetensors"), read("optimizer.safetensors"), figures.collect())
}

#[test]
fn twenty_kills_change_no_bit() {
    let dir = tempfile::tempdir().expect("a folder");
    let straight = dir.path().join("straight");
    std::fs::create_dir(&straight).expect("creates");
    let began = Instant::now();
    assert!(start(&straight).wait().expect("runs").success());
    let whole = began.elapsed();
    let wanted = result(&straight);

    let mut random = SplitMix(20);
    let (mut kills, mut rounds, mut between) = (0, 0, 0);
    while kills < 20 {
        rounds += 1;
        assert!(rounds <= 40, "only {kills} kills hit a running process");
        let folder = dir.path().join(format!("killed-{rounds}"));
        std::fs::create_dir(&folder).expect("creates");
        loop {
            let mut child = start(&folder);
            if kills < 20 {
                let part = random.below(1000) as u32;
                std::thread::sleep(Duration::from_secs_f64(
                    whole.as_secs_f64() * f64::from(part) / 1500.0,
                ));
                if child.try_wait().expect("asks").is_none() {
                    child.kill().expect("kills");
                    child.wait().expect("ends");
                    kills += 1;
                    between += usize::from(latest_checkpoint(&folder).expect("readable").is_some());
                    continue;
                }
            }
            let ended = child.wait_with_output().expect("ends");
            assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
            break;
        }
        assert!(result(&folder) == wanted, "round {rounds} differs after {kills} kills");
        // Whatever a killed writer left behind is not mistaken for a checkpoint, and goes.
        let left = std::fs::read_dir(&folder).expect("reads");
        let left: Vec<String> =
            left.map(|e| e.expect("entry").file_name().to_string_lossy().into_owned()).collect();
        assert!(!left.iter().any(|n| n.starts_with(".unfinished")), "{left:?}");
    }
    assert!(between > 5, "only {between} kills came after a checkpoint");
}
