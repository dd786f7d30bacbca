//! `ponens landscape`

mod draw;
mod explorer;
mod list;

use crate::args::Format;
use crate::failure::{Failure, Outcome, Status};
use crate::output::Ui;
use crate::table::Table;
use clap::ValueEnum;
use ponens::compiler::explain;
use ponens::compiler::landscape::{
    self, Aggregate, Counts, Filter, Inputs, LandscapeError, Node, Query,
};
use ponens::compiler::logic::Structure;
use ponens::dsl::Diagnostic;
use ponens::known::Known;
use ponens::{Refusal, locate};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const EXAMPLE: &str = "\
Examples:
  ponens landscape                                   the counts for two atoms
  ponens landscape --lattice                         the sixteen losses and their order
  ponens landscape --lattice --format svg > lattice.svg
  ponens landscape --monotone --list
  ponens landscape --atoms 3 --monotone --new --usable-gradient sum --count
  ponens landscape --atoms 4 --between lattice.CEUnl_ref dpo --list --limit 20
  ponens landscape --between lattice.ORPO lattice.unCPO --format html > between.html

A loss is listed once for each rho, by its structure with nothing left to cancel. Ctrl-C ends a long
search; what was found until then is printed, and the exit status is 130.";

/// Count, filter, list and draw all losses that are logic
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// Atoms: 2 for pi(w) and pi(l), 3 with ref(w), 4 with ref(l)
    #[arg(long, default_value_t = 2, value_parser = atoms)]
    atoms: u8,
    /// Only losses that rise with the winner and fall with the loser
    #[arg(long)]
    monotone: bool,
    /// Only losses that depend on both the winner and the loser
    #[arg(long)]
    depends_on_both: bool,
    /// Only losses that change their sign when winner and loser are exchanged
    #[arg(long)]
    symmetric: bool,
    /// Only losses whose gradient is not negligible, for sums or means of token log-probabilities
    #[arg(long, value_enum, value_name = "sum|mean", hide_possible_values = true)]
    usable_gradient: Option<Usable>,
    /// Only losses that the first entails and that entail the second
    #[arg(long, num_args = 2, value_names = ["A", "B"])]
    between: Vec<String>,
    /// Only losses whose rho no loss of the catalogue has
    #[arg(long)]
    new: bool,
    /// Every structure, not one for each rho
    #[arg(long)]
    every_structure: bool,
    /// Count the losses that the options above leave
    #[arg(long)]
    count: bool,
    /// List them, one a line
    #[arg(long)]
    list: bool,
    /// List or draw at most so many
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// The two-atom lattice of sixteen losses and its order
    #[arg(long)]
    lattice: bool,
    /// With --lattice: the versions with a reference
    #[arg(long, requires = "lattice")]
    reference: bool,
}

