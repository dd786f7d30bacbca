//! `ponens emit`

use crate::args::LossArg;
use crate::failure::{Outcome, Status};
use crate::output::Ui;
use clap::ValueEnum;
use ponens::compiler::codegen::cuda;
use ponens::compiler::lir;
use ponens::compiler::session::{Compiled, Options};
use ponens::dsl::Diagnostic;
use ponens::locate;
use serde_json::json;

const EXAMPLE: &str = "\
Examples:
  ponens emit dpo --target mir
  ponens emit orpo --target mir --stage written
  ponens emit orpo --target cuda > orpo.cu";

/// Print the code that a loss is compiled to
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    #[command(flatten)]
    loss: LossArg,
    /// The language
    #[arg(long, value_enum)]
    target: Target,
    /// For `mir`: the loss as written, in its stable form, or with its gradients
    #[arg(long, value_enum, default_value = "gradient")]
    stage: Stage,
    /// For `mir`: also print the derivation of the stable form, rule by rule
    #[arg(long)]
    explain: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Target {
    /// The scalar graph
    Mir,
    /// CUDA C: the streaming kernels and one generated kernel a phase
    Cuda,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Stage {
    /// As the text says it
    Written,
    /// The value in its stable form
    Value,
    /// Value and gradients in their stable form
    Gradient,
}

pub(crate) fn run(args: &Args, ui: &mut Ui) -> Outcome {
    let (compiled, located) = locate::locate(&args.loss.loss)?.compile(&Options::default())?;
    ui.report(&located.program.sources, &located.warnings);
    let code = match args.target {
        Target::Cuda => cuda::emit(&lir::plan(compiled.graph()).map_err(|e| {
            Diagnostic::error("E0205", format!("`{}` has no kernel: {e}", located.name))
        })?),
        Target::Mir => mir(args, &compiled),
    };
    let target = match args.target {
        Target::Cuda => "cuda",
        Target::Mir => "mir",
    };
    if ui.is_json() {
        ui.json(&json!({ "name": located.name, "target": target, "code": code }))?;
    } else {
        ui.text(&code)?;
    }
    Ok(Status::Done)
}

fn mir(args: &Args, compiled: &Compiled) -> String {
    match args.stage {
        Stage::Written => compiled.written.to_string(),
        Stage::Value => compiled.value.graph.to_string(),
        Stage::Gradient => compiled.gradient.graph.to_string(),
    }
}
