//! Functions and structures of seven to twelve atoms against brute force, and against truth tables where
//! both can speak.

// A helper that fails is a failing test.
#![allow(clippy::unwrap_used)]

mod support;

use ponens_compiler::logic::{
    Atom, Formula, Function, LargeStructure, MAX_VARIABLES, Polynomial, Rational, Structure, Table,
    conjuncts, readable,
};
use ponens_compiler::relate::{Order, Relation, Verdict, check_large, compare, compare_large};
use proptest::prelude::*;

/// Weights are this many-eighths of 1.
const GRID: i128 = 8;

fn formulas(atoms: usize, size: u32) -> BoxedStrategy<Formula> {
    let leaf = prop_oneof![
        12 => (0..atoms).prop_map(Formula::Atom),
        1 => Just(Formula::True),
        1 => Just(Formula::False),
    ];
    leaf.prop_recursive(6, size, 3, |inner| {
        let two = (inner.clone(), inner.clone());
        prop_oneof![
            inner.clone().prop_map(Formula::negated),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Formula::And),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Formula::Or),
            two.clone().prop_map(|(a, b)| a.implies(b)),
            two.clone().prop_map(|(a, b)| a.iff(b)),
            two.prop_map(|(a, b)| a.xor(b)),
        ]
    })
    .boxed()
}

/// The value of a formula in a row, by nothing but the meaning of the connectives.
fn holds(f: &Formula, row: usize) -> bool {
    match f {
        Formula::True => true,
        Formula::False => false,
        Formula::Atom(i) => row >> i & 1 == 1,
        Formula::Not(a) => !holds(a, row),
        Formula::And(args) => args.iter().all(|a| holds(a, row)),
        Formula::Or(args) => args.iter().any(|a| holds(a, row)),
        Formula::Implies(a, b) => !holds(a, row) || holds(b, row),
        Formula::Iff(a, b) => holds(a, row) == holds(b, row),
        Formula::Xor(a, b) => holds(a, row) != holds(b, row),
    }
}

/// The weighted model count over `n` atoms, row by row, with the weights `eighths[i] / 8`.
fn brute(f: impl Fn(usize) -> bool, n: usize, eighths: &[i128]) -> Rational {
    let row = |row: usize| -> i128 {
        (0..n).map(|i| if row >> i & 1 == 1 { eighths[i] } else { GRID - eighths[i] }).product()
    };
    let sum: i128 = (0..1usize << n).filter(|r| f(*r)).map(row).sum();
    Rational::new(sum, GRID.pow(n as u32)).unwrap()
}

fn weights(eighths: &[i128]) -> Vec<Rational> {
    eighths.iter().map(|k| Rational::new(*k, GRID).unwrap()).collect()
}

fn points() -> impl Strategy<Value = Vec<i128>> {
    prop::collection::vec(1..GRID, MAX_VARIABLES)
}

fn atoms(n: usize) -> Vec<Atom> {
    (0..n).map(|i| Atom::response("pi", &format!("y{i}"))).collect()
}

fn structures(n: usize) -> impl Strategy<Value = LargeStructure> {
    (formulas(n, 24), formulas(n, 24), formulas(n, 8)).prop_filter_map(
        "no row wins or none loses",
        move |(p, given, tie)| {
            let s = LargeStructure::from_clauses(atoms(n), &p, &given, &tie).unwrap();
            s.validate().is_ok().then_some(s)
        },
    )
}

fn judged(a: &LargeStructure, b: &LargeStructure) -> Relation {
    let relation = compare_large(a, b);
    assert_eq!(check_large(a, b, &relation), Ok(()), "{relation:#?}");
    relation
}

fn mirrored(order: Order) -> Order {
    match order {
        Order::Entails => Order::EntailedBy,
        Order::EntailedBy => Order::Entails,
        Order::Dominates => Order::DominatedBy,
        Order::DominatedBy => Order::Dominates,
        order => order,
    }
}

fn below(order: Order) -> bool {
    matches!(order, Order::Equal | Order::Entails | Order::Dominates)
}

