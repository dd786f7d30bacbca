//! The two-atom lattice as SEMANTICS, section 5, has it.

use ponens::compiler::explain;
use ponens::compiler::landscape::{self, Node};
use ponens::compiler::logic::Structure;
use ponens::compiler::relate::{Order, check, compare};
use ponens::derive::{Link, Wish, derive};

/// Name, P, Pc, Pa, T, B.
pub(crate) const LATTICE: [(&str, &str, &str, &str, &str, &str); 16] = [
    ("CEUnl", "W & !L", "true", "false", "w*(1-l)", "1-w*(1-l)"),
    ("l3", "W", "!(W & L)", "false", "w*(1-l)", "1-w"),
    ("cUNL", "!L", "W | L", "false", "w*(1-l)", "l"),
    ("ORPO", "L -> W", "W xor L", "false", "w*(1-l)", "l*(1-w)"),
    ("sCE", "W", "true", "W & L", "w", "1-w*(1-l)"),
    ("CE", "W", "true", "false", "w", "1-w"),
    ("CPO", "L -> W", "W | L", "W & L", "w", "l"),
    ("cCPO", "L -> W", "W | L", "false", "w", "l*(1-w)"),
    ("l20", "!L", "true", "!W & !L", "1-l", "1-w*(1-l)"),
    ("fUNL", "!L", "true", "false", "1-l", "l"),
    ("qfUNL", "L -> W", "!(W & L)", "!W & !L", "1-l", "1-w"),
    ("cfUNL", "L -> W", "!(W & L)", "false", "1-l", "l*(1-w)"),
    ("l5", "L -> W", "true", "W <-> L", "1-l*(1-w)", "1-w*(1-l)"),
    ("bCPO", "L -> W", "true", "!W & !L", "1-l*(1-w)", "1-w"),
    ("l14", "L -> W", "true", "W & L", "1-l*(1-w)", "l"),
    ("unCPO", "L -> W", "true", "false", "1-l*(1-w)", "l*(1-w)"),
];

/// The formula over pi(w) and pi(l).
pub(crate) fn formula(short: &str) -> String {
    short.replace('W', "pi(w)").replace('L', "pi(l)")
}

/// rho as an expression over pi(w) and pi(l).
pub(crate) fn rho(t: &str, b: &str) -> String {
    let weight = |text: &str| text.replace('w', "W").replace('l', "L");
    formula(&weight(&format!("({t}) / ({b})"))).replacen('(', "log((", 1) + ")"
}

fn wish(row: &(&str, &str, &str, &str, &str, &str), reference: bool) -> Wish {
    Wish {
        name: "mine".to_owned(),
        core: formula(row.1),
        given: Some(formula(row.2)),
        tie: Some(formula(row.3)),
        link: Link::Logistic,
        mean: false,
        reference,
        terms: None,
        params: None,
    }
}

#[test]
fn every_node_is_derived_and_decompiled() {
    for row in &LATTICE {
        for reference in [false, true] {
            let derived = derive(&wish(row, reference)).expect("a loss");
            let place = derived.explanation.place.expect("a place");
            let suffix = if reference { "_ref" } else { "" };
            assert_eq!(place.node, Some(format!("{}{suffix}", row.0)));
            let (rho, found) = explain::decompiled(&derived.compiled.loss).expect("logic");
            assert_eq!(ponens::compiler::decompile::check(&rho, &found), Ok(()), "{}", row.0);
            let own = explain::structure(&derived.compiled.loss).expect("logic").structure;
            assert_eq!(found.structure.sorted(), own.sorted(), "{}", row.0);
        }
    }
}

/// The rows that a node may tick or cross, as bits: both true, both false; ticked, not crossed.
fn corner(s: &Structure) -> [bool; 4] {
    [s.wins.get(3), s.wins.get(0), !s.loses.get(3), !s.loses.get(0)]
}

#[test]
fn the_order_is_that_of_the_four_cube() {
    let nodes = landscape::nodes();
    let plain: Vec<Structure> = nodes.iter().map(Node::structure).collect();
    let related: Vec<Structure> = nodes.iter().map(Node::with_reference).collect();
    let mut seen = [0; 4];
    for (i, a) in nodes.iter().enumerate() {
        for (j, b) in nodes.iter().enumerate() {
            let (x, y) = (corner(&plain[i]), corner(&plain[j]));
            let below = (0..4).all(|k| !x[k] || y[k]);
            let above = (0..4).all(|k| !y[k] || x[k]);
            let (expected, slot) = match (below, above) {
                (true, true) => (Order::Equal, 0),
                (true, false) => (Order::Entails, 1),
                (false, true) => (Order::EntailedBy, 2),
                (false, false) => (Order::Incomparable, 3),
            };
            seen[slot] += 1;
            for list in [&plain, &related] {
                let relation = compare(&list[i], &list[j]);
                assert_eq!(relation.order, expected, "{} and {}", a.name, b.name);
                assert_eq!(check(&list[i], &list[j], &relation), Ok(()));
                assert_eq!(relation.witnesses.is_some(), expected == Order::Incomparable);
            }
        }
    }
    // 3^4 pairs of the cube are in order, each node with itself.
    assert_eq!(seen, [16, 65, 65, 110]);
}

#[test]
fn the_covers_are_those_of_the_four_cube() {
    let nodes = landscape::nodes();
    let of =
        |name: &str| corner(&nodes.iter().find(|n| n.name == name).expect("a node").structure());
    let covers = landscape::lattice_covers();
    assert_eq!(covers.len(), 32);
    for (a, b) in covers {
        let (x, y) = (of(a), of(b));
        let steps: Vec<_> = (0..4).filter(|k| x[*k] != y[*k]).collect();
        assert!(steps.len() == 1 && y[steps[0]], "{a} and {b}");
    }
}
