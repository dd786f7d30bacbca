//! Truth tables of up to six atoms in one machine word.

use std::ops::{BitAnd, BitOr, BitXor};

/// The most atoms that a [`Table`] can speak about.
pub const MAX_ATOMS: usize = 6;

/// The rows where atom `i` is true, over six atoms.
const PATTERN: [u64; MAX_ATOMS] = [
    0xAAAA_AAAA_AAAA_AAAA,
    0xCCCC_CCCC_CCCC_CCCC,
    0xF0F0_F0F0_F0F0_F0F0,
    0xFF00_FF00_FF00_FF00,
    0xFFFF_0000_FFFF_0000,
    0xFFFF_FFFF_0000_0000,
];

/// A Boolean function of up to six atoms: bit `r` is its value in row `r`, and bit `i` of `r` is the
/// value of atom `i` there.
///
/// The number of atoms `n` is not stored: operations that need it take it. Over fewer than six atoms
/// the bits from `2^n` on are zero, and every operation keeps them so. `n` above [`MAX_ATOMS`] counts
/// as [`MAX_ATOMS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Table(pub u64);

impl Table {
    /// False everywhere.
    pub const FALSE: Table = Table(0);

    /// True in every row over `n` atoms.
    pub const fn full(n: usize) -> Table {
        if n >= MAX_ATOMS { Table(u64::MAX) } else { Table((1 << (1 << n)) - 1) }
    }

    /// True where atom `i` is true; false everywhere for an `i` that is not below `n`.
    pub fn var(i: usize, n: usize) -> Table {
        match PATTERN.get(i) {
            Some(&bits) if i < n => Table(bits) & Table::full(n),
            _ => Table::FALSE,
        }
    }

    /// The function that is true in the rows given; rows from `2^n` on are left out.
    pub fn of_rows(rows: impl IntoIterator<Item = usize>, n: usize) -> Table {
        let bits = rows.into_iter().filter(|&r| r < 64).fold(0, |bits, r| bits | 1 << r);
        Table(bits) & Table::full(n)
    }

    /// True in both.
    #[must_use]
    pub fn and(self, other: Table) -> Table {
        self & other
    }

    /// True in either.
    #[must_use]
    pub fn or(self, other: Table) -> Table {
        self | other
    }

    /// True in exactly one.
    #[must_use]
    pub fn xor(self, other: Table) -> Table {
        self ^ other
    }

    /// True where this is false.
    #[must_use]
    pub fn not(self, n: usize) -> Table {
        Table(!self.0) & Table::full(n)
    }

    /// True where this is false or `other` true.
    #[must_use]
    pub fn implies(self, other: Table, n: usize) -> Table {
        self.not(n) | other
    }

    /// True where both agree.
    #[must_use]
    pub fn iff(self, other: Table, n: usize) -> Table {
        (self ^ other).not(n)
    }

    /// True here and false in `other`.
    #[must_use]
    pub fn without(self, other: Table) -> Table {
        Table(self.0 & !other.0)
    }

    /// The value in a row; false past the end.
    pub fn get(self, row: usize) -> bool {
        row < 64 && self.0 >> row & 1 == 1
    }

    /// False in every row.
    pub fn is_false(self) -> bool {
        self.0 == 0
    }

    /// True in every row over `n` atoms.
    pub fn is_true(self, n: usize) -> bool {
        self == Table::full(n)
    }

    /// Whether every row of this is a row of `other`.
    pub fn is_within(self, other: Table) -> bool {
        self.0 & !other.0 == 0
    }

    /// The rows where it is true, in ascending order.
    pub fn rows(self) -> impl Iterator<Item = usize> {
        let mut bits = self.0;
        std::iter::from_fn(move || {
            if bits == 0 {
                return None;
            }
            let row = bits.trailing_zeros() as usize;
            bits &= bits - 1;
            Some(row)
        })
    }

    /// In how many rows it is true.
    pub fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// The function with atom `i` of `n` fixed to `value`, still over the same atoms but no longer
    /// depending on atom `i`.
    #[must_use]
    pub fn cofactor(self, i: usize, value: bool, n: usize) -> Table {
        let Some(&pattern) = PATTERN.get(i).filter(|_| i < n) else { return self };
        let shift = 1 << i;
        if value {
            let kept = self.0 & pattern;
            Table(kept | kept >> shift)
        } else {
            let kept = self.0 & !pattern;
            Table(kept | kept << shift)
        }
    }

    /// Whether the value can change with atom `i` of `n`.
    pub fn depends_on(self, i: usize, n: usize) -> bool {
        self.cofactor(i, true, n) != self.cofactor(i, false, n)
    }

    /// Which of the `n` atoms it depends on, as a bit mask.
    pub fn support(self, n: usize) -> u32 {
        (0..n.min(MAX_ATOMS)).filter(|&i| self.depends_on(i, n)).fold(0, |mask, i| mask | 1 << i)
    }

    /// True where some value of the atoms in `mask` makes it true.
    #[must_use]
    pub fn exists(self, mask: u32, n: usize) -> Table {
        (0..n.min(MAX_ATOMS))
            .filter(|i| mask >> i & 1 == 1)
            .fold(self, |t, i| t.cofactor(i, false, n) | t.cofactor(i, true, n))
    }

    /// The same function over other atoms: old atom `i` becomes atom `map[i]` of `n`.
    ///
    /// The places in `map` must differ. An old atom without a place below `n` is read as false.
    #[must_use]
    pub fn remap(self, map: &[usize], n: usize) -> Table {
        let n = n.min(MAX_ATOMS);
        let old = |row: usize| {
            map.iter()
                .take(MAX_ATOMS)
                .enumerate()
                .filter(|&(_, &to)| to < n && row >> to & 1 == 1)
                .fold(0, |old_row, (i, _)| old_row | 1 << i)
        };
        Table::of_rows((0..1 << n).filter(|&row| self.get(old(row))), n)
    }

    /// The same function over more atoms, on which it does not depend.
    #[must_use]
    pub fn extend(self, from: usize, to: usize) -> Table {
        let map: Vec<usize> = (0..from).collect();
        self.remap(&map, to)
    }

    /// The same function over the atoms in `mask` only, in their old order. It must not depend on the
    /// others: they are read as false.
    #[must_use]
    pub fn restrict(self, mask: u32) -> Table {
        let kept: Vec<usize> = (0..MAX_ATOMS).filter(|i| mask >> i & 1 == 1).collect();
        let old = |row: usize| {
            kept.iter()
                .enumerate()
                .filter(|&(new, _)| row >> new & 1 == 1)
                .fold(0, |old_row, (_, &i)| old_row | 1 << i)
        };
        Table::of_rows((0..1 << kept.len()).filter(|&row| self.get(old(row))), kept.len())
    }
}

impl BitAnd for Table {
    type Output = Table;

    fn bitand(self, other: Table) -> Table {
        Table(self.0 & other.0)
    }
}

impl BitOr for Table {
    type Output = Table;

    fn bitor(self, other: Table) -> Table {
        Table(self.0 | other.0)
    }
}

impl BitXor for Table {
    type Output = Table;

    fn bitxor(self, other: Table) -> Table {
        Table(self.0 ^ other.0)
    }
}
