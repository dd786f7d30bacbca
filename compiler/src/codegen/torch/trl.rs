//! A trainer for TRL: a subclass of its DPO trainer that computes this loss.
//!
//! TRL has no place to plug a loss in; its loss is a chain of cases inside `_compute_loss`. The subclass
//! overrides that method and keeps everything around it: data, reference model, adapters, and what accelerate,
//! FSDP and DeepSpeed do. In: a loss over pairs, or over single labelled responses (a pair is then two of
//! them). Invariant: a column that TRL cannot give is refused here and not at run time.

use super::Refused;
use super::name;
use super::plan::Plan;
use crate::hir::{DataShape, Quantity, Role};
use crate::mir::Level;
use crate::session::Compiled;
use std::fmt::Write as _;

const TEMPLATE: &str = include_str!("trainer.py");

/// Where the method for the reference model begins.
const LAST: &str = "\n    def _reference_tokens(";

/// What a loss needs from the trainer.
#[derive(Default)]
struct Needs {
    /// The reference's sums, or its token values.
    sums: bool,
    tokens: bool,
    weighting: bool,
    data: Vec<String>,
    /// Statements that make the columns.
    columns: Vec<String>,
}

/// The text of the class.
pub(super) fn class(compiled: &Compiled, plan: &Plan<'_>, name: &str) -> Result<String, Refused> {
    let mut needs = Needs::default();
    for (column, identifier) in compiled.loss.columns.iter().zip(&plan.columns) {
        if column.level > Level::Example {
            return Err(Refused::Trl(format!(
                "the TRL trainer has no `{}`: it is not one number an example",
                column.name()
            )));
        }
        let value = value(compiled, &column.quantity, &mut needs)?;
        needs.columns.push(format!("{identifier} = {value}"));
    }
    let beta = compiled.loss.params.iter().find(|p| p.name == "beta").and_then(|p| p.default);
    let has_beta = compiled.loss.params.iter().any(|p| p.name == "beta");
    let mut notes = String::new();
    if matches!(compiled.loss.shape, DataShape::Labelled { .. }) {
        notes.push_str("\n    A pair counts as two examples: the chosen response is good, the rejected one bad.");
    }
    if !needs.data.is_empty() {
        let _ = write!(notes, "\n    The data set has the columns {}.", needs.data.join(", "));
    }
    let reference = needs.sums || needs.tokens;
    let rewards = if reference {
        "scale * (policy_w - reference_w), scale * (policy_l - reference_l)"
    } else {
        "scale * policy_w, scale * policy_l"
    };
    let tuple: Vec<String> = needs.data.iter().map(|d| format!("{d:?}")).collect();
    let tuple = match tuple.as_slice() {
        [] => "()".to_owned(),
        [one] => format!("({one},)"),
        many => format!("({})", many.join(", ")),
    };
    let extra: String = needs.data.iter().map(|d| format!(", {d:?}")).collect();
    let passed: String = plan.columns.iter().map(|c| format!("            {c},\n")).collect();
    let columns: Vec<String> = needs.columns.iter().map(|c| format!("        {c}")).collect();
    // The last method of the template is for losses with a reference.
    let end =
        if reference { TEMPLATE.len() } else { TEMPLATE.find(LAST).unwrap_or(TEMPLATE.len()) };
    let mut text = TEMPLATE[..end]
        .replace("@NOTES@", &notes)
        .replace("@BETA@", if has_beta { " and \"beta\" not in self.loss_parameters" } else { "" })
        .replace("@BEFORE@", &before(&needs))
        .replace("@AFTER@\n", &after(&needs, &tuple))
        .replace("@REFERENCE@\n", &reference_text(&needs))
        .replace("@COLUMNS@", &columns.join("\n"))
        .replace("@PASSED@", &passed)
        .replace("@REWARDS@", rewards)
        .replace("@EXTRA@", &extra)
        .replace("@DEFAULT_BETA@", &super::expr::number(beta.unwrap_or(1.0)).text)
        .replace("@CLASS@", &name::class(name))
        .replace("@FUNCTION@", name)
        .replace("@LOSS@", &super::header::plain(&compiled.loss.name));
    if !needs.data.is_empty() {
        text.push_str(COLLATOR);
    }
    Ok(text)
}

/// Settings before the trainer sets itself up.
fn before(needs: &Needs) -> String {
    let mut out = String::new();
    if !(needs.sums || needs.tokens) {
        out.push_str(
            "        # Keeps TRL from loading a reference model, which this loss does not read.\n        \
             config.precompute_ref_log_probs = True\n",
        );
    }
    if needs.weighting {
        out.push_str(
            "        # Makes TRL compute the sums of squared probabilities.\n        config.use_weighting = True\n",
        );
    }
    if needs.tokens {
        out.push_str(
            "        if config.precompute_ref_log_probs:\n            \
             raise ValueError(\"this loss reads parts of the reference's log-probabilities, TRL stores sums\")\n",
        );
    }
    out
}

