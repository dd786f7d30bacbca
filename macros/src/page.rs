//! The documentation of a generated loss.

use ponens_compiler::explain::{CoreText, Row};
use ponens_compiler::logic::Mark;
use ponens_compiler::session::Compiled;

/// The lines of the struct's documentation: what the author wrote, the formula, the logic.
pub(crate) fn page(
    compiled: &Compiled,
    formula: &str,
    core: Option<&CoreText>,
    rows: &[Row],
) -> String {
    let loss = &compiled.loss;
    let mut out = loss.docs.join("\n");
    if out.is_empty() {
        out = format!("The loss `{}`.", loss.name);
    }
    out += &format!("\n\nThe loss of one example, over `{}`:\n\n", loss.shape);
    out += &block(formula);
    if let Some(core) = core {
        out += "\nIts logic, and on which side each row of the truth table counts:\n\n";
        out += &block(&format!("{}\n\n{}", clauses(core), table(rows)));
    }
    out
}

fn block(text: &str) -> String {
    format!("```text\n{text}\n```\n")
}

fn clauses(core: &CoreText) -> String {
    format!("prefer {}\ngiven  {}\ntie    {}", core.p, core.given, core.tie)
}

/// On which side a row counts.
fn counts(mark: Mark) -> &'static str {
    match mark {
        Mark::Tick => "wins",
        Mark::Cross => "loses",
        Mark::Both => "both",
        Mark::None => "-",
    }
}

/// The truth table, a row a line.
fn table(rows: &[Row]) -> String {
    let Some(first) = rows.first() else { return String::new() };
    let names: Vec<&str> = first.assignment.iter().map(|(name, _)| name.as_str()).collect();
    let mut lines = vec![format!("{}  counts", names.join("  "))];
    for row in rows {
        let cells = row.assignment.iter().map(|(name, value)| {
            let width = name.chars().count();
            format!("{:<width$}", if *value { "1" } else { "0" })
        });
        lines.push(format!("{}  {}", cells.collect::<Vec<_>>().join("  "), counts(row.mark)));
    }
    lines.join("\n")
}
