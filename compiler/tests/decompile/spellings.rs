//! One logic, written in many ways.

use crate::support::{lattice, quad};
use crate::{Build, clauses, compiled, not_logic, shown};
use ponens_compiler::decompile::{
    BinaryOp, Expr, ExprKind, Reason, UnaryOp, check, decompile, decompile_over,
};
use ponens_compiler::logic::{Atom, Polynomial, Rational};
use proptest::prelude::*;

const DPO: &str = "prefer pi(l) & ref(w) -> pi(w) & ref(l)
given pi(w) & ref(l) | pi(l) & ref(w)
tie pi(w) & pi(l) & ref(w) & ref(l)";

#[test]
fn dpo_in_every_spelling() {
    let b = Build::default();
    let lp = |m: &str, y: &str| Expr::logp(Atom::response(m, y), 0);
    let quotient =
        b.log(b.div(b.mul(b.pi("w"), b.reference("l")), b.mul(b.pi("l"), b.reference("w"))));
    let paired = b.sub(b.sub(lp("pi", "w"), lp("ref", "w")), b.sub(lp("pi", "l"), lp("ref", "l")));
    let ratios =
        b.sub(b.log(b.div(b.pi("w"), b.reference("w"))), b.log(b.div(b.pi("l"), b.reference("l"))));
    let twice = b.sub(
        b.mul(b.n(2), paired.clone()),
        b.add(lp("ref", "l"), b.sub(lp("pi", "w"), b.add(lp("pi", "l"), lp("ref", "w")))),
    );
    let negated = b.un(
        UnaryOp::Neg,
        b.log(b.div(b.div(b.pi("l"), b.reference("l")), b.div(b.pi("w"), b.reference("w")))),
    );
    for rho in [&quotient, &paired, &ratios, &twice, &negated] {
        let found = decompile_over(rho, &quad()).unwrap();
        check(rho, &found).unwrap();
        assert_eq!(clauses(&found), DPO, "{rho}");
        assert_eq!(found.structure.atoms, quad());
    }
    insta::assert_snapshot!(shown(&twice));
}

#[test]
fn orpo_in_every_spelling() {
    let b = Build::default();
    let odds = |y: &str| b.un(UnaryOp::Odds, b.un(UnaryOp::Exp, b.mean(y)));
    let quotient = b.log(b.div(odds("w"), odds("l")));
    let plain = b.sub(
        b.sub(b.mean("w"), b.mean("l")),
        b.sub(b.un(UnaryOp::Log1mExp, b.mean("w")), b.un(UnaryOp::Log1mExp, b.mean("l"))),
    );
    let log1p = |y: &str| b.un(UnaryOp::Log1p, b.un(UnaryOp::Neg, b.un(UnaryOp::Exp, b.mean(y))));
    let with_log1p = b.add(b.sub(b.mean("w"), log1p("w")), b.sub(log1p("l"), b.mean("l")));
    let logits = b.sub(
        b.un(UnaryOp::Logit, b.un(UnaryOp::Exp, b.mean("w"))),
        b.un(UnaryOp::Logit, b.un(UnaryOp::Exp, b.mean("l"))),
    );
    for rho in [&quotient, &plain, &with_log1p, &logits] {
        let found = decompile(rho).unwrap();
        check(rho, &found).unwrap();
        assert_eq!(clauses(&found), "prefer pi(l) -> pi(w)\ngiven pi(w) xor pi(l)", "{rho}");
    }
    insta::assert_snapshot!(shown(&plain));
}

#[test]
fn simpo_has_a_constant_atom() {
    let b = Build::default();
    let gamma =
        || b.div(b.symbol("gamma", 0.0, f64::INFINITY), b.symbol("beta", 0.0, f64::INFINITY));
    let rho = b.sub(b.sub(b.mean("w"), b.mean("l")), gamma());
    let found = decompile(&rho).unwrap();
    assert_eq!(found.constant.as_ref().unwrap().to_string(), "-gamma / beta");
    let names: Vec<_> = found.structure.atoms.iter().map(|a| a.name.as_str()).collect();
    assert_eq!(names, ["pi(w)", "pi(l)", "exp(-gamma / beta)"]);
    // The constant lowers rho, so its atom joins the winning side.
    let (t, bottom) = found.structure.polynomials();
    assert_eq!(
        (t.shown(&["w", "l", "m"]), bottom.shown(&["w", "l", "m"])),
        ("w * m".into(), "l".into())
    );
    insta::assert_snapshot!(shown(&rho));
    let raised = b.add(gamma(), b.sub(b.mean("w"), b.mean("l")));
    let found = decompile(&raised).unwrap();
    check(&raised, &found).unwrap();
    let (t, bottom) = found.structure.polynomials();
    assert_eq!(
        (t.shown(&["w", "l", "m"]), bottom.shown(&["w", "l", "m"])),
        ("w".into(), "l * m".into())
    );
    // e^c as a factor is the same.
    let factor = b.log(b.div(b.mul(b.un(UnaryOp::Exp, gamma()), b.pi("w")), b.pi("l")));
    let found = decompile(&factor).unwrap();
    check(&factor, &found).unwrap();
    assert_eq!(found.constant.unwrap().to_string(), "gamma / beta");
}

