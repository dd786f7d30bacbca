//! Symbols of other languages: what to write instead.

use super::super::piece::Piece;
use super::super::scan::Token;
use super::called;
use crate::diagnostic::Diagnostic;

/// What people write, and what the language has for it.
const SIGNS: &[(&str, &str)] = &[
    ("&&", "&"),
    ("||", "|"),
    ("=>", "->"),
    ("<=>", "<->"),
    (":=", "="),
    ("**", "^"),
    ("~", "!"),
    ("≤", "<="),
    ("≥", ">="),
    ("→", "->"),
    ("⇒", "->"),
    ("⟶", "->"),
    ("↔", "<->"),
    ("⇔", "<->"),
    ("∧", "&"),
    ("∨", "|"),
    ("¬", "!"),
    ("⊕", "xor"),
    ("·", "*"),
    ("×", "*"),
    ("−", "-"),
    ("–", "-"),
    ("∞", "inf"),
    ("“", "\""),
    ("”", "\""),
];

const GREEK: &[(char, &str)] = &[
    ('α', "alpha"),
    ('β', "beta"),
    ('γ', "gamma"),
    ('δ', "delta"),
    ('ε', "epsilon"),
    ('η', "eta"),
    ('θ', "theta"),
    ('κ', "kappa"),
    ('λ', "lambda"),
    ('μ', "mu"),
    ('π', "pi"),
    ('ρ', "rho"),
    ('σ', "sigma"),
    ('τ', "tau"),
    ('φ', "phi"),
    ('ω', "omega"),
];

/// Explains a token that is not of the language.
pub(in crate::parse) fn stray(piece: &Piece<'_>, token: &Token<'_>) -> Diagnostic {
    let place = piece.span(token.start, token.end());
    let error = |message: String| Diagnostic::error("E0001", message);
    let text = token.text;
    if let Some((_, ours)) = SIGNS.iter().find(|(theirs, _)| *theirs == text) {
        return error(format!("{} is not a symbol of the language", called(Some(token))))
            .at(place, "not known here")
            .help(format!("write `{ours}`"));
    }
    match text {
        "==" => {
            let found = error("`==` is not a symbol of the language".to_owned());
            let head = piece.tokens.first().map_or("", |t| t.text);
            let unbound = !piece.tokens.iter().any(|t| t.start < token.start && t.is("="));
            if unbound && matches!(head, "let" | "model" | "rho" | "loss" | "fn") {
                return found.at(place, "binds nothing").help("write `=` to bind a name");
            }
            found.at(place, "not known here").help(
                "numbers are not compared for equality; write `<->` for equivalent formulas",
            )
        }
        "!=" => error("`!=` is not a symbol of the language".to_owned())
            .at(place, "not known here")
            .help("write `xor` when exactly one of two formulas is to hold"),
        _ if text.starts_with('#') => error("`#` does not begin a comment".to_owned())
            .at(place, "not known here")
            .help("comments begin with `//`"),
        _ if text.starts_with("/*") => error("`/*` does not begin a comment".to_owned())
            .at(place, "not known here")
            .help("comments begin with `//` and end with their line"),
        _ if text.starts_with('"') => error("this quote is not closed on its line".to_owned())
            .at(place, "opened here")
            .help("close it with `\"`"),
        "'" => error("`'` does not quote".to_owned())
            .at(place, "not known here")
            .help("paths are quoted with `\"`"),
        "." => error("this dot joins nothing".to_owned())
            .at(place, "neither in a name nor in a number")
            .help("dotted names have no blanks (`lattice.CPO`), and digits follow the dot of a number"),
        _ => foreign_text(text, token).at(place, "not known here"),
    }
}

fn foreign_text(text: &str, token: &Token<'_>) -> Diagnostic {
    let error = |message: String| Diagnostic::error("E0001", message);
    let mut letters = text.chars();
    let first = letters.next().unwrap_or(' ');
    if !first.is_alphanumeric() {
        let shown = if first.is_control() || first.is_whitespace() || text.chars().count() > 40 {
            format!("the character U+{:04X}", first as u32)
        } else {
            called(Some(token))
        };
        let found = error(format!("{shown} is not a symbol of the language"));
        let blank = first.is_whitespace() || matches!(first, '\u{200b}' | '\u{feff}');
        return if blank { found.help("replace it by a plain space") } else { found };
    }
    let spelled: String = text
        .chars()
        .map(|c| match GREEK.iter().find(|(letter, _)| *letter == c) {
            Some((_, name)) => (*name).to_owned(),
            None => c.to_string(),
        })
        .collect();
    let found = error(format!(
        "{} is not a name: names are made of ASCII letters, digits and `_`",
        called(Some(token))
    ));
    if spelled.is_ascii() { found.help(format!("write `{spelled}`")) } else { found }
}
