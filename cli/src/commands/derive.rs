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
  ponens derive --core 'pi(l) & ref(w) -> pi(w) & ref(l)' --name mine --link hinge
  ponens explain mine.loss

`pi` is the policy, any other model a reference; `w` is preferred to `l`.";

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
    /// The link
    #[arg(long, value_enum, default_value = "logistic")]
    link: LinkArg,
    /// How token log-probabilities make the weight of an atom
    #[arg(long, value_enum, default_value = "sum")]
    aggregate: Aggregate,
    /// The name of the loss
    #[arg(long, default_value = "derived")]
    name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LinkArg {
    Logistic,
    Hinge,
    Squared,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Aggregate {
    Sum,
    Mean,
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
        mean: args.aggregate == Aggregate::Mean,
    })?;
    // An explanation also finds out whether anything can be learnt from the loss.
    let warnings = explain::explain(&derived.compiled).warnings;
    ui.report(&derived.sources, &warnings);
    if ui.is_json() {
        ui.json(&json!({ "name": args.name, "text": derived.text }))?;
    } else {
        ui.text(&derived.text)?;
    }
    Ok(Status::Done)
}
