//! `ponens derive`

use crate::failure::{Outcome, Status};
use crate::output::Ui;
use clap::ValueEnum;
use ponens::compiler::explain;
use ponens::derive::{self, Link, Wish};
use serde_json::json;

const EXAMPLE: &str = "\
Examples:
  ponens derive --core 'pi(l) -> pi(w)' --given 'pi(l) xor pi(w)' > mine.loss
  ponens derive --core 'pi(l) -> pi(w)' --reference --name mine --link hinge
  ponens derive --core 'pi(l) -> pi(w)' --mean --terms 'lambda * nll(pi, w)' \\
      --params 'lambda = 0.1 in [0, inf)'
  ponens explain mine.loss

`pi` is the policy, any other model a reference; `w` is preferred to `l`. Formulas are built from atoms
such as pi(w) with ! & | xor -> <->.";

/// Write a new loss from logic, as loss text
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// What must hold for the winner to be preferred: P
    #[arg(long, value_name = "FORMULA")]
    core: String,
    /// What is taken for granted: Pc, true when absent
    #[arg(long, value_name = "FORMULA")]
    given: Option<String>,
    /// What counts on both sides: Pa, false when absent
    #[arg(long, value_name = "FORMULA")]
    tie: Option<String>,
    /// The name of the loss
    #[arg(long, default_value = "derived")]
    name: String,
    /// The link
    #[arg(long, value_enum, default_value = "logistic")]
    link: LinkArg,
    /// The reference version: rho - (log ref(w) - log ref(l))
    #[arg(long)]
    reference: bool,
    /// The atoms are means of token log-probabilities instead of sums
    #[arg(long)]
    mean: bool,
    /// What is minimised besides the link of rho
    #[arg(long, value_name = "EXPR", allow_hyphen_values = true)]
    terms: Option<String>,
    /// Declarations of parameters, for those of --terms or another default of beta
    #[arg(long, value_name = "PARAMS")]
    params: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LinkArg {
    Logistic,
    Hinge,
    Squared,
}

pub(crate) fn run(args: &Args, ui: &mut Ui) -> Outcome {
    let derived = derive::derive(&Wish {
        name: args.name.clone(),
        core: args.core.clone(),
        given: args.given.clone(),
        tie: args.tie.clone(),
        link: match args.link {
            LinkArg::Logistic => Link::Logistic,
            LinkArg::Hinge => Link::Hinge,
            LinkArg::Squared => Link::Squared,
        },
        mean: args.mean,
        reference: args.reference,
        terms: args.terms.clone(),
        params: args.params.clone(),
    })?;
    // How good a form the rewriter found is of no interest here.
    let mut warnings = derived.explanation.warnings;
    warnings.retain(|w| w.code != "W0601");
    ui.report(&derived.sources, &warnings);
    if ui.is_json() {
        let core = derived.explanation.structure.as_ref().map(|s| {
            let core = explain::core_text(s);
            json!({ "p": core.p, "given": core.given, "tie": core.tie })
        });
        let place = derived.explanation.place.clone().unwrap_or_default();
        ui.json(&json!({
            "name": args.name.trim(),
            "text": derived.text,
            "core": core,
            "node": place.node,
            "neighbours": { "above": place.above, "below": place.below },
            "notes": derived.notes,
        }))?;
    } else {
        ui.text(&derived.text)?;
    }
    Ok(Status::Done)
}
