//! The lattice, or the losses of a search, drawn in their order.

use super::{Args, counts, explorer, list, refused, rows};
use crate::args::Format;
use crate::failure::{Failure, Outcome, Status};
use crate::output::Ui;
use ponens::compiler::landscape::{self, LandscapeError, Node, draw::Diagram};
use ponens::compiler::logic::Structure;
use ponens::known::Known;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// More losses than this make no picture that can be read.
const MOST: u64 = 200;

pub(super) fn run(args: &Args, stop: Arc<AtomicBool>, ui: &mut Ui) -> Outcome {
    let searched = !args.lattice && (args.list || args.asks());
    let known = Known::catalogue();
    let named = if searched {
        let label = |s: &Structure| match known.names(s).first() {
            Some(name) => name.trim_start_matches("lattice.").to_owned(),
            None => list::rho(s),
        };
        found(args, &known, Arc::clone(&stop))?.into_iter().map(|s| (label(&s), s)).collect()
    } else {
        of_lattice(args)
    };
    let diagram = match searched {
        true => Diagram::of_structures(&named),
        false => Diagram::of_lattice(args.reference),
    };
    let diagram = diagram.map_err(refused)?;
    match ui.format {
        Format::Dot => ui.text(diagram.to_dot())?,
        Format::Svg => ui.text(diagram.to_svg())?,
        _ => {
            let mut shown = vec![("atoms counted over", u64::from(args.atoms))];
            shown.extend(rows(&counts(args, &stop, ui)?, None));
            ui.text(explorer::page(&named, &diagram, &known, &shown))?;
        }
    }
    Ok(Status::Done)
}

/// The nodes of the lattice, or their reference versions.
fn of_lattice(args: &Args) -> Vec<(String, Structure)> {
    let node = |n: &Node| match args.reference {
        true => (format!("{}_ref", n.name), n.with_reference()),
        false => (n.name.to_owned(), n.structure()),
    };
    landscape::nodes().iter().map(node).collect()
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
