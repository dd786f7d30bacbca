//! The core of a structure: what is left without margins and aggregation.

use ponens_compiler::logic::{Atom, AtomKind, LargeStructure, Structure};

/// True when two structures have the same rho once constants are 0 and sums are not told from means.
pub(super) fn same(a: &Structure, b: &Structure) -> bool {
    match (bare(a), bare(b)) {
        (Some(a), Some(b)) => a.same_rho(&b),
        _ => a.same_rho(b),
    }
}

/// The same for structures of more atoms, where sums and means are different all the same.
pub(super) fn same_large(a: &LargeStructure, b: &LargeStructure) -> bool {
    let bare = |s: &LargeStructure| {
        let constants = s.atoms.iter().enumerate();
        let constants = constants.filter(|(_, a)| matches!(a.kind, AtomKind::Constant(_)));
        constants.fold(s.clone(), |s, (i, _)| LargeStructure {
            wins: s.wins.cofactor(i, true),
            loses: s.loses.cofactor(i, true),
            atoms: s.atoms,
        })
    };
    bare(a).same_rho(&bare(b))
}

/// The structure without constant atoms, which count as true, and with sums for means; `None` where a
/// sum and a mean would become one atom, or no row were left.
fn bare(s: &Structure) -> Option<Structure> {
    let n = s.atoms.len();
    let (mut wins, mut loses) = (s.wins, s.loses);
    let mut kept: Vec<Atom> = Vec::new();
    let mut place = vec![0; n];
    for (i, atom) in s.atoms.iter().enumerate() {
        match &atom.kind {
            AtomKind::Constant(_) => {
                wins = wins.cofactor(i, true, n);
                loses = loses.cofactor(i, true, n);
            }
            AtomKind::Response { model, response, .. } => {
                let plain = Atom::response(model, response);
                if kept.contains(&plain) {
                    return None;
                }
                place[i] = kept.len();
                kept.push(plain);
            }
            _ => {
                place[i] = kept.len();
                kept.push(atom.clone());
            }
        }
    }
    let rows = |t: ponens_compiler::logic::Table| {
        let row = |r: usize| {
            let dropped = |i: usize| matches!(s.atoms[i].kind, AtomKind::Constant(_));
            (0..n).filter(|i| r >> i & 1 == 1 && !dropped(*i)).map(|i| 1 << place[i]).sum::<usize>()
        };
        ponens_compiler::logic::Table::of_rows(t.rows().map(row), kept.len())
    };
    let (wins, loses) = (rows(wins), rows(loses));
    Structure::from_rows(kept, wins, loses).ok()
}
