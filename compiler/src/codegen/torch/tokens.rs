//! `from_tokens`: the loss of a batch of padded token log-probabilities.

use super::body::loss_level;
use super::name::Names;
use super::plan::Plan;
use super::public::{keywords, sentence};
use crate::hir::Quantity;
use crate::mir::Level;
use crate::session::Compiled;
use std::fmt::Write as _;

/// The arguments and the statements of the function.
#[derive(Default)]
pub(super) struct Tokens {
    /// Arguments in order, with what they are.
    pub(super) arguments: Vec<(String, String)>,
    /// The statements that make columns.
    pub(super) statements: Vec<String>,
    /// The columns and masks as the loss's function takes them.
    pub(super) passed: Vec<String>,
}

impl Tokens {
    fn argument(&mut self, name: &str, what: &str) -> String {
        if !self.arguments.iter().any(|(n, _)| n == name) {
            self.arguments.push((name.to_owned(), what.to_owned()));
        }
        name.to_owned()
    }

    fn statement(&mut self, text: String) {
        if !self.statements.contains(&text) {
            self.statements.push(text);
        }
    }
}

/// How each column comes from token log-probabilities.
pub(super) fn tokens(compiled: &Compiled, plan: &Plan<'_>) -> Tokens {
    let mut t = Tokens::default();
    let identifier = |text: &str| Names::new().of(text);
    let responses = compiled.loss.shape.responses();
    let mut masks: Vec<String> = Vec::new();
    let mut mask = |t: &mut Tokens, r: &str| {
        let name = identifier(&format!("mask {r}"));
        if !masks.contains(&name) {
            masks.push(name.clone());
        }
        let _ = t;
        name
    };
    let mut columns = Vec::new();
    for (c, column) in compiled.loss.columns.iter().zip(&plan.columns) {
        if c.level > Level::Example {
            t.argument(column, "as for the function of columns");
            columns.push(column.clone());
            continue;
        }
        let (per_token, of, how): (String, &str, &str) = match &c.quantity {
            Quantity::Logp { model, response } => {
                (format!("logp {model} {response}"), response, "sum")
            }
            Quantity::MeanLogp { model, response } => {
                (format!("logp {model} {response}"), response, "mean")
            }
            Quantity::SharedLogp { model, response } => {
                (format!("logp {model} {response}"), response, "shared")
            }
            Quantity::TailLogp { model, response } => {
                (format!("logp {model} {response}"), response, "tail")
            }
            Quantity::MismatchedLogp { model } => {
                (format!("logp {model} mismatched"), "mismatched", "sum")
            }
            Quantity::LogSumP2 { model, response } => {
                (format!("log_sum_p2 {model} {response}"), response, "sum")
            }
            Quantity::Kl { first, second, response } => {
                (format!("kl {first} {second} {response}"), response, "sum")
            }
            Quantity::Len { response } => {
                let m = mask(&mut t, response);
                t.statement(format!("{column} = {m}.sum(-1)"));
                columns.push(column.clone());
                continue;
            }
            _ => {
                t.argument(column, "[N]");
                columns.push(column.clone());
                continue;
            }
        };
        let m = mask(&mut t, of);
        let argument = t.argument(&identifier(&format!("tokens {per_token}")), "[N, T]");
        let what = match how {
            "mean" => format!("_masked_sum({argument}, {m}) / torch.clamp({m}.sum(-1), min=1)"),
            "shared" | "tail" => {
                let others = responses.iter().filter(|r| **r != of).map(|r| mask(&mut t, r));
                let lengths: Vec<String> =
                    others.map(|o| format!("{o}.sum(-1, keepdim=True)")).collect();
                let other = lengths.first().cloned().unwrap_or_default();
                t.statement(format!("within_{of} = {m}.cumsum(-1) <= {other}"));
                let side = if how == "shared" { "" } else { "~" };
                format!("_masked_sum({argument}, {m} & {side}within_{of})")
            }
            _ => format!("_masked_sum({argument}, {m})"),
        };
        t.statement(format!("{column} = {what}"));
        columns.push(column.clone());
    }
    for m in masks {
        t.argument(&m, "[N, T], true where a token of the response stands");
    }
    for m in &plan.masks {
        t.argument(&m.name, "as for the function of columns");
    }
    t.passed = columns.into_iter().chain(plan.masks.iter().map(|m| m.name.clone())).collect();
    t
}

/// `def from_tokens`.
pub(super) fn function(compiled: &Compiled, plan: &Plan<'_>, name: &str) -> String {
    let t = tokens(compiled, plan);
    let mut out = String::from("\n\ndef from_tokens(\n");
    for (argument, _) in &t.arguments {
        let _ = writeln!(out, "    {argument}: Tensor,");
    }
    out.push_str(&keywords(plan));
    let _ = write!(
        out,
        "    \"\"\"{} From padded token log-probabilities.\n\n    \
         `tokens_*` have the shape [N, T] with one value a token; `mask_*` are boolean, true on the response's\n    \
         own tokens. What stands in the padding does not matter. Everything else is [N].\n    \"\"\"\n",
        super::header::plain(&sentence(compiled)),
    );
    for s in &t.statements {
        let _ = writeln!(out, "    {s}");
    }
    let _ = writeln!(out, "    return {name}(");
    for p in &t.passed {
        let _ = writeln!(out, "        {p},");
    }
    for p in &plan.params {
        let _ = writeln!(out, "        {p}={p},");
    }
    if loss_level(plan) >= Level::Example {
        out.push_str("        reduction=reduction,\n");
    }
    out.push_str("    )\n");
    if t.statements.iter().any(|s| s.contains("_masked_sum(")) {
        out.push_str(MASKED_SUM);
    }
    out
}

const MASKED_SUM: &str = "\n\ndef _masked_sum(tokens, mask):
    \"\"\"The sum over the tokens under the mask, at least in float32.\"\"\"
    tokens = tokens.to(torch.promote_types(tokens.dtype, torch.float32))
    return torch.where(mask, tokens, 0.0).sum(-1)
";
