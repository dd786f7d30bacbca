//! What the logic suites share: the sixteen losses of the two-atom lattice, and helpers.

#![allow(dead_code)]

use ponens_compiler::logic::{Atom, Structure, Table};

/// `pi(w)`, `pi(l)`: bit 0 and bit 1 of a row.
pub(crate) fn pair() -> Vec<Atom> {
    vec![Atom::response("pi", "w"), Atom::response("pi", "l")]
}

/// `pi(w)`, `pi(l)`, `ref(w)`, `ref(l)`.
pub(crate) fn quad() -> Vec<Atom> {
    ["pi", "ref"].iter().flat_map(|m| ["w", "l"].map(|r| Atom::response(m, r))).collect()
}

/// A node of the lattice: its name, the weighted counts of its winning and losing rows, and its
/// clauses, all as the paper prints them (SEMANTICS, section 5).
pub(crate) struct Node {
    pub name: &'static str,
    pub wins: Table,
    pub loses: Table,
    pub p: &'static str,
    pub given: &'static str,
    pub tie: &'static str,
}

impl Node {
    pub(crate) fn structure(&self) -> Structure {
        Structure::from_rows(pair(), self.wins, self.loses).unwrap()
    }
}

/// Rows: 0 is !W & !L, 1 is W & !L, 2 is !W & L, 3 is W & L.
fn rows(list: &[usize]) -> Table {
    Table::of_rows(list.iter().copied(), 2)
}

pub(crate) fn lattice() -> Vec<Node> {
    // T: w(1-l), w, 1-l, 1-l(1-w); B: l(1-w), l, 1-w, 1-w(1-l).
    let tops = [rows(&[1]), rows(&[1, 3]), rows(&[0, 1]), rows(&[0, 1, 3])];
    let bottoms = [rows(&[2]), rows(&[2, 3]), rows(&[0, 2]), rows(&[0, 2, 3])];
    let table = [
        (0, 3, "CEUnl", "W&!L", "T", "F"),
        (0, 2, "l3", "W", "!(W&L)", "F"),
        (0, 1, "cUNL", "!L", "W|L", "F"),
        (0, 0, "ORPO", "L->W", "W xor L", "F"),
        (1, 3, "sCE", "W", "T", "W&L"),
        (1, 2, "CE", "W", "T", "F"),
        (1, 1, "CPO", "L->W", "W|L", "W&L"),
        (1, 0, "cCPO", "L->W", "W|L", "F"),
        (2, 3, "l20", "!L", "T", "!W&!L"),
        (2, 1, "fUNL", "!L", "T", "F"),
        (2, 2, "qfUNL", "L->W", "!(W&L)", "!W&!L"),
        (2, 0, "cfUNL", "L->W", "!(W&L)", "F"),
        (3, 3, "l5", "L->W", "T", "W<->L"),
        (3, 2, "bCPO", "L->W", "T", "!W&!L"),
        (3, 1, "l14", "L->W", "T", "W&L"),
        (3, 0, "unCPO", "L->W", "T", "F"),
    ];
    table
        .into_iter()
        .map(|(t, b, name, p, given, tie)| Node {
            name,
            wins: tops[t],
            loses: bottoms[b],
            p,
            given,
            tie,
        })
        .collect()
}

/// A formula as the paper prints it: without spaces but around `xor`, T and F for the constants.
pub(crate) fn as_printed(text: &str) -> String {
    match text {
        "true" => "T".into(),
        "false" => "F".into(),
        _ if text.contains("xor") => text.into(),
        _ => text.replace(' ', ""),
    }
}
