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

/// Writes the credit of the first held-out examples; nothing where none are held out.
pub(super) fn write(job: &Job<'_>, policy: &Llama, reference: &Llama) -> Result<(), Failure> {
    let params = job.loss.params();
    let beta = params.iter().find(|(name, _)| name == "beta").map_or(1.0, |(_, v)| *v);
    let one = |example: &EncodedExample| -> Result<Value, Error> {
        let mut rows = Rows::default();
        for s in &example.responses {
            rows.push(&s.ids[..s.start], &s.ids[s.start..]);
        }
        let (policy, reference) = (policy.token_logps(&rows)?, reference.token_logps(&rows)?);
        let tokenizer = &job.base.tokenizer;
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
    let shown = job.data.held_out.iter().take(EXAMPLES);
    let examples: Vec<Value> = shown.map(one).collect::<Result<_, _>>().map_err(|e| {
        Failure::from(Diagnostic::error("E0701", format!("the credit of tokens: {e}")))
    })?;
    write_json(&job.output.join("credit.json"), &json!({ "beta": beta, "examples": examples }))
}
