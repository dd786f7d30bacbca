//! Boolean functions as bit tables, and what the counting needs of them.
//!
//! In: a table of up to 64 rows, bit `r` the value in row `r`, bit `i` of `r` the value of atom `i`.
//! Out: supports, projections, cofactors, permuted tables. Invariant: the bits beyond the last row
//! of a result are zero when those of the argument are.

/// The rows in which atom `i` is true, for six atoms.
const COLUMNS: [u64; 6] = [
    0xAAAA_AAAA_AAAA_AAAA,
    0xCCCC_CCCC_CCCC_CCCC,
    0xF0F0_F0F0_F0F0_F0F0,
    0xFF00_FF00_FF00_FF00,
    0xFFFF_0000_FFFF_0000,
    0xFFFF_FFFF_0000_0000,
];

/// The most atoms that a table in one machine word can have.
pub(super) const MAX_ATOMS: usize = COLUMNS.len();

/// The table that is true in every row of `atoms` atoms.
pub(super) fn full(atoms: usize) -> u64 {
    if atoms >= MAX_ATOMS { u64::MAX } else { (1 << (1 << atoms)) - 1 }
}

/// The function "atom `i`" among `atoms` atoms.
pub(super) fn column(i: usize, atoms: usize) -> u64 {
    COLUMNS[i] & full(atoms)
}

/// Whether the value of `f` ever changes with atom `i`.
pub(super) fn depends(f: u64, i: usize) -> bool {
    ((f >> (1 << i)) ^ f) & !COLUMNS[i] != 0
}

/// The atoms on which `f` depends, one bit each.
pub(super) fn support(f: u64, atoms: usize) -> u8 {
    (0..atoms).filter(|&i| depends(f, i)).fold(0, |mask, i| mask | 1 << i)
}

/// "For some value of atom `i`": the projection of `f` along that atom.
pub(super) fn exists(f: u64, i: usize) -> u64 {
    f | (f & COLUMNS[i]) >> (1 << i) | (f & !COLUMNS[i]) << (1 << i)
}

/// The projection of `f` along every atom in `mask`.
pub(super) fn project_out(f: u64, mask: u8) -> u64 {
    (0..MAX_ATOMS).filter(|i| mask >> i & 1 == 1).fold(f, exists)
}

/// The two cofactors of `f` in atom `i`, `(f with i true, f with i false)`, as tables of the other
/// `atoms - 1` atoms in their order.
pub(super) fn cofactors(f: u64, i: usize, atoms: usize) -> (u64, u64) {
    let low = (1_usize << i) - 1;
    let mut parts = (0, 0);
    for rest in 0..1_usize << (atoms - 1) {
        let row = (rest & low) | (rest & !low) << 1;
        parts.0 |= (f >> (row | 1 << i) & 1) << rest;
        parts.1 |= (f >> row & 1) << rest;
    }
    parts
}

/// `f` written over other atoms: atom `i` of `f` becomes atom `to[i]` of `atoms` atoms. An atom
/// sent to `None` is read as false, which loses nothing when `f` does not depend on it.
pub(super) fn relabel(f: u64, to: &[Option<usize>], atoms: usize) -> u64 {
    (0..1_usize << atoms)
        .filter(|row| {
            let from = to.iter().enumerate().fold(0_usize, |from, (i, target)| match target {
                Some(j) => from | (row >> j & 1) << i,
                None => from,
            });
            f >> from & 1 == 1
        })
        .fold(0, |table, row| table | 1 << row)
}

/// Every table between `must` and `must | may`, in ascending order; `may` and `must` are disjoint.
#[derive(Clone, Debug)]
pub(super) struct Between {
    must: u64,
    may: u64,
    next: Option<u64>,
    size: u64,
}

impl Between {
    /// The tables that contain `least` and are contained in `greatest`: none when `least` is not
    /// contained in `greatest`.
    pub(super) fn new(least: u64, greatest: u64) -> Self {
        let may = greatest & !least;
        let next = (least & !greatest == 0).then_some(0);
        let size = next.map_or(0, |_| 1_u64.checked_shl(may.count_ones()).unwrap_or(u64::MAX));
        Self { must: least, may, next, size }
    }

    /// How many there are in all: 2^16 at most for the sixteen rows of four atoms.
    pub(super) fn size(&self) -> u64 {
        self.size
    }
}

impl Iterator for Between {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let part = self.next?;
        // The carry runs through the bits outside `may`, so this counts within `may`.
        self.next = (part != self.may).then(|| ((part | !self.may) + 1) & self.may);
        Some(self.must | part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cofactors_rebuild_the_function() {
        for f in 0..256_u64 {
            for i in 0..3 {
                let (high, low) = cofactors(f, i, 3);
                let to: Vec<_> = (0..3).filter(|&j| j != i).map(Some).collect();
                let (high, low) = (relabel(high, &to, 3), relabel(low, &to, 3));
                let atom = column(i, 3);
                assert_eq!(f, (high & atom) | (low & !atom), "{f:#x} in atom {i}");
                assert_eq!(depends(f, i), high != low);
                assert_eq!(exists(f, i), high | low);
            }
        }
    }

    #[test]
    fn between_counts_up_within_the_interval() {
        for least in 0..16_u64 {
            for greatest in 0..16 {
                let found: Vec<u64> = Between::new(least, greatest).collect();
                let expected: Vec<u64> =
                    (0..16).filter(|x| least & !x == 0 && x & !greatest == 0).collect();
                assert_eq!(found, expected);
                assert_eq!(Between::new(least, greatest).size(), expected.len() as u64);
            }
        }
    }

    #[test]
    fn six_atoms_fill_the_word() {
        assert_eq!(full(6), u64::MAX);
        assert_eq!(support(column(5, 6) ^ column(0, 6), 6), 0b10_0001);
        assert_eq!(exists(column(5, 6), 5), u64::MAX);
    }
}
