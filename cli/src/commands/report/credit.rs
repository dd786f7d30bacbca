//! Responses with each token coloured by its credit: beta times its log-ratio to the reference.

use ponens::page;
use serde_json::Value;

fn list(v: &Value) -> &[Value] {
    v.as_array().map_or(&[], Vec::as_slice)
}

/// The section of a page; empty where a run wrote no credit.
pub(super) fn section(credit: &Value) -> String {
    let examples = list(&credit["examples"]);
    let tokens =
        examples.iter().flat_map(|e| list(&e["responses"])).flat_map(|r| list(&r["tokens"]));
    let most = tokens.filter_map(|t| t[1].as_f64()).fold(0.0, |m: f64, c| m.max(c.abs()));
    if examples.is_empty() || most == 0.0 {
        return String::new();
    }
    let token = |t: &Value| {
        let value = t[1].as_f64().unwrap_or(0.0);
        let colour = if value > 0.0 { "43,138,62" } else { "217,72,15" };
        let text = t[0].as_str().unwrap_or("").replace('\n', "⏎\n");
        format!(
            "<span style=\"background:rgba({colour},{:.2})\" title=\"{value:+.3}\">{}</span>",
            (value.abs() / most).sqrt() * 0.75,
            page::escape(&text)
        )
    };
    let response = |r: &Value| {
        let total: f64 = list(&r["tokens"]).iter().filter_map(|t| t[1].as_f64()).sum();
        let side = if r["good"] == true { "good" } else { "bad" };
        let text: String = list(&r["tokens"]).iter().map(token).collect();
        format!(
            "<tr><td class=\"{side}\">{side}</td><td class=\"n\">{total:+.2}</td>\
             <td class=\"answer\">{text}</td></tr>"
        )
    };
    let rows: String = examples
        .iter()
        .map(|e| {
            let prompt = page::escape(e["prompt"].as_str().unwrap_or("").trim());
            let responses: String = list(&e["responses"]).iter().map(response).collect();
            format!("<tr><th colspan=\"3\">{prompt}</th></tr>{responses}")
        })
        .collect();
    format!(
        "<h2>Credit by token</h2>\n<p>{} times the log-ratio of the trained policy to the reference, token by \
         token, of the first held-out examples; the number before a response is its sum. Green: more likely \
         than before, orange: less; the strongest is ±{most:.2}.</p>\n<table><tbody>{rows}</tbody></table>\n",
        credit["beta"]
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tokens_are_escaped_coloured_by_sign_and_summed() {
        let credit = json!({ "beta": 0.1, "examples": [{ "row": 0, "prompt": "p", "responses": [
            { "good": true, "tokens": [["<b>", 0.5], ["x", -0.125]] }
        ] }] });
        let page = section(&credit);
        assert!(page.contains("&lt;b&gt;") && !page.contains("<b>"), "{page}");
        assert!(
            page.contains("rgba(43,138,62,0.75)") && page.contains("rgba(217,72,15,0.38)"),
            "{page}"
        );
        assert!(page.contains("+0.38</td>") || page.contains("+0.37</td>"), "{page}");
        assert_eq!(section(&Value::Null), "");
        assert_eq!(section(&json!({ "beta": 1, "examples": [] })), "");
    }
}
