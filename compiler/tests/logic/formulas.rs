//! Formulas: as short as any, with the table that they came from, and readable back.

use crate::table;
use ponens_compiler::logic::{Formula, Table, minimal_cover, minimise};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The least (literals, weight) of any formula of each three-atom function, by exhaustive search in
/// ascending cost over all the connectives, each connective of two operands.
fn exhaustive_costs() -> HashMap<Table, (u32, u32)> {
    let n = 3;
    let mut best: HashMap<Table, (u32, u32)> = HashMap::new();
    let mut frontier: BTreeMap<(u32, u32), BTreeSet<Table>> = BTreeMap::new();
    for i in 0..n {
        let var = Table::var(i, n);
        frontier.entry((1, 0)).or_default().insert(var);
        frontier.entry((1, 2)).or_default().insert(var.not(n));
    }
    while let Some((cost, tables)) = frontier.pop_first() {
        for f in tables {
            if best.contains_key(&f) {
                continue;
            }
            best.insert(f, cost);
            frontier.entry((cost.0, cost.1 + 4)).or_default().insert(f.not(n));
            let others: Vec<_> = best.iter().map(|(t, c)| (*t, *c)).collect();
            for (g, other) in others {
                let sum = (cost.0 + other.0, cost.1 + other.1);
                let mut add = |t: Table, weight: u32| {
                    if !best.contains_key(&t) {
                        frontier.entry((sum.0, sum.1 + weight)).or_default().insert(t);
                    }
                };
                add(f & g, 2);
                add(f | g, 4);
                add(f.implies(g, n), 5);
                add(g.implies(f, n), 5);
                add(f ^ g, 5);
                add(f.iff(g, n), 5);
            }
        }
    }
    best
}

#[test]
fn formulas_of_three_atoms_are_as_short_as_any() {
    let best = exhaustive_costs();
    let weight = |f: &Formula| -> u32 {
        fn go(f: &Formula) -> u32 {
            match f {
                Formula::True | Formula::False | Formula::Atom(_) => 0,
                Formula::Not(a) if matches!(**a, Formula::Atom(_)) => 2,
                Formula::Not(a) => 4 + go(a),
                Formula::And(args) => {
                    2 * (args.len() as u32 - 1) + args.iter().map(go).sum::<u32>()
                }
                Formula::Or(args) => 4 * (args.len() as u32 - 1) + args.iter().map(go).sum::<u32>(),
                Formula::Implies(a, b) | Formula::Iff(a, b) | Formula::Xor(a, b) => {
                    5 + go(a) + go(b)
                }
            }
        }
        go(f)
    };
    let names = ["a", "b", "c"];
    for bits in 1..255u64 {
        let f = Table(bits);
        let found = minimise(f, 3);
        assert!(found.exact);
        let text = found.formula.shown(&names).to_string();
        let (literals, weight) = (found.formula.leaves().len() as u32, weight(&found.formula));
        let least = best[&f];
        assert_eq!(literals, least.0, "{text}");
        assert!((least.1..=least.1 + 2).contains(&weight), "{text} {weight} {}", least.1);
    }
}

#[test]
fn six_atoms_stay_within_the_bounds() {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    for _ in 0..4 {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let f = Table(state ^ state >> 29);
        assert_eq!(minimise(f, 6).formula.table(6), f);
    }
    let parity = (0..6).fold(Table::FALSE, |t, i| t ^ Table::var(i, 6));
    let found = minimise(parity, 6);
    assert!(found.exact);
    let names = ["a", "b", "c", "d", "e", "f"];
    assert_eq!(found.formula.shown(&names).to_string(), "a xor b xor c xor d xor e xor f");
}

fn formula() -> impl Strategy<Value = Formula> {
    let leaf = prop_oneof![
        (0usize..6).prop_map(Formula::Atom),
        Just(Formula::True),
        Just(Formula::False),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let list = prop::collection::vec(inner.clone(), 0..4);
        let two = (inner.clone(), inner.clone());
        prop_oneof![
            inner.prop_map(Formula::negated),
            list.clone().prop_map(Formula::And),
            list.prop_map(Formula::Or),
            two.clone().prop_map(|(a, b)| a.implies(b)),
            two.clone().prop_map(|(a, b)| a.iff(b)),
            two.prop_map(|(a, b)| a.xor(b)),
        ]
    })
}

/// Evaluates the text of a formula by the precedences of the language, written independently of the
/// printer: each function parses one level and returns the truth table.
mod text {
    use ponens_compiler::logic::Table;

