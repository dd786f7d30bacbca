//! Structures: the sixteen nodes, the counts, what cancels and what is wrong.

use crate::all_structures;
use crate::support::{as_printed, lattice, pair, quad};
use ponens_compiler::logic::{
    Atom, Formula, Fraction, Mark, Polynomial, Structure, StructureError, Table,
};
use ponens_compiler::relate::{Sign, non_negative};
use std::collections::BTreeSet;

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
