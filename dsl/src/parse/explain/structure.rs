//! What is wrong with the frame: brackets, depth, items and clauses in the wrong place.

use super::super::MAX_DEPTH;
use super::super::piece::Piece;
use super::super::scan::{CLAUSE_WORDS, ITEM_WORDS, Token};
use super::{called, spelled_operator};
use crate::ast::Name;
use crate::diagnostic::Diagnostic;
use crate::span::Span;
use crate::suggest::closest;

fn error(message: impl Into<String>) -> Diagnostic {
    Diagnostic::error("E0001", message)
}

pub(in crate::parse) fn too_deep(place: Span) -> Diagnostic {
    Diagnostic::error("E0004", format!("this nests more than {MAX_DEPTH} levels deep"))
        .at(place, "one level too deep")
        .help("name parts of it with `let`, or bracket a long chain in groups")
}

/// `a < b < c`, at the second sign.
pub(in crate::parse) fn chained(place: Span) -> Diagnostic {
    error("comparisons cannot be chained")
        .at(place, "a second comparison")
        .help("write `a < b & b < c`")
}

/// `sum(a, b) c`: what stands before an operand is no index.
pub(in crate::parse) fn bad_reduction(op: &Name, head: Span, body: Span) -> Diagnostic {
    let op_text = &op.text;
    error(format!("`{op_text}` runs over one index: `{op_text}(i)` or `{op_text}(i < K)`"))
        .at(head, "not an index, or an index with one bound")
        .at(body, "what would be reduced")
        .help(format!("put an operator behind the brackets if `{op_text}(..)` is meant as a value"))
}

pub(in crate::parse) fn unmatched(
    piece: &Piece<'_>,
    open: Option<&Token<'_>>,
    close: &Token<'_>,
) -> Diagnostic {
    let place = piece.span(close.start, close.end());
    match open {
        Some(o) => error(format!("`{}` is closed by `{}`", o.text, close.text))
            .at(place, "does not match")
            .at(piece.span(o.start, o.end()), "opened here")
            .help(format!("write `{}`", partner(o.text))),
        None => error(format!("`{}` closes nothing", close.text))
            .at(place, "no bracket is open here")
            .help("remove it, or open the bracket before it"),
    }
}

pub(in crate::parse) fn unclosed(piece: &Piece<'_>, open: &Token<'_>) -> Diagnostic {
    let found = error(format!("`{}` is never closed", open.text))
        .at(piece.span(open.start, open.end()), "opened here")
        .help(format!("write `{}` where it ends", partner(open.text)));
    match &piece.next {
        Some(next) if next.starts_clause() || next.starts_item() => found.at(
            piece.span(next.start, next.end()),
            "something new begins here, before it is closed",
        ),
        _ => found.at(piece.end_span(), "it ends here, before it is closed"),
    }
}

fn partner(open: &str) -> &'static str {
    match open {
        "(" => ")",
        "[" => "]",
        _ => "}",
    }
}

/// The body of a loss runs into the next item or the end of the text.
pub(in crate::parse) fn unclosed_body(
    open: Span,
    loss: Span,
    stopped: Span,
    found: Option<&str>,
) -> Diagnostic {
    let label = match found {
        Some(word) => format!("`{word}` begins something new"),
        None => "the text ends here".to_owned(),
    };
    error("the body of this loss is never closed")
        .at(open, "opened here")
        .at(stopped, label)
        .at(loss, "of this loss")
        .help("write `}` behind its last clause")
}

pub(in crate::parse) fn no_body(head: &Piece<'_>) -> Diagnostic {
    error("this loss has no body")
        .at(head.end_span(), "`{` belongs here")
        .help("write `loss name(..) { data ..  model ..  minimize .. }`")
}

