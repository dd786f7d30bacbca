//! The picture of a loss, alone or on a page.

use crate::args::Format;
use crate::failure::{Failure, Outcome, Status};
use crate::output::Ui;
use ponens::compiler::explain::{Explanation, dynamics, picture};
use ponens::compiler::session::Compiled;
use ponens::dsl::Diagnostic;
use ponens::{number, page};

/// Cells a side: enough for smooth lines.
const CELLS: usize = 48;
/// Arrows a side.
const ARROWS: usize = 12;

pub(super) fn run(compiled: &Compiled, e: &Explanation, ui: &mut Ui) -> Outcome {
    let field = dynamics::field(compiled, CELLS, ARROWS).map_err(|why| {
        Failure::from(
            Diagnostic::error("E0205", format!("`{}` cannot be drawn: {why}", e.name))
                .help("`ponens explain` without --format says what it is"),
        )
    })?;
    let params: Vec<String> = compiled
        .loss
        .params
        .iter()
        .filter_map(|p| Some(format!("{} = {}", p.name, number::to_text(p.default?))))
        .collect();
    let subtitle = match params.as_slice() {
        [] => e.title.clone(),
        params => format!("{}; {}", e.title, params.join(", ")),
    };
    let svg = picture::svg(&field, &e.name, &subtitle);
    if ui.format == Format::Svg {
        ui.text(svg)?;
        return Ok(Status::Done);
    }
    let mut rows = Vec::new();
    if let Some(core) = &e.core {
        for (what, text) in [("prefer", &core.p), ("given", &core.given), ("tie", &core.tie)] {
            rows.push(vec![what.to_owned(), text.clone()]);
        }
    }
    let parts = [("rho", e.rho.as_deref()), ("link", e.link.as_deref()), ("loss", Some(&*e.value))];
    rows.extend(parts.into_iter().filter_map(|(n, t)| Some(vec![n.to_owned(), t?.to_owned()])));
    rows.extend(e.gradients.iter().map(|(c, g)| vec![format!("d/{c}"), g.clone()]));
    let body = format!("{svg}\n{}", page::table(&["part", "text"], &rows));
    ui.text(page::page(&e.name, &body))?;
    Ok(Status::Done)
}