/// Reads a number of atoms whose structures can be counted.
fn atoms(text: &str) -> Result<u8, String> {
    match text.parse::<u32>() {
        Ok(n @ 2..=4) => Ok(n as u8),
        Ok(n) if n < 2 => {
            Err("the landscape speaks of pi(w) and pi(l) at least: 2, 3 or 4".to_owned())
        }
        Ok(n @ ..32) => Err(format!(
            "{n} atoms have 4^{} structures, more than can be counted: 2, 3 or 4",
            1u64 << n
        )),
        Ok(_) => Err("more structures than can be counted: 2, 3 or 4".to_owned()),
        Err(_) => Err("not a number: 2, 3 or 4".to_owned()),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Usable {
    Sum,
    Mean,
}

pub(crate) fn run(args: &Args, ui: &mut Ui) -> Outcome {
    let stop = Arc::new(AtomicBool::new(false));
    let raise = Arc::clone(&stop);
    // Without a handler Ctrl-C ends the process, which is what it asks for.
    let _ = ctrlc::set_handler(move || raise.store(true, Ordering::SeqCst));
    if matches!(ui.format, Format::Dot | Format::Svg | Format::Html) {
        return draw::run(args, stop, ui);
    }
    let known = if args.list || args.new { Known::catalogue() } else { Known::default() };
    let query = args.query(&known)?.cancelled_by(Arc::clone(&stop));
    // A list for people is the list alone, and begins at once.
    if args.list && !ui.is_json() && !args.lattice {
        return list::text(args, &query, &known, ui);
    }
    if args.count && !ui.is_json() && !args.lattice {
        let found = count(&query, ui)?;
        ui.line(found.to_string())?;
        return Ok(Status::Done);
    }
    let counts = counts(args, &stop, ui)?;
    let found = match args.count || (args.asks() && !args.list) {
        true => Some(count(&query, ui)?),
        false => None,
    };
    if ui.is_json() {
        return list::json(args, document(args, &counts, found), &query, &known, ui);
    }
    show(args, &counts, found, ui)?;
    match args.list {
        true => {
            ui.line("")?;
            list::text(args, &query, &known, ui)
        }
        false => Ok(Status::Done),
    }
}

impl Args {
    /// Whether anything but the whole landscape is asked for.
    fn asks(&self) -> bool {
        let filters = [self.monotone, self.depends_on_both, self.symmetric, self.new];
        filters.contains(&true)
            || self.every_structure
            || self.usable_gradient.is_some()
            || !self.between.is_empty()
    }

    fn query(&self, known: &Known) -> Result<Query, Failure> {
        let mut q = Query::new(usize::from(self.atoms));
        if self.every_structure {
            q = q.every_structure();
        }
        if self.monotone {
            q = q.with(Filter::Monotone);
        }
        if self.depends_on_both {
            q = q.with(Filter::DependsOnBoth);
        }
        if self.symmetric {
            q = q.with(Filter::Symmetric);
        }
        if let Some(usable) = self.usable_gradient {
            let aggregate = match usable {
                Usable::Sum => Aggregate::Sum,
                Usable::Mean => Aggregate::Mean,
            };
            q = q.with(Filter::UsableGradient { aggregate, inputs: Inputs::All });
        }
        if self.new {
            q = q.with(Filter::NotIn(known.structures()));
        }
        if let [lower, upper] = self.between.as_slice() {
            q = q.with(Filter::Between { lower: structure(lower)?, upper: structure(upper)? });
        }
        q.limit = self.limit;
        Ok(q)
    }
}

/// The structure of a LOSS in the names of the landscape.
fn structure(name: &str) -> Result<Structure, Failure> {
    let (loss, located) = locate::locate(name)?.resolve()?;
    let refuse = |reason: &str, span| -> Failure {
        let d = Diagnostic::error("E0501", format!("`{}` is no logic: {reason}", loss.name))
            .at(span, "outside the logic");
        Refusal::new(located.program.sources.clone(), vec![d]).into()
    };
    let found =
        explain::structure(&loss).map_err(|n| refuse(&n.reason, n.span.unwrap_or(loss.span)))?;
    explain::in_plain_names(&loss, &found.structure)
        .ok_or_else(|| refuse("it has the sum and the mean of one response", loss.span))
}

fn refused(e: LandscapeError) -> Failure {
    let text = e.to_string();
    match e {
        LandscapeError::Cancelled { .. } => Failure::Interrupted(text),
        LandscapeError::ForeignAtom { .. } => Diagnostic::error("E0503", text)
            .help("the landscape of --atoms 4 speaks of pi and ref on w and l")
            .into(),
        LandscapeError::Atoms { .. } | LandscapeError::TooManyAtoms { .. } => {
            Diagnostic::error("E0503", text).into()
        }
        LandscapeError::Limit { .. } | LandscapeError::Undecided { .. } => {
            Diagnostic::error("E0602", text).into()
        }
    }
}

fn counts(args: &Args, stop: &AtomicBool, ui: &Ui) -> Result<Counts, Failure> {
    let progress = ui.progress("structures counted");
    let found = landscape::counts_until(usize::from(args.atoms), stop, &|done, all| {
        progress.set(done, all);
    });
    progress.end();
    found.map_err(refused)
}

fn count(query: &Query, ui: &Ui) -> Result<u64, Failure> {
    let progress = ui.progress("structures searched");
    let found = landscape::count(query, &|done, all| progress.set(done, all));
    progress.end();
    found.map_err(refused)
}

fn suffix(args: &Args) -> &'static str {
    if args.reference { "_ref" } else { "" }
}

/// Everything but the list.
fn document(args: &Args, c: &Counts, found: Option<u64>) -> Map<String, Value> {
    let mut d = Map::new();
    d.insert("atoms".into(), json!(c.atoms));
    d.insert("structures".into(), json!(c.structures));
    d.insert("nonempty".into(), json!(c.nonempty));
    d.insert("distinct_rho".into(), json!(c.distinct_rho));
    d.insert("monotone".into(), json!(c.monotone));
    d.insert("monotone_in_both".into(), json!(c.monotone_in_both));
    if let Some(n) = found {
        d.insert("found".into(), json!(n));
    }
    if args.lattice {
        let name = |n: &str| format!("lattice.{n}{}", suffix(args));
        let covers = landscape::lattice_covers();
        d.insert("covers".into(), covers.iter().map(|(a, b)| json!([name(a), name(b)])).collect());
    }
    d
}

/// Names and numbers, for people.
fn rows(c: &Counts, found: Option<u64>) -> Vec<(&'static str, u64)> {
    let mut rows = vec![
        ("structures", c.structures),
        ("with winning and losing rows", c.nonempty),
        ("distinct rho", c.distinct_rho),
        ("monotone", c.monotone),
        ("monotone in both responses", c.monotone_in_both),
    ];
    rows.extend(found.map(|n| ("found", n)));
    rows
}

/// The head and the rows of the lattice's table.
fn lattice(args: &Args) -> (Vec<&'static str>, Vec<Vec<String>>) {
    let suffix = suffix(args);
    let row = |node: Node| {
        let above: Vec<String> = landscape::lattice_covers()
            .into_iter()
            .filter(|(a, _)| *a == node.name)
            .map(|(_, b)| format!("{b}{suffix}"))
            .collect();
        let (t, b, s) = if args.reference {
            let (t, b) =
                (format!("({}) ref(l)", node.numerator), format!("({}) ref(w)", node.denominator));
            (t, b, node.with_reference())
        } else {
            (node.numerator.to_owned(), node.denominator.to_owned(), node.structure())
        };
        let core = explain::core_text(&s);
        vec![format!("{}{suffix}", node.name), t, b, core.p, core.given, core.tie, above.join(" ")]
    };
    let head = vec!["loss", "numerator", "denominator", "prefer", "given", "tie", "entails next"];
    (head, landscape::nodes().into_iter().map(row).collect())
}

fn show(args: &Args, c: &Counts, found: Option<u64>, ui: &mut Ui) -> Result<(), Failure> {
    let style = ui.style;
    ui.line(style.strong(&format!("losses over {} atoms", c.atoms)))?;
    ui.lines(rows(c, found).into_iter().map(|(what, n)| format!("  {what:<29} {n:>13}")))?;
    if args.lattice {
        ui.line("")?;
        let (head, rows) = lattice(args);
        let mut table = Table::new(head);
        rows.into_iter().for_each(|r| table.row(r));
        ui.lines(table.lines(style))?;
    }
    Ok(())
}
