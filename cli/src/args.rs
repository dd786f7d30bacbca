//! The command line.

use crate::commands::Command;
use clap::{Args, Parser, ValueEnum};

const AFTER_HELP: &str = "\
Examples:
  ponens list                           the catalogue
  ponens explain dpo                    a loss as logic
  ponens compare orpo my.loss:mine      are two losses the same?
  ponens value dpo --data rows.jsonl --grad
  ponens train --demo                   a small run from start to end

LOSS is a name of the catalogue, the path of a .loss file, or file.loss:name.
Exit status: 0 done, 1 the input is wrong (diagnosed on standard error), 2 usage.";

/// Preference losses as logic, compiled.
#[derive(Debug, Parser)]
#[command(name = "ponens", version, about, after_help = AFTER_HELP, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// How results are printed; `svg` and `html` are for `landscape` and `explain`, `dot` is for `landscape`
    #[arg(long, global = true, value_enum, default_value_t, hide_possible_values = true)]
    #[arg(value_name = "text|json")]
    pub(crate) format: Format,
    /// When to colour
    #[arg(long, global = true, value_enum, default_value_t, hide_possible_values = true)]
    #[arg(value_name = "auto|always|never")]
    pub(crate) color: Color,
}

/// The forms of output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
    /// A graph for Graphviz
    Dot,
    /// A picture
    Svg,
    /// A page
    Html,
}

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The LOSS argument.
#[derive(Clone, Debug, Args)]
pub(crate) struct LossArg {
    /// Catalogue name, `.loss` file, or `file.loss:name`
    #[arg(value_name = "LOSS")]
    pub(crate) loss: String,
}

/// Values for the parameters of a loss.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ParamArgs {
    /// Sets a parameter of the loss; may be repeated
    #[arg(long = "param", short = 'p', value_name = "NAME=VALUE", value_parser = assignment)]
    pub(crate) params: Vec<(String, String)>,
}

/// Reads NAME=VALUE.
pub(crate) fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("write NAME=VALUE, such as beta=0.1".to_owned()),
    }
}
