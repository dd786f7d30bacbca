//! Equality, entailment, dominance and incomparability of structures.

// A helper that fails is a failing test.
#![allow(clippy::unwrap_used)]

mod support;

use ponens_compiler::decompile::{BinaryOp, Expr, Range, decompile};
use ponens_compiler::logic::{Atom, Fraction, Monomial, Polynomial, Rational, Structure, Table};
use ponens_compiler::relate::{
    Certificate, Order, Proof, Refuted, Relation, Sign, Verdict, check, compare, non_negative,
};
use proptest::prelude::*;
use std::collections::HashMap;
use support::{lattice, pair, quad};

fn node(name: &str) -> Structure {
    lattice().into_iter().find(|n| n.name == name).unwrap().structure()
}

fn judged(a: &Structure, b: &Structure) -> Relation {
    let relation = compare(a, b);
    assert_eq!(check(a, b, &relation), Ok(()), "{relation:#?}");
    relation
}

fn shown(a: &Structure, b: &Structure) -> String {
    let r = judged(a, b);
    let mut out = format!("{}\n", r.order);
    for line in r.proof.lines(&r.atoms) {
        out.push_str(&format!("  {line}\n"));
    }
    for w in r.witnesses.iter().flatten() {
        let point: Vec<String> = w.point.iter().map(|(a, x)| format!("{a} = {x}")).collect();
        out.push_str(&format!(
            "  at {}: {:.6} against {:.6}\n",
            point.join(", "),
            w.rho_first,
            w.rho_second
        ));
    }
    out
}

#[test]
fn the_lattice_is_the_four_cube() {
    let nodes = lattice();
    // A node is the set of free rows that are ticked or not crossed: the direction in which rho grows.
    let position = |s: &Structure| {
        let (w, l) = (s.wins, s.loses);
        [w.get(3), w.get(0), !l.get(3), !l.get(0)]
    };
    let mut covers = Vec::new();
    for a in &nodes {
        for b in &nodes {
            let (x, y) = (a.structure(), b.structure());
            let relation = judged(&x, &y);
            let (p, q) = (position(&x), position(&y));
            let below = p.iter().zip(q).all(|(p, q)| *p <= q);
            let above = p.iter().zip(q).all(|(p, q)| *p >= q);
            let expected = match (below, above) {
                (true, true) => Order::Equal,
                (true, false) => Order::Entails,
                (false, true) => Order::EntailedBy,
                (false, false) => Order::Incomparable,
            };
            assert_eq!(relation.order, expected, "{} {}", a.name, b.name);
            // Dominance implies entailment in the lattice.
            assert_eq!(relation.dominates == Verdict::Yes, below);
            assert_eq!((relation.entails.given, relation.rho_equal), (below, below && above));
            let steps = p.iter().zip(q).filter(|(p, q)| *p != q).count();
            if below && steps == 1 {
                covers.push((a.name, b.name));
            }
        }
    }
    assert_eq!(covers.len(), 32);
    for (a, b) in &covers {
        let between = nodes.iter().filter(|n| {
            let s = n.structure();
            n.name != *a
                && n.name != *b
                && compare(&node(a), &s).entails.given
                && compare(&s, &node(b)).entails.given
        });
        assert_eq!(between.count(), 0, "{a} {b}");
    }
    let least = nodes.iter().filter(|n| covers.iter().all(|(_, b)| *b != n.name));
    assert_eq!(least.map(|n| n.name).collect::<Vec<_>>(), ["CEUnl"]);
    let greatest = nodes.iter().filter(|n| covers.iter().all(|(a, _)| *a != n.name));
    assert_eq!(greatest.map(|n| n.name).collect::<Vec<_>>(), ["unCPO"]);
}

