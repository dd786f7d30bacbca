//! `ponens decompile`

use super::explain::{rows, truth_table};
use crate::failure::{Failure, Outcome, Status};
use crate::output::Ui;
use ponens::compiler::decompile::Step;
use ponens::compiler::explain::{self, Found};
use ponens::dsl::{Diagnostic, SourceMap, parse_expr};
use ponens::{Refusal, locate};
use serde_json::{Value, json};

const EXAMPLE: &str = "\
Examples:
  ponens decompile dpo
  ponens decompile --rho 'log(pi(w) * ref(l) / (pi(l) * ref(w)))'
  ponens decompile --rho 'log(pi(w) / pi(l)) - gamma / beta' \\
      --params 'beta = 2 in (0, inf), gamma = 0.5 in [0, inf)'";

/// Find the logic in a loss: (P, Pc, Pa), with the steps that lead there
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// Catalogue name, `.loss` file, or `file.loss:name`
    #[arg(value_name = "LOSS", required_unless_present = "rho", conflicts_with = "rho")]
    loss: Option<String>,
    /// An expression for rho over pi(w), pi(l), ref(w) and ref(l)
    #[arg(long, value_name = "EXPR")]
    rho: Option<String>,
    /// With --rho: declarations of the parameters that it uses
    #[arg(long, value_name = "PARAMS", requires = "rho")]
    params: Option<String>,
    /// With --rho: the atoms are means of token log-probabilities
    #[arg(long, requires = "rho")]
    mean: bool,
}

pub(crate) fn run(args: &Args, ui: &mut Ui) -> Outcome {
    let (loss, located) = match (&args.loss, &args.rho) {
        (Some(loss), _) => locate::locate(loss)?.resolve()?,
        (None, Some(rho)) => locate::in_text(&text(rho, args)?, "rho")?.resolve()?,
        (None, None) => return Err(Failure::Usage("name a LOSS, or give --rho".to_owned())),
    };
    let sources = located.program.sources;
    ui.report(&sources, &located.warnings);
    match explain::structure(&loss) {
        Ok(found) => {
            if ui.is_json() {
                ui.json(&document(&loss.name, &found))?;
            } else {
                show(&found, ui)?;
            }
            Ok(Status::Done)
        }
        Err(none) => {
            if ui.is_json() {
                ui.json(&json!({
                    "name": loss.name,
                    "core": null,
                    "rows": [],
                    "proof": [],
                    "reason": none.reason,
                }))?;
            }
            let d = Diagnostic::error("E0501", format!("no logic: {}", none.reason));
            let d = d.at(
                none.span.unwrap_or(loss.span),
                "this is not the logarithm of a ratio of counts",
            );
            Err(Refusal::new(sources, vec![d]).into())
        }
    }
}

/// The text of a loss around an expression.
fn text(rho: &str, args: &Args) -> Result<String, Failure> {
    let mut sources = SourceMap::default();
    let file = sources.add("<rho>", rho);
    if let Err(found) = parse_expr(&sources, file) {
        return Err(Refusal::new(sources, found).into());
    }
    let params = args.params.as_deref().unwrap_or_default();
    let aggregate = if args.mean { ", aggregate mean" } else { "" };
    Ok(format!(
        "loss rho({params}) {{\n    data pair(w > l)\n    model pi = policy{aggregate}\n    \
         model ref = reference{aggregate}\n    rho = {rho}\n    minimize logistic(rho)\n}}\n"
    ))
}

fn steps(found: &Found) -> &[Step] {
    found.decompiled.as_ref().map(|d| d.steps.as_slice()).unwrap_or_default()
}

fn document(name: &str, found: &Found) -> Value {
    let core = explain::core_text(&found.structure);
    let proof: Value = steps(found)
        .iter()
        .map(|s| json!({ "law": s.law.to_string(), "before": s.before(), "after": s.after() }))
        .collect();
    json!({
        "name": name,
        "core": { "p": core.p, "given": core.given, "tie": core.tie },
        "rows": rows(&explain::table(&found.structure)),
        "proof": proof,
    })
}

fn show(found: &Found, ui: &mut Ui) -> Result<(), Failure> {
    let core = explain::core_text(&found.structure);
    ui.line(format!("prefer  {}", core.p))?;
    ui.line(format!("given   {}", core.given))?;
    ui.line(format!("tie     {}", core.tie))?;
    ui.line("")?;
    truth_table(&explain::table(&found.structure), ui)?;
    let steps = steps(found);
    let Some(first) = steps.first() else { return Ok(()) };
    let style = ui.style;
    ui.line("")?;
    ui.line(style.strong("proof"))?;
    ui.line(format!("  {}", first.before()))?;
    for s in steps {
        ui.line(style.faint(&format!("    by {}", s.law)))?;
        ui.line(format!("  {}", s.after()))?;
    }
    Ok(())
}
