//! Expressions for rho, and the logic in them.

// A helper that fails is a failing test.
#![allow(clippy::unwrap_used)]

mod support;

use ponens_compiler::decompile::{
    BinaryOp, Claim, Decompiled, Expr, ExprKind, Law, NotLogic, Range, Reason, UnaryOp, Wrong,
    check, decompile, decompile_over,
};
use ponens_compiler::logic::{Atom, Polynomial, Rational, Structure, Table};
use proptest::prelude::*;
use support::{lattice, pair, quad};

/// Builds expressions with a fresh tag for every node, counting from 1 in order of construction.
#[derive(Default)]
struct Build {
    next: std::cell::Cell<usize>,
}

impl Build {
    fn tag(&self) -> usize {
        self.next.set(self.next.get() + 1);
        self.next.get()
    }

    fn pi(&self, y: &str) -> Expr {
        Expr::prob(Atom::response("pi", y), self.tag())
    }

    fn reference(&self, y: &str) -> Expr {
        Expr::prob(Atom::response("ref", y), self.tag())
    }

    fn logp(&self, y: &str) -> Expr {
        Expr::logp(Atom::response("pi", y), self.tag())
    }

    fn mean(&self, y: &str) -> Expr {
        Expr::logp(Atom::aggregated("pi", y, true), self.tag())
    }

    fn n(&self, value: i64) -> Expr {
        Expr::integer(value, self.tag())
    }

    fn symbol(&self, name: &str, lo: f64, hi: f64) -> Expr {
        Expr::symbol(name, Range::new(lo, hi), self.tag())
    }

    fn un(&self, op: UnaryOp, a: Expr) -> Expr {
        Expr::unary(op, a, self.tag())
    }

    fn add(&self, a: Expr, b: Expr) -> Expr {
        Expr::binary(BinaryOp::Add, a, b, self.tag())
    }

    fn sub(&self, a: Expr, b: Expr) -> Expr {
        Expr::binary(BinaryOp::Sub, a, b, self.tag())
    }

    fn mul(&self, a: Expr, b: Expr) -> Expr {
        Expr::binary(BinaryOp::Mul, a, b, self.tag())
    }

    fn div(&self, a: Expr, b: Expr) -> Expr {
        Expr::binary(BinaryOp::Div, a, b, self.tag())
    }

    fn log(&self, a: Expr) -> Expr {
        self.un(UnaryOp::Log, a)
    }
}

/// A polynomial as an expression, its terms in their own order.
fn written(p: &Polynomial, atoms: &[Atom]) -> Expr {
    let term = |(m, c): (ponens_compiler::logic::Monomial, i128)| {
        let mut e = Expr::rational(Rational::new(c, 1).unwrap(), 0);
        for (atom, _) in atoms.iter().zip(m.0).filter(|(_, e)| *e == 1) {
            e = Expr::binary(BinaryOp::Mul, e, Expr::prob(atom.clone(), 0), 0);
        }
        e
    };
    p.terms()
        .map(term)
        .reduce(|a, b| Expr::binary(BinaryOp::Add, a, b, 0))
        .unwrap_or(Expr::integer(0, 0))
}

/// log(WMC(W) / WMC(L))
fn compiled(structure: &Structure) -> Expr {
    let (t, b) = structure.polynomials();
    let [t, b] = [t, b].map(|p| written(&p, &structure.atoms));
    Expr::unary(UnaryOp::Log, Expr::binary(BinaryOp::Div, t, b, 0), 0)
}

fn shown(rho: &Expr) -> String {
    let mut out = format!("{rho}\n");
    match decompile(rho) {
        Ok(found) => {
            check(rho, &found).unwrap();
            for step in &found.steps {
                out.push_str(&format!("  by {}\n{}\n", step.law, step.after()));
            }
        }
        Err(why) => {
            out.push_str(&format!("NOT LOGIC at {}: {why}\n", why.tag));
            if let Some(nearest) = why.nearest {
                out.push_str(&format!("{}\n", nearest.core.shown(&nearest.structure.atoms)));
            }
        }
    }
    out
}

fn not_logic(rho: &Expr) -> NotLogic {
    decompile(rho).unwrap_err()
}

fn clauses(found: &Decompiled) -> String {
    found.core.shown(&found.structure.atoms)
}

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
fn every_two_atom_structure_comes_back() {
    let mut refused = 0;
    for bits in 0..256u64 {
        let (wins, loses) = (Table(bits & 15), Table(bits >> 4));
        let structure = Structure::from_rows(pair(), wins, loses).unwrap();
        let rho = compiled(&structure);
        let found = decompile_over(&rho, &pair());
        if structure.validate().is_err() {
            // Without winning rows rho is log 0, without losing rows a division by 0.
            let reason = found.unwrap_err().reason;
            assert!(
                matches!(reason, Reason::LogOfNonPositive | Reason::DivisionByZero),
                "{reason}"
            );
            refused += 1;
            continue;
        }
        if structure.same_rho(&structure.negated()) {
            // T = B: rho is 0.
            assert_eq!(found.unwrap_err().reason, Reason::Constant);
            refused += 1;
            continue;
        }
        let found = found.unwrap();
        check(&rho, &found).unwrap();
        assert_eq!(found.structure, structure.canonical());
        assert!(found.structure.same_rho(&structure));
        let before = found.written.unwrap();
        assert_eq!(before.over(&pair()).unwrap(), structure);
    }
    // 31 without winning or losing rows, 15 with W = L.
    assert_eq!(refused, 46);
}

