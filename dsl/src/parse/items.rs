//! Items and clause boundaries: cuts the tokens into pieces and goes on behind every error.
//!
//! The cut needs no grammar: reserved words begin items and clauses and nothing else, and brackets
//! are counted within one clause only, so that a bracket left open spoils no more than its clause.

use super::build;
use super::comments;
use super::explain;
use super::piece::Piece;
use super::scan::{self, Kind, Remark, Token};
use super::{MAX_DIAGNOSTICS, REDUCERS};
use crate::ast::{File, Item, Loss};
use crate::diagnostic::Diagnostic;
use crate::span::{FileId, Span};

/// Editions of the language that this version reads.
const EDITIONS: &[u32] = &[2026];

/// Diagnostics after which the rest of a text is not read: it is in another language.
const ENOUGH: usize = 4 * MAX_DIAGNOSTICS;

/// Reads a whole text.
pub(super) fn read(text: &str, file: FileId) -> (File, Vec<Diagnostic>) {
    let (tokens, remarks) = scan::scan(text);
    let mut reader = Reader {
        file,
        text,
        tokens: &tokens,
        remarks: &remarks,
        at: 0,
        documented: Vec::new(),
        body_ends: Vec::new(),
        tree: File::default(),
        diagnostics: Vec::new(),
    };
    reader.items();
    let Reader { documented, body_ends, mut tree, diagnostics, .. } = reader;
    tree.comments = comments::place(file, &tokens, &remarks, &documented, &body_ends);
    (tree, diagnostics)
}

struct Reader<'a> {
    file: FileId,
    text: &'a str,
    tokens: &'a [Token<'a>],
    remarks: &'a [Remark<'a>],
    /// The next token to read.
    at: usize,
    /// Tokens whose doc comments went into the tree.
    documented: Vec<usize>,
    /// Tokens that close the body of a loss.
    body_ends: Vec<usize>,
    tree: File,
    diagnostics: Vec<Diagnostic>,
}

impl<'a> Reader<'a> {
    fn items(&mut self) {
        while let Some(&token) = self.tokens.get(self.at)
            && self.diagnostics.len() < ENOUGH
        {
            let begin = self.at;
            match token.text {
                _ if !token.starts_item() => self.junk(),
                "edition" => self.edition(),
                "import" => self.import(),
                "fn" => self.function(),
                _ => self.loss(),
            }
            debug_assert!(self.at > begin, "every round takes a token");
        }
    }

