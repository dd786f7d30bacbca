//! The `ponens` command: text for people, JSON for programs.
//!
//! One file a command in [`commands`]; each is thin over the library. Invariants: JSON and results go to
//! standard output, diagnostics to standard error; the exit status is 0 when the work is done, 1 when the
//! input is wrong (and diagnosed), 2 when the command line is.

mod args;
mod bar;
mod commands;
mod failure;
mod kernels;
mod output;
mod style;
mod table;

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // A closed pipe is the reader's choice, also for help.
            let _ = e.print();
            return ExitCode::from(e.exit_code() as u8);
        }
    };
    let mut ui = output::Ui::new(&cli.global);
    let result = commands::run(&cli.command, &mut ui);
    ui.finish(result)
}
