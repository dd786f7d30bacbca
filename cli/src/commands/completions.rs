//! `ponens completions`

use crate::args::Cli;
use crate::failure::{Outcome, Status};
use crate::output::Ui;
use clap::{CommandFactory as _, ValueEnum};
use clap_complete::shells;

const EXAMPLE: &str = "\
Example:
  ponens completions bash > ~/.local/share/bash-completion/completions/ponens";

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

pub(crate) fn run(args: &Args, ui: &mut Ui) -> Outcome {
    let (mut command, mut script) = (Cli::command(), Vec::new());
    match args.shell {
        Shell::Bash => clap_complete::generate(shells::Bash, &mut command, "ponens", &mut script),
        Shell::Zsh => clap_complete::generate(shells::Zsh, &mut command, "ponens", &mut script),
        Shell::Fish => clap_complete::generate(shells::Fish, &mut command, "ponens", &mut script),
    }
    ui.text(String::from_utf8_lossy(&script))?;
    Ok(Status::Done)
}
