//! `ponens fmt`

use crate::failure::{Outcome, Status};
use crate::output::Ui;
use ponens::format;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const EXAMPLE: &str = "\
Examples:
  ponens fmt my.loss
  ponens fmt --check losses/*.loss
  cat my.loss | ponens fmt -";

/// Rewrite loss files in the canonical form
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// Loss files; `-` reads standard input and prints
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Write nothing; name the files that would change, and exit with status 1 if there are any
    #[arg(long, conflicts_with = "stdout")]
    check: bool,
    /// Print the canonical form and write nothing
    #[arg(long)]
    stdout: bool,
}

pub(crate) fn run(args: &Args, ui: &mut Ui) -> Outcome {
    let (mut files, mut refused, mut unlike) = (Vec::new(), false, 0);
    for path in &args.files {
        let formatted = match format::format(path) {
            Ok(f) => f,
            Err(r) => {
                ui.report(&r.sources, &r.diagnostics);
                refused = true;
                continue;
            }
        };
        let name = path.display().to_string();
        let changed = formatted.is_changed();
        unlike += usize::from(changed);
        let print = args.stdout || (path == Path::new("-") && !args.check);
        if print && !ui.is_json() {
            ui.text(&formatted.canonical)?;
        } else if changed && !args.check && !print {
            if let Err(r) = formatted.write(path) {
                ui.report(&r.sources, &r.diagnostics);
                refused = true;
                continue;
            }
        }
        if changed && !ui.is_json() && !print {
            ui.line(if args.check {
                format!("would change {name}")
            } else {
                format!("formatted {name}")
            })?;
        }
        let mut entry = json!({ "file": name, "changed": changed });
        if print {
            entry["text"] = Value::from(formatted.canonical);
        }
        files.push(entry);
    }
    if ui.is_json() {
        ui.json(&Value::Array(files))?;
    }
    Ok(if refused || (args.check && unlike > 0) { Status::Wrong } else { Status::Done })
}
