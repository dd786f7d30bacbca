//! The dynamics of losses whose behaviour is known.

use super::*;
use crate::hir::{NoLibrary, Program};
use crate::session::{self, Options};

fn of(body: &str) -> Dynamics {
    let text = format!("loss x(beta = 0.1 in (0, inf)) {{\n data pair(w > l)\n {body}\n}}\n");
    let mut program = Program::new();
    let (_, found) = program.add_text("<test>", &text);
    assert!(found.is_empty(), "{found:?}");
    let compiled =
        session::compile(&mut program, "x", &NoLibrary, &Options::default()).expect("compiles");
    let structure = crate::explain::structure(&compiled.loss).ok().map(|f| f.structure);
    dynamics(&compiled, structure.as_ref()).expect("defaults")
}

fn dpo(link: &str) -> Dynamics {
    of(&format!(
        "model pi = policy\n model ref = reference\n rho = log(pi(w) * ref(l) / (pi(l) * ref(w)))\n minimize {link}"
    ))
}

#[test]
fn dpo_pulls_apart_and_can_displace() {
    let d = dpo("logistic(beta * rho)");
    let signs: Vec<_> = d.pulls.iter().map(|p| (p.column.as_str(), p.sign, p.evidence)).collect();
    assert_eq!(
        signs,
        [("logp(pi,w)", Sign::Up, Evidence::Proved), ("logp(pi,l)", Sign::Down, Evidence::Proved)]
    );
    // beta / 2 wherever policy and reference agree.
    for s in d.pulls.iter().flat_map(|p| &p.sizes) {
        assert!((s.pull.abs() - 0.05).abs() < 1e-12, "{s:?}");
    }
    // rho grows with the logarithm, so the sigmoid vanishes like a power of the weight.
    assert_eq!(d.pulls[0].vanishes, ["pi(l) -> 0", "rho -> inf"]);
    assert!(d.pulls.iter().all(|p| p.grows.is_empty()));
    let Displacement::Traded(step) = &d.displacement else { panic!("{:?}", d.displacement) };
    assert!((step.price - 1.0).abs() < 1e-12);
    assert!(step.after < step.before);
    assert_eq!(step.direction[0], ("logp(pi,w)".to_owned(), -1.0));
    assert_eq!(step.direction[1], ("logp(pi,l)".to_owned(), -2.0));
}

#[test]
fn a_forgotten_minus_turns_the_pull_around() {
    for link in ["-logistic(beta * rho)", "log_sigmoid(beta * rho)"] {
        let pulls = dpo(link).pulls;
        let signs: Vec<_> = pulls.iter().map(|p| (p.sign, p.sizes[0].pull < 0.0)).collect();
        assert_eq!(signs, [(Sign::Down, true), (Sign::Up, false)], "{link}");
    }
    let d = dpo("-logistic(beta * rho)");
    assert!(d.pulls.iter().all(|p| p.evidence == Evidence::Proved && !p.partial), "{:?}", d.pulls);
}

#[test]
fn a_target_turns_the_pull_around() {
    let d = dpo("squared(rho, 1 / (2 * beta))");
    assert!(d.pulls.iter().all(|p| p.sign == Sign::Both), "{:?}", d.pulls);
    assert!(matches!(d.displacement, Displacement::Direct(_)), "{:?}", d.displacement);
    assert!(d.pulls[0].vanishes.contains(&"rho at its target".to_owned()));
}

#[test]
fn a_hinge_is_flat_beyond_its_margin() {
    let d = dpo("hinge(beta * rho)");
    assert_eq!(d.pulls[0].sign, Sign::Up);
    assert_eq!(d.pulls[0].vanishes, ["pi(l) -> 0", "rho beyond the margin"]);
}

#[test]
fn cross_entropy_cannot_displace() {
    let d = of("model pi = policy\n prefer pi(w)\n minimize logistic(rho)");
    assert_eq!(d.displacement, Displacement::Impossible);
    assert_eq!((d.pulls.len(), d.pulls[0].sign), (1, Sign::Up));
    // 1 / (1 - w) times (1 - w): finite at both ends.
    assert_eq!(d.pulls[0].vanishes, ["rho -> inf"]);
    assert!(d.pulls[0].grows.is_empty());
}

#[test]
fn an_unlikelihood_term_alone_stops_pushing_where_it_should_push() {
    // rho = log((1 - l) / l): the chosen response is not read at all, and may fall freely.
    let d = of("model pi = policy\n prefer !pi(l)\n minimize logistic(rho)");
    assert_eq!((d.pulls.len(), d.pulls[0].sign), (1, Sign::Down));
    assert_eq!(d.displacement, Displacement::Unread);
    // bCPO, 1 - l (1 - w) over 1 - w: no pull left on a chosen response of small weight.
    let d = of(
        "model pi = policy\n prefer pi(l) -> pi(w)\n tie !pi(w) & !pi(l)\n minimize logistic(rho)",
    );
    let chosen = &d.pulls[0];
    assert_eq!(chosen.sign, Sign::Up);
    assert!(chosen.vanishes.contains(&"pi(w) -> 0".to_owned()), "{:?}", chosen.vanishes);
}

#[test]
fn a_wrong_core_pulls_the_chosen_response_down() {
    let d = of("model pi = policy\n prefer !pi(w)\n minimize logistic(rho)");
    assert_eq!(d.pulls[0].sign, Sign::Down);
    assert!(matches!(d.displacement, Displacement::Direct(_)));
}
