//! A structure in the names that the lattice and the landscape use.

use crate::hir::{DataShape, Loss, Role};
use crate::logic::{Atom, AtomKind, Structure};
use std::collections::BTreeMap;

/// The structure with the policy called `pi`, the reference `ref`, the preferred response `w` and the
/// other `l`, and with sums for means: the lattice and the landscape have one atom for a prediction,
/// whatever it is called and however its tokens aggregate. Further models and responses keep their
/// names where these are free. `None` where a sum and a mean would become one atom.
pub fn in_plain_names(loss: &Loss, structure: &Structure) -> Option<Structure> {
    let of_role = |role: Role| loss.models.iter().find(|m| m.role == role).map(|m| m.name.as_str());
    let mut models = vec![(of_role(Role::Policy), "pi"), (of_role(Role::Reference), "ref")];
    models.retain(|(name, _)| name.is_some());
    let models = renamed(loss.models.iter().map(|m| m.name.as_str()), &models);
    let responses = match &loss.shape {
        DataShape::Pair { winner, loser, .. } => {
            vec![(Some(winner.as_str()), "w"), (Some(loser.as_str()), "l")]
        }
        // One response is neither the preferred one nor the other.
        _ => Vec::new(),
    };
    let reserved = [(None, "w"), (None, "l")];
    let taken: &[(Option<&str>, &str)] = if responses.is_empty() { &reserved } else { &responses };
    let responses = renamed(loss.shape.responses().into_iter(), taken);
    let of = |map: &BTreeMap<String, String>, name: &String| map.get(name).unwrap_or(name).clone();
    let atom = |a: &Atom| match &a.kind {
        AtomKind::Response { model, response, .. } => {
            Atom::response(&of(&models, model), &of(&responses, response))
        }
        _ => a.clone(),
    };
    let atoms: Vec<Atom> = structure.atoms.iter().map(atom).collect();
    let alike = atoms.iter().enumerate().any(|(i, a)| atoms[..i].contains(a));
    (!alike).then(|| Structure { atoms, ..structure.clone() })
}

/// The new name of each name: the one given, else its own, marked where that is taken.
fn renamed<'a>(
    names: impl Iterator<Item = &'a str>,
    given: &[(Option<&str>, &str)],
) -> BTreeMap<String, String> {
    let mut map = BTreeMap::new();
    for name in names {
        let mut new = match given.iter().find(|(from, _)| *from == Some(name)) {
            Some((_, to)) => (*to).to_owned(),
            None => name.to_owned(),
        };
        let is_given = given.iter().any(|(from, _)| *from == Some(name));
        while !is_given && given.iter().any(|(_, to)| *to == new) {
            new.push('\'');
        }
        map.insert(name.to_owned(), new);
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hir::{NoLibrary, Program};

    fn plain(text: &str) -> Option<Vec<String>> {
        let mut program = Program::new();
        let (_, found) = program.add_text("<test>", text);
        assert!(found.is_empty(), "{found:?}");
        let (loss, found) = program.resolve("x", &NoLibrary);
        let loss = loss.unwrap_or_else(|| panic!("{found:?}"));
        let structure = super::super::structure(&loss).map(|f| f.structure).expect("a structure");
        let plain = in_plain_names(&loss, &structure)?;
        Some(plain.atoms.into_iter().map(|a| a.name).collect())
    }

    fn loss(data: &str, models: &str, rho: &str) -> String {
        format!("loss x() {{\n data {data}\n {models}\n rho = {rho}\n minimize logistic(rho)\n}}\n")
    }

    #[test]
    fn roles_make_the_names() {
        let models = "model theta = policy\n model base = reference, aggregate mean";
        let text = loss(
            "pair(good > bad)",
            models,
            "log(theta(good) * base(bad) / (theta(bad) * base(good)))",
        );
        assert_eq!(plain(&text).expect("plain"), ["pi(w)", "pi(l)", "ref(w)", "ref(l)"]);
    }

    #[test]
    fn a_misleading_name_is_no_role() {
        // The policy is called as references usually are, the loser as winners are.
        let models = "model ref = policy\n model pi = reference";
        let text = loss("pair(l > w)", models, "log(ref(l) * pi(w) / (ref(w) * pi(l)))");
        assert_eq!(plain(&text).expect("plain"), ["pi(w)", "pi(l)", "ref(w)", "ref(l)"]);
        let text = loss("pair(a > b, w)", "model pi = policy", "log(pi(a) / pi(w))");
        assert_eq!(plain(&text).expect("plain"), ["pi(w)", "pi(w')"]);
    }
}
