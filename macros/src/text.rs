//! Rust tokens as loss text, with the way back.
//!
//! Why: the language has its own parser and diagnostics that point into a text; rustc points at tokens.
//! In: the tokens between the macro's braces. Out: a text that lexes to the same words and marks, laid
//! out as in the source where the places are known, and for each of its bytes the token it came from.

use proc_macro2::{Delimiter, LineColumn, Punct, Spacing, Span, TokenStream, TokenTree};
use std::ops::Range;

/// A loss text with the token behind each part of it.
#[derive(Default)]
pub(crate) struct Text {
    text: String,
    marks: Vec<(Range<usize>, Span)>,
    /// Where the token before ended.
    end: Option<LineColumn>,
    /// The next token may stand right behind the one before.
    joint: bool,
}

impl Text {
    /// The text so far.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Appends tokens.
    pub(crate) fn tokens(&mut self, tokens: TokenStream) {
        tokens.into_iter().for_each(|t| self.token(t));
    }

    /// Appends one token, groups with all they hold.
    pub(crate) fn token(&mut self, token: TokenTree) {
        match token {
            TokenTree::Group(g) => {
                let (open, close) = match g.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                if !open.is_empty() {
                    self.word(open, g.span_open(), false);
                }
                self.tokens(g.stream());
                if !close.is_empty() {
                    self.word(close, g.span_close(), false);
                }
            }
            TokenTree::Punct(p) => {
                let joint = p.spacing() == Spacing::Joint;
                self.word(&p.as_char().to_string(), p.span(), joint);
            }
            other => self.word(&other.to_string(), other.span(), false),
        }
    }

    /// Appends documentation as `///` lines of their own.
    pub(crate) fn docs(&mut self, docs: &str, span: Span) {
        for line in docs.split('\n') {
            if !self.text.is_empty() && !self.text.ends_with('\n') {
                self.text.push('\n');
            }
            let start = self.text.len();
            self.text.push_str("///");
            if line.starts_with('/') {
                self.text.push(' ');
            }
            self.text.push_str(line);
            self.marks.push((start..self.text.len(), span));
            self.text.push('\n');
        }
        self.end = Some(span.end());
        self.joint = false;
    }

    fn word(&mut self, word: &str, span: Span, joint: bool) {
        self.space(word, span.start());
        let start = self.text.len();
        self.text.push_str(word);
        self.marks.push((start..self.text.len(), span));
        self.end = Some(span.end());
        self.joint = joint;
    }

    /// The blanks before a token: those of the source where it is known where the token stands.
    fn space(&mut self, word: &str, at: LineColumn) {
        let Some(end) = self.end else { return };
        if at.line > end.line {
            let lines = (at.line - end.line).min(2);
            let written = usize::from(self.text.ends_with('\n'));
            self.text.extend(std::iter::repeat_n('\n', lines.saturating_sub(written)));
            self.text.extend(std::iter::repeat_n(' ', at.column.min(100)));
        } else if at.line == end.line && at.column >= end.column && at != end {
            self.text.extend(std::iter::repeat_n(' ', (at.column - end.column).min(100)));
        } else if at != end && !self.joint && word != "." && !self.text.ends_with('.') {
            // Tokens of several sources: the places say nothing about the blanks between them.
            self.text.push(' ');
        }
    }

    /// The tokens behind the bytes `range`: the first and the last. An empty range belongs to the token
    /// that ends there.
    pub(crate) fn spans(&self, range: Range<usize>) -> (Span, Span) {
        let mut inside =
            self.marks.iter().filter(|(r, _)| r.start < range.end && r.end > range.start);
        let before = || self.marks.iter().rev().find(|(r, _)| r.end <= range.start.max(1));
        let first = inside.next().or_else(before).or(self.marks.first());
        let first = first.map_or_else(Span::call_site, |(_, s)| *s);
        let last = inside.next_back().map_or(first, |(_, s)| *s);
        (first, last)
    }
}

/// Tokens that an error can stand on, from one span to another.
pub(crate) fn stretch((first, last): (Span, Span)) -> TokenStream {
    let mark = |span: Span| {
        let mut p = Punct::new('.', Spacing::Alone);
        p.set_span(span);
        TokenTree::Punct(p)
    };
    [mark(first), mark(last)].into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::str::FromStr;

    fn text_of(source: &str) -> Text {
        let mut text = Text::default();
        text.tokens(TokenStream::from_str(source).expect("balanced tokens"));
        text
    }

    #[test]
    fn the_layout_is_that_of_the_source() {
        for source in [
            "loss lattice.CPO(beta = 1 in >0..inf) {\n    data pair(w > l)\n}",
            "a <-> b -> !c xor d",
            "x in 0..0.5, y in 0..=1, z = 1e-3",
        ] {
            assert_eq!(text_of(source).as_str(), source);
        }
    }

    #[test]
    fn a_place_in_the_text_is_a_token() {
        let source = "minimize logistic(beta * rh)";
        let text = text_of(source);
        let at = source.find("rh").expect("it stands there");
        let (first, last) = text.spans(at..at + 2);
        assert_eq!((first.start().column, last.end().column), (at, at + 2));
        let (first, last) = text.spans(0..source.len());
        assert_eq!((first.start().column, last.end().column), (0, source.len()));
        let (end, _) = text.spans(source.len()..source.len());
        assert_eq!(end.end().column, source.len(), "an empty place is that of the token before it");
    }

    #[test]
    fn documentation_has_lines_of_its_own() {
        let mut text = Text::default();
        text.docs(" One.\n Two.", Span::call_site());
        text.tokens(TokenStream::from_str("loss a() {}").expect("tokens"));
        assert!(text.as_str().starts_with("/// One.\n/// Two.\n"), "{}", text.as_str());
        assert!(text.as_str().trim_end().ends_with("loss a() {}"));
    }
}
