//! Truth tables, formulas, minimal formulas, structures and their polynomials.

// A helper that fails is a failing test.
#![allow(clippy::unwrap_used)]

mod support;

use ponens_compiler::logic::{
    Atom, Formula, Fraction, Inadmissible, Mark, Polynomial, Rational, Structure, StructureError,
    Table, conjuncts, minimal_cover, minimise,
};
use ponens_compiler::relate::{Sign, non_negative};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use support::{as_printed, lattice, pair, quad};

const NAMES: [&str; 2] = ["W", "L"];

#[test]
fn the_sixteen_nodes_print_as_in_the_paper() {
    let mut printed = String::new();
    for node in lattice() {
        let core = node.structure().core();
        let text = |f: &Formula| f.shown(&NAMES).to_string();
        let clauses = [text(&core.p), text(&core.given), text(&core.tie)];
        let [p, given, tie] = clauses.each_ref().map(|c| as_printed(c));
        assert_eq!(
            (p.as_str(), given.as_str(), tie.as_str()),
            (node.p, node.given, node.tie),
            "{}",
            node.name
        );
        let (t, b) = node.structure().polynomials();
        let fraction = format!("({}) / ({})", t.shown(&["w", "l"]), b.shown(&["w", "l"]));
        printed.push_str(&format!("{:6} ({})  {fraction}\n", node.name, clauses.join(", ")));
    }
    insta::assert_snapshot!(printed);
}

#[test]
fn clauses_and_rows_describe_the_same_structure() {
    for (wins, loses) in all_structures(2) {
        let structure = Structure::from_rows(pair(), wins, loses).unwrap();
        let core = structure.core();
        let back = Structure::from_clauses(
            pair(),
            core.p.table(2),
            core.given.table(2),
            core.tie.table(2),
        );
        assert_eq!(back.unwrap(), structure);
    }
}

