//! The whole demonstration: base model, preference training, what changed.

use std::io::Cursor;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use super::answer::{Answers, answers};
use super::base::{SftProgress, base_model};
use super::{HELD_OUT, TRAIN};
use crate::data::{
    DataError, EncodeOptions, EncodedExample, PromptFormat, ReadOptions, TextExample, Turns,
    add_mismatched, encode_examples, load_examples_from,
};
use crate::op::{LossKernel, RuntimeError};
use crate::optim::{Decay, Schedule};
use crate::tokenizer::Tokenizer;
use crate::train::{
    Beside, Binding, Length, Names, Outcome, Record, Reference, Run, TrainConfig, train,
};

/// More tokens than any pair of the task has.
const LONGEST: usize = 32;

/// What the demonstration showed.
#[derive(Clone, Debug, PartialEq)]
pub struct DemoReport {
    /// Greedy answers to the held-out prompts before preference training.
    pub before: Answers,
    /// And after it.
    pub after: Answers,
    /// The first held-out prompts, for show.
    pub prompts: Vec<String>,
    /// The run.
    pub outcome: Outcome,
}

/// The settings with which the task is learnt in seconds.
pub fn train_config(seed: u64) -> TrainConfig {
    TrainConfig {
        length: Length::Steps(120),
        batch_size: 32,
        micro_batch: 32,
        schedule: Schedule { peak: 1.5e-4, warmup: 10, decay: Decay::Linear },
        seed,
        eval_every: Some(10),
        ..TrainConfig::default()
    }
}

/// The embedded pairs as records: training and held-out.
///
/// # Errors
/// None for the files as they are.
pub fn load() -> Result<(Vec<TextExample>, Vec<TextExample>), DataError> {
    let read = |text: &str, name: &str| {
        let options = ReadOptions::default();
        load_examples_from(Cursor::new(text.as_bytes()), Path::new(name), &options).map(|r| r.0)
    };
    Ok((read(TRAIN, "<demo/train.jsonl>")?, read(HELD_OUT, "<demo/held_out.jsonl>")?))
}

fn encode(
    records: &[TextExample],
    tokenizer: &Tokenizer,
) -> Result<Vec<EncodedExample>, DataError> {
    let options = EncodeOptions::new(LONGEST);
    let name = Path::new("<demo>");
    Ok(encode_examples(records, name, &PromptFormat::plain(), tokenizer, options)?.0)
}

/// Prompts and the answers that they want.
fn wanted(records: &[TextExample]) -> Vec<(&str, &str)> {
    let texts = records.iter().map(|r| (&r.prompt, r.responses.first()));
    let plain = texts.filter_map(|turns| match turns {
        (Turns::Text(prompt), Some(Turns::Text(chosen))) => {
            Some((prompt.as_str(), chosen.as_str()))
        }
        _ => None,
    });
    plain.collect()
}

/// Makes the base model and trains it with a loss on the embedded pairs.
///
/// # Errors
/// If the loss reads something that pairs without further columns cannot supply, or as
/// [`crate::train::train`].
pub fn run(
    kernel: &dyn LossKernel,
    names: &Names,
    config: &TrainConfig,
    (output, stop): (Option<&Path>, &AtomicBool),
    sft: impl FnMut(SftProgress),
    observe: &mut dyn FnMut(&Record),
) -> Result<DemoReport, RuntimeError> {
    let (model, tokenizer) = base_model(config.seed, sft)?;
    let (train_records, held_records) = load()?;
    let mut pairs = encode(&train_records, &tokenizer)?;
    let mut held_out = encode(&held_records, &tokenizer)?;
    if Binding::new(kernel, names)?.needs_mismatched() {
        add_mismatched(&mut pairs, LONGEST);
        add_mismatched(&mut held_out, LONGEST);
    }
    let asked = wanted(&held_records);
    let before = answers(&model, &tokenizer, &asked)?;
    let outcome = train(Run {
        policy: &model,
        kernel,
        names,
        config,
        train: &pairs,
        held_out: &held_out,
        reference: Reference::Initial,
        beside: Beside::default(),
        output,
        stop,
        observe,
    })?;
    let after = answers(&model, &tokenizer, &asked)?;
    let prompts = asked.iter().take(5).map(|(p, _)| (*p).to_owned()).collect();
    Ok(DemoReport { before, after, prompts, outcome })
}
