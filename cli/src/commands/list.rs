//! `ponens list`

use crate::failure::{Failure, Outcome, Status};
use crate::output::Ui;
use crate::table::Table;
use ponens::compiler::explain;
use ponens::compiler::hir::{Aggregate, Loss, Model, Program};
use ponens::compiler::landscape;
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
    /// Only one family, such as `pair`, `ranked`, `group` or `lattice`
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
        let mut table =
            Table::new(["family", "name", "data", "models", "logic", "parameters", "title"]);
        let mut last = "";
        for (e, l) in &losses {
            // The family stands at the first of its losses.
            let family = if e.family == last { "" } else { e.family };
            last = e.family;
            let params: Vec<String> = l.params.iter().map(shown).collect();
            let models: Vec<String> = l.models.iter().map(needed).collect();
            table.row(vec![
                family.to_owned(),
                e.name.to_string(),
                l.shape.to_string(),
                models.join(", "),
                Logic::of(l).short(),
                params.join(" "),
                l.title(),
            ]);
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

/// `ref`, `pi (value)`
fn needed(m: &Model) -> String {
    let heads: Vec<String> = m.heads.iter().map(ToString::to_string).collect();
    if heads.is_empty() { m.name.clone() } else { format!("{} ({})", m.name, heads.join(", ")) }
}

/// Where a loss stands in the logic.
enum Logic {
    /// A node of the two-atom lattice, or its reference version.
    Node(String),
    /// A structure of its own, by its core formula.
    Core(String),
    /// None, for a reason.
    Outside(String),
}

impl Logic {
    fn of(loss: &Loss) -> Self {
        let structure = match explain::structure(loss) {
            Ok(found) => found.structure,
            Err(none) => return Self::Outside(none.reason),
        };
        let plain = explain::in_plain_names(loss, &structure);
        let node = plain.and_then(|s| landscape::neighbours(&s).ok()?.equal);
        match node {
            Some(node) => Self::Node(node),
            None => Self::Core(explain::core_text(&structure).p),
        }
    }

    fn short(&self) -> String {
        match self {
            Self::Node(node) => format!("lattice.{node}"),
            Self::Core(p) => p.clone(),
            Self::Outside(_) => "-".to_owned(),
        }
    }

    fn document(&self) -> Value {
        let (node, core, outside) = match self {
            Self::Node(n) => (Some(n), None, None),
            Self::Core(p) => (None, Some(p), None),
            Self::Outside(reason) => (None, None, Some(reason)),
        };
        json!({ "node": node, "core": core, "outside": outside })
    }
}

fn shown(p: &Param) -> String {
    match p.default {
        Some(x) => format!("{}={}", p.name, number::to_text(x)),
        None => p.name.clone(),
    }
}

fn aggregate(a: Aggregate) -> &'static str {
    match a {
        Aggregate::Sum => "sum",
        Aggregate::Mean => "mean",
        Aggregate::Length => "len ^ p",
        Aggregate::Shared => "shared(alpha)",
        Aggregate::Diverged => "diverged",
    }
}

fn document(entry: &Entry, loss: &Loss) -> Value {
    let models: Vec<Value> = loss
        .models
        .iter()
        .map(|m| {
            json!({
                "name": m.name,
                "role": m.role.to_string(),
                "aggregate": aggregate(m.aggregate),
                "heads": m.heads.iter().map(ToString::to_string).collect::<Vec<_>>(),
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
        "logic": Logic::of(loss).document(),
    })
}