#[test]
fn dpo_is_the_reference_version_of_cpo() {
    let cpo = lattice().into_iter().find(|n| n.name == "CPO").unwrap().structure();
    let dpo = cpo.reference_version().unwrap();
    assert_eq!(dpo.atoms, quad());
    insta::assert_snapshot!(dpo.core().shown(&dpo.atoms), @"
    prefer pi(l) & ref(w) -> pi(w) & ref(l)
    given pi(w) & ref(l) | pi(l) & ref(w)
    tie pi(w) & pi(l) & ref(w) & ref(l)
    ");
}

#[test]
fn reference_versions_of_the_lattice() {
    let mut printed = String::new();
    for node in lattice() {
        let structure = node.structure().reference_version().unwrap();
        let core = structure.core();
        assert!(core.exact);
        let names = ["W", "L", "Rw", "Rl"];
        let clauses =
            [&core.p, &core.given, &core.tie].map(|f| f.shown(&names).to_string()).join(",  ");
        printed.push_str(&format!("{:6} {clauses}\n", node.name));
    }
    insta::assert_snapshot!(printed);
}

#[test]
fn counts_of_two_atom_structures() {
    let all: Vec<_> = all_structures(2).collect();
    assert_eq!(all.len(), 256);
    let nonempty: Vec<_> = all.iter().filter(|(w, l)| !w.is_false() && !l.is_false()).collect();
    assert_eq!(nonempty.len(), 225);
    let distinct: BTreeSet<Fraction> =
        nonempty.iter().map(|(w, l)| Fraction::reduced(*w, *l, 2)).collect();
    assert_eq!(distinct.len(), 187);
    let monotone: Vec<&Fraction> = distinct
        .iter()
        .filter(|f| f.support(2) != 0)
        .filter(|f| slope_is(f, 0, 1) && slope_is(f, 1, -1))
        .collect();
    assert_eq!(monotone.len(), 40);
    assert_eq!(monotone.iter().filter(|f| f.support(2) == 0b11).count(), 34);
}

/// Whether rho never moves against `sign` as variable `i` grows.
///
/// T and B are linear in each weight, so d(T/B)/dx has the sign of T1 B0 - T0 B1, with T1 and T0 the values
/// of T where x is 1 and 0.
fn slope_is(f: &Fraction, i: usize, sign: i128) -> bool {
    let end = |t: Table, value| Polynomial::of_table(t.cofactor(i, value, 2), 2);
    let (top, bottom) = (f.numerator, f.denominator);
    let rising = end(top, true).times(&end(bottom, false)).unwrap();
    let falling = end(top, false).times(&end(bottom, true)).unwrap();
    let slope = rising.minus(&falling).unwrap().scaled(sign).unwrap();
    matches!(non_negative(&slope), Sign::NonNegative(shown) if shown.shows(&slope))
}

#[test]
fn equal_reduced_fractions_are_equal_products() {
    // rho equality by cross multiplication of the unreduced polynomials is the definition.
    let all: Vec<_> = all_structures(2).filter(|(w, l)| !w.is_false() && !l.is_false()).collect();
    for (i, a) in all.iter().enumerate() {
        for b in &all[..i] {
            let poly = |t: Table| Polynomial::of_table(t, 2);
            let cross = poly(a.0).times(&poly(b.1)) == poly(b.0).times(&poly(a.1));
            let reduced = Fraction::reduced(a.0, a.1, 2) == Fraction::reduced(b.0, b.1, 2);
            assert_eq!(cross, reduced, "{a:?} {b:?}");
        }
    }
}

#[test]
fn three_ways_to_write_ce_cancel_to_one() {
    let ce = |wins: &[usize], loses: &[usize]| {
        let rows = |r: &[usize]| Table::of_rows(r.iter().copied(), 2);
        Structure::from_rows(pair(), rows(wins), rows(loses)).unwrap()
    };
    let (a, b, c) = (ce(&[3], &[2]), ce(&[1], &[0]), ce(&[1, 3], &[0, 2]));
    assert!(a.same_rho(&b) && b.same_rho(&c));
    assert_ne!(a, b);
    let canonical = c.canonical();
    assert_eq!(canonical.atoms, [Atom::response("pi", "w")]);
    assert_eq!(canonical.core().shown(&canonical.atoms), "prefer pi(w)");
}

#[test]
fn what_is_wrong_is_said() {
    let many: Vec<Atom> = (0..7).map(|i| Atom::response("pi", &format!("y{i}"))).collect();
    let error = Structure::from_rows(many, Table::FALSE, Table::FALSE).unwrap_err();
    assert_eq!(error, StructureError::TooManyAtoms(7));
    let twice = vec![Atom::response("pi", "w"), Atom::response("pi", "w")];
    let error = Structure::from_rows(twice, Table::FALSE, Table::FALSE).unwrap_err();
    assert_eq!(error.to_string(), "the atom pi(w) is listed twice");
    let p = Table::full(2);
    let never = Structure::from_clauses(pair(), p, p, Table::FALSE).unwrap();
    assert_eq!(never.validate(), Err(StructureError::NoLosingRow));
    assert_eq!(never.negated().validate(), Err(StructureError::NoWinningRow));
    assert!(lattice().iter().all(|n| n.structure().validate().is_ok()));
}

#[test]
fn rows_carry_their_marks() {
    let l5 = lattice().into_iter().find(|n| n.name == "l5").unwrap().structure();
    let rows: Vec<_> = l5.rows().map(|r| (r.assignment, r.mark)).collect();
    let expected = [
        (vec![false, false], Mark::Both),
        (vec![true, false], Mark::Tick),
        (vec![false, true], Mark::Cross),
        (vec![true, true], Mark::Both),
    ];
    assert_eq!(rows, expected);
}

#[test]
fn swapping_the_responses_of_a_symmetric_loss_negates_rho() {
    // Symmetric nodes of the lattice: those whose swap is their negation.
    let symmetric: Vec<&str> = lattice()
        .iter()
        .filter(|n| n.structure().swapped("w", "l") == n.structure().negated())
        .map(|n| n.name)
        .collect();
    assert_eq!(symmetric, ["ORPO", "CPO", "qfUNL", "l5"]);
    let dpo = lattice()[6].structure().reference_version().unwrap();
    assert_eq!(dpo.swapped("w", "l"), dpo.negated());
}

#[test]
fn inadmissible_polynomials_name_their_monomials() {
    let [w, l] = [0, 1].map(|i| Polynomial::variable(i).unwrap());
    let names = ["w", "l"];
    let square = w.times(&w).unwrap().plus(&l).unwrap();
    let Err(Inadmissible::Squared(monomials)) = square.indicator(2) else { panic!() };
    assert_eq!(monomials.iter().map(|m| m.shown(&names)).collect::<Vec<_>>(), ["w^2"]);
    let overlap = w.plus(&l).unwrap();
    let Err(Inadmissible::Value { vertex, value, monomials }) = overlap.indicator(2) else {
        panic!()
    };
    assert_eq!((vertex, value, monomials.len()), (3, 2, 2));
    let disjoint = overlap.minus(&w.times(&l).unwrap()).unwrap();
    assert_eq!(disjoint.indicator(2), Ok(Table::of_rows([1, 2, 3], 2)));
    assert_eq!(disjoint.shown(&names), "w + l - w * l");
}

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

fn all_structures(n: usize) -> impl Iterator<Item = (Table, Table)> {
    let size = 1u64 << (1 << n);
    (0..size).flat_map(move |w| (0..size).map(move |l| (Table(w), Table(l))))
}

fn table(n: usize) -> impl Strategy<Value = Table> {
    any::<u64>().prop_map(move |bits| Table(bits) & Table::full(n))
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

    #[test]
    fn polynomials_count_models(f in table(4), seed in prop::array::uniform4(0i128..=8)) {
        let p = Polynomial::of_table(f, 4);
        prop_assert_eq!(p.indicator(4), Ok(f));
        let point = seed.map(|k| Rational::new(k, 8).unwrap());
        let mut sum = Rational::ZERO;
        for row in f.rows() {
            let weight = (0..4).fold(Rational::ONE, |product, i| {
                let p = if row >> i & 1 == 1 { point[i] } else { point[i].complement().unwrap() };
                product.times(p).unwrap()
            });
            sum = sum.plus(weight).unwrap();
        }
        prop_assert_eq!(p.eval(&point), Some(sum));
    }

    #[test]
    fn conjuncts_multiply_to_the_polynomial(f in table(4)) {
        let parts = conjuncts(f, 4);
        let and = parts.iter().fold(Table::full(4), |t, p| t & *p);
        prop_assert_eq!(and, f);
        let product = parts.iter().fold(Polynomial::constant(1), |product, part| {
            product.times(&Polynomial::of_table(*part, 4)).unwrap()
        });
        prop_assert_eq!(product, Polynomial::of_table(f, 4));
        for (i, a) in parts.iter().enumerate() {
            prop_assert!(parts[..i].iter().all(|b| a.support(4) & b.support(4) == 0));
            prop_assert_eq!(conjuncts(*a, 4), vec![*a]);
        }
    }

    #[test]
    fn reducing_keeps_rho(w in table(3), l in table(3), common in table(3)) {
        prop_assume!(!w.is_false() && !l.is_false() && !common.is_false());
        // A factor over atoms of its own cancels.
        let shift = |t: Table| t.remap(&[3, 4, 5], 6);
        let (wide_w, wide_l) = (w.extend(3, 6), l.extend(3, 6));
        let plain = Fraction::reduced(wide_w, wide_l, 6);
        let factor = shift(common);
        prop_assert_eq!(Fraction::reduced(wide_w & factor, wide_l & factor, 6), plain);
        let (t, b) = plain.polynomials(6);
        let (t0, b0) = (Polynomial::of_table(w, 3), Polynomial::of_table(l, 3));
        prop_assert_eq!(t.times(&b0), b.times(&t0));
    }

    #[test]
    fn rationals_compare_as_they_subtract(a in -50i128..50, b in 1i128..50, c in -50i128..50, d in 1i128..50) {
        let (x, y) = (Rational::new(a, b).unwrap(), Rational::new(c, d).unwrap());
        prop_assert_eq!(x.cmp(&y) as i32, x.minus(y).unwrap().signum());
        prop_assert_eq!(x.plus(y).unwrap().minus(y), Some(x));
        if !y.is_zero() {
            prop_assert_eq!(x.times(y).unwrap().over(y), Some(x));
        }
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
