//! Tokens: what the recovery needs to know before the grammar runs.
//!
//! In: a text. Out: its tokens with their places, and its comments. Invariant: no character is lost
//! (what fits no token becomes a [`Kind::Stray`]) and the tokens are those that the grammar sees.

use super::RESERVED;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An identifier, dotted name or reserved word.
    Word,
    /// A number.
    Number,
    /// `"text"` on one line.
    Quoted,
    /// A bracket or an operator of the language.
    Mark,
    /// Anything else: an operator of another language, a foreign character, an open quote.
    Stray,
}

/// A token with its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
    pub(super) start: usize,
    /// True when it is the first token of its line.
    pub(super) fresh: bool,
}

impl Token<'_> {
    pub(super) fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// True for the mark or word `text`.
    pub(super) fn is(&self, text: &str) -> bool {
        self.text == text && matches!(self.kind, Kind::Mark | Kind::Word)
    }

    pub(super) fn is_reserved(&self) -> bool {
        self.kind == Kind::Word && RESERVED.contains(&self.text)
    }

    /// A word that can be a name.
    pub(super) fn is_name(&self) -> bool {
        self.kind == Kind::Word && !RESERVED.contains(&self.text)
    }

    /// True when an expression can end with this token.
    pub(super) fn ends_operand(&self) -> bool {
        match self.kind {
            Kind::Word => self.is_name() || matches!(self.text, "true" | "false"),
            Kind::Number | Kind::Quoted => true,
            Kind::Mark => matches!(self.text, ")" | "]" | "}"),
            Kind::Stray => false,
        }
    }

    /// True when an operand can begin with this token, prefix operators aside.
    pub(super) fn starts_operand(&self) -> bool {
        self.kind == Kind::Number
            || self.is_name()
            || matches!(self.text, "true" | "false" | "if" | "(")
    }

    /// True for the words that begin an item.
    pub(super) fn starts_item(&self) -> bool {
        self.kind == Kind::Word && ITEM_WORDS.contains(&self.text)
    }

    /// True for the reserved words that begin a clause.
    pub(super) fn starts_clause(&self) -> bool {
        self.kind == Kind::Word && CLAUSE_WORDS.contains(&self.text)
    }
}

/// A comment, `///` included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Remark<'a> {
    /// From the slashes to the end of the line, trailing blanks cut off.
    pub(super) text: &'a str,
    pub(super) start: usize,
    /// How many tokens stand before it.
    pub(super) tokens_before: usize,
    /// True when no token stands before it on its line.
    pub(super) own_line: bool,
    /// True when the next line is blank.
    pub(super) blank_after: bool,
}

impl Remark<'_> {
    /// The text of a documentation line: `///`, but not `////`, on a line of its own.
    pub(super) fn doc(&self) -> Option<&str> {
        let rest = self.text.strip_prefix("///").filter(|r| !r.starts_with('/'))?;
        self.own_line.then(|| rest.strip_prefix(' ').unwrap_or(rest))
    }
}

/// Words that begin an item.
pub(super) const ITEM_WORDS: &[&str] = &["loss", "fn", "import", "edition"];

/// Words that begin a clause; `rho =` does too.
pub(super) const CLAUSE_WORDS: &[&str] =
    &["data", "model", "column", "let", "prefer", "given", "tie", "minimize"];

/// The marks of the language and, among them, what people write instead; longest first.
const OPERATORS: &[(&str, Kind)] = &[
    ("<->", Kind::Mark),
    ("..=", Kind::Mark),
    ("<=>", Kind::Stray),
    ("->", Kind::Mark),
    ("<=", Kind::Mark),
    (">=", Kind::Mark),
    ("..", Kind::Mark),
    ("==", Kind::Stray),
    ("!=", Kind::Stray),
    ("=>", Kind::Stray),
    (":=", Kind::Stray),
    ("&&", Kind::Stray),
    ("||", Kind::Stray),
    ("**", Kind::Stray),
];

/// Cuts a text into tokens and comments.
pub(super) fn scan(text: &str) -> (Vec<Token<'_>>, Vec<Remark<'_>>) {
    let (mut tokens, mut remarks) = (Vec::new(), Vec::new());
    let mut at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut fresh = true;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        if matches!(c, ' ' | '\t' | '\r' | '\n') {
            fresh |= c == '\n';
            at += 1;
            continue;
        }
        if rest.starts_with("//") {
            let line = rest.split('\n').next().unwrap_or(rest);
            let after = rest.get(line.len() + 1..).unwrap_or("");
            let next = after.split('\n').next().unwrap_or("");
            remarks.push(Remark {
                text: line.trim_end(),
                start: at,
                tokens_before: tokens.len(),
                own_line: fresh,
                blank_after: after.len() > next.len() && next.trim().is_empty(),
            });
            at += line.len();
            continue;
        }
        let (kind, length) = token(rest, c);
        tokens.push(Token { kind, text: &rest[..length], start: at, fresh });
        fresh = false;
        at += length;
    }
    (tokens, remarks)
}

/// The kind and the length in bytes of the token at the start of `rest`; `c` is its first character.
fn token(rest: &str, c: char) -> (Kind, usize) {
    if c.is_ascii_alphabetic() || c == '_' {
        let length = word(rest);
        let foreign = |d: &char| d.is_alphanumeric() || *d == '_';
        let more: usize = rest[length..].chars().take_while(foreign).map(char::len_utf8).sum();
        // `café` is one foreign word, not a name and a foreign letter.
        return (if more > 0 { Kind::Stray } else { Kind::Word }, length + more);
    }
    if let Some(length) = number(rest) {
        return (Kind::Number, length);
    }
    if c == '"' {
        let line = rest.split('\n').next().unwrap_or(rest);
        return match line[1..].find('"') {
            Some(i) => (Kind::Quoted, i + 2),
            None => (Kind::Stray, line.trim_end().len()),
        };
    }
    if let Some((text, kind)) = OPERATORS.iter().find(|(text, _)| rest.starts_with(text)) {
        return (*kind, text.len());
    }
    if rest.starts_with("/*") {
        return (Kind::Stray, rest.find("*/").map_or(rest.trim_end().len(), |i| i + 2));
    }
    if c == '#' {
        return (Kind::Stray, rest.split('\n').next().unwrap_or(rest).trim_end().len());
    }
    if "()[]{},;=<>+-*/^!&|".contains(c) {
        return (Kind::Mark, 1);
    }
    // A foreign word is one stray, and so is a run of one foreign sign.
    let alike =
        |d: &char| if c.is_alphanumeric() { d.is_alphanumeric() || *d == '_' } else { *d == c };
    (Kind::Stray, rest.chars().take_while(alike).map(char::len_utf8).sum())
}

/// The length of the dotted name at the start of `rest`.
fn word(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let part = |from: usize| {
        bytes[from..].iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count()
    };
    let mut end = part(0);
    while bytes.get(end) == Some(&b'.')
        && bytes.get(end + 1).is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_')
    {
        end += 1 + part(end + 1);
    }
    end
}

/// The length of the number at the start of `rest`, if one stands there.
fn number(rest: &str) -> Option<usize> {
    let bytes = rest.as_bytes();
    let digits = |from: usize| bytes.iter().skip(from).take_while(|b| b.is_ascii_digit()).count();
    let whole = digits(0);
    let fraction = if bytes.get(whole) == Some(&b'.') { digits(whole + 1) } else { 0 };
    if whole + fraction == 0 {
        return None;
    }
    let mut end = whole + if fraction > 0 { fraction + 1 } else { 0 };
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    Some(end)
}
