//! Command-line arguments inside a text that is compiled as a whole.
//!
//! Why: a formula given as an argument is checked by the same stages as a loss file, so it is put into
//! the text of a loss; what is found in it must point into the argument as it was typed. In: pieces of
//! text and arguments. Out: the text, and findings moved to where they belong.

use ponens_dsl::{Diagnostic, FileId, SourceMap, Span};

/// A text with arguments in it.
#[derive(Clone, Debug, Default)]
pub struct Embedded {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
struct Part {
    name: &'static str,
    start: usize,
    end: usize,
}

impl Embedded {
    /// Appends text that nobody typed.
    pub fn text(&mut self, text: impl AsRef<str>) -> &mut Self {
        self.text.push_str(text.as_ref());
        self
    }

    /// Appends an argument; `name` is what findings call its source.
    pub fn argument(&mut self, name: &'static str, text: &str) -> &mut Self {
        let start = self.text.len();
        self.text.push_str(text);
        self.parts.push(Part { name, start, end: self.text.len() });
        self
    }

    /// The text so far.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Makes findings about the text, which is `file` in `sources`, point into the arguments: those
    /// inside one exactly, those around one to the whole of it, and those right behind one to its end.
    pub fn relocate(&self, file: FileId, sources: &mut SourceMap, diagnostics: &mut [Diagnostic]) {
        let mut files: Vec<Option<FileId>> = vec![None; self.parts.len()];
        let labels = diagnostics.iter_mut().flat_map(|d| &mut d.labels);
        for label in labels.filter(|l| l.span.file == file) {
            let (start, end) = (label.span.start as usize, label.span.end as usize);
            let within = |p: &Part| p.start <= start && end <= p.end;
            let around = |p: &Part| start <= p.start && p.end <= end;
            let found = self.parts.iter().position(within);
            let found = found.or_else(|| self.parts.iter().position(around));
            // Where an argument ends too early, the text behind it is blamed.
            let found = found.or_else(|| self.parts.iter().position(|p| start == p.end));
            let Some((i, part)) = found.map(|i| (i, &self.parts[i])) else { continue };
            let own = *files[i].get_or_insert_with(|| {
                sources.add(format!("<{}>", part.name), &self.text[part.start..part.end])
            });
            let start = start.clamp(part.start, part.end) - part.start;
            let end = end.clamp(part.start, part.end) - part.start;
            label.span = Span::new(own, start, end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_move_into_the_arguments() {
        let mut e = Embedded::default();
        e.text("prefer ")
            .argument("--core", "pi(l) -> x")
            .text("\ngiven ")
            .argument("--given", "y");
        e.text("\n}");
        let mut sources = SourceMap::default();
        let file = sources.add("<text>", e.as_str());
        let at = |start, end| Diagnostic::error("E0101", "m").at(Span::new(file, start, end), "");
        let mut found = vec![at(16, 17), at(0, 17), at(24, 25), at(18, 20), at(25, 27)];
        e.relocate(file, &mut sources, &mut found);
        let shown: Vec<(&str, &str)> = found
            .iter()
            .map(|d| {
                (sources.get(d.labels[0].span.file).name.as_str(), sources.slice(d.labels[0].span))
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("<--core>", "x"),
                ("<--core>", "pi(l) -> x"),
                ("<--given>", "y"),
                ("<text>", "gi"),
                ("<--given>", ""),
            ]
        );
    }
}
