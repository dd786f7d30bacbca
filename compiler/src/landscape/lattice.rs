//! The sixteen two-atom losses of SEMANTICS section 5, with and without a reference.
//!
//! In: nothing, or a structure to place. Out: the nodes by name, their covers, and the nodes nearest to
//! a structure. Invariant: a node is a winning function (its row in the table of names) and a losing
//! function (its column); the order is computed from these, never listed.

use super::error::LandscapeError;
use super::{atom, cube, factor, order};
use crate::logic::{Atom, Structure};

/// w&!l, which every node ticks, and !w&l, which every node crosses, decide nothing; the rows w&l and
/// !w&!l are free on either side. Each entry: the polynomial, and whether those two rows belong to it.
const WINNING: [(&str, [bool; 2]); 4] = [
    ("w(1-l)", [false, false]),
    ("w", [true, false]),
    ("1-l", [false, true]),
    ("1-l(1-w)", [true, true]),
];

/// The same for the losing side.
const LOSING: [(&str, [bool; 2]); 4] = [
    ("l(1-w)", [false, false]),
    ("l", [true, false]),
    ("1-w", [false, true]),
    ("1-w(1-l)", [true, true]),
];

/// The names: a row for each winning, a column for each losing function.
const NAMES: [[&str; 4]; 4] = [
    ["ORPO", "cUNL", "l3", "CEUnl"],
    ["cCPO", "CPO", "CE", "sCE"],
    ["cfUNL", "fUNL", "qfUNL", "l20"],
    ["unCPO", "l14", "bCPO", "l5"],
];

/// A loss of the lattice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// Its name in the paper's figure, `ORPO` for example.
    pub name: &'static str,
    /// The numerator of its fraction in the weights w and l.
    pub numerator: &'static str,
    /// The denominator.
    pub denominator: &'static str,
    wins: u64,
    loses: u64,
}

impl Node {
    /// Its structure over `pi(w)` and `pi(l)`.
    #[must_use]
    pub fn structure(&self) -> Structure {
        atom::structure(&atom::atoms(2), self.wins, self.loses)
    }

    /// The structure of its reference version over all four atoms: rho less the log-ratio of the
    /// reference's weights of w and l, so the numerator gains ref(l) and the denominator ref(w).
    #[must_use]
    pub fn with_reference(&self) -> Structure {
        let atoms = atom::atoms(4);
        let to = [Some(0), Some(1)];
        let wins = cube::relabel(self.wins, &to, 4) & cube::column(3, 4);
        let loses = cube::relabel(self.loses, &to, 4) & cube::column(2, 4);
        atom::structure(&atoms, wins, loses)
    }
}

/// The sixteen nodes, row by row of the table of names.
#[must_use]
pub fn nodes() -> Vec<Node> {
    let [w, l] = [0, 1].map(|i| cube::column(i, 2));
    let with = |fixed: u64, [both, neither]: [bool; 2]| {
        let free = |add: bool, rows: u64| if add { rows } else { 0 };
        fixed | free(both, w & l) | free(neither, cube::full(2) & !(w | l))
    };
    let mut found = Vec::new();
    for ((numerator, ticks), names) in WINNING.iter().zip(NAMES) {
        for ((denominator, crosses), name) in LOSING.iter().zip(names) {
            let (wins, loses) = (with(w & !l, *ticks), with(l & !w, *crosses));
            found.push(Node { name, numerator, denominator, wins, loses });
        }
    }
    found
}

/// The covers of the lattice by name: the first entails the second with no node between them.
#[must_use]
pub fn lattice_covers() -> Vec<(&'static str, &'static str)> {
    let nodes = nodes();
    let structures: Vec<Structure> = nodes.iter().map(Node::structure).collect();
    // Two atoms are within the bound of a truth table.
    let covers = order::covers(&structures).unwrap_or_default();
    covers.into_iter().map(|(i, j)| (nodes[i].name, nodes[j].name)).collect()
}

/// Where a structure stands in the lattice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Neighbours {
    /// The node that it is, if it is one.
    pub equal: Option<String>,
    /// The least nodes that it strictly entails: its covers, when it is a node.
    pub above: Vec<String>,
    /// The greatest nodes that strictly entail it.
    pub below: Vec<String>,
}

