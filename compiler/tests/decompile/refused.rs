//! What has no logic, why, and what comes nearest.

use crate::{Build, clauses, not_logic, shown};
use ponens_compiler::decompile::{BinaryOp, Expr, Reason, UnaryOp, check, decompile};
use ponens_compiler::logic::{Atom, Rational};

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
    let twice = Rational::integer(2);
    assert!(matches!(why.reason, Reason::NotAnIndicator { value, .. } if value == twice));
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

#[test]
fn a_share_beyond_one_is_said_as_it_was_written() {
    let b = Build::default();
    let share = b.mul(Expr::number(0.3, 0), b.pi("l"));
    let sum = b.add(b.pi("w"), share);
    let (tag, rho) = (sum.tag, b.log(b.div(sum, b.sub(b.n(1), b.pi("w")))));
    let why = not_logic(&rho);
    assert_eq!((why.tag, why.monomials.clone()), (tag, vec!["pi(w)".into(), "0.3 * pi(l)".into()]));
    insta::assert_snapshot!(shown(&rho));
    // A share below 0 has no reading.
    let below = b.sub(b.pi("w"), b.mul(Expr::number(0.5, 0), b.pi("l")));
    let why = not_logic(&b.log(below));
    let minus = Rational::new(-1, 2).unwrap();
    assert!(matches!(why.reason, Reason::NotAnIndicator { value, .. } if value == minus), "{why}");
    assert_eq!(why.nearest, None);
}

#[test]
fn a_power_is_read_as_an_event_of_its_own() {
    // DPO-Positive where its penalty acts.
    let b = Build::default();
    let positive = |lambda: Expr| {
        let lp = |m: &str, y: &str| Expr::logp(Atom::response(m, y), b.tag());
        let dpo = b.sub(b.sub(lp("pi", "w"), lp("ref", "w")), b.sub(lp("pi", "l"), lp("ref", "l")));
        b.sub(dpo, b.mul(lambda, b.sub(lp("ref", "w"), lp("pi", "w"))))
    };
    let cases = [
        positive(b.n(1)),
        positive(b.n(5)),
        positive(b.symbol("lambda", 0.0, f64::INFINITY)),
        positive(Expr::number(0.5, b.tag())),
        b.sub(b.mul(Expr::number(0.3, b.tag()), b.logp("w")), b.logp("l")),
        // Neither above 1 nor below it: one event.
        b.sub(b.mul(b.symbol("alpha", 0.0, 9.0), b.logp("w")), b.logp("l")),
        b.sub(b.mul(b.n(300), b.logp("w")), b.logp("l")),
        // Of a sum it is none.
        b.sub(b.mul(Expr::number(0.3, b.tag()), b.un(UnaryOp::Log1mExp, b.logp("w"))), b.logp("l")),
    ];
    let printed: Vec<String> = cases.iter().map(shown).collect();
    insta::assert_snapshot!(printed.join("\n"));
}