#[test]
fn the_lattice_and_its_reference_versions_come_back() {
    for node in lattice() {
        for structure in [node.structure(), node.structure().reference_version().unwrap()] {
            let rho = compiled(&structure);
            let found = decompile_over(&rho, &structure.atoms).unwrap();
            check(&rho, &found).unwrap();
            assert_eq!(found.structure, structure.canonical(), "{}", node.name);
        }
    }
}

#[test]
fn a_squared_weight_is_read_as_a_copy() {
    let b = Build::default();
    let rho = b.log(b.div(
        b.mul(b.mul(b.pi("w"), b.pi("w")), b.reference("l")),
        b.mul(b.pi("l"), b.reference("w")),
    ));
    let why = not_logic(&rho);
    assert_eq!(why.reason, Reason::Squared);
    assert_eq!(why.monomials, ["pi(w)^2 * ref(l)"]);
    insta::assert_snapshot!(shown(&rho));
}

#[test]
fn an_overlapping_sum_is_expanded() {
    let b = Build::default();
    let sum = b.add(b.pi("w"), b.reference("w"));
    let (tag, rho) = (sum.tag, b.log(b.div(sum, b.pi("l"))));
    let why = not_logic(&rho);
    assert_eq!(why.tag, tag);
    assert_eq!(why.monomials, ["pi(w)", "ref(w)"]);
    assert!(matches!(why.reason, Reason::NotAnIndicator { value: 2, .. }));
    insta::assert_snapshot!(shown(&rho));
}

#[test]
fn a_doubled_term_is_a_coefficient() {
    let b = Build::default();
    let sum = b.add(b.pi("w"), b.pi("w"));
    let (tag, rho) = (sum.tag, b.log(b.div(sum, b.pi("l"))));
    let why = not_logic(&rho);
    assert_eq!((why.tag, &why.reason), (tag, &Reason::Coefficient("2".into())));
    insta::assert_snapshot!(shown(&rho));
    // On both sides it cancels.
    let both = b.log(b.div(b.add(b.pi("w"), b.pi("w")), b.add(b.pi("l"), b.pi("l"))));
    assert_eq!(
        clauses(&decompile(&both).unwrap()),
        "prefer pi(l) -> pi(w)\ngiven pi(w) | pi(l)\ntie pi(w) & pi(l)"
    );
}

#[test]
fn a_scaled_rho_belongs_to_the_link() {
    let b = Build::default();
    let cpo = b.sub(b.logp("w"), b.logp("l"));
    let rho = b.mul(b.symbol("beta", 0.0, 9.0), cpo);
    let why = not_logic(&rho);
    assert_eq!(why.reason, Reason::Scaled { by: "beta".into() });
    assert_eq!(why.tag, rho.tag);
    insta::assert_snapshot!(shown(&rho));
    let half = b.mul(Expr::number(0.5, b.tag()), b.sub(b.logp("w"), b.logp("l")));
    assert_eq!(not_logic(&half).reason, Reason::Scaled { by: "0.5".into() });
}

#[test]
fn sum_and_mean_of_one_response_do_not_mix() {
    let b = Build::default();
    let odd = b.mean("w");
    let tag = odd.tag;
    let rho = b.sub(b.add(b.logp("w"), b.un(UnaryOp::Log1mExp, odd)), b.logp("l"));
    let why = not_logic(&rho);
    let expected = Reason::MixedAggregates { model: "pi".into(), response: "w".into() };
    assert_eq!((why.reason, why.tag), (expected, tag));
    // Different responses may: they are different atoms anyway.
    assert!(decompile(&b.sub(b.logp("w"), b.mean("l"))).is_ok());
}