#[test]
fn constants_cancel_or_say_their_sign() {
    let b = Build::default();
    let margin = || b.symbol("margin", -1.0, 1.0);
    let gone = b.sub(b.add(b.sub(b.logp("w"), b.logp("l")), margin()), margin());
    assert_eq!(decompile(&gone).unwrap().constant, None);
    let unknown = b.sub(b.sub(b.logp("w"), b.logp("l")), margin());
    let why = not_logic(&unknown);
    assert!(matches!(why.reason, Reason::UnknownSign { .. }), "{why}");
    let half = b.add(b.sub(b.logp("w"), b.logp("l")), Expr::number(0.5, 0));
    let found = decompile(&half).unwrap();
    check(&half, &found).unwrap();
    assert_eq!(found.structure.atoms[2], Atom::constant("0.5"));
    let doubled = b.log(b.div(b.mul(b.n(2), b.pi("w")), b.mul(b.n(3), b.pi("l"))));
    let found = decompile(&doubled).unwrap();
    check(&doubled, &found).unwrap();
    assert_eq!(found.constant.unwrap().to_string(), "-log(1.5)");
}

#[test]
fn a_mixture_weight_is_a_constant_atom_too() {
    // e^-g w + (1 - e^-g) l: either way of the coin.
    let b = Build::default();
    let k = || b.un(UnaryOp::Exp, b.un(UnaryOp::Neg, b.symbol("g", 0.0, 9.0)));
    let mix = b.add(b.mul(k(), b.pi("w")), b.mul(b.sub(b.n(1), k()), b.pi("l")));
    let rho = b.sub(b.log(mix), b.logp("l"));
    let found = decompile(&rho).unwrap();
    check(&rho, &found).unwrap();
    insta::assert_snapshot!(shown(&rho));
}

#[test]
fn a_bradley_terry_probability_cancels() {
    // log-odds of w / (w + l): the sums that are no weighted counts cancel.
    let b = Build::default();
    let rho = b.un(UnaryOp::Logit, b.un(UnaryOp::Sigmoid, b.sub(b.logp("w"), b.logp("l"))));
    let found = decompile(&rho).unwrap();
    check(&rho, &found).unwrap();
    assert_eq!(found.structure, lattice()[6].structure());
}

#[test]
fn hidden_common_factors_cancel() {
    // (w + l - wl) times different things above and below, multiplied out.
    let p = |terms: &[(&[u8], i128)]| {
        Polynomial::of_terms(terms.iter().map(|(atoms, c)| {
            let mut m = ponens_compiler::logic::Monomial::default();
            atoms.iter().for_each(|&i| m.0[usize::from(i)] += 1);
            (m, *c)
        }))
        .unwrap()
    };
    let either = p(&[(&[0], 1), (&[1], 1), (&[0, 1], -1)]);
    let top = either.times(&p(&[(&[0], 1), (&[2, 1], 1)])).unwrap();
    let bottom =
        either.times(&p(&[(&[3], 1)])).unwrap().times(&p(&[(&[0], 1), (&[2, 1], 1)])).unwrap();
    let rho =
        Expr::unary(UnaryOp::Log, Expr::binary(BinaryOp::Div, square(&top), square(&bottom), 0), 0);
    let found = decompile(&rho).unwrap();
    check(&rho, &found).unwrap();
    assert_eq!(clauses(&found), "prefer true\ntie ref(l)");
}

/// Powers written out, for polynomials that are not multilinear.
fn square(p: &Polynomial) -> Expr {
    let atoms = quad();
    let term = |(m, c): (ponens_compiler::logic::Monomial, i128)| {
        let mut e = Expr::rational(Rational::new(c, 1).unwrap(), 0);
        for (atom, k) in atoms.iter().zip(m.0).filter(|(_, k)| *k > 0) {
            let power = Expr::binary(
                BinaryOp::Pow,
                Expr::prob(atom.clone(), 0),
                Expr::integer(i64::from(k), 0),
                0,
            );
            e = Expr::binary(BinaryOp::Mul, e, power, 0);
        }
        e
    };
    p.terms().map(term).reduce(|a, b| Expr::binary(BinaryOp::Add, a, b, 0)).unwrap()
}