    fn piece(&self, range: std::ops::Range<usize>) -> Piece<'a> {
        Piece::new(self.file, self.text, self.tokens, range)
    }

    fn span(&self, token: usize) -> Span {
        match self.tokens.get(token) {
            Some(t) => Span::new(self.file, t.start, t.end()),
            None => Span::new(self.file, self.text.len(), self.text.len()),
        }
    }

    /// The doc comment lines right before a token.
    fn docs(&mut self, token: usize) -> Vec<String> {
        let from = self.remarks.partition_point(|r| r.tokens_before < token);
        let here = self.remarks[from..].iter().take_while(|r| r.tokens_before == token);
        let docs: Vec<String> = here.filter_map(|r| r.doc().map(str::to_owned)).collect();
        self.documented.push(token);
        docs
    }

    fn edition(&mut self) {
        let begin = self.at;
        self.at = self.statement_end();
        if begin > 0 {
            self.diagnostics.push(explain::misplaced_edition(self.span(begin)));
        }
        let piece = self.piece(begin..self.at);
        let Some(year) = build::edition(&piece, &mut self.diagnostics) else { return };
        match year.text.parse() {
            Ok(known) if EDITIONS.contains(&known) => {
                self.tree.edition.get_or_insert((known, year.span));
            }
            _ => self.diagnostics.push(explain::unknown_edition(&year, EDITIONS)),
        }
    }

    fn import(&mut self) {
        let begin = self.at;
        self.at = self.statement_end();
        if !self.tree.items.is_empty() {
            self.diagnostics.push(explain::late_import(self.span(begin)));
        }
        let piece = self.piece(begin..self.at);
        self.tree.imports.extend(build::import(&piece, &mut self.diagnostics));
    }

    /// Where `edition ..;` or `import ..;` ends.
    fn statement_end(&self) -> usize {
        let rest = &self.tokens[self.at + 1..];
        let stops = |t: &Token<'_>| t.starts_item() || (t.fresh && t.kind == Kind::Word);
        let length = rest.iter().position(|t| t.is(";") || stops(t));
        match length {
            Some(n) if rest[n].is(";") => self.at + n + 2,
            Some(n) => self.at + n + 1,
            None => self.tokens.len(),
        }
    }

    fn function(&mut self) {
        let begin = self.at;
        let docs = self.docs(begin);
        self.at = self.clause_end(begin);
        let piece = self.piece(begin..self.at);
        if let Some(function) = build::function(&piece, &mut self.diagnostics) {
            self.tree.items.push(Item::Function(crate::ast::Function { docs, ..function }));
        }
    }

    /// `loss ..` of either kind.
    fn loss(&mut self) {
        let begin = self.at;
        let docs = self.docs(begin);
        let (brace, limit) = self.header_end(begin);
        let head = brace.unwrap_or(limit);
        if self.is_variant(begin, head) {
            self.at = brace.map_or(limit, |b| self.variant_end(b));
            let piece = self.piece(begin..self.at);
            if let Some(variant) = build::variant(&piece, &mut self.diagnostics) {
                self.tree.items.push(Item::Variant(crate::ast::Variant { docs, ..variant }));
            }
            return;
        }
        let before = self.diagnostics.len();
        let piece = self.piece(begin..head);
        let header = build::header(&piece, &mut self.diagnostics);
        self.at = head;
        match brace {
            Some(_) => self.at += 1,
            None if self.diagnostics.len() == before => {
                self.diagnostics.push(explain::no_body(&piece));
            }
            None => {}
        }
        if brace.is_none() && !self.tokens.get(self.at).is_some_and(Token::starts_clause) {
            return;
        }
        let clauses = self.body(brace, begin);
        let span = self.span(begin).to(self.span(self.at - 1));
        if let Some(build::Header { name, params }) = header {
            self.tree.items.push(Item::Loss(Loss { docs, name, params, clauses, span }));
        }
    }

    /// The brace after the head of a loss, and the token where the search for it ended.
    fn header_end(&self, begin: usize) -> (Option<usize>, usize) {
        let (mut depth, mut first) = (0usize, None);
        for (k, t) in self.tokens.iter().enumerate().skip(begin + 1) {
            let complete = depth == 0 && self.tokens[k - 1].ends_operand();
            match t.text {
                "(" | "[" => depth += 1,
                ")" | "]" => depth = depth.saturating_sub(1),
                "{" if depth == 0 => return (Some(k), k),
                "{" => first = first.or(Some(k)),
                _ if (t.starts_clause() || t.starts_item()) && (t.fresh || complete) => {
                    return (first, first.unwrap_or(k));
                }
                _ => {}
            }
        }
        (first, first.unwrap_or(self.tokens.len()))
    }

    /// `loss a = b with`, told from `loss a(beta = 1)` by where the `=` stands.
    fn is_variant(&self, begin: usize, head: usize) -> bool {
        let mut depth = 0i64;
        self.tokens[begin..head].iter().any(|t| {
            // A half-open range closes `[` with `)`.
            match t.text {
                "(" | "[" => depth += 1,
                ")" | "]" => depth -= 1,
                _ => {}
            }
            (depth == 0 && t.is("=")) || t.is("with")
        })
    }

    /// Behind the brace that matches the one at `open`, and a semicolon.
    fn variant_end(&self, open: usize) -> usize {
        let mut depth = 0usize;
        for (k, t) in self.tokens.iter().enumerate().skip(open) {
            match t.text {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ if t.starts_item() && t.fresh => return k,
                _ => {}
            }
            if depth == 0 {
                return k + 1 + usize::from(self.tokens.get(k + 1).is_some_and(|t| t.is(";")));
            }
        }
        self.tokens.len()
    }

    /// Clauses up to the closing brace. `brace` is where the body was opened, if it was.
    fn body(&mut self, brace: Option<usize>, begin: usize) -> Vec<crate::ast::Clause> {
        let mut clauses = Vec::new();
        loop {
            match self.tokens.get(self.at) {
                Some(t) if t.is("}") => {
                    self.body_ends.push(self.at);
                    self.at += 1;
                    return clauses;
                }
                _ if self.diagnostics.len() >= ENOUGH => return clauses,
                Some(t) if !t.starts_item() => {
                    let begin = self.at;
                    self.at = self.clause_end(begin);
                    let piece = self.piece(begin..self.at);
                    if self.begins_clause(begin) {
                        clauses.extend(build::clause(&piece, &mut self.diagnostics));
                    } else {
                        self.diagnostics.push(explain::unknown_clause(&piece));
                    }
                }
                _ => {
                    // A body that was never opened has been reported.
                    if let Some(brace) = brace {
                        let (opened, loss) = (self.span(brace), self.span(begin));
                        let stopped = self.span(self.at);
                        let ended = self.tokens.get(self.at).map(|t| t.text);
                        self.diagnostics.push(explain::unclosed_body(opened, loss, stopped, ended));
                    }
                    return clauses;
                }
            }
        }
    }

    fn begins_clause(&self, at: usize) -> bool {
        let token = self.tokens[at];
        token.starts_clause()
            || (token.is("rho") && self.tokens.get(at + 1).is_some_and(|t| t.is("=")))
    }

    /// Where the clause (or function) that begins at `begin` ends.
    fn clause_end(&self, begin: usize) -> usize {
        let mut open: Vec<usize> = Vec::new();
        // The closing bracket of `sum(i < K)`, behind which an operand may follow.
        let mut head_end = usize::MAX;
        for k in begin + 1..self.tokens.len() {
            let (t, previous) = (self.tokens[k], self.tokens[k - 1]);
            let complete = open.is_empty() && previous.ends_operand();
            if (t.starts_item() || t.starts_clause()) && (t.fresh || complete) {
                return k;
            }
            if t.is_name() && complete && k > begin + 1 {
                let binds = self.tokens.get(k + 1).is_some_and(|n| n.is("="));
                let option = self.tokens[begin].is("model") && self.tokens[k - 2].is(",");
                let foreign = t.fresh && head_end != k - 1 && !option;
                if (binds && (t.fresh || t.is("rho"))) || foreign {
                    return k;
                }
            }
            match t.text {
                ";" if open.is_empty() => return k + 1,
                "(" | "[" | "{" => open.push(k),
                "}" => match open.iter().rposition(|o| self.tokens[*o].is("{")) {
                    Some(i) => open.truncate(i),
                    None => return k,
                },
                ")" | "]" => {
                    let opened = open.pop_if(|o| !self.tokens[*o].is("{"));
                    if opened.is_some_and(|o| REDUCERS.contains(&self.tokens[o - 1].text)) {
                        head_end = k;
                    }
                }
                _ => {}
            }
        }
        self.tokens.len()
    }

    /// What begins no item: reported once, then skipped to the next item.
    fn junk(&mut self) {
        let begin = self.at;
        let mut depth = 0usize;
        self.at = begin;
        while let Some(t) = self.tokens.get(self.at) {
            let another = depth == 0 && t.fresh && explain::means_item(t);
            if self.at > begin && (t.starts_item() || another) {
                break;
            }
            match t.text {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.at += 1;
        }
        let piece = self.piece(begin..self.at);
        let first = &self.tokens[begin];
        self.diagnostics.push(if first.kind == Kind::Stray {
            explain::stray(&piece, first)
        } else {
            let closed = self.body_ends.last().map(|end| self.span(*end));
            explain::unknown_item(&piece, closed)
        });
    }
}
