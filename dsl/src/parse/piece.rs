//! One piece of text (an item's head, a clause, an expression) and the grammar run on it.
//!
//! What the grammar cannot say well is looked for first, in the tokens: foreign signs, brackets that
//! do not match, brackets nested too deeply.

use pest::Parser;
use pest::iterators::{Pair, Pairs};

use super::MAX_DEPTH;
use super::explain;
use super::grammar::Grammar;
pub(super) use super::grammar::Rule;
use super::scan::{Kind, Token};
use crate::diagnostic::Diagnostic;
use crate::span::{FileId, Span};

/// A run of tokens that one rule of the grammar reads to its end.
#[derive(Clone, Copy)]
pub(super) struct Piece<'a> {
    pub(super) file: FileId,
    text: &'a str,
    pub(super) tokens: &'a [Token<'a>],
    /// The token that the piece stops at, if the text goes on.
    pub(super) next: Option<Token<'a>>,
    start: usize,
    end: usize,
}

impl<'a> Piece<'a> {
    /// The tokens `range` of a text.
    pub(super) fn new(
        file: FileId,
        text: &'a str,
        tokens: &'a [Token<'a>],
        range: std::ops::Range<usize>,
    ) -> Self {
        let inside = &tokens[range.clone()];
        let start = inside.first().map_or(text.len(), |t| t.start);
        let end = inside.last().map_or(start, Token::end);
        Self { file, text, tokens: inside, next: tokens.get(range.end).copied(), start, end }
    }

    /// A whole text.
    pub(super) fn whole(file: FileId, text: &'a str, tokens: &'a [Token<'a>]) -> Self {
        Self::new(file, text, tokens, 0..tokens.len())
    }

    /// Runs the grammar; a refusal is explained.
    pub(super) fn read(
        &self,
        rule: Rule,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<Pairs<'a, Rule>> {
        let strays: Vec<&Token<'_>> =
            self.tokens.iter().filter(|t| t.kind == Kind::Stray).collect();
        if !strays.is_empty() {
            diagnostics.extend(strays.into_iter().map(|t| explain::stray(self, t)));
            return None;
        }
        if let Err(refused) = self.brackets() {
            diagnostics.push(refused);
            return None;
        }
        match Grammar::parse(rule, &self.text[self.start..self.end]) {
            Ok(pairs) => Some(pairs),
            Err(e) => {
                diagnostics.push(explain::refusal(self, &e));
                None
            }
        }
    }

    /// Every bracket has its partner, and none lies too deep.
    fn brackets(&self) -> Result<(), Diagnostic> {
        let mut open: Vec<&Token<'_>> = Vec::new();
        for t in self.tokens.iter().filter(|t| t.kind == Kind::Mark) {
            match t.text {
                "(" | "[" | "{" => {
                    open.push(t);
                    if open.len() > MAX_DEPTH {
                        return Err(explain::too_deep(self.span(t.start, t.end())));
                    }
                }
                ")" | "]" | "}" => match open.pop() {
                    Some(o) if closes(o.text, t.text) => {}
                    // A range may be half open.
                    Some(o) if o.text != "{" && t.text != "}" && self.is_range(o) => {}
                    o => return Err(explain::unmatched(self, o, t)),
                },
                _ => {}
            }
        }
        match open.last() {
            Some(o) => Err(explain::unclosed(self, o)),
            None => Ok(()),
        }
    }

    /// True for the bracket of `in [0, 1)`.
    fn is_range(&self, bracket: &Token<'_>) -> bool {
        let at = self.tokens.partition_point(|t| t.start < bracket.start);
        at > 0 && self.tokens[at - 1].is("in")
    }

    pub(super) fn span(&self, start: usize, end: usize) -> Span {
        Span::new(self.file, start, end)
    }

    /// Where a pair stands, without the blanks and comments that the grammar took along.
    pub(super) fn span_of(&self, pair: &Pair<'_, Rule>) -> Span {
        let (start, end) = (self.start + pair.as_span().start(), self.start + pair.as_span().end());
        let after = self.tokens.partition_point(|t| t.start < end);
        let last = after.checked_sub(1).map_or(end, |i| self.tokens[i].end());
        self.span(start, last.min(end).max(start))
    }

    pub(super) fn whole_span(&self) -> Span {
        self.span(self.start, self.end)
    }

    /// The index of the token at or after a place that the grammar reports.
    pub(super) fn token_at(&self, offset: usize) -> usize {
        self.tokens.partition_point(|t| t.end() <= self.start + offset)
    }

    /// Where the piece ends: the place to point at when something is missing there.
    pub(super) fn end_span(&self) -> Span {
        self.span(self.end, self.end)
    }
}

fn closes(open: &str, close: &str) -> bool {
    matches!((open, close), ("(", ")") | ("[", "]") | ("{", "}"))
}