fn after(needs: &Needs, tuple: &str) -> String {
    let mut out = String::new();
    let reference = needs.sums || needs.tokens;
    if !reference {
        out.push_str("        self.precompute_ref_logps = False\n");
    }
    if !needs.data.is_empty() {
        let _ =
            writeln!(out, "        self.data_collator = _WithColumns(self.data_collator, {tuple})");
    }
    if !needs.data.is_empty() {
        let _ = write!(
            out,
            "\n    def _set_signature_columns_if_needed(self):\n        \
             super()._set_signature_columns_if_needed()\n        \
             self._signature_columns = list(dict.fromkeys([*self._signature_columns, *{tuple}]))\n"
        );
    }
    if !reference {
        out.push_str(
            "\n    def _precompute_ref_logps(self, dataset, name, batch_size):\n        return dataset\n",
        );
    }
    out.push('\n');
    out
}

fn reference_text(needs: &Needs) -> String {
    if !(needs.sums || needs.tokens) {
        return String::new();
    }
    let forward = "\
reference = self._reference_tokens(model_inputs, mask)
reference_w, reference_l = reference.sum(-1).chunk(2)
";
    let pad = |text: &str, by: usize| -> String {
        text.lines().map(|l| format!("{}{l}\n", " ".repeat(by))).collect()
    };
    if needs.tokens {
        return pad(forward, 8);
    }
    format!(
        "        if self.precompute_ref_logps:\n            \
         reference_w, reference_l = inputs[\"ref_chosen_logps\"], inputs[\"ref_rejected_logps\"]\n        \
         else:\n{}",
        pad(forward, 12)
    )
}

fn value(compiled: &Compiled, quantity: &Quantity, needs: &mut Needs) -> Result<String, Refused> {
    let side = |response: &str| -> Result<&'static str, Refused> {
        match &compiled.loss.shape {
            DataShape::Pair { winner, .. } if winner == response => Ok("w"),
            DataShape::Pair { loser, .. } if loser == response => Ok("l"),
            DataShape::Labelled { response: y, .. } if y == response => Ok("y"),
            _ => Err(Refused::Trl(format!("the TRL trainer has no response `{response}`"))),
        }
    };
    let frozen = |model: &str| {
        let model = compiled.loss.models.iter().find(|m| m.name == model);
        model.is_some_and(|m| m.role == Role::Reference)
    };
    let references = compiled.loss.models.iter().filter(|m| m.role == Role::Reference).count();
    if references > 1 {
        return Err(Refused::Trl("the TRL trainer has one reference model".to_owned()));
    }
    // A labelled loss sees both responses one after the other, as TRL's batches hold them.
    let sums = |model: &str, side: &str, needs: &mut Needs| {
        let of = if frozen(model) {
            needs.sums = true;
            "reference"
        } else {
            "policy"
        };
        if side == "y" { format!("torch.cat([{of}_w, {of}_l])") } else { format!("{of}_{side}") }
    };
    let mask = |side: &str| if side == "y" { "mask".to_owned() } else { format!("mask_{side}") };
    let half = |tensor: &str, side: &str| match side {
        "w" => format!("{tensor}.chunk(2)[0]"),
        "l" => format!("{tensor}.chunk(2)[1]"),
        _ => tensor.to_owned(),
    };
    Ok(match quantity {
        Quantity::Logp { model, response } => sums(model, side(response)?, needs),
        Quantity::MeanLogp { model, response } => {
            let s = side(response)?;
            format!("{} / torch.clamp({}.sum(-1), min=1)", sums(model, s, needs), mask(s))
        }
        Quantity::SharedLogp { model, response } | Quantity::TailLogp { model, response } => {
            let s = side(response)?;
            let other = if s == "w" { "mask_l" } else { "mask_w" };
            let within = format!("{}.cumsum(-1) <= {other}.sum(-1, keepdim=True)", mask(s));
            let of = if frozen(model) {
                needs.tokens = true;
                "reference"
            } else {
                "tokens"
            };
            let (yes, no) = match quantity {
                Quantity::SharedLogp { .. } => (half(of, s), "0.0".to_owned()),
                _ => ("0.0".to_owned(), half(of, s)),
            };
            format!("torch.where({within}, {yes}, {no}).sum(-1)")
        }
        Quantity::LogSumP2 { model, response } if !frozen(model) => {
            let s = side(response)?;
            needs.weighting = true;
            let squares = half("outputs.log_sum_sq_probs[:, -width:]", s);
            format!("torch.where({}, {squares}, 0.0).sum(-1)", mask(s))
        }
        Quantity::Len { response } => format!("{}.sum(-1)", mask(side(response)?)),
        Quantity::Label { .. } => {
            "torch.arange(mask.shape[0], device=mask.device) < mask_w.shape[0]".to_owned()
        }
        Quantity::Data { name } if compiled.loss.running.iter().any(|r| r.name == *name) => {
            return Err(Refused::Trl("the TRL trainer keeps no mean over the run".to_owned()));
        }
        Quantity::Data { name } => {
            needs.data.push(name.clone());
            match compiled.loss.shape {
                DataShape::Labelled { .. } => format!("inputs[{name:?}].repeat(2)"),
                _ => format!("inputs[{name:?}]"),
            }
        }
        other => return Err(Refused::Trl(format!("the TRL trainer has no `{other}`"))),
    })
}

const COLLATOR: &str = "

class _WithColumns:
    \"\"\"A collator that keeps columns of numbers.\"\"\"

    def __init__(self, collator, names):
        self.collator, self.names = collator, names

    def __call__(self, examples):
        batch = self.collator(examples)
        for name in self.names:
            batch[name] = torch.tensor([float(example[name]) for example in examples])
        return batch
";
