//! The lattice, or the losses of a search, drawn in their order.

use super::{Args, counts, lattice, list, refused, rows};
use crate::args::Format;
use crate::failure::{Failure, Outcome, Status};
use crate::output::Ui;
use ponens::compiler::landscape::{self, LandscapeError, draw::Diagram};
use ponens::compiler::logic::Structure;
use ponens::known::Known;
use ponens::page;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// More losses than this make no picture that can be read.
const MOST: u64 = 200;

pub(super) fn run(args: &Args, stop: Arc<AtomicBool>, ui: &mut Ui) -> Outcome {
    let searched = !args.lattice && (args.list || args.asks());
    let (diagram, table) = if searched {
        let known = Known::catalogue();
        let found = found(args, &known, Arc::clone(&stop))?;
        let label = |s: &Structure| match known.names(s).first() {
            Some(name) => name.trim_start_matches("lattice.").to_owned(),
            None => list::rho(s),
        };
        let named: Vec<(String, Structure)> = found.into_iter().map(|s| (label(&s), s)).collect();
        let row = |(_, s): &(String, Structure)| {
            vec![list::rho(s), list::clauses(s), known.names(s).join(", ")]
        };
        let table = (vec!["rho", "logic", "names"], named.iter().map(row).collect());
        (Diagram::of_structures(&named).map_err(refused)?, table)
    } else {
        (Diagram::of_lattice(args.reference).map_err(refused)?, lattice(args))
    };
    match ui.format {
        Format::Dot => ui.text(diagram.to_dot())?,
        Format::Svg => ui.text(diagram.to_svg())?,
        _ => {
            let counts = counts(args, &stop, ui)?;
            let numbers: Vec<Vec<String>> = rows(&counts, None)
                .into_iter()
                .map(|(what, n)| vec![what.to_owned(), n.to_string()])
                .collect();
            let over = format!("over {} atoms", counts.atoms);
            let body = format!(
                "<p>A line leads from a loss up to the ones that it entails: their rho is nowhere \
                 lower.</p>\n{}\n{}\n{}",
                diagram.to_svg(),
                page::table(&table.0, &table.1),
                page::table(&["losses", &over], &numbers)
            );
            ui.text(page::page("The landscape of preference losses", &body))?;
        }
    }
    Ok(Status::Done)
}

/// The losses to draw.
fn found(args: &Args, known: &Known, stop: Arc<AtomicBool>) -> Result<Vec<Structure>, Failure> {
    let mut query = args.query(known)?.cancelled_by(stop);
    // One more than can be drawn tells whether there are too many.
    query.limit = Some(args.limit.unwrap_or(MOST + 1).min(MOST + 1));
    let mut stream = landscape::stream(&query).map_err(refused)?;
    let found: Vec<Structure> = stream.by_ref().collect();
    match stream.stopped() {
        None | Some(LandscapeError::Limit { .. }) => {}
        Some(e) => return Err(refused(e.clone())),
    }
    if found.len() as u64 > MOST {
        return Err(Failure::Usage(format!(
            "there are more than {MOST} losses to draw: narrow the search, or give --limit {MOST}"
        )));
    }
    Ok(found)
}
