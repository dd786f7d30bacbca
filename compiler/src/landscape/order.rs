//! The order by entailment among given structures, and its covers.
//!
//! In: structures over any atoms, six together at most. Out: which entails which, and the covers: the
//! pairs with nothing of the list between them. Invariant: the covers are the least relation whose
//! transitive closure is the order (strict, equal structures taken as one).

use super::cube;
use super::error::LandscapeError;
use crate::logic::{Atom, Structure};

/// Both tables of every structure over the union of all atoms.
fn over_common_atoms(structures: &[Structure]) -> Result<Vec<(u64, u64)>, LandscapeError> {
    let mut atoms: Vec<&Atom> = Vec::new();
    for atom in structures.iter().flat_map(|s| &s.atoms) {
        if !atoms.contains(&atom) {
            atoms.push(atom);
        }
    }
    if atoms.len() > cube::MAX_ATOMS {
        return Err(LandscapeError::TooManyAtoms { atoms: atoms.len() });
    }
    let lift = |structure: &Structure| {
        let to: Vec<_> =
            structure.atoms.iter().map(|a| atoms.iter().position(|b| *b == a)).collect();
        let own = cube::full(structure.atoms.len());
        let table = |f: u64| cube::relabel(f & own, &to, atoms.len());
        (table(structure.wins.0), table(structure.loses.0))
    };
    Ok(structures.iter().map(lift).collect())
}

fn below(a: (u64, u64), b: (u64, u64)) -> bool {
    a.0 & !b.0 == 0 && b.1 & !a.1 == 0
}

/// Whether `a` entails `b`: W of `a` within W of `b`, and L of `b` within L of `a`, over the union of
/// their atoms. Then rho of `a` is at most rho of `b` everywhere.
///
/// # Errors
///
/// [`LandscapeError::TooManyAtoms`] when the two have more than six atoms together.
pub fn entails(a: &Structure, b: &Structure) -> Result<bool, LandscapeError> {
    let tables = over_common_atoms(&[a.clone(), b.clone()])?;
    Ok(below(tables[0], tables[1]))
}

/// The covers of the order by entailment among `structures`: the pairs `(i, j)` such that the `i`-th
/// strictly entails the `j`-th with none strictly between them, in ascending order. Of equal structures
/// only the first takes part.
///
/// # Errors
///
/// [`LandscapeError::TooManyAtoms`] when they have more than six atoms together.
pub fn covers(structures: &[Structure]) -> Result<Vec<(usize, usize)>, LandscapeError> {
    let tables = over_common_atoms(structures)?;
    let first = |i: &usize| !tables[..*i].contains(&tables[*i]);
    let nodes: Vec<usize> = (0..tables.len()).filter(first).collect();
    let strictly = |i: usize, j: usize| i != j && below(tables[i], tables[j]);
    let mut found = Vec::new();
    for &i in &nodes {
        let above: Vec<usize> = nodes.iter().copied().filter(|&j| strictly(i, j)).collect();
        let covering = above.iter().filter(|&&j| !above.iter().any(|&k| strictly(k, j)));
        found.extend(covering.map(|&j| (i, j)));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::landscape::atoms;
    use crate::logic::Table;

    fn structures() -> impl Strategy<Value = Vec<Structure>> {
        let one = (2_usize..=3, any::<u8>(), any::<u8>()).prop_map(|(n, t, b)| Structure {
            atoms: atoms(n),
            wins: Table(u64::from(t) & cube::full(n)),
            loses: Table(u64::from(b) & cube::full(n)),
        });
        prop::collection::vec(one, 0..10)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_closure_of_the_covers_is_the_order(list in structures()) {
            let covers = covers(&list).expect("three atoms");
            let n = list.len();
            let mut reach = vec![vec![false; n]; n];
            for &(i, j) in &covers {
                reach[i][j] = true;
            }
            let direct = reach.clone();
            for k in 0..n {
                for i in 0..n {
                    for j in 0..n {
                        reach[i][j] |= reach[i][k] && reach[k][j];
                    }
                }
            }
            let order = |i: usize, j: usize| entails(&list[i], &list[j]).expect("three atoms");
            let first = |i: usize| (0..i).all(|k| !(order(i, k) && order(k, i)));
            for i in (0..n).filter(|&i| first(i)) {
                for j in (0..n).filter(|&j| first(j) && j != i) {
                    prop_assert_eq!(reach[i][j], order(i, j));
                    let between = (0..n).any(|k| reach[i][k] && reach[k][j]);
                    prop_assert!(!(direct[i][j] && between), "{} -> {} is no cover", i, j);
                }
            }
        }
    }

    #[test]
    fn more_than_six_atoms_are_refused() {
        let named = |name: String| Atom {
            name: name.clone(),
            kind: crate::logic::AtomKind::Constant(name),
        };
        let of = |names: std::ops::Range<usize>| Structure {
            atoms: names.map(|i| named(format!("c{i}"))).collect(),
            wins: Table(1),
            loses: Table(2),
        };
        assert_eq!(entails(&of(0..4), &of(3..7)), Err(LandscapeError::TooManyAtoms { atoms: 7 }));
        assert_eq!(entails(&of(0..4), &of(2..6)), Ok(false));
    }
}
