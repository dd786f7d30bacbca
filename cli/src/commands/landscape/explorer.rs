//! The page on which one explores an order of losses: no other file, no network.

use super::list;
use ponens::compiler::explain;
use ponens::compiler::landscape::draw::Diagram;
use ponens::compiler::logic::Structure;
use ponens::known::Known;
use serde_json::{Value, json};

const PAGE: &str = include_str!("explorer.html");

/// The page of named structures, in the places that a diagram of the same structures gives them.
pub(super) fn page(
    named: &[(String, Structure)],
    diagram: &Diagram,
    known: &Known,
    counts: &[(&str, u64)],
) -> String {
    let nodes: Vec<Value> = named
        .iter()
        .zip(diagram.places())
        .map(|((label, s), place)| {
            let core = explain::core_text(s);
            let atoms: Vec<&str> = s.atoms.iter().map(|a| a.name.as_str()).collect();
            let names: Vec<&String> =
                known.names(s).iter().filter(|n| !n.starts_with("lattice.")).collect();
            json!({
                "label": label,
                "names": names,
                "atoms": atoms,
                "wins": s.wins.rows().collect::<Vec<_>>(),
                "loses": s.loses.rows().collect::<Vec<_>>(),
                "p": core.p,
                "given": core.given,
                "tie": core.tie,
                "rho": list::rho(s),
                "layer": place.layer,
                "place": place.place,
                "width": place.width,
            })
        })
        .collect();
    let data = json!({ "nodes": nodes, "covers": diagram.covers(), "counts": counts });
    // Inside a script only this could end it.
    PAGE.replacen("__DATA__", &data.to_string().replace("</", "<\\/"), 1)
}