#[test]
fn a_number_in_a_sum_is_a_coin() {
    let b = Build::default();
    let d = |x: f64| Expr::number(x, 0);
    let not = |y: &str| b.sub(b.n(1), b.pi(y));
    let noisy = |x: f64, y: f64| b.add(b.mul(d(x), b.pi("w")), b.mul(d(y), not("w")));
    let mixed = || b.add(b.mul(d(0.3), b.pi("w")), b.mul(d(0.7), b.pi("l")));
    let cases = [
        b.log(b.div(mixed(), b.pi("l"))),
        b.sub(b.log(b.add(b.pi("w"), b.mul(d(0.3), b.mul(b.pi("l"), not("w"))))), b.log(not("w"))),
        // Label noise: one coin above and below.
        b.log(b.div(noisy(0.9, 0.1), noisy(0.1, 0.9))),
        // 0.5 w + 0.5 w is w; what is left of 0.3 w + 0.3 w is a factor.
        b.log(b.div(b.add(b.mul(d(0.5), b.pi("w")), b.mul(d(0.5), b.pi("w"))), b.pi("l"))),
        b.log(b.div(b.add(b.mul(d(0.3), b.pi("w")), b.mul(d(0.3), b.pi("w"))), b.pi("l"))),
        // Two factors toss two coins; one that stands on both sides is gone.
        b.log(b.mul(mixed(), noisy(0.7, 0.3))),
        b.log(b.div(b.mul(mixed(), b.pi("w")), b.mul(b.pi("l"), mixed()))),
        // What is common to all terms does not count twice.
        b.log(b.add(b.mul(mixed(), b.reference("w")), b.mul(mixed(), b.reference("l")))),
    ];
    let printed: Vec<String> = cases.iter().map(shown).collect();
    insta::assert_snapshot!(printed.join("\n"));
}

#[test]
fn a_share_is_a_coin_by_its_name() {
    let b = Build::default();
    let e = || b.symbol("e", 0.0, 0.5);
    let rest = || b.sub(b.n(1), e());
    let noisy = b.add(b.mul(rest(), b.pi("w")), b.mul(e(), b.pi("l")));
    let other = b.add(b.mul(e(), b.pi("w")), b.mul(rest(), b.pi("l")));
    // It is open which of two is larger.
    let f = b.symbol("f", 0.0, 1.0);
    let not = |y: &str| b.sub(b.n(1), b.pi(y));
    let alone = b.mul(b.mul(e(), b.pi("w")), not("l"));
    let two = b.add(alone, b.mul(b.mul(f, b.pi("l")), not("w")));
    let cases = [b.log(b.div(noisy, other)), b.sub(b.log(two), b.logp("l"))];
    insta::assert_snapshot!(cases.iter().map(shown).collect::<Vec<_>>().join("\n"));
}

/// The weight of a constant atom from the size of its constant.
fn weight(size: &Expr) -> f64 {
    fn value(e: &Expr) -> f64 {
        match &e.kind {
            ExprKind::Number(r) => r.to_f64(),
            ExprKind::Unary(UnaryOp::Neg, a) => -value(a),
            ExprKind::Unary(UnaryOp::Log, a) => value(a).ln(),
            other => panic!("no constant: {other:?}"),
        }
    }
    (-value(size)).exp()
}

fn at(p: &Polynomial, point: &[f64]) -> f64 {
    let power = |(x, e): (&f64, &u8)| x.powi(i32::from(*e));
    p.terms().map(|(m, c)| c as f64 * point.iter().zip(&m.0).map(power).product::<f64>()).sum()
}

/// A sum over the vertices of the cube over two weights, each with a share of its own.
fn shares(values: &[usize; 4]) -> Expr {
    let literal = |y: &str, on: bool| {
        let p = Expr::prob(Atom::response("pi", y), 0);
        if on { p } else { Expr::binary(BinaryOp::Sub, Expr::integer(1, 0), p, 0) }
    };
    let times = |a, b| Expr::binary(BinaryOp::Mul, a, b, 0);
    (0..4)
        .map(|row| {
            let literals = times(literal("w", row & 1 == 1), literal("l", row & 2 == 2));
            times(Expr::number(SHARES[values[row]], 0), literals)
        })
        .reduce(|a, b| Expr::binary(BinaryOp::Add, a, b, 0))
        .unwrap()
}

fn log(e: Expr) -> Expr {
    Expr::unary(UnaryOp::Log, e, 0)
}

const SHARES: [f64; 6] = [0.0, 1.0, 0.25, 0.75, 0.3, 0.1];

