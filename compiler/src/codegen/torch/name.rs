//! Identifiers: from the names of the language to those of Python.

use crate::codegen::rust::snake_case;
use std::collections::HashSet;

/// Words that cannot be identifiers, and names that generated code uses itself.
const RESERVED: &[&str] = &[
    "abs",
    "and",
    "as",
    "assert",
    "async",
    "await",
    "break",
    "class",
    "columns",
    "continue",
    "ctx",
    "def",
    "del",
    "dtype",
    "elif",
    "else",
    "except",
    "finally",
    "float",
    "for",
    "from",
    "global",
    "grad",
    "if",
    "import",
    "in",
    "int",
    "is",
    "lambda",
    "len",
    "loss",
    "math",
    "max",
    "min",
    "none",
    "nonlocal",
    "not",
    "or",
    "pass",
    "print",
    "raise",
    "reduction",
    "return",
    "self",
    "sum",
    "torch",
    "total",
    "try",
    "while",
    "with",
    "yield",
];

/// Identifiers that differ from one another and from what generated code uses itself.
#[derive(Clone, Debug)]
pub(super) struct Names {
    taken: HashSet<String>,
}

impl Names {
    pub(super) fn new() -> Self {
        Self { taken: RESERVED.iter().map(|w| (*w).to_owned()).collect() }
    }

    /// The identifier of a name: small letters, digits and single underscores, never reserved.
    pub(super) fn of(&mut self, name: &str) -> String {
        let plain = snake_case(name);
        let plain = plain.trim_end_matches('_').to_owned();
        let mut unique = plain.clone();
        if self.taken.contains(&unique) {
            unique.push('_');
        }
        let mut number = 2;
        while !self.taken.insert(unique.clone()) {
            unique = format!("{plain}_{number}");
            number += 1;
        }
        unique
    }
}

/// The name of a function: never reserved by Python.
pub(super) fn function(name: &str) -> String {
    Names::new().of(name)
}

/// The name of a class: words with capitals.
pub(super) fn class(name: &str) -> String {
    crate::codegen::rust::upper_camel_case(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_and_repeated_names_get_out_of_the_way() {
        let mut names = Names::new();
        let got: Vec<String> = ["lambda", "beta", "logp(pi,w)", "logp pi w", "torch", "2x", "ref"]
            .iter()
            .map(|n| names.of(n))
            .collect();
        assert_eq!(got, ["lambda_", "beta", "logp_pi_w", "logp_pi_w_2", "torch_", "x2x", "ref"]);
        assert_eq!(class("lattice.CPO_ref"), "LatticeCPORef");
    }
}