/// Places a structure in the lattice, or, when its rho depends on the reference, among the reference
/// versions, whose names end in `_ref`. It is reduced first, so that structures of one rho have one
/// place. A structure that is comparable with no node has no neighbours.
///
/// # Errors
///
/// [`LandscapeError::ForeignAtom`] when its rho depends on anything but the policy's and the
/// reference's predictions of `w` and `l`.
///
/// ```
/// use ponens_compiler::landscape::{neighbours, nodes};
///
/// let cpo = nodes().into_iter().find(|n| n.name == "CPO").expect("a node");
/// let place = neighbours(&cpo.with_reference())?;
/// assert_eq!(place.equal.as_deref(), Some("CPO_ref"));
/// assert_eq!(place.above, ["cCPO_ref", "l14_ref"]);
/// assert_eq!(place.below, ["cUNL_ref", "sCE_ref"]);
/// # Ok::<(), ponens_compiler::landscape::LandscapeError>(())
/// ```
pub fn neighbours(structure: &Structure) -> Result<Neighbours, LandscapeError> {
    let (wins, loses) = atom::tables(&factor::reduced(structure), 4)?;
    let own = atom::structure(&atom::atoms(4), wins, loses);
    let referenced = [2, 3].iter().any(|&i| cube::depends(wins, i) || cube::depends(loses, i));
    let nodes = nodes();
    let others: Vec<(String, Structure)> = nodes
        .iter()
        .map(|node| {
            if referenced {
                (format!("{}_ref", node.name), node.with_reference())
            } else {
                (node.name.to_owned(), node.structure())
            }
        })
        .collect();
    let mut place = Neighbours::default();
    let (mut above, mut below) = (Vec::new(), Vec::new());
    for (i, (name, node)) in others.iter().enumerate() {
        match (order::entails(&own, node)?, order::entails(node, &own)?) {
            (true, true) => place.equal = Some(name.clone()),
            (true, false) => above.push(i),
            (false, true) => below.push(i),
            (false, false) => {}
        }
    }
    let entails = |i: usize, j: usize| order::entails(&others[i].1, &others[j].1);
    for &i in &above {
        let mut least = true;
        for &j in above.iter().filter(|&&j| j != i) {
            least &= !entails(j, i)?;
        }
        if least {
            place.above.push(others[i].0.clone());
        }
    }
    for &i in &below {
        let mut greatest = true;
        for &j in below.iter().filter(|&&j| j != i) {
            greatest &= !entails(i, j)?;
        }
        if greatest {
            place.below.push(others[i].0.clone());
        }
    }
    Ok(place)
}