/// An equivalent way to write an expression, chosen by `choice`.
fn respelled(e: &Expr, choices: &mut impl Iterator<Item = u8>) -> Expr {
    let mut go = |e: &Expr| respelled(e, choices);
    let kind = match &e.kind {
        ExprKind::Unary(op, a) => ExprKind::Unary(*op, Box::new(go(a))),
        ExprKind::Binary(op, a, b) => {
            let (a, b) = (go(a), go(b));
            ExprKind::Binary(*op, Box::new(a), Box::new(b))
        }
        leaf => leaf.clone(),
    };
    let e = Expr { kind, tag: 0 };
    let un = |op, a| Expr::unary(op, a, 0);
    let bi = |op, a, b| Expr::binary(op, a, b, 0);
    let twice = |e: Expr| un(UnaryOp::Neg, un(UnaryOp::Neg, e));
    match (choices.next().unwrap_or(0) % 6, e.kind) {
        (1, ExprKind::Unary(UnaryOp::Log, inner)) => match inner.kind {
            ExprKind::Binary(BinaryOp::Div, a, b) => {
                bi(BinaryOp::Sub, un(UnaryOp::Log, *a), un(UnaryOp::Log, *b))
            }
            ExprKind::Binary(BinaryOp::Mul, a, b) => {
                bi(BinaryOp::Add, un(UnaryOp::Log, *b), un(UnaryOp::Log, *a))
            }
            kind => un(UnaryOp::Log, Expr { kind, tag: 0 }),
        },
        (2, ExprKind::Prob(atom)) => un(UnaryOp::Exp, Expr::logp(atom, 0)),
        (3, ExprKind::Binary(BinaryOp::Mul, a, b)) => bi(BinaryOp::Mul, *b, *a),
        (4, ExprKind::Binary(BinaryOp::Add, a, b)) => bi(BinaryOp::Add, *b, *a),
        (5, kind) if !matches!(kind, ExprKind::Number(_)) => twice(Expr { kind, tag: 0 }),
        (_, kind) => Expr { kind, tag: 0 },
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_spelling_does_not_matter(
        node in 0usize..16,
        reference in any::<bool>(),
        mut choices in prop::collection::vec(any::<u8>(), 200),
    ) {
        let mut structure = lattice()[node].structure();
        if reference {
            structure = structure.reference_version().unwrap();
        }
        let rho = respelled(&compiled(&structure), &mut choices.drain(..));
        let found = decompile_over(&rho, &structure.atoms).unwrap();
        prop_assert_eq!(check(&rho, &found), Ok(()));
        prop_assert_eq!(found.structure, structure.canonical());
    }

    #[test]
    fn coins_keep_the_function(top in [0usize..6, 0..6, 0..6, 0..6], bottom in [0usize..6, 0..6, 0..6, 0..6]) {
        let rho = Expr::binary(BinaryOp::Sub, log(shares(&top)), log(shares(&bottom)), 0);
        let Ok(found) = decompile(&rho) else {
            // No row wins or loses, or nothing is left.
            let sides = [&top, &bottom].map(|side| side.iter().map(|i| SHARES[*i]).collect::<Vec<_>>());
            let ratio: Vec<f64> = sides[0].iter().zip(&sides[1]).map(|(t, b)| t / b).collect();
            let empty = sides.iter().any(|side| side.iter().all(|x| *x == 0.0));
            let known: Vec<f64> = ratio.into_iter().filter(|r| !r.is_nan()).collect();
            prop_assert!(empty || known.iter().all(|r| *r == known[0]), "{:?}", decompile(&rho));
            return Ok(());
        };
        prop_assert_eq!(check(&rho, &found), Ok(()));
        for (w, l) in [(0.2, 0.9), (0.61, 0.37), (0.5, 0.08)] {
            let written = |side: &[usize; 4]| -> f64 {
                let row = |r: usize| {
                    (if r & 1 == 1 { w } else { 1.0 - w }) * (if r & 2 == 2 { l } else { 1.0 - l })
                };
                (0..4).map(|r| SHARES[side[r]] * row(r)).sum()
            };
            let point: Vec<f64> = found
                .structure
                .atoms
                .iter()
                .map(|a| match (a.name.as_str(), found.constants.iter().find(|(c, _)| c == a)) {
                    (_, Some((_, size))) => weight(size),
                    ("pi(w)", None) => w,
                    _ => l,
                })
                .collect();
            let (x, y) = (written(&top) / written(&bottom), at(&found.t, &point) / at(&found.b, &point));
            prop_assert!((x - y).abs() <= 1e-12 * x.abs(), "{} and {}", x, y);
        }
    }
}
