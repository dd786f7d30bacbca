//! The commands, one file each.

mod accuracy;
mod bench;
mod check;
mod compare;
mod completions;
mod decompile;
mod demo;
mod derive;
mod emit;
mod explain;
mod fmt;
mod generate;
mod landscape;
mod list;
mod models;
mod progress;
mod samples;
mod score;
mod train;
mod value;

use crate::args::{Format, ParamArgs};
use crate::failure::{Failure, Outcome};
use crate::output::Ui;
use clap::Subcommand;
use ponens::dsl::Diagnostic;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    List(list::Args),
    Check(check::Args),
    Fmt(fmt::Args),
    Explain(explain::Args),
    Decompile(decompile::Args),
    Compare(compare::Args),
    Landscape(landscape::Args),
    Derive(derive::Args),
    Value(value::Args),
    Accuracy(accuracy::Args),
    Emit(emit::Args),
    Train(Box<train::Args>),
    Score(score::Args),
    Generate(generate::Args),
    Bench(bench::Args),
    Completions(completions::Args),
}

/// Runs a command.
pub(crate) fn run(command: &Command, ui: &mut Ui) -> Outcome {
    let draws = match command {
        Command::Landscape(_) => true,
        Command::Explain(_) => ui.format != Format::Dot,
        _ => false,
    };
    if !draws && !matches!(ui.format, Format::Text | Format::Json) {
        let text =
            "--format svg and html are for `landscape` and `explain`, dot is for `landscape`";
        return Err(Failure::Usage(text.to_owned()));
    }
    match command {
        Command::List(a) => list::run(a, ui),
        Command::Check(a) => check::run(a, ui),
        Command::Fmt(a) => fmt::run(a, ui),
        Command::Explain(a) => explain::run(a, ui),
        Command::Decompile(a) => decompile::run(a, ui),
        Command::Compare(a) => compare::run(a, ui),
        Command::Landscape(a) => landscape::run(a, ui),
        Command::Derive(a) => derive::run(a, ui),
        Command::Value(a) => value::run(a, ui),
        Command::Accuracy(a) => accuracy::run(a, ui),
        Command::Emit(a) => emit::run(a, ui),
        Command::Train(a) => train::run(a, ui),
        Command::Score(a) => score::run(a, ui),
        Command::Generate(a) => generate::run(a, ui),
        Command::Bench(a) => bench::run(a, ui),
        Command::Completions(a) => completions::run(a, ui),
    }
}

/// The parameters given on the command line as numbers.
fn numbers(args: &ParamArgs) -> Result<Vec<(String, f64)>, Vec<Diagnostic>> {
    as_numbers(&args.params)
}

fn as_numbers(params: &[(String, String)]) -> Result<Vec<(String, f64)>, Vec<Diagnostic>> {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for (name, text) in params {
        match text.parse::<f64>() {
            Ok(x) => good.push((name.clone(), x)),
            Err(_) => bad.push(
                Diagnostic::error(
                    "E0304",
                    format!("--param {name}={text}: `{text}` is not a number"),
                )
                .help(format!("write a number, such as --param {name}=0.1")),
            ),
        }
    }
    if bad.is_empty() { Ok(good) } else { Err(bad) }
}