#[test]
fn dominance_without_entailment_of_all_two_atom_structures() {
    let tables = || (1..16u64).map(Table);
    let all: Vec<Structure> = tables()
        .flat_map(|w| tables().map(move |l| Structure::from_rows(pair(), w, l).unwrap()))
        .collect();
    assert_eq!(all.len(), 225);
    // rho depends on the reduced fraction alone: every pair of those is compared once.
    let reduced = |s: &Structure| Fraction::reduced(s.wins, s.loses, 2);
    let mut known: HashMap<(Fraction, Fraction), (Verdict, Verdict)> = HashMap::new();
    let (mut dominating, mut entailing, mut not_entailed, mut equal) = (0, 0, 0, 0);
    for a in &all {
        for b in &all {
            let (x, y) = (reduced(a), reduced(b));
            let (dominates, _) = match (known.get(&(x, y)), known.get(&(y, x))) {
                (Some(known), _) => *known,
                (None, Some((up, down))) => (*down, *up),
                (None, None) => {
                    let relation = compare(a, b);
                    let found = (relation.dominates, relation.dominated_by);
                    known.insert((x, y), found);
                    if known.len().is_multiple_of(16) {
                        assert_eq!(check(a, b, &relation), Ok(()));
                    }
                    found
                }
            };
            // Nothing is left undecided.
            let dominates = match dominates {
                Verdict::Yes => true,
                Verdict::No => false,
                Verdict::Undecided { within } => panic!("{x:?} {y:?} {within}"),
            };
            let entails = a.wins.is_within(b.wins) && b.loses.is_within(a.loses);
            assert!(dominates || !entails);
            dominating += usize::from(dominates);
            entailing += usize::from(entails);
            not_entailed += usize::from(dominates && !entails);
            equal += usize::from(dominates && !entails && x == y);
        }
    }
    // Pairs of equal rho that are not entailed as given count among the 4,726.
    assert_eq!((dominating, entailing, not_entailed, equal), (8951, 4225, 4726, 282));
}

#[test]
fn relations_between_losses_read_well() {
    let ce = |wins: &[usize], loses: &[usize]| {
        let rows = |r: &[usize]| Table::of_rows(r.iter().copied(), 2);
        Structure::from_rows(pair(), rows(wins), rows(loses)).unwrap()
    };
    let dpo = node("CPO").reference_version().unwrap();
    let orpo_ref = node("ORPO").reference_version().unwrap();
    let l5_ref = node("l5").reference_version().unwrap();
    let printed = [
        ("ORPO, unCPO", shown(&node("ORPO"), &node("unCPO"))),
        ("CPO, ORPO", shown(&node("CPO"), &node("ORPO"))),
        ("CE twice", shown(&ce(&[3], &[2]), &ce(&[1], &[0]))),
        ("DPO, ORPO with reference", shown(&dpo, &orpo_ref)),
        ("CPO, DPO", shown(&node("CPO"), &dpo)),
        ("l5 with reference, DPO", shown(&l5_ref, &dpo)),
        ("!L over W xor L, W <-> L over L", shown(&ce(&[0, 1], &[1, 2]), &ce(&[0, 3], &[2, 3]))),
        ("W & L over W | L, W over W | L", shown(&ce(&[3], &[1, 2, 3]), &ce(&[1, 3], &[1, 2, 3]))),
    ];
    let printed: Vec<String> =
        printed.iter().map(|(name, text)| format!("{name}: {text}")).collect();
    insta::assert_snapshot!(printed.join("\n"));
}

#[test]
fn reference_versions_keep_the_order_of_the_lattice() {
    let nodes = lattice();
    for a in &nodes {
        for b in nodes.iter().step_by(3) {
            let plain = compare(&a.structure(), &b.structure());
            let [x, y] = [a, b].map(|n| n.structure().reference_version().unwrap());
            let relation = judged(&x, &y);
            // rho differs by the same amount on both sides.
            assert_eq!(
                (relation.dominates, relation.dominated_by),
                (plain.dominates, plain.dominated_by)
            );
            assert_eq!(relation.order, plain.order, "{} {}", a.name, b.name);
        }
    }
}

