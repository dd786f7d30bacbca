//! One open text: what is wrong with it, what its losses mean, its canonical form.

use super::complete;
use super::position::{byte, position, range};
use crate::check;
use crate::locate;
use ponens_compiler::explain;
use ponens_compiler::hir::Program;
use ponens_compiler::session::{self, Options};
use ponens_dsl::ast::{File, Item};
use ponens_dsl::{Diagnostic, FileId, SourceMap, Span, parse, print};
use ponens_losses::Catalogue;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A text that an editor has open.
pub(super) struct Document {
    uri: String,
    text: String,
    /// The folder that imports are relative to.
    folder: PathBuf,
    pub(super) version: Option<i64>,
}

impl Document {
    pub(super) fn new(uri: &str, text: &str, version: Option<i64>) -> Self {
        let path = path(uri);
        let folder = path.as_deref().and_then(Path::parent).unwrap_or(Path::new(".")).to_owned();
        Self { uri: uri.to_owned(), text: text.to_owned(), folder, version }
    }

    /// Every finding, with its place in this text.
    pub(super) fn diagnostics(&self) -> Value {
        let checked = check::check_text("<open>", &self.text, &self.folder);
        let here = checked.file;
        checked.diagnostics.iter().map(|d| self.diagnostic(d, here)).collect()
    }

    fn diagnostic(&self, d: &Diagnostic, here: FileId) -> Value {
        let own = |s: &Span| s.file == here;
        let span = |s: Span| range(&self.text, s.start as usize, s.end as usize);
        let main = d.labels.iter().find(|l| own(&l.span));
        let place = main.map_or_else(|| range(&self.text, 0, 0), |l| span(l.span));
        let mut message = d.message.clone();
        if let Some(l) = main {
            message.push_str(&format!("\n{}", l.text));
        }
        d.notes.iter().for_each(|n| message.push_str(&format!("\nnote: {n}")));
        d.help.iter().for_each(|h| message.push_str(&format!("\nhelp: {h}")));
        let others = d.labels.iter().filter(|l| own(&l.span) && main.is_some_and(|m| *l != m));
        let others: Value = others
            .map(|l| {
                let place = json!({ "uri": self.uri, "range": span(l.span) });
                json!({ "location": place, "message": l.text })
            })
            .collect();
        json!({
            "range": place,
            "severity": if d.is_error() { 1 } else { 2 },
            "code": d.code,
            "source": "ponens",
            "message": message,
            "relatedInformation": others,
        })
    }

    fn tree(&self) -> (File, Vec<Diagnostic>) {
        let mut sources = SourceMap::default();
        let file = sources.add("<open>", self.text.as_str());
        parse(&sources, file)
    }

    /// The card of the loss that a word names, else of the loss around the place.
    pub(super) fn hover(&self, at: &Value) -> Value {
        let Some(at) = byte(&self.text, at) else { return Value::Null };
        let (start, end) = word(&self.text, at);
        let named = &self.text[start..end];
        let (tree, _) = self.tree();
        let around = tree.items.iter().find_map(|i| {
            let (name, span) = match i {
                Item::Loss(l) => (&l.name.text, l.span),
                Item::Variant(v) => (&v.name.text, v.span),
                Item::Function(_) => return None,
            };
            let inside = (span.start as usize..=span.end as usize).contains(&at);
            inside.then(|| (name.clone(), span))
        });
        let own = |name: &str| {
            tree.items.iter().any(|i| match i {
                Item::Loss(l) => l.name.text == name,
                Item::Variant(v) => v.name.text == name,
                Item::Function(_) => false,
            })
        };
        let (card, place) = if !named.is_empty() && !own(named) && Catalogue.get(named).is_some() {
            (catalogue_card(named), range(&self.text, start, end))
        } else if let Some((name, span)) = around {
            let place = range(&self.text, span.start as usize, span.end as usize);
            (self.card(&name), place)
        } else {
            return Value::Null;
        };
        match card {
            Some(card) => {
                json!({ "contents": { "kind": "markdown", "value": card }, "range": place })
            }
            None => Value::Null,
        }
    }

    fn card(&self, name: &str) -> Option<String> {
        let mut program = Program::new();
        program.add_text_at("<open>", &self.text, &self.folder);
        let compiled =
            session::compile(&mut program, name, &Catalogue, &Options::default()).ok()?;
        Some(card(&explain::explain(&compiled)))
    }

