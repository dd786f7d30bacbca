//! The atoms of the landscape, and structures from elsewhere read over them.
//!
//! In: structures with named atoms in any order. Out: their tables over `pi(w)`, `pi(l)`, `ref(w)`,
//! `ref(l)` in this order. Invariant: an atom is recognised by the model and the response that it
//! speaks of; whether its weight sums or averages log-probabilities makes no difference to the logic.

use super::cube;
use super::error::LandscapeError;
use crate::logic::{Atom, AtomKind, Structure, Table};

/// Model and response of each atom of the landscape.
const ROLES: [(&str, &str); 4] = [("pi", "w"), ("pi", "l"), ("ref", "w"), ("ref", "l")];

/// The first `atoms` atoms of the landscape: `pi(w)`, `pi(l)`, `ref(w)`, `ref(l)`, each weighing the
/// probability of its response (summed log-probabilities). At most four.
#[must_use]
pub fn atoms(atoms: usize) -> Vec<Atom> {
    ROLES
        .iter()
        .take(atoms)
        .map(|(model, response)| Atom {
            name: format!("{model}({response})"),
            kind: AtomKind::Response {
                model: (*model).to_owned(),
                response: (*response).to_owned(),
                mean: false,
            },
        })
        .collect()
}

/// Which atom of the landscape this is: the model named `ref` is the reference, any other the policy.
fn role(atom: &Atom) -> Option<usize> {
    let AtomKind::Response { model, response, .. } = &atom.kind else { return None };
    let column = ["w", "l"].iter().position(|known| known == response)?;
    Some(if model == "ref" { 2 + column } else { column })
}

/// The structure of two tables over the landscape's atoms.
pub(super) fn structure(atoms_list: &[Atom], wins: u64, loses: u64) -> Structure {
    Structure { atoms: atoms_list.to_vec(), wins: Table(wins), loses: Table(loses) }
}

/// The winning and the losing table of `structure` over the first `atoms` atoms of the landscape.
/// Atoms on which neither side depends are dropped.
///
/// # Errors
///
/// [`LandscapeError::ForeignAtom`] for an atom that is none of these (a constant, a copy, another
/// response, a second atom of the same role); [`LandscapeError::TooManyAtoms`] beyond six.
pub(super) fn tables(structure: &Structure, atoms: usize) -> Result<(u64, u64), LandscapeError> {
    let n = structure.atoms.len();
    if n > cube::MAX_ATOMS {
        return Err(LandscapeError::TooManyAtoms { atoms: n });
    }
    let (wins, loses) = (structure.wins.0 & cube::full(n), structure.loses.0 & cube::full(n));
    let mut to = vec![None; n];
    for (i, atom) in structure.atoms.iter().enumerate() {
        if !cube::depends(wins, i) && !cube::depends(loses, i) {
            continue;
        }
        match role(atom) {
            Some(r) if r < atoms && !to.contains(&Some(r)) => to[i] = Some(r),
            _ => return Err(LandscapeError::ForeignAtom { atom: atom.name.clone(), atoms }),
        }
    }
    Ok((cube::relabel(wins, &to, atoms), cube::relabel(loses, &to, atoms)))
}

/// The function with winner and loser exchanged, in their references too; `None` when it depends on
/// the reference of one response and there is no atom for the other's.
pub(super) fn swap_responses(f: u64, atoms: usize) -> Option<u64> {
    match atoms {
        4 => Some(cube::relabel(f, &[Some(1), Some(0), Some(3), Some(2)], 4)),
        3 if cube::depends(f, 2) => None,
        _ => {
            let to = [Some(1), Some(0), Some(2)];
            Some(cube::relabel(f, &to[..atoms.min(3)], atoms))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_are_read_in_any_order_of_atoms() {
        let mut reversed = atoms(2);
        reversed.reverse();
        // over (l, w): wins where w and not l
        let orpo = structure(&reversed, 0b0100, 0b0010);
        assert_eq!(tables(&orpo, 2), Ok((0b0010, 0b0100)));
        assert_eq!(tables(&orpo, 3), Ok((0b0010_0010, 0b0100_0100)));
    }

    #[test]
    fn an_atom_that_matters_and_is_foreign_is_named() {
        let mut list = atoms(2);
        list.push(Atom { name: "gamma".into(), kind: AtomKind::Constant("gamma".into()) });
        assert!(tables(&structure(&list, 0b0010_0010, 0b0100_0100), 2).is_ok());
        let error = tables(&structure(&list, 0b0010_0010, 0b0100_0000), 4);
        assert_eq!(error, Err(LandscapeError::ForeignAtom { atom: "gamma".into(), atoms: 4 }));
    }

    #[test]
    fn swapping_twice_changes_nothing() {
        for f in (0..=0xFFFF).step_by(37) {
            let once = swap_responses(f, 4).expect("four atoms");
            assert_eq!(swap_responses(once, 4), Some(f));
        }
        assert_eq!(swap_responses(0b0010, 2), Some(0b0100));
        assert_eq!(swap_responses(cube::column(2, 3), 3), None);
        assert_eq!(swap_responses(cube::column(0, 3), 3), Some(cube::column(1, 3)));
    }
}