#[test]
fn a_margin_is_a_stronger_loss() {
    // SimPO with a positive margin against SimPO without: rho is lower by the margin.
    let mean = |y: &str| Expr::logp(Atom::aggregated("pi", y, true), 0);
    let sub = |a, b| Expr::binary(BinaryOp::Sub, a, b, 0);
    let plain = sub(mean("w"), mean("l"));
    let margin = Expr::symbol("margin", Range::new(0.0, 9.0), 0);
    let simpo = sub(plain.clone(), margin);
    let [plain, simpo] = [plain, simpo].map(|rho| decompile(&rho).unwrap().structure);
    let relation = judged(&simpo, &plain);
    assert_eq!(relation.order, Order::Entails);
    assert_eq!(judged(&plain, &simpo).order, Order::EntailedBy);
    // Summed and averaged log-probabilities are different atoms.
    let cpo = node("CPO");
    assert_eq!(judged(&cpo, &plain).order, Order::Incomparable);
}

#[test]
fn more_atoms_than_a_table_holds_are_compared_too() {
    let other: Vec<Atom> =
        ["p", "q"].iter().flat_map(|m| ["a", "b", "c"].map(|y| Atom::response(m, y))).collect();
    let mine: Vec<Atom> =
        ["r", "s"].iter().flat_map(|m| ["a", "b", "c"].map(|y| Atom::response(m, y))).collect();
    let build = |atoms: &[Atom]| {
        let (n, var) = (6, |i| Table::var(i, 6));
        let p = (var(0) & var(1)).implies(var(2) | var(3), n);
        Structure::from_clauses(atoms.to_vec(), p, var(4) | var(0), var(5)).unwrap()
    };
    let (a, b) = (build(&other), build(&mine));
    let relation = judged(&a, &b);
    assert_eq!((relation.atoms.len(), relation.order), (12, Order::Incomparable));
    let same =
        Structure::from_rows(a.atoms.iter().rev().cloned().collect(), Table::FALSE, Table::FALSE);
    let reversed = a.over(&same.unwrap().atoms).unwrap();
    let relation = judged(&a, &reversed);
    assert!(relation.structure_equal && relation.order == Order::Equal);
}

#[test]
fn structures_without_rho_are_undefined() {
    let none = Structure::from_rows(pair(), Table::FALSE, Table::full(2)).unwrap();
    let relation = judged(&none, &node("CPO"));
    assert_eq!((relation.order, relation.structure_equal), (Order::Undefined, false));
    assert!(compare(&none, &none).structure_equal);
}

#[test]
fn false_relations_are_refuted() {
    let (cpo, orpo, ce) = (node("CPO"), node("ORPO"), node("CE"));
    let mut claim = compare(&cpo, &orpo);
    assert_eq!(claim.order, Order::Incomparable);
    claim.witnesses.as_mut().unwrap().reverse();
    assert_eq!(check(&cpo, &orpo, &claim), Err(Refuted::Witness));
    let entailed = compare(&orpo, &node("cCPO"));
    assert_eq!(check(&node("cCPO"), &orpo, &entailed), Err(Refuted::Proof));
    let mut thin = entailed.clone();
    let Proof::Containment { wins, .. } = &mut thin.proof else { panic!() };
    wins.clear();
    assert_eq!(check(&orpo, &node("cCPO"), &thin), Err(Refuted::Proof));
    let mut bent = entailed;
    let Proof::Containment { loses, .. } = &mut bent.proof else { panic!() };
    loses[0].conclusion.clear();
    assert_eq!(check(&orpo, &node("cCPO"), &bent), Err(Refuted::Proof));
    let equal = compare(&ce, &ce);
    assert_eq!(check(&ce, &cpo, &equal), Err(Refuted::Proof));
    // w against w / (w + l - w l): the second is nowhere lower, by an inequality.
    let w = Structure::from_rows(pair(), Table(0b1010), Table(0b1111)).unwrap();
    let share = Structure::from_rows(pair(), Table(0b1010), Table(0b1110)).unwrap();
    let below = judged(&w, &share);
    assert_eq!(below.order, Order::Entails);
    let mut wrong = below.clone();
    wrong.order = Order::EntailedBy;
    assert_eq!(check(&w, &share, &wrong), Err(Refuted::Verdicts));
}