    /// What can stand at a place.
    pub(super) fn completion(&self, at: &Value) -> Value {
        let Some(at) = byte(&self.text, at) else { return json!([]) };
        complete::complete(&self.text, &self.tree().0, at)
    }

    /// One edit that makes the text canonical; none where it is or has errors.
    pub(super) fn formatting(&self) -> Value {
        let (tree, found) = self.tree();
        if found.iter().any(Diagnostic::is_error) {
            return Value::Null;
        }
        let canonical = print::file(&tree);
        if canonical == self.text {
            return json!([]);
        }
        json!([{ "range": range(&self.text, 0, self.text.len()), "newText": canonical }])
    }

    /// The losses and functions of the text.
    pub(super) fn symbols(&self) -> Value {
        const FUNCTION: u32 = 12;
        const CLASS: u32 = 5;
        let (tree, _) = self.tree();
        let symbol = |i: &Item| {
            let (name, span, kind) = match i {
                Item::Loss(l) => (&l.name, l.span, CLASS),
                Item::Variant(v) => (&v.name, v.span, CLASS),
                Item::Function(f) => (&f.name, f.span, FUNCTION),
            };
            let place = |s: Span| {
                let (start, end) = (s.start as usize, s.end as usize);
                json!({ "start": position(&self.text, start), "end": position(&self.text, end) })
            };
            json!({
                "name": name.text, "kind": kind,
                "range": place(span), "selectionRange": place(name.span),
            })
        };
        tree.items.iter().map(symbol).collect()
    }
}

fn catalogue_card(name: &str) -> Option<String> {
    let (compiled, _) =
        locate::in_catalogue(name.to_owned()).ok()?.compile(&Options::default()).ok()?;
    Some(card(&explain::explain(&compiled)))
}

/// What a loss means, as Markdown.
fn card(e: &explain::Explanation) -> String {
    let mut out = format!("**{}**", e.name);
    if !e.title.is_empty() {
        out.push_str(&format!(": {}", e.title));
    }
    e.source.iter().for_each(|s| out.push_str(&format!("  \n*{s}*")));
    let mut code = String::new();
    match (&e.core, &e.no_core) {
        (Some(c), _) => {
            code.push_str(&format!("prefer {}\ngiven  {}\ntie    {}\n", c.p, c.given, c.tie));
        }
        (None, Some(none)) => out.push_str(&format!("\n\nNo logical core: {}", none.reason)),
        (None, None) => {}
    }
    e.rho.iter().for_each(|r| code.push_str(&format!("rho  = {r}\n")));
    code.push_str(&format!("loss = {}\n", e.value));
    out.push_str(&format!("\n\n```loss\n{code}```"));
    if let Some(node) = e.place.as_ref().and_then(|p| p.node.as_ref()) {
        out.push_str(&format!("\n\nIn the lattice: {node}"));
    }
    e.warnings.iter().for_each(|w| out.push_str(&format!("\n\n{}: {}", w.code, w.message)));
    out
}

/// The word around a byte; dots belong to it, as in `lattice.CPO`.
pub(super) fn word(text: &str, at: usize) -> (usize, usize) {
    let inside = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    let before = text[..at].char_indices().rev().take_while(|(_, c)| inside(*c)).last();
    let start = before.map_or(at, |(i, _)| i);
    let after = text[at..].find(|c| !inside(c)).map_or(text.len(), |i| at + i);
    (start, after)
}

/// The path of a `file:` address.
fn path(uri: &str) -> Option<PathBuf> {
    let rest = uri.strip_prefix("file://")?;
    let rest = &rest[rest.find('/')?..];
    let (mut bytes, mut all) = (Vec::new(), rest.bytes());
    while let Some(b) = all.next() {
        if b == b'%' {
            let hex = [all.next()?, all.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&hex).ok()?, 16).ok()?);
        } else {
            bytes.push(b);
        }
    }
    let text = String::from_utf8(bytes).ok()?;
    // `/C:/folder` on Windows.
    let text = if cfg!(windows) { text.trim_start_matches('/').to_owned() } else { text };
    Some(PathBuf::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_become_paths() {
        assert_eq!(path("file:///a/b%20c/d.loss"), Some(PathBuf::from("/a/b c/d.loss")));
        assert_eq!(path("untitled:one"), None);
        assert_eq!(path("file:///a%2"), None);
    }

    #[test]
    fn words_hold_dots() {
        let text = "loss a = lattice.CPO with {}";
        let at = text.find("CPO").unwrap();
        let (start, end) = word(text, at);
        assert_eq!(&text[start..end], "lattice.CPO");
    }
}