#[test]
fn what_is_no_logic_is_said_where_it_stands() {
    let b = Build::default();
    let max = Expr::opaque("max(0, logp(ref, w) - logp(pi, w))", b.tag());
    let cases = [
        b.sub(b.logp("w"), max),
        b.mul(b.logp("w"), b.logp("l")),
        b.add(b.logp("w"), b.pi("l")),
        b.div(b.logp("w"), b.logp("l")),
        b.un(UnaryOp::Exp, b.pi("w")),
        b.log(b.logp("w")),
        b.div(b.pi("w"), b.pi("l")),
        b.sub(b.logp("w"), b.logp("w")),
        b.n(3),
        b.log(b.sub(b.pi("w"), b.pi("l"))),
        b.log(b.un(UnaryOp::Neg, b.pi("w"))),
        b.div(b.logp("w"), b.n(0)),
        b.sub(b.logp("w"), b.mul(Expr::number(0.5, b.tag()), b.logp("l"))),
        b.log(b.add(b.pi("w"), b.un(UnaryOp::Exp, b.mul(b.symbol("beta", 0.0, 1.0), b.logp("l"))))),
        Expr::number(f64::NAN, b.tag()),
        b.un(UnaryOp::Sigmoid, b.sub(b.logp("w"), b.logp("l"))),
    ];
    let printed: Vec<String> = cases.iter().map(shown).collect();
    insta::assert_snapshot!(printed.join("\n"));
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
fn a_corrupted_step_is_caught() {
    let b = Build::default();
    let gamma = b.symbol("gamma", 0.0, f64::INFINITY);
    let rho = b.sub(
        b.add(
            b.sub(b.logp("w"), b.un(UnaryOp::Log1mExp, b.logp("l"))),
            b.sub(b.logp("l"), b.logp("l")),
        ),
        gamma,
    );
    let found = decompile(&rho).unwrap();
    check(&rho, &found).unwrap();
    let laws: Vec<Law> = found.steps.iter().map(|s| s.law).collect();
    assert!(laws.contains(&Law::CommonFactor) && laws.contains(&Law::ConstantAtom), "{laws:?}");
    for i in 0..found.steps.len() {
        let mut wrong = found.clone();
        match &mut wrong.steps[i].claim {
            Claim::Equal { after, .. } => *after = b.add(after.clone(), b.logp("l")),
            Claim::SameFraction { after, .. } => {
                let first = after.factors[0].clone();
                after.factors.push(first);
            }
            Claim::Rows { structure, .. } => structure.wins = structure.wins.not(structure.n()),
            Claim::Clauses { core, .. } => core.p = core.p.clone().negated(),
            claim => panic!("six atoms are enough: {claim:?}"),
        }
        let verdict = check(&rho, &wrong).unwrap_err();
        let expected = match found.steps[i].claim {
            Claim::Equal { .. } | Claim::SameFraction { .. } => Wrong::Unequal(i),
            Claim::Rows { .. } => Wrong::Rows(i),
            Claim::Clauses { .. } => Wrong::Clauses(i),
            _ => panic!("six atoms are enough"),
        };
        assert_eq!(verdict, expected, "{}", found.steps[i]);
        // A step left out leaves a gap, unless it is the last.
        let mut missing = found.clone();
        missing.steps.remove(i);
        assert!(check(&rho, &missing).is_err());
    }
    let mut other = found.clone();
    other.structure.loses = other.structure.wins;
    assert_eq!(check(&rho, &other), Err(Wrong::Result));
    assert_eq!(check(&b.logp("w"), &found), Err(Wrong::Gap(0)));
}

#[test]
fn deep_and_large_expressions_are_refused() {
    let mut deep = Expr::logp(Atom::response("pi", "w"), 0);
    for _ in 0..90 {
        deep = Expr::unary(UnaryOp::Log1mExp, deep, 0);
    }
    let found = decompile(&deep).unwrap();
    check(&deep, &found).unwrap();
    let mut softplus = Expr::logp(Atom::response("pi", "w"), 0);
    for _ in 0..90 {
        softplus = Expr::unary(UnaryOp::Softplus, softplus, 0);
    }
    assert!(decompile(&softplus).is_err());
    let mut odds = Expr::prob(Atom::response("pi", "w"), 0);
    for _ in 0..90 {
        odds = Expr::unary(UnaryOp::Odds, odds, 0);
    }
    assert_eq!(not_logic(&Expr::unary(UnaryOp::Log, odds, 0)).reason, Reason::TooLarge);
    let mut tower = Expr::prob(Atom::response("pi", "w"), 0);
    for _ in 0..8 {
        tower = Expr::binary(
            BinaryOp::Pow,
            Expr::binary(BinaryOp::Add, Expr::integer(1, 0), tower, 0),
            Expr::integer(99, 0),
            0,
        );
    }
    assert_eq!(not_logic(&Expr::unary(UnaryOp::Log, tower, 0)).reason, Reason::TooLarge);
    for _ in 0..30 {
        deep = Expr::unary(UnaryOp::Neg, deep, 7);
    }
    let why = not_logic(&deep);
    assert_eq!((why.reason, why.tag), (Reason::TooLarge, 0));
}

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

fn rows(n: usize) -> impl Strategy<Value = Table> {
    any::<u64>().prop_map(move |bits| Table(bits) & Table::full(n))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn four_atom_structures_come_back(w in rows(4), l in rows(4)) {
        let structure = Structure::from_rows(quad(), w, l).unwrap();
        prop_assume!(structure.validate().is_ok() && w != l);
        let rho = compiled(&structure);
        let found = decompile_over(&rho, &quad()).unwrap();
        prop_assert_eq!(check(&rho, &found), Ok(()));
        prop_assert_eq!(&found.structure, &structure.canonical());
        let before = found.written.unwrap();
        prop_assert_eq!(before.over(&quad()), Some(structure));
    }

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
}