#[test]
fn a_wrong_certificate_is_refused() {
    let [x, y] = [0, 1].map(|i| Polynomial::variable(i).unwrap());
    let difference = x.minus(&y).unwrap();
    let square = difference.times(&difference).unwrap();
    let Sign::NonNegative(certificate) = non_negative(&square) else { panic!() };
    assert!(certificate.shows(&square));
    let below = square.minus(&Polynomial::constant(1)).unwrap();
    assert!(!certificate.shows(&below));
    assert!(!Certificate::Coefficients.shows(&square));
    let leaf = || Box::new(Certificate::Coefficients);
    assert!(!Certificate::Halves { axis: 99, low: leaf(), high: leaf() }.shows(&square));
    assert!(!Certificate::Ends { axis: 0, low: leaf(), high: leaf() }.shows(&square));
    let Sign::Negative(point) = non_negative(&difference) else { panic!() };
    assert!(difference.eval(&point).unwrap().signum() < 0);
    assert!(point.iter().all(|x| x.signum() > 0 && *x < Rational::ONE));
}

#[test]
fn a_hard_sign_stops_at_its_bound() {
    // (x^2 + y^2 - z^2)^2 touches 0 along a cone, where no test but a square would see it.
    let [x, y, z] = [0, 1, 2].map(|i| {
        let v = Polynomial::variable(i).unwrap();
        v.times(&v).unwrap()
    });
    let cone = x.plus(&y).unwrap().minus(&z).unwrap();
    let square = cone.times(&cone).unwrap();
    assert!(matches!(non_negative(&square), Sign::Undecided(_)));
    // One part in a million above 0 is decided, or said not to be; never wrongly.
    let above = square.scaled(1_000_000).unwrap().plus(&Polynomial::constant(1)).unwrap();
    assert!(!matches!(non_negative(&above), Sign::Negative(_)));
    let under = square.scaled(1000).unwrap().minus(&Polynomial::constant(1)).unwrap();
    assert!(matches!(non_negative(&under), Sign::Negative(_)));
}

#[test]
fn six_atoms_are_decided() {
    // One entails the other but for one row: hardest to tell, and the proof is judged as well.
    let atoms: Vec<Atom> = (0..6).map(|i| Atom::response("pi", &format!("y{i}"))).collect();
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..8 {
        let [w, l, more, fewer] = [next(), next(), next(), next()].map(Table);
        let row = Table::of_rows([(next() % 64) as usize], 6);
        let of = |w, l| Structure::from_rows(atoms.clone(), w, l).unwrap();
        let relation = judged(&of(w, l), &of((w | more) ^ row, l & fewer));
        assert_ne!(relation.order, Order::Undecided);
    }
}

/// Polynomials of degree at most 2 in each of two variables.
fn polynomial() -> impl Strategy<Value = Polynomial> {
    prop::collection::vec(-4i128..=4, 9).prop_map(|c| {
        Polynomial::of_terms(c.into_iter().enumerate().map(|(i, c)| {
            let mut m = Monomial::default();
            (m.0[0], m.0[1]) = ((i % 3) as u8, (i / 3) as u8);
            (m, c)
        }))
        .unwrap()
    })
}

fn structure(n: usize) -> impl Strategy<Value = Structure> {
    (any::<u64>(), any::<u64>()).prop_filter_map("finite rho", move |(w, l)| {
        let full = Table::full(n);
        let atoms = quad()[..n].to_vec();
        let s = Structure::from_rows(atoms, Table(w) & full, Table(l) & full).unwrap();
        s.validate().is_ok().then_some(s)
    })
}

