//! `ponens explain`

mod picture;
mod pulls;

use super::outside::Parts;
use crate::args::{Format, LossArg};
use crate::failure::{Failure, Outcome, Status};
use crate::output::Ui;
use crate::table::Table;
use ponens::compiler::explain::{self, Explanation, Row, dynamics};
use ponens::compiler::logic::Mark;
use ponens::compiler::session::Options;
use ponens::dsl::diagnostic::to_json;
use ponens::dsl::{Diagnostic, SourceMap, codes, suggest};
use ponens::{errors, locate};
use serde_json::{Map, Value, json};

const EXAMPLE: &str = "\
Examples:
  ponens explain dpo
  ponens explain my.loss:mine --format json | jq .core
  ponens explain dpo --format svg > dpo.svg      rho and its pull, drawn over (p_w, p_l)
  ponens explain E0301                  what a diagnostic code means";

/// A truth table of more rows is summed up.
const MOST_ROWS: usize = 64;

/// Explain a loss: its logical core, truth table, gradients, dynamics and what lies outside the logic
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    #[command(flatten)]
    loss: LossArg,
}

pub(crate) fn run(args: &Args, ui: &mut Ui) -> Outcome {
    if is_code(&args.loss.loss) {
        return code(&args.loss.loss, ui);
    }
    let (compiled, located) = locate::locate(&args.loss.loss)?.compile(&Options::default())?;
    let e = explain::explain(&compiled);
    let sources = &located.program.sources;
    if matches!(ui.format, Format::Svg | Format::Html) {
        return picture::run(&compiled, &e, ui);
    }
    let d = dynamics::dynamics(&compiled, e.structure.as_ref());
    if ui.is_json() {
        let mut document = document(&e, sources);
        document["dynamics"] = pulls::document(&d);
        ui.json(&document)?;
    } else {
        show(&e, sources, ui)?;
        pulls::show(&d, ui)?;
        ui.report(sources, &e.warnings);
    }
    Ok(Status::Done)
}

fn is_code(text: &str) -> bool {
    let mut letters = text.chars();
    matches!(letters.next(), Some('E' | 'W'))
        && text.len() == 5
        && letters.all(|c| c.is_ascii_digit())
}

fn code(code: &str, ui: &mut Ui) -> Outcome {
    let Some(headline) = codes::headline(code) else {
        let d = Diagnostic::error("E0101", format!("there is no diagnostic code `{code}`"));
        let known = codes::CODES.iter().map(|(c, _)| *c);
        return Err(Failure::from(match suggest::closest(code, known) {
            Some(s) => d.help(format!("did you mean `{s}`?")),
            None => d.help("a code is a letter and four digits, such as E0301"),
        }));
    };
    let severity = if code.starts_with('W') { "warning" } else { "error" };
    let page = errors::page(code);
    if ui.is_json() {
        ui.json(
            &json!({ "code": code, "severity": severity, "headline": headline, "page": page }),
        )?;
        return Ok(Status::Done);
    }
    match page {
        // The title says the code and the headline.
        Some(page) => page.lines().try_for_each(|line| match line.trim_start_matches('#') {
            title if title.len() < line.len() => ui.line(ui.style.strong(title.trim())),
            _ => ui.line(line),
        })?,
        None => ui.line(format!("{} ({severity}): {headline}", ui.style.strong(code)))?,
    }
    Ok(Status::Done)
}

/// The rows of a truth table as JSON.
pub(super) fn rows(rows: &[Row]) -> Value {
    rows.iter()
        .map(|r| {
            let assignment: Map<String, Value> =
                r.assignment.iter().map(|(a, v)| (a.clone(), Value::from(*v))).collect();
            json!({ "assignment": assignment, "mark": r.mark.to_string() })
        })
        .collect()
}

