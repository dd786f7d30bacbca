//! `ponens list`

use crate::failure::{Failure, Outcome, Status};
use crate::output::Ui;
use crate::table::Table;
use ponens::compiler::hir::{Aggregate, Loss, Program, Role};
use ponens::compiler::mir::Param;
use ponens::dsl::{Diagnostic, suggest};
use ponens::losses::{Catalogue, Entry};
use ponens::{Refusal, number};
use serde_json::{Value, json};

const EXAMPLE: &str = "\
Examples:
  ponens list
  ponens list --family lattice
  ponens list --format json | jq -r '.[].name'";

/// List the losses of the catalogue
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// Only one family, such as `pair`, `labelled`, `batch` or `lattice`
    #[arg(long)]
    family: Option<String>,
}

pub(crate) fn run(args: &Args, ui: &mut Ui) -> Outcome {
    let entries = selected(args.family.as_deref())?;
    let mut losses = Vec::with_capacity(entries.len());
    for e in entries {
        let mut program = Program::new();
        match program.resolve(&e.name.to_string(), &Catalogue) {
            (Some(loss), _) => losses.push((e, loss)),
            (None, found) => return Err(Refusal::new(program.sources, found).into()),
        }
    }
    if ui.is_json() {
        let all: Vec<Value> = losses.iter().map(|(e, l)| document(e, l)).collect();
        ui.json(&Value::from(all))?;
    } else {
        let mut table = Table::new(["name", "data", "parameters", "title"]);
        for (e, l) in &losses {
            let params: Vec<String> = l.params.iter().map(shown).collect();
            let shape = l.shape.to_string();
            table.row(vec![e.name.to_string(), shape, params.join(" "), l.title()]);
        }
        ui.lines(table.lines(ui.style))?;
    }
    Ok(Status::Done)
}

fn selected(family: Option<&str>) -> Result<Vec<Entry>, Failure> {
    let Some(family) = family else { return Ok(Catalogue.entries().collect()) };
    let entries: Vec<Entry> = Catalogue.entries().filter(|e| e.family == family).collect();
    if !entries.is_empty() {
        return Ok(entries);
    }
    let mut known: Vec<&str> = Catalogue.entries().map(|e| e.family).collect();
    known.dedup();
    let d = Diagnostic::error("E0103", format!("the catalogue has no family `{family}`"));
    Err(match suggest::closest(family, known.iter().copied()) {
        Some(s) => d.help(format!("did you mean `{s}`?")),
        None => d.help(format!("families: {}", known.join(", "))),
    }
    .into())
}

fn shown(p: &Param) -> String {
    match p.default {
        Some(x) => format!("{}={}", p.name, number::to_text(x)),
        None => p.name.clone(),
    }
}

fn document(entry: &Entry, loss: &Loss) -> Value {
    let models: Vec<Value> = loss
        .models
        .iter()
        .map(|m| {
            json!({
                "name": m.name,
                "role": match m.role { Role::Policy => "policy", Role::Reference => "reference" },
                "aggregate": match m.aggregate { Aggregate::Sum => "sum", Aggregate::Mean => "mean" },
            })
        })
        .collect();
    let params: Vec<Value> = loss
        .params
        .iter()
        .map(|p| {
            json!({
                "name": p.name,
                "default": p.default.map(number::to_json),
                "range": p.range.to_string(),
            })
        })
        .collect();
    let columns: Vec<String> = loss.columns.iter().map(|c| c.name()).collect();
    json!({
        "name": entry.name.to_string(),
        "family": entry.family,
        "title": loss.title(),
        "data": loss.shape.to_string(),
        "models": models,
        "params": params,
        "columns": columns,
        "source": loss.source(),
    })
}
