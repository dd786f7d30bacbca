//! The loss's logic as a part of a page.

use ponens::page;
use serde_json::Value;

fn text(v: &Value) -> String {
    page::escape(v.as_str().unwrap_or(""))
}

/// The truth table with its marks.
fn truth_table(rows: &[Value]) -> String {
    let Some(atoms) = rows.first().and_then(|r| r["assignment"].as_object()) else {
        return String::new();
    };
    let names: Vec<&String> = atoms.keys().collect();
    let head: String = names.iter().map(|a| format!("<th>{}</th>", page::escape(a))).collect();
    let row = |r: &Value| {
        let cell = |a: &&String| format!("<td>{}</td>", u8::from(r["assignment"][*a] == true));
        let mark = match r["mark"].as_str() {
            Some("tick") => "<span class=\"good\">✓</span>",
            Some("cross") => "<span class=\"bad\">✗</span>",
            Some("both") => "<span class=\"good\">✓</span><span class=\"bad\">✗</span>",
            _ => "",
        };
        let cells: String = names.iter().map(cell).collect();
        format!("<tr>{cells}<td>{mark}</td></tr>")
    };
    let body: String = rows.iter().map(row).collect();
    format!("<table><thead><tr>{head}<th></th></tr></thead><tbody>{body}</tbody></table>")
}

/// What a loss means: core, truth table, formula, gradients, what lies outside the logic.
pub(super) fn section(loss: &Value) -> String {
    if loss.is_null() {
        return "<p class=\"note\">The run has no run.json, which holds the loss's logic.</p>"
            .into();
    }
    let mut out = format!(
        "<p>{} <span class=\"note\">{}</span></p>",
        text(&loss["title"]),
        text(&loss["source"])
    );
    if loss["core"].is_object() {
        let core = &loss["core"];
        out += &format!(
            "<pre>prefer  {}\ngiven   {}\ntie     {}</pre>",
            text(&core["p"]),
            text(&core["given"]),
            text(&core["tie"])
        );
        out += "<p>Rows that win (✓) against rows that lose (✗):</p>";
        out += &truth_table(loss["rows"].as_array().map_or(&[], Vec::as_slice));
    } else {
        out += &format!("<p>No logical core: {}</p>", text(&loss["no_core"]));
    }
    let mut formulas = String::new();
    for name in ["rho", "link", "value"] {
        if let Some(formula) = loss[name].as_str() {
            let name = if name == "value" { "loss" } else { name };
            formulas += &format!("{name:<5} {}\n", page::escape(formula));
        }
    }
    for (column, gradient) in loss["gradients"].as_object().into_iter().flatten() {
        formulas += &format!("d/{} = {}\n", page::escape(column), text(gradient));
    }
    out += &format!("<pre>{formulas}</pre>");
    let outside = loss["outside"].as_array().map_or(&[] as &[Value], Vec::as_slice);
    if !outside.is_empty() {
        let items: String = outside
            .iter()
            .map(|o| format!("<li><code>{}</code> ({})</li>", text(&o["text"]), text(&o["why"])))
            .collect();
        out += &format!("<p>Outside the logic:</p><ul>{items}</ul>");
    }
    out
}