/// Something that begins no clause, inside a body.
pub(in crate::parse) fn unknown_clause(piece: &Piece<'_>) -> Diagnostic {
    let Some(first) = piece.tokens.first() else { return error("a clause is missing") };
    let place = piece.span(first.start, first.end());
    let second = piece.tokens.get(1);
    if first.is_name() && second.is_some_and(|t| t.is("=")) {
        let name = first.text;
        return error(format!("`{name} =` begins no clause"))
            .at(place, "not a clause")
            .help(format!("write `let {name} = ..` to bind a name"));
    }
    let found = if first.is_name() {
        error(format!("`{}` begins no clause", first.text))
    } else {
        error(format!("expected a clause, found {}", called(Some(first))))
    };
    let clauses = CLAUSE_WORDS.join(", ");
    let found =
        found.at(place, "not a clause").note(format!("clauses begin with {clauses} or `rho =`"));
    match closest(first.text, CLAUSE_WORDS.iter().copied()).or_else(|| clause_for(first.text)) {
        Some(word) if first.is_name() => found.help(format!("did you mean `{word}`?")),
        _ if spelled_operator(first.text).is_some() => {
            found.help("operators are written `&`, `|`, `!`, `->`, `<->`, `xor`")
        }
        _ => found,
    }
}

/// The word that begins the clause of like meaning.
fn clause_for(word: &str) -> Option<&'static str> {
    Some(match word {
        "loss" | "return" | "objective" | "optimize" | "maximize" => "minimize",
        "var" | "const" | "def" | "set" | "where" => "let",
        "when" | "condition" | "constraint" | "assume" => "given",
        "policy" | "reference" => "model",
        "dataset" | "input" => "data",
        _ => return None,
    })
}

/// Something that begins no item. `closed` is where the last body ended.
pub(in crate::parse) fn unknown_item(piece: &Piece<'_>, closed: Option<Span>) -> Diagnostic {
    let Some(first) = piece.tokens.first() else { return error("a loss is missing") };
    let place = piece.span(first.start, first.end());
    if first.starts_clause() || first.is("else") || first.is("}") {
        let found = error(format!("`{}` stands outside of a loss", first.text))
            .at(place, "no loss is open here");
        return match closed {
            Some(brace) => found
                .at(brace, "the last loss was closed here")
                .help("remove one closing brace too many, or open a loss"),
            None => found.help("write `loss name() { .. }` around it"),
        };
    }
    let found = error(format!("expected `loss` or `fn`, found {}", called(Some(first))))
        .at(place, "begins nothing")
        .note(format!("a text is made of {}", ITEM_WORDS.join(", ")));
    match item_for(first.text) {
        Some(word) if first.is_name() => found.help(format!("did you mean `{word}`?")),
        _ => found,
    }
}

/// True for a word that was meant to begin an item.
pub(in crate::parse) fn means_item(token: &Token<'_>) -> bool {
    token.is_name() && item_for(token.text).is_some()
}

/// The word that begins the item that was meant.
fn item_for(word: &str) -> Option<&'static str> {
    if let Some(near) = closest(word, ITEM_WORDS.iter().copied()) {
        return Some(near);
    }
    Some(match word {
        "def" | "func" | "function" | "fun" => "fn",
        "use" | "include" => "import",
        "objective" | "criterion" => "loss",
        _ => return None,
    })
}

pub(in crate::parse) fn unknown_edition(year: &Name, known: &[u32]) -> Diagnostic {
    let known: Vec<String> = known.iter().map(u32::to_string).collect();
    let help = format!("write `edition {};`", known.last().map_or("2026", String::as_str));
    Diagnostic::error("E0005", format!("edition {} is not known", year.text))
        .at(year.span, "not known to this version")
        .note(format!("known editions: {}", known.join(", ")))
        .help(help)
}

pub(in crate::parse) fn misplaced_edition(place: Span) -> Diagnostic {
    error("`edition` does not stand first")
        .at(place, "something stands before it")
        .help("make it the first line of the text, and write it once")
}

pub(in crate::parse) fn late_import(place: Span) -> Diagnostic {
    error("`import` stands behind a definition")
        .at(place, "imports come first")
        .help("move it above the first loss or function")
}
