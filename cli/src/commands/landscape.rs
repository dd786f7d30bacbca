//! `ponens landscape`

use super::explain::rows;
use crate::args::Format;
use crate::failure::{Failure, Outcome, Status};
use crate::output::Ui;
use crate::table::Table;
use clap::ValueEnum;
use ponens::compiler::explain;
use ponens::compiler::landscape::{
    self, Aggregate, Counts, Filter, Inputs, LandscapeError, Query, draw::Diagram,
};
use ponens::compiler::logic::Structure;
use ponens::dsl::Diagnostic;
use ponens::known::Known;
use ponens::locate;
use serde_json::{Value, json};

const EXAMPLE: &str = "\
Examples:
  ponens landscape                                   the counts for two atoms
  ponens landscape --lattice                         the sixteen losses and their order
  ponens landscape --lattice --format svg > lattice.svg
  ponens landscape --monotone --list --limit 40
  ponens landscape --atoms 4 --between cpo dpo --list
  ponens landscape --atoms 3 --monotone --new --usable sum";

/// Count, filter, list and draw all losses that are logic
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// Atoms: 2 for pi(w) and pi(l), 3 with ref(w), 4 with ref(l)
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(2..=4))]
    atoms: u8,
    /// Only losses that rise with the winner and fall with the loser
    #[arg(long)]
    monotone: bool,
    /// Only losses that depend on both the winner and the loser
    #[arg(long)]
    both: bool,
    /// Only losses that change their sign when winner and loser are exchanged
    #[arg(long)]
    symmetric: bool,
    /// Only losses whose gradient is not negligible, for sums or means of token log-probabilities
    #[arg(long, value_enum, value_name = "sum|mean", hide_possible_values = true)]
    usable: Option<Usable>,
    /// Only losses that the first entails and that entail the second
    #[arg(long, num_args = 2, value_names = ["A", "B"])]
    between: Vec<String>,
    /// Only losses whose rho no loss of the catalogue has
    #[arg(long)]
    new: bool,
    /// Every structure, not one for each rho
    #[arg(long)]
    structures: bool,
    /// List the losses that are found
    #[arg(long)]
    list: bool,
    /// With --list: at most so many
    #[arg(long, default_value_t = 100)]
    limit: u64,
    /// The two-atom lattice of sixteen losses and its order
    #[arg(long)]
    lattice: bool,
    /// With --lattice: the versions with a reference
    #[arg(long, requires = "lattice")]
    reference: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Usable {
    Sum,
    Mean,
}

pub(crate) fn run(args: &Args, ui: &mut Ui) -> Outcome {
    if matches!(ui.format, Format::Dot | Format::Svg | Format::Html) {
        return draw(args, ui);
    }
    let counts = landscape::counts(usize::from(args.atoms)).map_err(refused)?;
    let known = if args.list || args.new { Known::catalogue() } else { Known::default() };
    let query = query(args, &known)?;
    let found = match &query {
        Some(q) => {
            let progress = ui.progress("structures searched");
            let found = landscape::count(q, &|done, all| progress.set(done, all));
            progress.end();
            Some(found.map_err(refused)?)
        }
        None => None,
    };
    let losses = if args.list { listed(args, query, &known)? } else { Vec::new() };
    if ui.is_json() {
        ui.json(&document(args, &counts, found, &losses))?;
    } else {
        show(args, &counts, found, &losses, ui)?;
    }
    Ok(Status::Done)
}

fn refused(e: LandscapeError) -> Failure {
    let code = match e {
        LandscapeError::Atoms { .. } | LandscapeError::TooManyAtoms { .. } => "E0503",
        LandscapeError::ForeignAtom { .. } => "E0503",
        _ => "E0602",
    };
    let d = Diagnostic::error(code, e.to_string());
    match e {
        LandscapeError::ForeignAtom { .. } => d.help("use more atoms: --atoms 4 has the reference"),
        _ => d,
    }
    .into()
}

/// The question that the options ask, if they ask one.
fn query(args: &Args, known: &Known) -> Result<Option<Query>, Failure> {
    let mut q = Query::new(usize::from(args.atoms));
    if args.structures {
        q = q.every_structure();
    }
    if args.monotone {
        q = q.with(Filter::Monotone);
    }
    if args.both {
        q = q.with(Filter::DependsOnBoth);
    }
    if args.symmetric {
        q = q.with(Filter::Symmetric);
    }
    if let Some(usable) = args.usable {
        let aggregate = match usable {
            Usable::Sum => Aggregate::Sum,
            Usable::Mean => Aggregate::Mean,
        };
        q = q.with(Filter::UsableGradient { aggregate, inputs: Inputs::Policy });
    }
    if args.new {
        q = q.with(Filter::NotIn(known.structures()));
    }
    if let [lower, upper] = args.between.as_slice() {
        q = q.with(Filter::Between { lower: structure(lower)?, upper: structure(upper)? });
    }
    let asked = !q.filters.is_empty() || args.structures;
    Ok((asked || args.list).then_some(q))
}

