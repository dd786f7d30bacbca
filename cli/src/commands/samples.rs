//! What a model says to a few fixed prompts, before and after.

use crate::failure::Failure;
use ponens::dsl::Diagnostic;
use ponens::runtime::generate::{Options, generate};
use ponens::runtime::model::Llama;
use ponens::runtime::tokenizer::{Message, Tokenizer};
use std::ops::ControlFlow;
use std::path::Path;

/// The prompts used when none are given.
const PROMPTS: [&str; 5] = [
    "What is the capital of France?",
    "Write one sentence about a camera you just bought.",
    "List three fruits.",
    "How do I boil an egg?",
    "Say something nice about rain.",
];

/// A prompt and the model's answer to it.
pub(super) struct Sample {
    pub(super) prompt: String,
    pub(super) text: String,
}

/// The prompts of a file, one a line, or the built-in ones.
pub(super) fn prompts(file: Option<&Path>) -> Result<Vec<String>, Failure> {
    let Some(path) = file else { return Ok(PROMPTS.map(str::to_owned).to_vec()) };
    let text = std::fs::read_to_string(path).map_err(|e| {
        Diagnostic::error("E0003", format!("{}: {e}", path.display()))
            .help("--sample-prompts wants a UTF-8 text file with one prompt a line")
    })?;
    Ok(text.lines().filter(|l| !l.trim().is_empty()).map(str::to_owned).collect())
}

/// Answers each prompt greedily; as a chat where the model has a template.
pub(super) fn answers(
    model: &Llama,
    tokenizer: &Tokenizer,
    prompts: &[String],
    max_tokens: usize,
) -> Result<Vec<Sample>, Failure> {
    let one = |prompt: &String| {
        let chat = tokenizer.has_chat_template();
        let text = if chat {
            tokenizer.chat(&[Message::new("user", prompt)], true)?
        } else {
            prompt.clone()
        };
        let ids = tokenizer.encode(&text, !chat)?;
        let options = Options { max_tokens, ..Options::default() };
        let generated = generate(model, &ids, &options, |_| ControlFlow::Continue(()))?;
        Ok(Sample { prompt: prompt.clone(), text: tokenizer.decode(&generated.ids, true)? })
    };
    prompts.iter().map(one).collect::<Result<_, ponens::runtime::model::Error>>().map_err(|e| {
        Diagnostic::error("E0701", format!("the model cannot answer a sample prompt: {e}")).into()
    })
}
