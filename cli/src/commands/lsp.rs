//! `ponens lsp`

use crate::failure::{Failure, Outcome, Status};
use ponens::dsl::Diagnostic;
use ponens::lsp;

const EXAMPLE: &str = "\
Example, for Neovim:
  vim.lsp.config.ponens = { cmd = { 'ponens', 'lsp' }, filetypes = { 'ponens' } }
  vim.lsp.enable('ponens')

docs/editors.md has the settings for other editors. The server shows every mistake of `ponens check`
while you type, the logic and the stable form of the loss under the cursor, completes and formats.";

/// Serve an editor over standard input and output (language server protocol)
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// Accepted for editors that always pass it; there is no other way
    #[arg(long, hide = true)]
    stdio: bool,
}

pub(crate) fn run(_: &Args) -> Outcome {
    let broken = |e: &dyn std::fmt::Display| -> Failure {
        Diagnostic::error("E0003", format!("the editor's connection broke: {e}")).into()
    };
    let (connection, threads) = lsp::connect();
    let served = lsp::serve(&connection).map_err(|e| broken(&e));
    // What was wrong with the input is told before what followed from it.
    let ended = threads.ended().map_err(|e| broken(&e));
    // The writer ends when the connection does.
    drop(connection);
    threads.join();
    ended?;
    served?;
    Ok(Status::Done)
}