    pub(crate) fn table(text: &str) -> Table {
        let tokens: Vec<String> = text
            .replace('(', " ( ")
            .replace(')', " ) ")
            .replace('!', " ! ")
            .split_whitespace()
            .map(Into::into)
            .collect();
        let mut at = 0;
        let table = iff(&tokens, &mut at);
        assert_eq!(at, tokens.len(), "{text}");
        table
    }

    fn take(tokens: &[String], at: &mut usize, token: &str) -> bool {
        let found = tokens.get(*at).is_some_and(|t| t == token);
        *at += usize::from(found);
        found
    }

    fn iff(t: &[String], at: &mut usize) -> Table {
        let mut left = implies(t, at);
        while take(t, at, "<->") {
            left = left.iff(implies(t, at), 6);
        }
        left
    }

    fn implies(t: &[String], at: &mut usize) -> Table {
        let left = xor(t, at);
        if take(t, at, "->") { left.implies(implies(t, at), 6) } else { left }
    }

    fn xor(t: &[String], at: &mut usize) -> Table {
        let mut left = or(t, at);
        while take(t, at, "xor") {
            left = left ^ or(t, at);
        }
        left
    }

    fn or(t: &[String], at: &mut usize) -> Table {
        let mut left = and(t, at);
        while take(t, at, "|") {
            left = left | and(t, at);
        }
        left
    }

    fn and(t: &[String], at: &mut usize) -> Table {
        let mut left = not(t, at);
        while take(t, at, "&") {
            left = left & not(t, at);
        }
        left
    }

    fn not(t: &[String], at: &mut usize) -> Table {
        if take(t, at, "!") {
            return not(t, at).not(6);
        }
        if take(t, at, "(") {
            let inner = iff(t, at);
            assert!(take(t, at, ")"));
            return inner;
        }
        let word = &t[*at];
        *at += 1;
        match word.as_str() {
            "true" => Table::full(6),
            "false" => Table::FALSE,
            name => Table::var(name[1..].parse().unwrap(), 6),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn minimal_formulas_keep_the_table(bits in any::<u64>(), n in 0usize..=4) {
        let f = Table(bits) & Table::full(n);
        let found = minimise(f, n);
        prop_assert!(found.exact);
        prop_assert_eq!(found.formula.table(n), f);
        prop_assert_eq!(minimise(f, n), found);
    }

    #[test]
    fn texts_read_back(f in formula()) {
        let names: Vec<String> = (0..6).map(|i| format!("a{i}")).collect();
        prop_assert_eq!(text::table(&f.shown(&names).to_string()), f.table(6));
    }

    #[test]
    fn covers_cover(f in table(4)) {
        let cover = minimal_cover(f, 4);
        let union = cover.cubes.iter().fold(Table::FALSE, |t, c| t | c.table(4));
        prop_assert_eq!(union, f);
        prop_assert!(cover.exact);
    }

    #[test]
    fn tables_form_a_boolean_algebra(a in table(4), b in table(4), c in table(4)) {
        prop_assert_eq!(a & (b | c), a & b | a & c);
        prop_assert_eq!((a & b).not(4), a.not(4) | b.not(4));
        prop_assert_eq!(a.implies(b, 4), a.not(4) | b);
        prop_assert_eq!(a.iff(b, 4), (a ^ b).not(4));
        prop_assert_eq!(a.is_within(b), a.implies(b, 4).is_true(4));
        for i in 0..4 {
            let v = Table::var(i, 4);
            let (on, off) = (a.cofactor(i, true, 4), a.cofactor(i, false, 4));
            prop_assert_eq!(v & on | v.not(4) & off, a);
            prop_assert!(!on.depends_on(i, 4) && !off.depends_on(i, 4));
        }
        prop_assert_eq!(a.rows().count() as u32, a.count());
    }

    #[test]
    fn renaming_atoms_is_invertible(a in table(4), shift in 0usize..4) {
        let map: Vec<usize> = (0..4).map(|i| (i + shift) % 4).collect();
        let back: Vec<usize> = (0..4).map(|i| (i + 4 - shift) % 4).collect();
        prop_assert_eq!(a.remap(&map, 4).remap(&back, 4), a);
        let wide = a.extend(4, 6);
        prop_assert_eq!(wide.support(6), a.support(4));
        prop_assert_eq!(wide.restrict(0b1111), a);
    }
}
