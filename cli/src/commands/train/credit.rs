//! `credit.json`: what each token of a few held-out responses gained by the training.
//!
//! The implicit reward of a policy is beta times its log-ratio to the reference, and it is a sum over tokens:
//! each token's share is its credit (Rafailov et al. 2024, arXiv 2404.12358).

use super::record::write_json;
use super::single::Job;
use crate::failure::Failure;
use ponens::dsl::Diagnostic;
use ponens::runtime::data::EncodedExample;
use ponens::runtime::model::{CausalLm, Error, Llama, Rows};
use serde_json::{Value, json};

/// How many examples are shown.
const EXAMPLES: usize = 6;

/// The reference's side of it, asked while the reference is there.
pub(super) struct Credit {
    /// By example, response and token.
    reference: Vec<Vec<Vec<f32>>>,
}

fn rows(example: &EncodedExample) -> Rows {
    let mut rows = Rows::default();
    for s in &example.responses {
        rows.push(&s.ids[..s.start], &s.ids[s.start..]);
    }
    rows
}

fn shown<'a>(job: &'a Job<'_>) -> impl Iterator<Item = &'a EncodedExample> {
    job.data.held_out.iter().take(EXAMPLES)
}

fn attempt<T>(result: Result<T, Error>) -> Result<T, Failure> {
    result.map_err(|e| {
        Failure::from(Diagnostic::error("E0701", format!("the credit of tokens: {e}")))
    })
}

impl Credit {
    /// Asks the reference about the first held-out examples.
    pub(super) fn begin(job: &Job<'_>, reference: &Llama) -> Result<Self, Failure> {
        let reference = shown(job).map(|e| reference.token_logps(&rows(e))).collect();
        Ok(Self { reference: attempt(reference)? })
    }

    /// Writes the credit of the first held-out examples; empty where none are held out.
    pub(super) fn write(&self, job: &Job<'_>, policy: &Llama) -> Result<(), Failure> {
        let params = job.loss.params();
        let beta = params.iter().find(|(name, _)| name == "beta").map_or(1.0, |(_, v)| *v);
        let tokenizer = &job.base.tokenizer;
        let one =
            |(example, reference): (&EncodedExample, &Vec<Vec<f32>>)| -> Result<Value, Error> {
                let policy = policy.token_logps(&rows(example))?;
                let mut responses = Vec::with_capacity(example.responses.len());
                for (i, s) in example.responses.iter().enumerate() {
                    let ratios = policy[i].iter().zip(&reference[i]).map(|(p, r)| f64::from(p - r));
                    let mut tokens = Vec::with_capacity(s.response_len());
                    for (id, ratio) in s.ids[s.start..].iter().zip(ratios) {
                        tokens.push(json!([tokenizer.decode(&[*id], false)?, beta * ratio]));
                    }
                    responses.push(json!({ "good": example.good.get(i), "tokens": tokens }));
                }
                let first = example.responses.first().map_or(&[] as &[u32], |s| &s.ids[..s.start]);
                let prompt = tokenizer.decode(first, true)?;
                Ok(json!({ "row": example.row, "prompt": prompt, "responses": responses }))
            };
        let examples: Vec<Value> =
            attempt(shown(job).zip(&self.reference).map(one).collect::<Result<_, _>>())?;
        write_json(&job.output.join("credit.json"), &json!({ "beta": beta, "examples": examples }))
    }
}