fn rho(s: &Structure, point: &[Rational]) -> Rational {
    let (t, b) = s.polynomials();
    t.eval(point).unwrap().over(b.eval(point).unwrap()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn signs_are_right(p in polynomial()) {
        match non_negative(&p) {
            Sign::NonNegative(certificate) => {
                prop_assert!(certificate.shows(&p));
                for i in 0..=16 {
                    for j in 0..=16 {
                        let point = [i, j].map(|k| Rational::new(k, 16).unwrap());
                        prop_assert!(p.eval(&point).unwrap().signum() >= 0);
                    }
                }
            }
            Sign::Negative(point) => prop_assert!(p.eval(&point).unwrap().signum() < 0),
            Sign::Undecided(_) => {}
        }
    }

    #[test]
    fn comparing_is_antisymmetric(a in structure(3), b in structure(3)) {
        let (up, down) = (compare(&a, &b), compare(&b, &a));
        prop_assert_eq!(check(&a, &b, &up), Ok(()));
        prop_assert_eq!(check(&b, &a, &down), Ok(()));
        prop_assert_eq!((up.dominates, up.dominated_by), (down.dominated_by, down.dominates));
        prop_assert_eq!((up.entails, up.entailed_by), (down.entailed_by, down.entails));
    }

    #[test]
    fn the_order_is_transitive(
        (a, b, c) in (2..=3usize).prop_flat_map(|n| (structure(n), structure(n), structure(n))),
    ) {
        // Random structures are rarely comparable: joins and meets make chains of them.
        let join = Structure { wins: a.wins | b.wins, loses: a.loses & b.loses, ..a.clone() };
        let meet = Structure { wins: a.wins & c.wins, loses: a.loses | c.loses, ..a.clone() };
        let all: Vec<Structure> =
            [join, meet, a, b, c].into_iter().filter(|s| s.validate().is_ok()).collect();
        let below = |x: &Structure, y: &Structure| -> Result<bool, TestCaseError> {
            let relation = judged(x, y);
            prop_assert!(relation.dominates == Verdict::Yes || !relation.entails.given);
            let settled = matches!(relation.dominates, Verdict::Yes | Verdict::No);
            prop_assert!(settled, "{relation:?}");
            Ok(relation.dominates == Verdict::Yes)
        };
        let mut order = Vec::new();
        for x in &all {
            order.push(all.iter().map(|y| below(x, y)).collect::<Result<Vec<bool>, _>>()?);
        }
        for i in 0..all.len() {
            prop_assert!(order[i][i]);
            for j in 0..all.len() {
                if order[i][j] && order[j][i] {
                    prop_assert!(all[i].same_rho(&all[j]));
                }
                for k in 0..all.len() {
                    prop_assert!(order[i][k] || !(order[i][j] && order[j][k]));
                }
            }
        }
    }

    #[test]
    fn weakening_a_structure_is_entailed(a in structure(4), more in any::<u64>(), less in any::<u64>()) {
        let weaker = Structure { wins: a.wins | Table(more) & Table::full(4), loses: a.loses & Table(less), ..a.clone() };
        prop_assume!(weaker.validate().is_ok());
        let relation = compare(&a, &weaker);
        prop_assert_eq!(check(&a, &weaker, &relation), Ok(()));
        prop_assert!(relation.entails.given);
        prop_assert_eq!(relation.dominates, Verdict::Yes);
    }

    #[test]
    fn dominance_holds_at_every_point(a in structure(2), b in structure(2), k in prop::array::uniform2(1i128..64)) {
        let relation = compare(&a, &b);
        let point = k.map(|k| Rational::new(k, 64).unwrap());
        let order = rho(&a, &point).cmp(&rho(&b, &point));
        if relation.dominates == Verdict::Yes {
            prop_assert!(order.is_le());
        }
        if relation.dominated_by == Verdict::Yes {
            prop_assert!(order.is_ge());
        }
        prop_assert_eq!(relation.rho_equal, a.same_rho(&b));
    }
}

#[test]
fn squares_of_shares_have_certificates() {
    // Interior tangency: (1 - x - y)^2 and (x - y)^2 times a weight.
    let [x, y, z] = [0, 1, 2].map(|i| Polynomial::variable(i).unwrap());
    let one = Polynomial::constant(1);
    for line in [x.minus(&y).unwrap(), one.minus(&x).unwrap().minus(&y).unwrap()] {
        let p = line.times(&line).unwrap().times(&z).unwrap();
        let Sign::NonNegative(certificate) = non_negative(&p) else { panic!("{p}") };
        assert!(certificate.shows(&p));
    }
}
