//! What the model really answers, beside what it prefers.

use std::ops::ControlFlow;

use crate::generate::{Options, generate};
use crate::model::Llama;
use crate::op::RuntimeError;
use crate::tokenizer::Tokenizer;

/// Greedy answers to prompts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answers {
    /// By prompt.
    pub texts: Vec<String>,
    /// How many are what was wanted.
    pub exact: usize,
}

impl Answers {
    /// The share of exact answers; 0 for no prompt.
    pub fn exactness(&self) -> f64 {
        self.exact as f64 / self.texts.len().max(1) as f64
    }
}

/// Answers each prompt greedily and compares with the wanted text.
///
/// # Errors
/// If a prompt has a character that the model does not know.
pub fn answers(
    model: &Llama,
    tokenizer: &Tokenizer,
    wanted: &[(&str, &str)],
) -> Result<Answers, RuntimeError> {
    let mut out = Answers { texts: Vec::with_capacity(wanted.len()), exact: 0 };
    for (prompt, want) in wanted {
        let ids = tokenizer.encode(prompt, false)?;
        // Room for a wrong answer that does not end.
        let options = Options { max_tokens: want.len() + 4, ..Options::default() };
        let generated = generate(model, &ids, &options, |_| ControlFlow::Continue(()))?;
        let text = tokenizer.decode(&generated.ids, true)?;
        out.exact += usize::from(text == *want);
        out.texts.push(text);
    }
    Ok(out)
}
