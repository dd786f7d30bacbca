//! The losses of a search, printed as they are found.

use super::{Args, refused};
use crate::commands::explain::rows;
use crate::failure::{Failure, Outcome, Status};
use crate::output::Ui;
use ponens::compiler::decompile;
use ponens::compiler::explain;
use ponens::compiler::landscape::{self, LandscapeError, Query, Stream};
use ponens::compiler::logic::Structure;
use ponens::known::Known;
use serde_json::{Map, Value, json};

/// rho as the logarithm of a fraction; a side without rows counts 0.
pub(super) fn rho(structure: &Structure) -> String {
    match (structure.wins.is_false(), structure.loses.is_false()) {
        (false, false) => decompile::quotient(structure).to_string(),
        (true, false) => "-inf".to_owned(),
        (false, true) => "inf".to_owned(),
        (true, true) => "undefined".to_owned(),
    }
}

/// The clauses on one line.
pub(super) fn clauses(structure: &Structure) -> String {
    structure.core().shown(&structure.atoms).replace('\n', ", ")
}

/// One line a loss: rho, its clauses, the catalogue's names for it.
pub(super) fn text(args: &Args, query: &Query, known: &Known, ui: &mut Ui) -> Outcome {
    let mut found = Search::new(query, ui)?;
    let (mut listed, style) = (0u64, ui.style);
    while let Some(s) = found.next() {
        let names = known.names(&s).join(", ");
        let names = if names.is_empty() { names } else { format!("  {}", style.good(&names)) };
        ui.line(format!("{}  {}{names}", rho(&s), style.faint(&clauses(&s))))?;
        listed += 1;
    }
    found.end();
    match found.stopped() {
        None => ui.remark(format!("{listed} listed")),
        Some(LandscapeError::Limit { .. }) => {
            let more = if args.count { String::new() } else { "; --count counts all".to_owned() };
            ui.remark(format!("the first {listed}{more}"));
        }
        Some(e) => return Err(refused(e)),
    }
    Ok(Status::Done)
}

/// The document, its list written one line a loss while the search goes on.
pub(super) fn json(
    args: &Args,
    head: Map<String, Value>,
    query: &Query,
    known: &Known,
    ui: &mut Ui,
) -> Outcome {
    if !args.list {
        ui.json(&Value::Object(head))?;
        return Ok(Status::Done);
    }
    let mut search = Search::new(query, ui)?;
    ui.line("{")?;
    for (key, value) in &head {
        ui.line(format!("  {}: {value},", Value::from(key.as_str())))?;
    }
    ui.text("  \"losses\": [")?;
    let mut listed = 0u64;
    while let Some(s) = search.next() {
        let comma = if listed == 0 { "" } else { "," };
        ui.text(format!("{comma}\n    {}", entry(&s, known)))?;
        listed += 1;
    }
    search.end();
    let stopped = search.stopped();
    ui.line(if listed == 0 { "]," } else { "\n  ]," })?;
    ui.line(format!("  \"listed\": {listed},"))?;
    let why = stopped.as_ref().map(LandscapeError::to_string);
    ui.line(format!("  \"stopped\": {}\n}}", json!(why)))?;
    match stopped {
        None | Some(LandscapeError::Limit { .. }) => Ok(Status::Done),
        Some(e) => Err(refused(e)),
    }
}

fn entry(s: &Structure, known: &Known) -> Value {
    let core = explain::core_text(s);
    json!({
        "core": { "p": core.p, "given": core.given, "tie": core.tie },
        "rho": rho(s),
        "names": known.names(s),
        "rows": rows(&explain::table(s)),
    })
}

/// A stream with a bar while it is silent.
struct Search {
    stream: Stream,
    bar: crate::bar::Bar,
}

impl Search {
    fn new(query: &Query, ui: &Ui) -> Result<Self, Failure> {
        let stream = landscape::stream(query).map_err(refused)?;
        Ok(Self { stream, bar: ui.search_progress("structures searched") })
    }

    fn next(&mut self) -> Option<Structure> {
        let next = self.stream.next();
        let (done, all) = self.stream.progress();
        self.bar.set(done, all);
        next
    }

    fn end(&self) {
        self.bar.end();
    }

    fn stopped(&self) -> Option<LandscapeError> {
        self.stream.stopped().cloned()
    }
}
