//! Splits a text into statements: directives, labels, instructions, and entries with their bodies.

use crate::fault::ParseError;

/// One statement.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    /// Without the semicolon; labels keep their colon.
    pub(super) text: String,
    /// Line of its first character, from 1.
    pub(super) line: usize,
    /// The innermost block that it stands in.
    pub(super) scope: usize,
    /// For entries: what stands between the braces, nested blocks included.
    pub(super) body: Option<Vec<Statement>>,
}

impl Statement {
    pub(super) fn error(&self, reason: &str) -> ParseError {
        let statement = self.text.chars().take(120).collect();
        ParseError { line: self.line, statement, reason: reason.to_owned() }
    }
}

/// The statements of a text; bodies belong to their entries.
pub(super) fn split(text: &str) -> Result<Vec<Statement>, ParseError> {
    let mut out = Vec::new();
    let mut s = Splitter::default();
    for (number, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        if s.scopes.is_empty() && is_line_directive(code) {
            continue;
        }
        for c in code.chars().chain(['\n']) {
            s.character(c, number + 1, &mut out);
        }
    }
    let rest = Statement { text: s.text.trim().to_owned(), line: s.line, scope: 0, body: None };
    if s.scopes.is_empty() && rest.text.is_empty() {
        Ok(out)
    } else {
        Err(rest.error("the text ends inside a statement"))
    }
}

/// Directives of a module that end with their line.
fn is_line_directive(code: &str) -> bool {
    [".version", ".target", ".address_size"].iter().any(|d| code.trim_start().starts_with(d))
}

#[derive(Default)]
struct Splitter {
    text: String,
    line: usize,
    /// Open blocks.
    scopes: Vec<usize>,
    /// Blocks opened so far.
    opened: usize,
    /// Open brackets of a vector operand.
    vector: usize,
    body: Vec<Statement>,
}

impl Splitter {
    fn character(&mut self, c: char, line: usize, out: &mut Vec<Statement>) {
        let empty = self.text.trim().is_empty();
        match c {
            '{' if self.scopes.is_empty() => self.open(),
            '{' if empty => self.open(),
            '}' if self.vector == 0 && empty => {
                self.scopes.pop();
                if self.scopes.is_empty()
                    && let Some(head) = out.last_mut()
                {
                    head.body = Some(std::mem::take(&mut self.body));
                }
            }
            ';' if self.vector == 0 => self.finish(None, out),
            ':' if self.text.trim().starts_with('$') => self.finish(Some(':'), out),
            _ => {
                if c == '{' {
                    self.vector += 1;
                } else if c == '}' {
                    self.vector = self.vector.saturating_sub(1);
                }
                if empty && !c.is_whitespace() {
                    self.line = line;
                    self.text.clear();
                }
                self.text.push(if c == '\n' || c == '\t' { ' ' } else { c });
                return;
            }
        }
        if c == '{' && self.scopes.len() == 1 && !empty {
            // The head of an entry, without a semicolon.
            let text = std::mem::take(&mut self.text);
            let (text, line) = (text.trim().to_owned(), self.line);
            out.push(Statement { text, line, scope: 0, body: None });
        }
    }

    fn open(&mut self) {
        self.opened += 1;
        self.scopes.push(self.opened);
    }

    fn finish(&mut self, end: Option<char>, out: &mut Vec<Statement>) {
        let mut text = std::mem::take(&mut self.text).trim().to_owned();
        text.extend(end);
        let scope = self.scopes.last().copied().unwrap_or_default();
        let statement = Statement { text, line: self.line, scope, body: None };
        if self.scopes.is_empty() { out.push(statement) } else { self.body.push(statement) }
    }
}
