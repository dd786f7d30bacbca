//! Identifiers: from the names of the language to those of Rust.

use std::collections::HashSet;

/// Words that cannot be identifiers.
const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate",
    "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl",
    "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref",
    "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof",
    "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

/// The runs of letters and digits of a name; a capital behind a small letter begins another.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut previous: Option<char> = None;
    for c in name.chars() {
        if c.is_ascii_alphanumeric() {
            let rises = c.is_ascii_uppercase()
                && previous.is_some_and(|p| p.is_ascii_lowercase() || p.is_ascii_digit());
            match words.last_mut() {
                Some(word) if previous.is_some() && !rises => word.push(c),
                _ => words.push(c.to_string()),
            }
            previous = Some(c);
        } else {
            previous = None;
        }
    }
    words
}

/// `logp(pi,w)` as `logp_pi_w`. Never empty, never a reserved word, never begins with a digit.
pub fn snake_case(name: &str) -> String {
    let words: Vec<String> = words(name).iter().map(|w| w.to_ascii_lowercase()).collect();
    let text = words.join("_");
    if text.is_empty() || text.starts_with(|c: char| c.is_ascii_digit()) {
        format!("x{text}")
    } else if KEYWORDS.contains(&text.as_str()) {
        text + "_"
    } else {
        text
    }
}

/// `dpo_logic` as `DpoLogic`, `lattice.CPO_ref` as `LatticeCPORef`.
pub fn upper_camel_case(name: &str) -> String {
    let capital = |w: &String| {
        let mut letters = w.chars();
        letters
            .next()
            .map(|c| c.to_ascii_uppercase())
            .into_iter()
            .chain(letters)
            .collect::<String>()
    };
    let text: String = words(name).iter().map(capital).collect();
    if text.is_empty() || text.starts_with(|c: char| c.is_ascii_digit()) || text == "Self" {
        format!("X{text}")
    } else {
        text
    }
}

/// Identifiers that differ from one another and from some reserved ones.
#[derive(Clone, Debug, Default)]
pub struct Names {
    taken: HashSet<String>,
}

impl Names {
    /// No identifiers but these are taken.
    pub fn without(taken: &[&str]) -> Self {
        Self { taken: taken.iter().map(|t| (*t).to_owned()).collect() }
    }

    /// The identifier of a name: its [`snake_case`], with a number where that is taken.
    pub fn of(&mut self, name: &str) -> String {
        let plain = snake_case(name);
        let mut unique = plain.clone();
        let mut number = 2;
        while !self.taken.insert(unique.clone()) {
            unique = format!("{}_{number}", plain.trim_end_matches('_'));
            number += 1;
        }
        unique
    }
}
