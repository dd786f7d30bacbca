//! A decompilation into more atoms than a truth table of six holds.

use super::{clauses_json, constants_json, proof, proof_json};
use crate::commands::explain::{rows, truth_table};
use crate::commands::outside::Parts;
use crate::failure::{Outcome, Status};
use crate::output::Ui;
use ponens::compiler::decompile::{self, Expr, LargeDecompiled};
use ponens::compiler::explain;
use ponens::dsl::Diagnostic;
use serde_json::json;

pub(super) fn run(
    name: &str,
    rho: &Expr,
    found: &LargeDecompiled,
    outside: &Parts<'_>,
    ui: &mut Ui,
) -> Outcome {
    decompile::check_large(rho, found).map_err(|e| {
        Diagnostic::error("E0603", format!("the checker refuses the decompilation: {e}"))
    })?;
    let (atoms, table) = (&found.structure.atoms, explain::large_table(&found.structure));
    if ui.is_json() {
        ui.json(&json!({
            "name": name,
            "rho": rho.to_string(),
            "core": clauses_json(&found.core, atoms),
            "rows": rows(&table),
            "constants": constants_json(&found.constants, atoms),
            "cancelled": null,
            "outside": outside.json(),
            "proof": proof_json(&found.steps),
        }))?;
        return Ok(Status::Done);
    }
    let style = ui.style;
    ui.line(format!("{}     {rho}", style.strong("rho")))?;
    let clauses =
        [("prefer", &found.core.p), ("given ", &found.core.given), ("tie   ", &found.core.tie)];
    for (clause, formula) in clauses {
        ui.line(format!("{}  {}", style.strong(clause), formula.shown(atoms)))?;
    }
    ui.line("")?;
    truth_table(&table, ui)?;
    outside.show(ui)?;
    proof(&found.steps, ui)?;
    Ok(Status::Done)
}
