//! Text renderer: for people, with the source line and a caret under each place.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use ariadne::{Color, Config, Report, ReportKind};

use super::{Diagnostic, Label, Severity};
use crate::span::{FileId, SourceMap, Span};

/// Longest source line that is shown whole, in characters.
const LONGEST_LINE: usize = 240;

/// Characters shown on either side of a place in a longer line.
const AROUND: usize = 40;

/// Every diagnostic with its source lines, an empty line between two; `color` switches terminal
/// colours on. Diagnostics without a place get their message, notes and help alone.
///
/// ```
/// use ponens_dsl::diagnostic::to_text;
/// use ponens_dsl::{SourceMap, parse_expr};
///
/// let mut sources = SourceMap::default();
/// let file = sources.add("<rho>", "log p");
/// let refused = parse_expr(&sources, file).expect_err("brackets are missing");
/// let text = to_text(&refused, &sources, false);
/// assert!(text.contains("to apply `log` to `p`, write `log(p)`"));
/// ```
pub fn to_text(diagnostics: &[Diagnostic], sources: &SourceMap, color: bool) -> String {
    let mut pages = Pages { sources, ready: BTreeMap::new() };
    let shown: Vec<String> = diagnostics.iter().map(|d| one(d, &mut pages, color)).collect();
    shown.join("\n")
}

fn one(diagnostic: &Diagnostic, pages: &mut Pages<'_>, color: bool) -> String {
    let known: Vec<&Label> =
        diagnostic.labels.iter().filter(|l| pages.sources.find(l.span.file).is_some()).collect();
    // The library shows notes and help below source lines only.
    if known.is_empty() || known.iter().any(|label| pages.line_is_long(label.span)) {
        return brief(diagnostic, &known, pages, color);
    }
    let (kind, main_color) = match diagnostic.severity {
        Severity::Error => (ReportKind::Error, Color::Red),
        Severity::Warning => (ReportKind::Warning, Color::Yellow),
    };
    let main = known.first().map_or((FileId(0), 0..0), |label| pages.range(label.span));
    let mut report = Report::build(kind, main)
        .with_code(diagnostic.code)
        .with_message(clean(&diagnostic.message))
        .with_config(Config::default().with_color(color));
    // The library wants the labels of one text together and in order.
    let first = known.first().map(|label| label.span);
    let mut ordered = known.clone();
    ordered.sort_by_key(|l| (first.map(|f| f.file != l.span.file), l.span));
    for label in ordered {
        let color = if Some(label.span) == first { main_color } else { Color::Blue };
        let label = ariadne::Label::new(pages.range(label.span))
            .with_message(clean(&label.text))
            .with_color(color);
        report.add_label(label);
    }
    for note in &diagnostic.notes {
        report.add_note(clean(note));
    }
    if let Some(help) = &diagnostic.help {
        report.add_help(clean(help));
    }
    let mut bytes = Vec::new();
    match report.finish().write(&mut *pages, &mut bytes) {
        Ok(()) => String::from_utf8_lossy(&bytes).lines().fold(String::new(), |mut text, line| {
            text.push_str(line.trim_end());
            text.push('\n');
            text
        }),
        Err(_) => brief(diagnostic, &known, pages, color),
    }
}

/// Without source lines, or with such as are too long to be shown: the places by number, each with
/// the text around it.
fn brief(diagnostic: &Diagnostic, known: &[&Label], pages: &Pages<'_>, color: bool) -> String {
    let (kind, escape) = match diagnostic.severity {
        Severity::Error => ("Error", "\u{1b}[31m"),
        Severity::Warning => ("Warning", "\u{1b}[33m"),
    };
    let (on, off) = if color { (escape, "\u{1b}[0m") } else { ("", "") };
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{on}[{}] {kind}:{off} {}", diagnostic.code, clean(&diagnostic.message));
    for label in known {
        let span = label.span;
        let (line, column) = pages.sources.line_column(span.file, span.start);
        let name = clean(&pages.sources.get(span.file).name);
        let _ = writeln!(text, "  at {name}:{line}:{column}: {}", clean(&label.text));
        let _ = writeln!(text, "     {}", pages.excerpt(span));
    }
    for note in &diagnostic.notes {
        let _ = writeln!(text, "  Note: {}", clean(note));
    }
    if let Some(help) = &diagnostic.help {
        let _ = writeln!(text, "  Help: {}", clean(help));
    }
    text
}

/// The texts, made ready for the library when they are first needed.
struct Pages<'a> {
    sources: &'a SourceMap,
    ready: BTreeMap<FileId, ariadne::Source<String>>,
}

impl Pages<'_> {
    /// A span in characters, inside its text.
    fn range(&self, span: Span) -> (FileId, std::ops::Range<usize>) {
        let text = &self.sources.get(span.file).text;
        let characters = |bytes: u32| {
            let whole = |(at, c): &(usize, char)| at + c.len_utf8() <= bytes as usize;
            text.char_indices().take_while(whole).count()
        };
        let start = characters(span.start);
        (span.file, start..characters(span.end).max(start))
    }

    /// The line that a span begins in, and the span's offset in it.
    fn line(&self, span: Span) -> (&str, usize) {
        let text = &self.sources.get(span.file).text;
        let mut at = (span.start as usize).min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        let begin = text[..at].rfind('\n').map_or(0, |i| i + 1);
        let end = text[at..].find('\n').map_or(text.len(), |i| at + i);
        (&text[begin..end], at - begin)
    }

    fn line_is_long(&self, span: Span) -> bool {
        let end = Span { start: span.end, ..span };
        [span, end].into_iter().any(|place| self.line(place).0.len() > LONGEST_LINE)
    }

    /// The text around the start of a span, `>>` before it.
    fn excerpt(&self, span: Span) -> String {
        let (line, at) = self.line(span);
        let before: Vec<char> = line[..at].chars().rev().take(AROUND).collect();
        let before: String = before.into_iter().rev().collect();
        let after: String = line[at..].chars().take(AROUND).collect();
        let left = if before.len() < at { ".." } else { "" };
        let right = if after.len() < line.len() - at { ".." } else { "" };
        format!("{left}{}>>{}{right}", clean(&before), clean(&after))
    }
}

impl ariadne::Cache<FileId> for Pages<'_> {
    type Storage = String;

    fn fetch(&mut self, id: &FileId) -> Result<&ariadne::Source<String>, impl fmt::Debug> {
        let Some(source) = self.sources.find(*id) else { return Err("no such text") };
        // The blank gives the end of the text a line to be on.
        let page = || (clean(&source.text) + " ").into();
        Ok(self.ready.entry(*id).or_insert_with(page))
    }

    fn display<'a>(&self, id: &'a FileId) -> Option<impl fmt::Display + 'a> {
        self.sources.find(*id).map(|source| clean(&source.name))
    }
}

/// Replaces, one for one, the characters that would steer a terminal or that the library takes for
/// the end of a line where the source map sees none.
fn clean(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => c,
        '\r' | '\u{2028}' | '\u{2029}' => ' ',
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => ' ',
        _ if c.is_control() => '\u{fffd}',
        _ => c,
    };
    text.chars().map(shown).collect()
}
