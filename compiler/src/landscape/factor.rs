//! Unique factorisation of Boolean functions, and reduced fractions.
//!
//! Why: two structures denote the same rho iff their fractions T/B are equal, and fractions are
//! compared in lowest terms. A factor of a multilinear polynomial shares no variable with its
//! cofactor (a shared variable would be squared), and when the product is 0 or 1 at every vertex so
//! is each factor, up to a constant. So the polynomial factors of the indicator of `f` are the
//! Boolean functions `g` with `f = g & h`, `g` and `h` on disjoint atoms, and polynomial rings being
//! factorial, the decomposition into irreducible ones is unique.
//!
//! In: a non-zero table. Out: its irreducible factors. Invariant: their supports partition the
//! support of the table and their conjunction is the table.

use super::cube;
use crate::logic::{Structure, Table};

/// The irreducible factors of the non-zero function `f`, by their lowest atom. The function that is
/// true everywhere has none; so, for want of an answer, has the one that is false everywhere.
pub(super) fn factors(f: u64, atoms: usize) -> Vec<u64> {
    let mut found = Vec::new();
    if f == 0 {
        return found;
    }
    let (mut rest, mut left) = (f, cube::support(f, atoms));
    while left != 0 {
        let first = left & left.wrapping_neg();
        // The sets of atoms that split `rest` are closed under intersection, so the least one with
        // the first atom in it is a subset of the others and comes before them in numerical order.
        let split = cube::Between::new(u64::from(first), u64::from(left)).find_map(|set| {
            let set = set as u8;
            let inside = cube::project_out(rest, left & !set);
            let outside = cube::project_out(rest, set);
            (inside & outside == rest).then_some((set, inside, outside))
        });
        // The whole support always splits off, with nothing outside.
        let Some((set, inside, outside)) = split else { break };
        found.push(inside);
        (rest, left) = (outside, left & !set);
    }
    found
}

/// The pair `(t, b)` without the factors that both have: the numerator and denominator of the same
/// fraction in lowest terms. A pair with an empty side has no fraction and comes back unchanged.
pub(super) fn cancel(t: u64, b: u64, atoms: usize) -> (u64, u64) {
    if t == 0 || b == 0 {
        return (t, b);
    }
    let (above, below) = (factors(t, atoms), factors(b, atoms));
    let keep = |own: &[u64], other: &[u64]| {
        own.iter().filter(|f| !other.contains(f)).fold(cube::full(atoms), |product, f| product & f)
    };
    (keep(&above, &below), keep(&below, &above))
}

/// The canonical structure of the same rho: the common factors of its two sides cancelled, over the
/// same atoms. A structure without winning or without losing rows has no rho and is its own.
///
/// ```
/// use ponens_compiler::landscape::{atoms, reduced};
/// use ponens_compiler::logic::{Structure, Table};
///
/// // Cross-entropy written as {w l} against {!w l}: the factor l cancels.
/// let padded = Structure { atoms: atoms(2), wins: Table(0b1000), loses: Table(0b0100) };
/// let canonical = reduced(&padded);
/// assert_eq!((canonical.wins, canonical.loses), (Table(0b1010), Table(0b0101)));
/// ```
#[must_use]
pub fn reduced(structure: &Structure) -> Structure {
    let n = structure.atoms.len().min(cube::MAX_ATOMS);
    let (t, b) = cancel(structure.wins.0 & cube::full(n), structure.loses.0 & cube::full(n), n);
    Structure { atoms: structure.atoms.clone(), wins: Table(t), loses: Table(b) }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    /// The indicator polynomial at the point where variable `i` has odds 2^(5 * 3^i), without its
    /// denominator. Products of two such polynomials have, in the odds, degree 2 in each variable
    /// and coefficients of 8 at most, so their values at this point tell them apart.
    fn at_generic_point(f: u64, atoms: usize) -> u128 {
        (0..1_usize << atoms)
            .filter(|row| f >> row & 1 == 1)
            .map(|row| {
                let weight = [5, 15, 45];
                1_u128 << (0..atoms).map(|i| (row >> i & 1) * weight[i]).sum::<usize>()
            })
            .sum()
    }

    fn gcd(a: u128, b: u128) -> u128 {
        if b == 0 { a } else { gcd(b, a % b) }
    }

    #[test]
    fn factors_partition_the_support_and_multiply_back() {
        for atoms in 1..=3 {
            for f in 1..=cube::full(atoms) {
                let parts = factors(f, atoms);
                assert_eq!(parts.iter().fold(cube::full(atoms), |p, g| p & g), f);
                let mut seen = 0;
                for &g in &parts {
                    let own = cube::support(g, atoms);
                    assert_eq!(seen & own, 0, "factors of {f:#x} share an atom");
                    seen |= own;
                    assert_eq!(factors(g, atoms), [g], "a factor of {f:#x} splits again");
                }
                assert_eq!(seen, cube::support(f, atoms));
            }
        }
    }

    /// Every way to write `f` as a conjunction over disjoint atoms is a grouping of its factors:
    /// found by trying all pairs, with no use of projections.
    #[test]
    fn divisors_are_products_of_factors() {
        for f in 1..=cube::full(3) {
            let parts = factors(f, 3);
            let mut products = HashSet::new();
            for chosen in 0..1_u32 << parts.len() {
                let product = parts
                    .iter()
                    .enumerate()
                    .filter(|(i, _)| chosen >> i & 1 == 1)
                    .fold(cube::full(3), |p, (_, g)| p & g);
                products.insert(product);
            }
            let mut divisors = HashSet::new();
            for g in 1..=cube::full(3) {
                for h in 1..=cube::full(3) {
                    if g & h == f && cube::support(g, 3) & cube::support(h, 3) == 0 {
                        divisors.insert(g);
                    }
                }
            }
            assert_eq!(divisors, products, "divisors of {f:#x}");
        }
    }

    /// Equality of fractions, decided by evaluation at a generic point, groups the structures
    /// exactly as cancelling common factors does.
    #[test]
    fn equal_fractions_are_equal_after_cancelling() {
        for atoms in 2..=3 {
            let values: Vec<u128> =
                (0..=cube::full(atoms)).map(|f| at_generic_point(f, atoms)).collect();
            let mut canonical = HashMap::new();
            let mut pairs = HashSet::new();
            for t in 1..=cube::full(atoms) {
                for b in 1..=cube::full(atoms) {
                    let (x, y) = (values[t as usize], values[b as usize]);
                    let common = gcd(x, y);
                    let key = (x / common, y / common);
                    let pair = cancel(t, b, atoms);
                    assert_eq!(*canonical.entry(key).or_insert(pair), pair, "{t:#x}/{b:#x}");
                    pairs.insert(pair);
                }
            }
            assert_eq!(canonical.len(), pairs.len());
            assert_eq!(pairs.len(), if atoms == 2 { 187 } else { canonical.len() });
        }
    }
}