/// The sign of rho_A - rho_B at a point, from counts taken row by row.
fn rho_order(a: &LargeStructure, b: &LargeStructure, eighths: &[i128]) -> std::cmp::Ordering {
    let n = a.n();
    let count = |f: &Function| brute(|row| f.holds(row), n, eighths);
    let cross =
        |x: &LargeStructure, y: &LargeStructure| count(&x.wins).times(count(&y.loses)).unwrap();
    cross(a, b).cmp(&cross(b, a))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn counts_of_up_to_twelve_atoms_are_those_of_brute_force(
        (n, f) in (7..=MAX_VARIABLES).prop_flat_map(|n| (Just(n), formulas(n, 40))),
        eighths in points(),
    ) {
        let function = Function::of_formula(&f);
        let expected = brute(|row| holds(&f, row), n, &eighths);
        prop_assert_eq!(function.weight(&weights(&eighths)), Some(expected));
        if let Some(p) = function.polynomial() {
            prop_assert_eq!(p.eval(&weights(&eighths)), Some(expected));
            prop_assert_eq!(Function::of_polynomial(&p, n), Ok(function));
        }
    }

    #[test]
    fn counts_of_up_to_six_atoms_are_those_of_brute_force(
        (n, f) in (1..=6usize).prop_flat_map(|n| (Just(n), formulas(n, 30))),
        eighths in points(),
    ) {
        let table = f.table(n);
        let expected = brute(|row| holds(&f, row), n, &eighths);
        prop_assert_eq!(Polynomial::of_table(table, n).eval(&weights(&eighths)), Some(expected));
        let function = Function::of_formula(&f);
        prop_assert_eq!(function.weight(&weights(&eighths)), Some(expected));
        // One diagram for one function, however it was made.
        prop_assert_eq!(&Function::of_table(table, n), &function);
        prop_assert_eq!(function.table(&(0..n).collect::<Vec<_>>()), Some(table));
        let parts: Vec<Function> =
            conjuncts(table, n).into_iter().map(|t| Function::of_table(t, n)).collect();
        prop_assert_eq!(function.conjuncts(), parts);
    }

    #[test]
    fn equal_functions_are_equal_values(f in formulas(9, 40), mask in 0..512u32) {
        let function = Function::of_formula(&f);
        prop_assert_eq!(&function.not().not(), &function);
        let split = |g: &Function, i: usize| {
            let atom = Function::atom(i);
            atom.and(&g.cofactor(i, true)).or(&atom.not().and(&g.cofactor(i, false)))
        };
        prop_assert_eq!(&split(&function, 4), &function);
        let read = readable(&function).formula;
        prop_assert_eq!(&Function::of_formula(&read), &function);
        let some = function.exists(mask);
        let expected = |row: usize| {
            let inside = mask as usize;
            let mut sub = inside;
            loop {
                if holds(&f, row & !inside | sub) {
                    return true;
                }
                if sub == 0 {
                    return false;
                }
                sub = (sub - 1) & inside;
            }
        };
        for row in (0..512).step_by(7) {
            prop_assert_eq!(some.holds(row), expected(row));
        }
        // Atoms renamed there and back.
        let map: Vec<usize> = (0..9).map(|i| (i * 4 + 5) % 9).collect();
        let back: Vec<usize> = (0..9).map(|i| map.iter().position(|j| *j == i).unwrap()).collect();
        prop_assert_eq!(function.remap(&map).unwrap().remap(&back), Some(function));
    }

    #[test]
    fn factors_are_those_that_were_multiplied(
        f in formulas(4, 16), g in formulas(4, 16), h in formulas(4, 16),
    ) {
        let place = |f: &Formula, by: usize| {
            Function::of_formula(&f.renamed(&(0..4).map(|i| 3 * i + by).collect::<Vec<_>>()))
        };
        let parts = [place(&f, 0), place(&g, 1), place(&h, 2)];
        prop_assume!(parts.iter().all(|p| !p.is_false()));
        let product = parts.iter().fold(Function::constant(true), |all, p| all.and(p));
        let mut expected: Vec<Function> = parts.iter().flat_map(Function::conjuncts).collect();
        expected.sort_by_key(|p| p.support().trailing_zeros());
        prop_assert_eq!(product.conjuncts(), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn clauses_describe_the_rows(s in (7..=10usize).prop_flat_map(structures)) {
        let core = s.core();
        let again =
            LargeStructure::from_clauses(s.atoms.clone(), &core.p, &core.given, &core.tie).unwrap();
        prop_assert_eq!(again, s);
    }

    #[test]
    fn a_common_factor_changes_no_rho(s in structures(9), f in formulas(3, 8), eighths in points()) {
        let factor = Function::of_formula(&f.renamed(&[9, 10, 11]));
        prop_assume!(!factor.is_false());
        let (wins, loses) = (s.wins.and(&factor), s.loses.and(&factor));
        let t = LargeStructure::from_rows(atoms(12), wins, loses).unwrap();
        prop_assert!(t.same_rho(&s));
        prop_assert_eq!(t.canonical(), s.canonical());
        let wide = s.over(&t.atoms).unwrap();
        prop_assert_eq!(rho_order(&t, &wide, &eighths), std::cmp::Ordering::Equal);
        prop_assert_eq!(judged(&t, &s).order, Order::Equal);
    }

    #[test]
    fn what_entails_dominates(
        (a, more, fewer) in (7..=10usize).prop_flat_map(|n| {
            (structures(n), formulas(n, 12), formulas(n, 12))
        }),
        at in prop::collection::vec(points(), 4),
    ) {
        let b = LargeStructure {
            atoms: a.atoms.clone(),
            wins: a.wins.or(&Function::of_formula(&more)),
            loses: a.loses.and(&Function::of_formula(&fewer)),
        };
        prop_assume!(b.validate().is_ok());
        let relation = judged(&a, &b);
        prop_assert!(relation.entails.given);
        prop_assert!(matches!(relation.order, Order::Entails | Order::Equal));
        prop_assert_eq!(relation.dominates, Verdict::Yes);
        for eighths in &at {
            prop_assert_ne!(rho_order(&a, &b, eighths), std::cmp::Ordering::Greater);
        }
        prop_assert_eq!(judged(&b, &a).order, mirrored(relation.order));
    }

    #[test]
    fn the_order_is_antisymmetric_and_transitive(
        (a, b, c) in (7..=9usize).prop_flat_map(|n| (structures(n), structures(n), structures(n))),
        at in points(),
    ) {
        // Random structures are rarely comparable: joins and meets make chains of them.
        let join = |x: &LargeStructure, y: &LargeStructure| LargeStructure {
            atoms: x.atoms.clone(),
            wins: x.wins.or(&y.wins),
            loses: x.loses.and(&y.loses),
        };
        let meet = |x: &LargeStructure, y: &LargeStructure| LargeStructure {
            atoms: x.atoms.clone(),
            wins: x.wins.and(&y.wins),
            loses: x.loses.or(&y.loses),
        };
        let all = [join(&a, &b), meet(&a, &c), a, b, c];
        let all: Vec<LargeStructure> = all.into_iter().filter(|s| s.validate().is_ok()).collect();
        let order: Vec<Vec<Order>> =
            all.iter().map(|x| all.iter().map(|y| judged(x, y).order).collect()).collect();
        for i in 0..all.len() {
            for j in 0..all.len() {
                prop_assert_eq!(order[i][j], mirrored(order[j][i]));
                if below(order[i][j]) {
                    prop_assert_ne!(rho_order(&all[i], &all[j], &at), std::cmp::Ordering::Greater);
                }
                for k in 0..all.len() {
                    if below(order[i][j]) && below(order[j][k]) {
                        prop_assert!(below(order[i][k]) || order[i][k] == Order::Undecided);
                    }
                }
            }
        }
    }

    #[test]
    fn diagrams_and_tables_compare_alike(
        x in (0..=u64::from(u16::MAX), 0..=u64::from(u16::MAX)),
        y in (0..=u64::from(u16::MAX), 0..=u64::from(u16::MAX)),
    ) {
        let [a, b] = [x, y].map(|(w, l)| Structure::from_rows(support::quad(), Table(w), Table(l)).unwrap());
        let relation = compare(&a, &b);
        let large = judged(&LargeStructure::from(&a), &LargeStructure::from(&b));
        prop_assert_eq!(relation.order, large.order);
        prop_assert_eq!(relation.rho_equal, large.rho_equal);
        prop_assert_eq!(relation.structure_equal, large.structure_equal);
    }
}

#[test]
fn more_than_twelve_atoms_together_are_not_compared() {
    let of = |from: usize| {
        let atoms: Vec<Atom> =
            (from..from + 8).map(|i| Atom::response("pi", &format!("y{i}"))).collect();
        let all = Formula::And((0..8).map(Formula::Atom).collect());
        LargeStructure::from_clauses(atoms, &all, &Formula::True, &Formula::False).unwrap()
    };
    let relation = judged(&of(0), &of(5));
    assert_eq!(relation.order, Order::Undecided);
    let Verdict::Undecided { within } = relation.dominates else { panic!("{relation:?}") };
    assert_eq!(within.to_string(), "12 atoms");
    assert_eq!(judged(&of(0), &of(4)).order, Order::Incomparable);
}
