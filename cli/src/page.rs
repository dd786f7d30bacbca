//! Self-contained HTML pages.

/// A page with a title and a body of markup; no other file is needed to show it.
pub fn page(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\nbody {{ font-family: system-ui, sans-serif; margin: 2rem; }}\n\
         svg {{ max-width: 100%; height: auto; }}\n\
         table {{ border-collapse: collapse; margin: 1.5rem 0; }}\n\
         th, td {{ text-align: left; padding: .25rem .75rem; border-bottom: 1px solid #8888; }}\n\
         :root {{ color-scheme: light dark; }}\n</style>\n</head>\n<body>\n<h1>{title}</h1>\n\
         {body}\n</body>\n</html>\n"
    )
}

/// Text as markup.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A table of text.
pub fn table<S: AsRef<str>>(head: &[S], rows: &[Vec<String>]) -> String {
    let row = |cells: Vec<&str>, tag: &str| {
        let cells: String = cells.iter().map(|c| format!("<{tag}>{}</{tag}>", escape(c))).collect();
        format!("<tr>{cells}</tr>\n")
    };
    let head = row(head.iter().map(AsRef::as_ref).collect(), "th");
    let rows: String =
        rows.iter().map(|r| row(r.iter().map(String::as_str).collect(), "td")).collect();
    format!("<table>\n<thead>{head}</thead>\n<tbody>\n{rows}</tbody>\n</table>")
}