/// The structure of a LOSS, with sums for means: the landscape does not tell them apart.
fn structure(loss: &str) -> Result<Structure, Failure> {
    let (loss, located) = locate::locate(loss)?.resolve()?;
    match explain::structure(&loss) {
        Ok(found) => Ok(ponens::known::summed(&found.structure)),
        Err(n) => {
            let d =
                Diagnostic::error("E0501", format!("`{}` is no logic: {}", loss.name, n.reason))
                    .at(n.span.unwrap_or(loss.span), "outside the logic");
            Err(ponens::Refusal::new(located.program.sources, vec![d]).into())
        }
    }
}

struct Listed {
    names: Vec<String>,
    structure: Structure,
}

fn listed(args: &Args, query: Option<Query>, known: &Known) -> Result<Vec<Listed>, Failure> {
    let query = query.unwrap_or_else(|| Query::new(usize::from(args.atoms))).limit(args.limit);
    let stream = landscape::stream(&query).map_err(refused)?;
    Ok(stream.map(|structure| Listed { names: known.names(&structure), structure }).collect())
}

fn document(args: &Args, c: &Counts, found: Option<u64>, losses: &[Listed]) -> Value {
    let mut d = json!({
        "atoms": c.atoms,
        "structures": c.structures,
        "nonempty": c.nonempty,
        "distinct_rho": c.distinct_rho,
        "monotone": c.monotone,
        "monotone_in_both": c.monotone_in_both,
    });
    if let Some(n) = found {
        d["found"] = json!(n);
    }
    if args.lattice {
        let suffix = if args.reference { "_ref" } else { "" };
        let name = |n: &str| format!("lattice.{n}{suffix}");
        d["covers"] =
            landscape::lattice_covers().iter().map(|(a, b)| json!([name(a), name(b)])).collect();
    }
    if args.list {
        d["losses"] = losses
            .iter()
            .map(|l| {
                let core = explain::core_text(&l.structure);
                json!({
                    "names": l.names,
                    "core": { "p": core.p, "given": core.given, "tie": core.tie },
                    "rows": rows(&explain::table(&l.structure)),
                })
            })
            .collect();
    }
    d
}

fn show(
    args: &Args,
    c: &Counts,
    found: Option<u64>,
    losses: &[Listed],
    ui: &mut Ui,
) -> Result<(), Failure> {
    let style = ui.style;
    let rows = [
        ("structures", c.structures),
        ("with winning and losing rows", c.nonempty),
        ("distinct rho", c.distinct_rho),
        ("monotone", c.monotone),
        ("monotone in both responses", c.monotone_in_both),
    ];
    ui.line(style.strong(&format!("losses over {} atoms", c.atoms)))?;
    let found = found.map(|n| ("found", n));
    for (what, n) in rows.into_iter().chain(found) {
        ui.line(format!("  {what:<29} {n:>13}"))?;
    }
    if args.lattice {
        ui.line("")?;
        let suffix = if args.reference { "_ref" } else { "" };
        let mut table = Table::new(["loss", "numerator", "denominator", "entails next"]);
        for node in landscape::nodes() {
            let above: Vec<String> = landscape::lattice_covers()
                .into_iter()
                .filter(|(a, _)| *a == node.name)
                .map(|(_, b)| format!("{b}{suffix}"))
                .collect();
            let (t, b) = if args.reference {
                (format!("({}) ref(l)", node.numerator), format!("({}) ref(w)", node.denominator))
            } else {
                (node.numerator.to_owned(), node.denominator.to_owned())
            };
            table.row(vec![format!("{}{suffix}", node.name), t, b, above.join(" ")]);
        }
        ui.lines(table.lines(style))?;
    }
    if args.list {
        ui.line("")?;
        let mut table = Table::new(["prefer", "given", "tie", "names"]);
        for l in losses {
            let core = explain::core_text(&l.structure);
            table.row(vec![core.p, core.given, core.tie, l.names.join(" ")]);
        }
        ui.lines(table.lines(style))?;
        if found.is_some_and(|(_, n)| n > losses.len() as u64) {
            ui.remark(format!("the first {} of them; --limit shows more", losses.len()));
        }
    }
    Ok(())
}

/// The lattice, or the losses found, as a drawing of their order.
fn draw(args: &Args, ui: &mut Ui) -> Outcome {
    let diagram = if args.lattice || !args.list {
        Diagram::of_lattice(args.reference).map_err(refused)?
    } else {
        let known = Known::catalogue();
        let query = query(args, &known)?;
        let named: Vec<(String, Structure)> = listed(args, query, &known)?
            .into_iter()
            .map(|l| {
                let name = l.names.first().cloned();
                (name.unwrap_or_else(|| explain::core_text(&l.structure).p), l.structure)
            })
            .collect();
        Diagram::of_structures(&named).map_err(refused)?
    };
    match ui.format {
        Format::Dot => ui.text(diagram.to_dot())?,
        Format::Svg => ui.text(diagram.to_svg())?,
        _ => {
            ui.text(ponens::page::page("The landscape of preference losses", &diagram.to_svg()))?
        }
    }
    Ok(Status::Done)
}