/// The rows of a structure in words, for a tooltip: `ticks w&!l; crosses !w&l`, in its atoms' names.
#[must_use]
pub fn rows_in_words(structure: &Structure) -> String {
    let n = structure.atoms.len().min(cube::MAX_ATOMS);
    let literal = |row: usize, (i, atom): (usize, &Atom)| {
        let sign = if row >> i & 1 == 1 { "" } else { "!" };
        format!("{sign}{}", atom.name)
    };
    let list = |table: u64| {
        let rows: Vec<String> = (0..1_usize << n)
            .filter(|row| table >> row & 1 == 1)
            .map(|row| {
                let atoms = structure.atoms.iter().take(n).enumerate();
                let literals: Vec<String> = atoms.map(|atom| literal(row, atom)).collect();
                if literals.is_empty() { "true".to_owned() } else { literals.join("&") }
            })
            .collect();
        if rows.is_empty() { "none".to_owned() } else { rows.join(", ") }
    };
    format!("ticks {}; crosses {}", list(structure.wins.0), list(structure.loses.0))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::landscape::{Aggregate, Filter, Inputs, Query, stream};

    fn named(name: &str) -> Node {
        nodes().into_iter().find(|n| n.name == name).expect("a node of the lattice")
    }

    /// The structure of (P, Pc, Pa), each as a predicate of (w, l).
    fn from_triple(triple: [fn(bool, bool) -> bool; 3]) -> (u64, u64) {
        let mut tables = (0, 0);
        for row in 0..4_u32 {
            let (w, l) = (row & 1 == 1, row & 2 == 2);
            let [p, given, tie] = triple.map(|f| f(w, l));
            tables.0 |= u64::from((p || tie) && given) << row;
            tables.1 |= u64::from((!p || tie) && given) << row;
        }
        tables
    }

    #[test]
    fn the_nodes_are_the_structures_of_the_published_triples() {
        type Triple = [fn(bool, bool) -> bool; 3];
        let t = |_, _| true;
        let f = |_, _| false;
        let published: [(&str, Triple); 16] = [
            ("CEUnl", [|w, l| w && !l, t, f]),
            ("l3", [|w, _| w, |w, l| !(w && l), f]),
            ("cUNL", [|_, l| !l, |w, l| w || l, f]),
            ("ORPO", [|w, l| !l || w, |w, l| w != l, f]),
            ("sCE", [|w, _| w, t, |w, l| w && l]),
            ("CE", [|w, _| w, t, f]),
            ("CPO", [|w, l| !l || w, |w, l| w || l, |w, l| w && l]),
            ("cCPO", [|w, l| !l || w, |w, l| w || l, f]),
            ("l20", [|_, l| !l, t, |w, l| !w && !l]),
            ("fUNL", [|_, l| !l, t, f]),
            ("qfUNL", [|w, l| !l || w, |w, l| !(w && l), |w, l| !w && !l]),
            ("cfUNL", [|w, l| !l || w, |w, l| !(w && l), f]),
            ("l5", [|w, l| !l || w, t, |w, l| w == l]),
            ("bCPO", [|w, l| !l || w, t, |w, l| !w && !l]),
            ("l14", [|w, l| !l || w, t, |w, l| w && l]),
            ("unCPO", [|w, l| !l || w, t, f]),
        ];
        for (name, triple) in published {
            let node = named(name);
            assert_eq!((node.wins, node.loses), from_triple(triple), "{name}");
        }
    }

    #[test]
    fn the_covers_are_those_of_the_four_cube() {
        let covers = lattice_covers();
        assert_eq!(covers.len(), 32);
        let distance =
            |a: &Node, b: &Node| (a.wins ^ b.wins).count_ones() + (a.loses ^ b.loses).count_ones();
        for (a, b) in &covers {
            assert_eq!(distance(&named(a), &named(b)), 1);
        }
        let with_none = |side: fn(&(&'static str, &'static str)) -> &'static str| {
            let taken: HashSet<&str> = covers.iter().map(side).collect();
            nodes().iter().map(|n| n.name).filter(|n| !taken.contains(n)).collect::<Vec<_>>()
        };
        assert_eq!(with_none(|c| c.1), ["CEUnl"]);
        assert_eq!(with_none(|c| c.0), ["unCPO"]);
    }

    #[test]
    fn neighbours_of_a_node_are_its_covers() {
        let covers = lattice_covers();
        for node in nodes() {
            let place = neighbours(&node.structure()).expect("policy atoms");
            assert_eq!(place.equal.as_deref(), Some(node.name));
            let above: Vec<&str> =
                covers.iter().filter(|c| c.0 == node.name).map(|c| c.1).collect();
            let below: Vec<&str> =
                covers.iter().filter(|c| c.1 == node.name).map(|c| c.0).collect();
            assert_eq!(place.above, above);
            assert_eq!(place.below, below);
            let place = neighbours(&node.with_reference()).expect("four atoms");
            let with_ref: Vec<String> = above.iter().map(|n| format!("{n}_ref")).collect();
            assert_eq!(place.above, with_ref);
        }
    }

    #[test]
    fn a_structure_is_placed_by_its_reduced_form_and_off_the_lattice_too() {
        let list = atom::atoms(2);
        let padded = atom::structure(&list, 0b1000, 0b0100);
        assert_eq!(neighbours(&padded).expect("two atoms").equal.as_deref(), Some("CE"));
        // W and L both everything: below CEUnl's losing side, above nothing that loses less
        let all = atom::structure(&list, 0b1111, 0b1111);
        let place = neighbours(&all).expect("two atoms");
        assert_eq!(place, Neighbours::default());
        // fewer losing rows than ORPO has: unCPO is the greatest node, so only `below` is left
        let better = atom::structure(&list, 0b1111, 0b0100);
        let place = neighbours(&better).expect("two atoms");
        assert_eq!((place.equal, place.above.len()), (None, 0));
        assert_eq!(place.below, ["unCPO"]);
    }

    #[test]
    fn eight_nodes_have_no_usable_gradient_with_sums() {
        let usable = |aggregate| {
            let filter = Filter::UsableGradient { aggregate, inputs: Inputs::All };
            let found: HashSet<Structure> =
                stream(&Query::new(2).with(filter)).expect("two atoms").collect();
            nodes()
                .iter()
                .filter(|n| !found.contains(&n.structure()))
                .map(|n| n.name)
                .collect::<HashSet<_>>()
        };
        let without = ["l20", "qfUNL", "l5", "bCPO", "fUNL", "cfUNL", "unCPO", "l14"];
        assert_eq!(usable(Aggregate::Sum), HashSet::from(without));
        assert_eq!(usable(Aggregate::Mean), HashSet::new());
    }

    #[test]
    fn rows_are_written_in_the_names_of_the_atoms() {
        assert_eq!(
            rows_in_words(&named("ORPO").structure()),
            "ticks pi(w)&!pi(l); crosses !pi(w)&pi(l)"
        );
    }
}