/// An explanation as JSON.
pub(super) fn document(e: &Explanation, sources: &SourceMap) -> Value {
    let core = e.core.as_ref().map(|c| json!({ "p": c.p, "given": c.given, "tie": c.tie }));
    let outside = Parts { list: &e.outside, sources }.json();
    let gradients: Map<String, Value> =
        e.gradients.iter().map(|(c, g)| (c.clone(), Value::from(g.as_str()))).collect();
    let place = e.place.clone().unwrap_or_default();
    json!({
        "name": e.name,
        "title": e.title,
        "source": e.source,
        "core": core,
        "no_core": e.no_core.as_ref().map(|n| n.reason.as_str()),
        "rows": rows(&e.rows),
        "rho": e.rho,
        "link": e.link,
        "outside": outside,
        "node": place.node,
        "neighbours": { "above": place.above, "below": place.below },
        "value": e.value,
        "gradients": gradients,
        "warnings": to_json(&e.warnings, sources),
    })
}

/// Prints the parts that people read first at the top.
pub(super) fn show(e: &Explanation, sources: &SourceMap, ui: &mut Ui) -> Result<(), Failure> {
    let style = ui.style;
    ui.line(format!("{}  {}", style.strong(&e.name), e.title))?;
    if let Some(source) = &e.source {
        ui.line(style.faint(source))?;
    }
    if let Some(core) = &e.core {
        ui.line("")?;
        ui.line(style.strong("core"))?;
        ui.line(format!("  prefer  {}", core.p))?;
        ui.line(format!("  given   {}", core.given))?;
        ui.line(format!("  tie     {}", core.tie))?;
        ui.line("")?;
        truth_table(&e.rows, ui)?;
    }
    if let Some(none) = &e.no_core {
        ui.line("")?;
        ui.line(format!("{}  {}", style.strong("no logical core"), none.reason))?;
    }
    ui.line("")?;
    for (name, text) in [("rho", &e.rho), ("link", &e.link)] {
        if let Some(text) = text {
            ui.line(format!("{}  {}", style.strong(&format!("{name:<4}")), indented(text, 6)))?;
        }
    }
    ui.line(format!("{}  {}", style.strong("loss"), indented(&e.value, 6)))?;
    Parts { list: &e.outside, sources }.show(ui)?;
    if let Some(place) = &e.place {
        ui.line("")?;
        ui.line(style.strong("in the two-atom lattice"))?;
        let list = |names: &[String]| match names {
            [] => "none".to_owned(),
            names => names.join(", "),
        };
        let node = place.node.as_deref().unwrap_or("none of its nodes");
        ui.line(format!("  is           {node}"))?;
        ui.line(format!("  entails      {}", list(&place.above)))?;
        ui.line(format!("  entailed by  {}", list(&place.below)))?;
    }
    ui.line("")?;
    ui.line(style.strong("gradients"))?;
    e.gradients.iter().try_for_each(|(c, g)| ui.line(format!("  d/{c} = {}", indented(g, 4))))
}

/// Text whose second and later lines stand below the first.
pub(super) fn indented(text: &str, by: usize) -> String {
    text.replace('\n', &format!("\n{}", " ".repeat(by)))
}

/// Prints a truth table, true as 1.
pub(super) fn truth_table(rows: &[Row], ui: &mut Ui) -> Result<(), Failure> {
    let style = ui.style;
    if rows.len() > MOST_ROWS {
        let count = |mark: Mark| rows.iter().filter(|r| r.mark == mark).count();
        let (wins, loses) = (count(Mark::Tick), count(Mark::Cross));
        return ui.line(format!(
            "  {} rows: {wins} win, {loses} lose, {} do both, {} neither; --format json lists them",
            rows.len(),
            count(Mark::Both),
            count(Mark::None)
        ));
    }
    let atoms = rows.first().map(|r| r.assignment.as_slice()).unwrap_or_default();
    let mut table = Table::new(atoms.iter().map(|(a, _)| a.clone()).chain([String::new()]));
    for r in rows {
        let mut cells: Vec<String> =
            r.assignment.iter().map(|(_, v)| if *v { "1" } else { "0" }.to_owned()).collect();
        cells.push(match r.mark {
            Mark::Tick => style.good("✓"),
            Mark::Cross => style.bad("✗"),
            Mark::Both => format!("{}{}", style.good("✓"), style.bad("✗")),
            Mark::None => String::new(),
        });
        table.row(cells);
    }
    ui.lines(table.lines(style).into_iter().map(|l| format!("  {}", l.trim_end())))
}
